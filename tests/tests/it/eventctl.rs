//! The `eventctl` program against running servers: what it tells is what the servers count.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    time::Duration,
};

use redis::AsyncCommands;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::{
    app::App,
    events::Logs,
    eventually,
    programs::{self, Running, free_port},
    servers,
};

const SOON: Duration = Duration::from_secs(30);

/// What a run of the program came to.
struct Run {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Run {
    /// Its output, as JSON.
    fn json(&self) -> Value {
        serde_json::from_str(&self.out)
            .unwrap_or_else(|_| panic!("no JSON: {}{}", self.out, self.err))
    }
}

/// Runs the program to its end.
async fn eventctl(url: &str, arguments: &[&str]) -> Run {
    let mut command = tokio::process::Command::new(programs::path("eventctl"));
    command
        .args(arguments)
        .env_clear()
        .env("EVENTCTL_URL", url)
        .kill_on_drop(true);
    let ended = tokio::time::timeout(SOON, command.output()).await;
    let output = ended.expect("it ends in time").unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Run {
        code: output.status.code(),
        out: text(&output.stdout),
        err: text(&output.stderr),
    }
}

/// A standalone server over a database of its own, and a folder for files.
struct Fixture {
    app: App,
    folder: TempDir,
}

impl Fixture {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let app = App::standalone(&[&database_url(folder.path())]);
        app.ready().await;
        Self { app, folder }
    }

