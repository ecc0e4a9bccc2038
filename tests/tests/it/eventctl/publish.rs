//! Publishing files and pipes.

use super::*;

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
async fn refused_events_are_in_a_file_with_their_lines_and_the_others_are_stored() {
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

#[tokio::test(flavor = "multi_thread")]
async fn files_of_other_forms_are_taken_or_others_are_answered_with_what_to_do() {
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
