//! What is stored comes back as it was sent.

use chrono::{DateTime, TimeDelta, Utc};
use event::{
    Event, EventTime, ReceiptId,
    Verdict::{Accepted, Duplicate},
    clock::Ids,
};
use tests::events::event;

use super::{Tables, Tested, payload, time, topics};

contract![
    names_come_back_as_sent_and_are_told_apart_by_bytes,
    payloads_come_back_as_sent,
    times_come_back_as_sent,
];

async fn names_come_back_as_sent_and_are_told_apart_by_bytes(tested: Tested) {
    let longest = "é".repeat(127) + "x";
    assert_eq!(longest.len(), 255);
    let names = [
        "logs/apache",
        "a",
        "A",
        "a ",
        " a",
        "\u{e9}",
        "e\u{301}",
        "🦀 \"quoted\" 'single' \\ % _ ; -- $1 ?1 {},",
        "NULL",
        "\u{10ffff}",
        "\u{200d}",
        "ß",
        "ss",
        &longest,
    ];
    let sent: Vec<Event> = names
        .iter()
        .flat_map(|topic| names.iter().map(move |id| (topic, id)))
        .map(|(topic, id)| Event {
            source: (*topic).try_into().unwrap(),
            ..event(topic, id)
        })
        .collect();
    assert_eq!(tested.add(&sent).await, vec![Accepted; sent.len()]);
    assert_eq!(tested.add(&sent).await, vec![Duplicate; sent.len()]);

    for sent in &sent {
        let stored = tested.find(sent).await.unwrap();
        assert_eq!((&*stored.topic, &*stored.event_id), sent.key());
        assert_eq!(stored.source, sent.source.as_str());
    }
    let expected = names.map(|topic| (topic, i64::try_from(names.len()).unwrap()));
    assert_eq!(tested.stats().await.topics, topics(expected));
}

async fn payloads_come_back_as_sent(tested: Tested) {
    let nested = format!("{}1{}", "[".repeat(126), "]".repeat(126));
    let deep = format!(r#"{{"a":{nested}}}"#);
    let deep_in_postgres = format!(r#"{{"a": {nested}}}"#);
    let long = format!(r#"{{"a":"{}"}}"#, "🦀\\n\\\"".repeat(20_000));
    let long_in_postgres = long.replace(':', ": ");
    let huge = format!(r#"{{"n":1e{}}}"#, 1000);
    let huge_in_postgres = format!(r#"{{"n": 1{}}}"#, "0".repeat(1000));
    // What jsonb makes of each: another text of the same value. SQLite keeps the text.
    let cases = [
        ("{}", "{}"),
        ("{ \"b\" : [ ] ,\n\"a\":null }", r#"{"a": null, "b": []}"#),
        (
            r#"{"é":"\u00e9\/\ud83e\udd80🦀 'x' \\ \t","":true}"#,
            r#"{"": true, "é": "é/🦀🦀 'x' \\ \t"}"#,
        ),
        (r#"{"n":1e2}"#, r#"{"n": 100}"#),
        (r#"{"n":1.50}"#, r#"{"n": 1.50}"#),
        (r#"{"n":-0.0e+5}"#, r#"{"n": 0}"#),
        (
            r#"{"n":12345678901234567890123456789.000000001}"#,
            r#"{"n": 12345678901234567890123456789.000000001}"#,
        ),
        (&huge, &huge_in_postgres),
        (&deep, &deep_in_postgres),
        (&long, &long_in_postgres),
    ];
    let sent: Vec<Event> = cases
        .iter()
        .enumerate()
        .map(|(n, (text, _))| Event {
            payload: payload(text),
            ..event("payloads", &n.to_string())
        })
        .collect();
    tested.add(&sent).await;

    for (event, (as_sent, in_postgres)) in sent.iter().zip(cases) {
        let stored = tested.find(event).await.unwrap();
        let expected = match tested.tables {
            Tables::Postgres(_) => in_postgres,
            Tables::Sqlite(_) => as_sent,
        };
        assert_eq!(stored.payload.get(), expected);
    }
}

async fn times_come_back_as_sent(tested: Tested) {
    let accepted: DateTime<Utc> = "2026-03-04T05:06:07.089Z".parse().unwrap();
    let sent = [
        "0001-01-01T00:00:00Z",
        "1969-12-31T23:59:59.999999Z",
        "2026-01-31T12:30:00.000001+02:00",
        "9999-12-31T23:59:59.999999Z",
    ]
    .map(|text| Event {
        receipt_id: ReceiptId(Ids::default().next(accepted)),
        timestamp: time(text),
        ..event("times", text)
    });
    let tolerance = TimeDelta::seconds(1);
    let earliest = EventTime::from(Utc::now() - tolerance);
    tested.add(&sent).await;
    let latest = EventTime::from(Utc::now() + tolerance);

    for event in &sent {
        let stored = tested.find(event).await.unwrap();
        assert_eq!(stored.timestamp, event.timestamp);
        assert_eq!(stored.received_at, EventTime::from(accepted));
        assert!((earliest..=latest).contains(&stored.processed_at));
    }
}