    async fn eventctl(&self, arguments: &[&str]) -> Run {
        eventctl(&self.app.url, arguments).await
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn file(&self, name: &str, content: &str) -> String {
        fs::write(self.path(name), content).unwrap();
        self.path(name).display().to_string()
    }
}

fn database_url(folder: &Path) -> String {
    format!("--database-url=sqlite://{}/events.db", folder.display())
}

/// Events `from..to` of one topic, one a line.
fn lines(from: usize, to: usize) -> String {
    let line = |n| format!("{{\"topic\":\"t\",\"event_id\":\"{n}\"}}\n");
    (from..to).map(line).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_published_twice_is_stored_once() {
    let fixture = Fixture::start().await;
    let logs = Logs::generated(3000, 11);
    let text: Vec<_> = logs.events.iter().map(Value::to_string).collect();
    let as_lines = fixture.file("lines", &text.join("\n"));
    let as_array = fixture.file(
        "array",
        &serde_json::to_string_pretty(&logs.events).unwrap(),
    );
    for input in [as_lines, as_array] {
        let run = fixture
            .eventctl(&["publish", &input, "--batch=70", "--json"])
            .await;
        assert_eq!(run.code, Some(0), "{}", run.err);
        let told = run.json();
        assert_eq!(
            (&told["accepted"], &told["refused"]),
            (&json!(3000), &json!(0))
        );
    }
    let stats = fixture.app.drained(6000).await;
    assert_eq!(stats["received"], 6000);
    assert_eq!(stats["unique_processed"], logs.unique_total());
    assert_eq!(stats["topics"], json!(logs.unique));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_in_a_file_with_its_line_and_the_rest_is_stored() {
    let fixture = Fixture::start().await;
    let bad = ["hello", r#"{"topic":"t"}"#, r#"{"topic":"t","event_id":7}"#];
    let text = format!("{}{}\n\n{}", lines(0, 3), bad.join("\n"), lines(3, 5));
    let input = fixture.file("input", &text);
    let refused = fixture.path("refused").display().to_string();
    let run = fixture
        .eventctl(&["publish", &input, "--refused", &refused])
        .await;
    assert_eq!(run.code, Some(1), "{}", run.err);
    assert!(run.err.contains("line 5: has no event_id"), "{}", run.err);

    let refused = fs::read_to_string(refused).unwrap();
    let refused = refused
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let refused: Vec<_> = refused
        .map(|entry| (entry["line"].clone(), entry["text"].clone()))
        .collect();
    let expected = (4..)
        .zip(bad)
        .map(|(line, text)| (json!(line), json!(text)));
    assert_eq!(refused, expected.collect::<Vec<_>>());
    assert_eq!(fixture.app.drained(5).await["unique_processed"], 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_by_content_make_events_without_ids_safe_to_send_again() {
    let fixture = Fixture::start().await;
    let text = "{\"topic\":\"t\",\"payload\":{\"a\":1,\"b\":2}}\n{\"payload\":{\"b\":2, \"a\":1},\"topic\":\"t\"}\n";
    let input = fixture.file("input", text);
    for _ in 0..2 {
        let run = fixture
            .eventctl(&["publish", &input, "--id-from-content"])
            .await;
        assert_eq!(run.code, Some(0), "{}", run.err);
    }
    let stats = fixture.app.drained(4).await;
    assert_eq!(stats["unique_processed"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_was_interrupted_goes_on_where_its_input_was_settled() {
    const EVENTS: u64 = 20_000;
    let fixture = Fixture::start().await;
    let input = fixture.file("input", &lines(0, 20_000));
    let resume = fixture.path("resume").display().to_string();
    // One event a request takes long enough to be interrupted.
    let slowly = [
        "publish",
        &input,
        "--resume",
        &resume,
        "--batch=1",
        "--connections=1",
    ];
    let mut first = Running::start("eventctl", &slowly, &[("EVENTCTL_URL", &fixture.app.url)]);
    let begun = async || Path::new(&resume).exists();
    eventually("some of it is settled", SOON, begun).await;
    first.signal("TERM");
    assert_eq!(first.wait_exit(SOON).await, Some(130), "{}", first.output());
    let told = first.output();
    assert!(
        told.contains("not finished:") && told.contains("the same command goes on there"),
        "{told}"
    );

    let again = ["publish", &input, "--resume", &resume, "--json"];
    let second = fixture.eventctl(&again).await;
    assert_eq!(second.code, Some(0), "{}", second.err);
    let accepted = second.json()["accepted"].as_u64().unwrap();
    assert!(
        0 < accepted && accepted < EVENTS,
        "only the rest: {accepted}"
    );
    let stats = fixture.app.drained(20_000).await;
    assert_eq!(stats["unique_processed"], EVENTS);

    // The file grows: only what is new is sent. It becomes another file: nothing is.
    let mut file = fs::OpenOptions::new().append(true).open(&input).unwrap();
    file.write_all(lines(20_000, 20_007).as_bytes()).unwrap();
    assert_eq!(fixture.eventctl(&again).await.json()["accepted"], 7);
    fs::write(&input, lines(7, 20_000)).unwrap();
    let other = fixture.eventctl(&again).await;
    assert_eq!(other.code, Some(2), "{}", other.err);
    assert!(other.err.contains("another input"), "{}", other.err);
}

/// A standalone server as a process, so that it can be killed.
async fn start(folder: &Path, port: u16) -> Running {
    let address = format!("--bind-addr=127.0.0.1:{port}");
    let process = Running::start("event-aggregator", &[&address, &database_url(folder)], &[]);
    eventually("it is ready", SOON, async || {
        let ready = tests::http::client()
            .get(format!("http://127.0.0.1:{port}/ready"))
            .send()
            .await;
        ready.is_ok_and(|answer| answer.status() == StatusCode::OK)
    })
    .await;
    process
}

#[tokio::test(flavor = "multi_thread")]
async fn a_simulation_is_exact_though_the_server_is_killed_meanwhile() {
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    let server = start(folder.path(), port).await;
    let url = format!("http://127.0.0.1:{port}");
    let arguments = [
        "simulate",
        "--events=4000",
        "--rate=1500",
        "--seed=3",
        "--json",
    ];
    let simulation = eventctl(&url, &arguments);
    let disaster = async {
        eventually("some events have arrived", SOON, async || {
            let stats = tests::http::client()
                .get(format!("{url}/stats"))
                .send()
                .await;
            let stats: Value = stats.unwrap().json().await.unwrap();
            stats["received"].as_u64() > Some(500)
        })
        .await;
        server.signal("KILL");
        // It has to be gone before another can open its database.
        drop(server);
        // Several batches fall due while it is away.
        tokio::time::sleep(Duration::from_millis(500)).await;
        start(folder.path(), port).await
    };
    let (run, _server) = tokio::join!(simulation, disaster);
    assert_eq!(run.code, Some(0), "{}{}", run.out, run.err);
    let report = run.json();
    assert_eq!(
        (&report["exact"], &report["acknowledged"]),
        (&json!(true), &json!(4000))
    );
    assert!(
        report["retried"].as_u64().unwrap() > 0,
        "it was away: {report}"
    );

    let again = eventctl(&url, &["simulate", "--events=1000", "--topics=3"]).await;
    assert_eq!(
        again.code,
        Some(0),
        "not empty, and still exact: {}",
        again.out
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_simulation_names_the_counters_that_another_client_moved() {
    let fixture = Fixture::start().await;
    let arguments = ["simulate", "--events=200", "--rate=100", "--json"];
    let stranger = async {
        tokio::time::sleep(Duration::from_millis(700)).await;
        let event = json!({"topic": "shop/orders", "event_id": "a stranger's"});
        fixture.app.post("/publish", event.to_string()).await
    };
    let (run, published) = tokio::join!(fixture.eventctl(&arguments), stranger);
    assert_eq!(
        (run.code, published.0),
        (Some(1), StatusCode::ACCEPTED),
        "{}",
        run.err
    );
    let report = run.json();
    let wrong = report["checks"].as_array().unwrap().iter().filter(|check| {
        let found = check["found"].as_i64();
        found < check["at_least"].as_i64() || found > check["at_most"].as_i64()
    });
    let wrong: Vec<_> = wrong.map(|check| check["what"].as_str().unwrap()).collect();
    assert_eq!(wrong, ["received", "unique", "shop/orders"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_simulation_without_end_ends_well_on_a_signal() {
    let fixture = Fixture::start().await;
    let arguments = ["simulate", "--rate=200"];
    let mut endless = Running::start(
        "eventctl",
        &arguments,
        &[("EVENTCTL_URL", &fixture.app.url)],
    );
    eventually("it sends", SOON, async || {
        fixture.app.stats().await["received"].as_i64() > Some(100)
    })
    .await;
    endless.signal("TERM");
    assert_eq!(
        endless.wait_exit(SOON).await,
        Some(0),
        "{}",
        endless.output()
    );
    let output = endless.output();
    assert!(
        output.contains("exact:") && output.contains("30% duplicates"),
        "{output}"
    );
    assert!(
        !output.contains('\u{1b}'),
        "no colours where no terminal is: {output}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn stats_and_verify_tell_what_the_server_counts() {
    let fixture = Fixture::start().await;
    let input = fixture.file("input", &lines(0, 1500));
    assert_eq!(fixture.eventctl(&["publish", &input]).await.code, Some(0));
    let expected = fixture.app.drained(1500).await;
    let run = fixture.eventctl(&["stats", "--json"]).await;
    let stats = run.json();
    for counter in [
        "received",
        "unique_processed",
        "duplicate_dropped",
        "dead_lettered",
        "topics",
    ] {
        assert_eq!(stats[counter], expected[counter], "{counter}");
    }
    let human = fixture.eventctl(&["stats"]).await.out;
    assert!(human.contains("received      1,500"), "{human}");

    let run = fixture.eventctl(&["verify", "--json"]).await;
    assert_eq!(run.code, Some(0), "{}", run.out);
    assert_eq!(run.json()["listed"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_finds_a_counter_that_is_wrong() {
    let fixture = Fixture::start().await;
    let input = fixture.file("input", &lines(0, 30));
    assert_eq!(fixture.eventctl(&["publish", &input]).await.code, Some(0));
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(fixture.path("events.db"));
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    let forge = "UPDATE topic_stats SET unique_processed = unique_processed + 1";
    sqlx::query(forge).execute(&pool).await.unwrap();
    pool.close().await;
    let run = fixture.eventctl(&["verify", "--json"]).await;
    assert_eq!(run.code, Some(1), "{}", run.out);
    let wrong = run.json()["checks"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|check| check["ok"] == false)
        .count();
    assert_eq!(wrong, 2, "the sum of the topics, and topic t: {}", run.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn following_prints_each_event_once_as_it_comes() {
    let fixture = Fixture::start().await;
    let publish = async |from, to| {
        let input = fixture.file("input", &lines(from, to));
        assert_eq!(fixture.eventctl(&["publish", &input]).await.code, Some(0));
    };
    // More than a page before, and more than another after.
    publish(0, 130).await;
    let follow = ["events", "--follow", "--topic=t", "--json"];
    let mut follow = Running::start("eventctl", &follow, &[("EVENTCTL_URL", &fixture.app.url)]);
    let ids = |output: &str| -> Vec<u64> {
        let events = output
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        events
            .map(|event| event["event_id"].as_str().unwrap().parse().unwrap())
            .collect()
    };
    for (from, to) in [(130, 133), (133, 300)] {
        eventually("what is stored is printed", SOON, async || {
            ids(&follow.output()).len() == from
        })
        .await;
        publish(from, to).await;
    }
    eventually("all of it is printed", SOON, async || {
        ids(&follow.output()).len() == 300
    })
    .await;
    follow.signal("INT");
    assert_eq!(follow.wait_exit(SOON).await, Some(0), "{}", follow.output());
    let mut printed = ids(&follow.output());
    printed.sort_unstable();
    assert_eq!(printed, (0..300).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_listed_shown_replayed_and_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let (redis_url, queue) = (servers::redis_url().await, servers::queue_name());
    let client = redis::Client::open(redis_url.as_str()).unwrap();
    let mut redis = client.get_multiplexed_async_connection().await.unwrap();
    let elements = ["first", "\u{1b}[2Jsecond"];
    let _: () = redis
        .lpush(format!("{{{queue}}}:queue"), &elements)
        .await
        .unwrap();
    let app = App::standalone(&[
        &database_url(folder.path()),
        &format!("--redis-url={redis_url}"),
        &format!("--queue-name={queue}"),
    ]);
    app.drained(2).await;
    let run = async |arguments: &[&str]| {
        eventctl(&app.url, &[&["dead-letters"], arguments].concat()).await
    };

    let list = run(&["list"]).await;
    assert_eq!(list.out.lines().count(), 2, "{}", list.out);
    assert!(
        !list.out.contains('\u{1b}'),
        "raw bytes do not reach the terminal"
    );
    let letters: Vec<Value> = run(&["list", "--json"])
        .await
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let id = letters[0]["id"].to_string();
    let show = run(&["show", &id]).await;
    assert!(
        show.out.contains("first") && show.code == Some(0),
        "{}",
        show.out
    );

    let dry = run(&["replay", "--all", "--dry-run", "--json"]).await;
    assert_eq!(
        (dry.code, dry.json()["refused"].as_array().unwrap().len()),
        (Some(1), 2)
    );
    assert_eq!(run(&["delete", &id]).await.code, Some(0));
    for gone in [["show", &id], ["delete", &id], ["replay", &id]] {
        let gone = run(&gone).await;
        assert_eq!(gone.code, Some(1));
        assert!(
            gone.err.contains("no dead letter has the id"),
            "{}",
            gone.err
        );
    }
    let other = letters[1]["id"].to_string();
    let both = run(&["replay", &id, &other, "--dry-run", "--json"])
        .await
        .json();
    assert_eq!(
        (&both["unknown"], &both["refused"][0]["id"]),
        (&json!([letters[0]["id"]]), &letters[1]["id"])
    );
    let replay = run(&["replay", "--all", "--json"]).await.json();
    assert_eq!(
        (
            &replay["accepted"],
            replay["refused"].as_array().unwrap().len()
        ),
        (&json!(0), 1)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_one_line_whatever_the_white_space_in_its_payload() {
    let fixture = Fixture::start().await;
    let none = fixture.eventctl(&["events"]).await;
    assert_eq!((none.code, &*none.out), (Some(0), "no events\n"));
    let spread =
        "{\n \"id\": \"a\",\n \"payload\": {\n\t\"text\": \"two  spaces\",\r\n \"n\": 1.0\n}\n}";
    let (status, _) = fixture.app.post("/publish", spread.to_owned()).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    fixture.app.drained(1).await;
    for form in [&["events", "--json"][..], &["events"]] {
        let run = fixture.eventctl(form).await;
        assert_eq!(run.out.lines().count(), 1, "{}", run.out);
        let payload = r#"{"text":"two  spaces","n":1.0}"#;
        assert!(run.out.contains(payload), "{}", run.out);
    }
    let none = fixture.eventctl(&["events", "--topic=unknown"]).await;
    assert_eq!(none.out, "no events that match\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_other_forms_are_taken_or_it_is_told_what_to_do() {
    let fixture = Fixture::start().await;
    let event = |id| json!({"topic": "t", "event_id": id, "payload": {"lines": "a\nb"}});
    let pretty = serde_json::to_string_pretty(&event("pretty")).unwrap();
    let one = fixture.file("one.json", &pretty);
    let object = json!({"events": [event("first"), event("second")]}).to_string();
    let object = fixture.file("object.json", &object);
    let packed = fixture.path("packed.ndjson.gz").display().to_string();
    let file = fs::File::create(&packed).unwrap();
    let mut gzip = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
    gzip.write_all(lines(0, 50).as_bytes()).unwrap();
    gzip.finish().unwrap();
    let resume = fixture.path("resume").display().to_string();
    for (file, accepted) in [(&one, 1), (&object, 2), (&packed, 50)] {
        let run = fixture.eventctl(&["publish", file, "--json"]).await;
        assert_eq!(run.code, Some(0), "{file}: {}", run.err);
        assert_eq!(run.json()["accepted"], accepted, "{file}");
    }
    let resumed = ["publish", &packed, "--resume", &resume];
    assert_eq!(fixture.eventctl(&resumed).await.code, Some(0));
    let again = fixture.eventctl(&resumed).await;
    assert!(again.err.contains("nothing new"), "{}", again.err);
    assert_eq!(fixture.app.drained(103).await["unique_processed"], 53);

    let table = fixture.file("table.csv", "topic,event_id\nt,1\n");
    let run = fixture.eventctl(&["publish", &table]).await;
    assert_eq!(run.code, Some(2), "{}", run.err);
    assert!(run.err.contains("CSV; convert it to NDJSON"), "{}", run.err);
    assert_eq!(run.err.lines().count(), 1, "{}", run.err);
    let empty = fixture.file("empty", "\n");
    let run = fixture.eventctl(&["publish", &empty]).await;
    assert!(
        run.err.contains("there are no events in the input"),
        "{}",
        run.err
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_simulation_says_what_it_stores_and_how_long_it_has_left() {
    let fixture = Fixture::start().await;
    let run = fixture
        .eventctl(&["simulate", "--duration=2s", "--rate=50", "--duplicates=0.5"])
        .await;
    assert_eq!(run.code, Some(0), "{}{}", run.out, run.err);
    assert!(run.err.contains("stores about 50 events ("), "{}", run.err);
    assert!(
        run.err.contains("00:00:0") && run.err.contains(" left"),
        "{}",
        run.err
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_codes_tell_scripts_what_happened() {
    let fixture = Fixture::start().await;
    let nowhere = format!("--url=http://127.0.0.1:{}", free_port());
    for (arguments, code) in [
        (&["--version"][..], 0),
        (&["completions", "bash"], 0),
        (&["dead-letters", "show", "7"], 1),
        (&["simulate", "--duplicates=1.5"], 2),
        (&["publish", "no such file"], 2),
        (&["stats", "--url=ftp://localhost"], 2),
        (&["stats", &nowhere, "--patience=0s"], 3),
        (&["events", "--since=yesterday"], 4),
    ] {
        let run = fixture.eventctl(arguments).await;
        assert_eq!(
            run.code,
            Some(code),
            "{arguments:?}: {}{}",
            run.out,
            run.err
        );
    }
}
