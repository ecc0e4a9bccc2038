//! Counters, events and dead letters.

use super::*;

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
    let follow = ["events", "--since=1h", "--follow", "--topic=t", "--json"];
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
async fn the_last_events_are_listed_in_their_order_and_followed_from_there() {
    let fixture = Fixture::start().await;
    let publish = async |from, to| {
        for id in from..to {
            let input = fixture.file("input", &lines(id, id + 1));
            assert_eq!(fixture.eventctl(&["publish", &input]).await.code, Some(0));
        }
    };
    let ids = |output: &str| -> Vec<u64> {
        let events = output
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        events
            .map(|event| event["event_id"].as_str().unwrap().parse().unwrap())
            .collect()
    };
    publish(0, 5).await;
    let shown = fixture.eventctl(&["events", "--tail=3", "--json"]).await;
    assert_eq!(ids(&shown.out), [2, 3, 4]);
    let shown = fixture.eventctl(&["events", "--tail=9", "--json"]).await;
    assert_eq!(ids(&shown.out), [0, 1, 2, 3, 4]);
    let follow = ["events", "--tail=2", "--follow", "--json"];
    let mut follow = Running::start("eventctl", &follow, &[("EVENTCTL_URL", &fixture.app.url)]);
    eventually("the last events are printed", SOON, async || {
        ids(&follow.output()) == [3, 4]
    })
    .await;
    publish(5, 7).await;
    eventually("later events follow", SOON, async || {
        ids(&follow.output()) == [3, 4, 5, 6]
    })
    .await;
    follow.signal("INT");
    assert_eq!(follow.wait_exit(SOON).await, Some(0), "{}", follow.output());
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
        (&["events", "--since=yesterday"], 2),
        (&["events", "--timestamp-since=yesterday"], 4),
        (&["event", "t", "7"], 1),
        (&["dead-letters", "show", "seven"], 2),
        (&["send", "t", "a"], 2),
        (&["send", "", "a=b"], 2),
        (&["stats", "--profile=none"], 2),
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
