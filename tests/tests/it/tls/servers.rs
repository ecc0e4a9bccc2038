//! Redis and PostgreSQL over TLS.

use std::path::Path;

use reqwest::StatusCode;
use serde_json::json;
use sqlx::{Connection, PgConnection};
use tests::{
    SOON,
    app::App,
    certificates::{Authority, Pair},
    eventually,
    programs::{self, free_port},
    servers::{OwnPostgres, OwnRedis, queue_name},
};

/// Servers that speak TLS, with a certificate for these names. Their tests' own connections do not.
async fn servers(pair: &Pair) -> (OwnRedis, OwnPostgres, u16) {
    let files = [("server.pem", &*pair.cert), ("server.key", &pair.key)];
    let port = free_port();
    let tls_port = port.to_string();
    let redis = [
        ["--tls-port", &tls_port],
        ["--tls-cert-file", "server.pem"],
        ["--tls-key-file", "server.key"],
        ["--tls-auth-clients", "no"],
    ];
    let postgres = [
        ["-c", "ssl=on"],
        ["-c", "ssl_cert_file=../server.pem"],
        ["-c", "ssl_key_file=../server.key"],
    ];
    let (redis, postgres) = (redis.concat(), postgres.concat());
    let (redis, postgres) = tokio::join!(
        OwnRedis::start_with_files(&files, &redis),
        OwnPostgres::start_with_files(&files, &postgres),
    );
    (redis, postgres, port)
}

/// Arguments of an aggregator, for servers at `host` that `ca` is to vouch for.
fn over_tls(host: &str, redis: u16, postgres: u16, ca: &Path) -> [String; 3] {
    let ca = ca.display();
    [
        format!("--redis-url=rediss://{host}:{redis}"),
        format!("--redis-ca-cert={ca}"),
        format!(
            "--database-url=postgres://postgres@{host}:{postgres}/postgres?sslmode=verify-full&sslrootcert={ca}"
        ),
    ]
}

#[tokio::test]
async fn an_event_goes_the_whole_way_over_tls() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let pair = authority.sign(&["127.0.0.1", "localhost"]);
    let ca = authority.write(folder.path(), "ca.pem");
    let (_redis, postgres, redis_port) = servers(&pair).await;
    let [cert, key] = pair.write(folder.path(), "server").arguments();
    let queue = format!("--queue-name={}", queue_name());
    let [redis_url, redis_ca, database] = over_tls("localhost", redis_port, postgres.port(), &ca);
    let common = [&*cert, &key, &queue, &redis_url, &redis_ca];
    let publisher = App::publisher(&common).over_tls(authority.client(None));
    let aggregator =
        App::aggregator(&[&common[..], &[&database]].concat()).over_tls(authority.client(None));
    publisher.ready().await;
    aggregator.ready().await;

    let event = json!({"topic": "t", "event_id": "1", "payload": {"over": "tls"}});
    let (status, _) = publisher.post("/publish", event.to_string()).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    aggregator.drained(1).await;
    let (_, page) = aggregator.get("/events").await;
    assert_eq!(page["events"][0]["payload"], json!({"over": "tls"}));

    let mut connection = PgConnection::connect(&postgres.url()).await.unwrap();
    let sessions = "SELECT count(*) FILTER (WHERE ssl), count(*) FILTER (WHERE NOT ssl)
                    FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
                    WHERE application_name = 'event-aggregator'";
    let (with, without): (i64, i64) = sqlx::query_as(sessions)
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert!(with > 0 && without == 0, "{with} with, {without} without");
    publisher.stop().await;
    aggregator.stop().await;
}

#[tokio::test]
async fn the_nodes_of_a_cluster_are_found_and_used_over_tls() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let pair = authority.sign(&["localhost"]);
    let ca = authority.write(folder.path(), "ca.pem");
    let [tls_port, bus] = [free_port(), free_port()].map(|port| port.to_string());
    let authority_pem = authority.pem();
    let files = [
        ("server.pem", &*pair.cert),
        ("server.key", &pair.key),
        ("ca.pem", &authority_pem),
    ];
    let settings = [
        ["--tls-port", &tls_port],
        ["--tls-cert-file", "server.pem"],
        ["--tls-key-file", "server.key"],
        ["--tls-ca-cert-file", "ca.pem"],
        ["--tls-auth-clients", "no"],
        ["--tls-cluster", "yes"],
        ["--cluster-enabled", "yes"],
        ["--cluster-port", &bus],
    ];
    let node = OwnRedis::start_with_files(&files, &settings.concat()).await;
    let client = redis::Client::open(node.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut all_slots = redis::cmd("CLUSTER");
    all_slots.arg(&["ADDSLOTSRANGE", "0", "16383"]);
    let (): () = all_slots.query_async(&mut connection).await.unwrap();

    let queue = format!("--queue-name={}", queue_name());
    let url = |host: &str| format!("--redis-url=rediss-cluster://{host}:{tls_port}");
    let ca = format!("--redis-ca-cert={}", ca.display());
    let publisher = App::publisher(&[&queue, &url("localhost"), &ca, "--queue-shards=3"]);
    publisher.ready().await;
    let event = json!({"topic": "t", "event_id": "1"});
    let (status, problem) = publisher.post("/publish", event.to_string()).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{problem}");
    publisher.stop().await;

    // The certificate is for another name.
    let publisher = App::publisher(&[&queue, &url("127.0.0.1"), &ca]);
    publisher.not_ready("names in REDIS_URL").await;
    publisher.stop().await;
}

#[tokio::test]
async fn servers_of_another_authority_or_name_are_not_trusted_and_ready_says_what_to_do() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let (_redis, postgres, redis_port) = servers(&authority.sign(&["localhost"])).await;
    let known = authority.write(folder.path(), "ca.pem");
    let other = Authority::new().write(folder.path(), "other.pem");
    for (host, ca, says) in [
        (
            "localhost",
            &other,
            ["with REDIS_CA_CERT", "with sslrootcert in DATABASE_URL"],
        ),
        (
            "127.0.0.1",
            &known,
            ["names in REDIS_URL", "names in DATABASE_URL"],
        ),
    ] {
        let arguments = over_tls(host, redis_port, postgres.port(), ca);
        let app = App::aggregator(&arguments.each_ref().map(String::as_str));
        eventually("it says why", SOON, async || {
            let (status, problem) = app.get("/ready").await;
            assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{problem}");
            let detail = problem["detail"].as_str().unwrap();
            says.iter().all(|says| detail.contains(says))
        })
        .await;
        app.stop().await;
    }
}

#[tokio::test]
async fn authorities_that_the_databases_address_names_must_be_there_at_the_start() {
    let database = "postgres://127.0.0.1:1/none?sslmode=verify-full&sslrootcert=/nowhere%2Fca.pem";
    for program in ["aggregator", "event-aggregator"] {
        let settings = [("DATABASE_URL", database), ("BIND_ADDR", "127.0.0.1:0")];
        let ended = programs::run(program, &[], &settings).await;
        assert_eq!(ended.code, Some(1));
        let said = ended.out + &ended.err;
        assert!(said.contains("DATABASE_URL /nowhere/ca.pem: "), "{said}");
    }
}
