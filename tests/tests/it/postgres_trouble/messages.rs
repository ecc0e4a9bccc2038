//! What is said about a database that cannot be used.

use std::{fs, time::Duration};

use sqlx::PgPool;
use tests::{
    SOON,
    app::Place,
    chaos::proxy::{Mode, Proxy},
    eventually,
    programs::free_port,
    servers::OwnPostgres,
};

use super::{System, execute, own_server};

#[tokio::test]
async fn ready_says_why_the_database_cannot_be_used() {
    let (server, admin, url) = own_server().await;
    let proxy = Proxy::start(([127, 0, 0, 1], server.port()).into(), Duration::ZERO).await;
    proxy.set(Mode::Stalled);
    execute(&admin, "ALTER ROLE app PASSWORD 'right'; CREATE ROLE nologin; CREATE ROLE full LOGIN CONNECTION LIMIT 0").await;
    let hba = "host all postgres,full,nologin 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n";
    fs::write(server.folder().join("data/pg_hba.conf"), hba).unwrap();
    execute(&admin, "SELECT pg_reload_conf()").await;
    let at = format!("127.0.0.1:{}", server.port());
    for (url, reason) in [
        (url.replace("app@", "app:wrong@"), "refuses the password"),
        (
            format!("postgres://nologin@{at}/app"),
            "does not let this user in",
        ),
        (
            format!("postgres://app:right@{at}/none"),
            "no such database",
        ),
        (
            format!("postgres://full@{at}/app"),
            "no connection to spare",
        ),
        (
            format!("postgres://app@127.0.0.1:{}/app", free_port()),
            "nobody answers",
        ),
        (
            format!("postgres://app@{}/app", proxy.address()),
            "does not answer within",
        ),
        (
            format!("postgres://app:right@{at}/app?sslmode=require"),
            "TLS with it fails",
        ),
    ] {
        let system = System::start(&url).await;
        system.aggregator.not_ready(reason).await;
        system.stop().await;
    }
}

#[tokio::test]
async fn the_log_says_what_the_database_said_and_where_it_is_but_no_password() {
    let (server, admin, url) = own_server().await;
    execute(&admin, "ALTER ROLE app PASSWORD 'right'").await;
    let hba = "host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n";
    fs::write(server.folder().join("data/pg_hba.conf"), hba).unwrap();
    execute(&admin, "SELECT pg_reload_conf()").await;
    let place = Place::with_database(&url.replace("app@", "app:s3cret@")).await;
    let aggregator = place.process("aggregator", &[]);
    let address = format!("127.0.0.1:{}/app", server.port());
    eventually("the cause is logged", SOON, async || {
        let output = aggregator.output();
        output.contains(&address)
            && output.contains("SQLSTATE 28P01: password authentication failed")
    })
    .await;
    assert!(!aggregator.output().contains("s3cret"));
}

#[tokio::test]
async fn an_ipv6_address_can_be_given() {
    let server = OwnPostgres::start_with(&["-c", "listen_addresses=127.0.0.1,::1"]).await;
    let url = format!("postgres://postgres@[::1]:{}/postgres", server.port());
    let hba = server.folder().join("data/pg_hba.conf");
    let rules = fs::read_to_string(&hba).unwrap();
    fs::write(&hba, rules + "host all all ::1/128 trust\n").unwrap();
    let admin = PgPool::connect(&server.url()).await.unwrap();
    execute(&admin, "SELECT pg_reload_conf()").await;
    let mut system = System::start(&url).await;
    system.aggregator.ready().await;
    system.publish().await;
    system.assert_exact().await;
    system.stop().await;
}
