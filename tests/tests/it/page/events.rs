//! Publishing the first event, and looking at events and counters.

use reqwest::StatusCode;
use serde_json::{Value, json};
use tests::{SOON, app::App, eventually, programs};

use super::{events, open, shell};

#[tokio::test(flavor = "multi_thread")]
async fn the_first_event_is_published_by_the_line_that_the_page_offers_and_appears() {
    let app = App::over_sqlite(&[]).await;
    let page = open(&app).await;
    page.waits_for("#empty", true).await;
    let line = page.text("#empty-line").await;
    assert!(line.contains(&app.url), "{line}");
    let ended = shell(&line).await;
    assert!(
        ended.out.contains("\"status\":\"accepted\""),
        "{} {}",
        ended.out,
        ended.err
    );
    page.sees("#events-table tbody tr", "hello").await;
    page.sees("#topics-table tbody", "hello").await;
    page.waits_for("#empty", false).await;
    assert_eq!(page.text("#events-said").await, "");
    assert_eq!(page.text("#counter-received").await, "1");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_numbers_on_the_page_are_those_of_the_simulation() {
    let app = App::over_sqlite(&[]).await;
    let page = open(&app).await;
    let arguments = ["simulate", "--url", &app.url, "--events", "3000", "--json"];
    let ended = programs::run("eventctl", &arguments, &[]).await;
    assert_eq!(ended.code, Some(0), "{} {}", ended.out, ended.err);
    let counters = app.stats().await;
    assert_eq!(counters["received"], 3000);
    let shown = |name: &str| {
        // As English writes it.
        let digits = counters[name].to_string();
        match digits.len() {
            0..=3 => digits,
            length => format!("{},{}", &digits[..length - 3], &digits[length - 3..]),
        }
    };
    for (card, name) in [
        ("received", "received"),
        ("unique", "unique_processed"),
        ("duplicate", "duplicate_dropped"),
        ("dead", "dead_lettered"),
    ] {
        page.sees(&format!("#counter-{card}"), &shown(name)).await;
    }
    let (_, listed) = app.get("/topics?order=count").await;
    let first = &listed["topics"][0];
    let row = "#topics-table tbody tr:first-child";
    page.sees(row, first["topic"].as_str().unwrap()).await;
    page.sees(row, &first["unique_processed"].to_string()).await;
    page.sees(row, &first["duplicate_dropped"].to_string())
        .await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn new_events_wait_behind_a_button_and_the_list_does_not_jump() {
    let app = App::over_sqlite(&[]).await;
    app.publish(&events("a", 2)).await.unwrap();
    let page = open(&app).await;
    page.sees("#events-table tbody tr:first-child", "2").await;
    app.publish(&events("b", 3)).await.unwrap();
    page.sees("#events-new", "3 new").await;
    assert_eq!(page.count("#events-table tbody tr").await, 2);
    page.click("#events-new").await;
    page.sees("#events-table tbody tr:first-child", "b").await;
    assert_eq!(page.count("#events-table tbody tr").await, 5);
    page.waits_for("#events-new", false).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_found_by_topic_and_id_and_its_payload_is_shown_as_it_was_sent() {
    let app = App::over_sqlite(&[]).await;
    let payload = r#"{ "big":12345678901234567890, "one": 1.0, "text":"<b>\"}\u00e9" }"#;
    let event = format!(r#"{{"topic":"logs/ä","event_id":"a b","payload":{payload}}}"#);
    let (status, answer) = app.post("/publish", event).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
    let page = open(&app).await;
    page.types("#events-topic", "logs/ä").await;
    page.types("#events-id", "a b").await;
    page.click("#events-find button").await;
    page.sees("#event-title", "logs/ä / a b").await;
    assert_eq!(page.text("#event-payload").await, payload);

    // The address leads to the event again.
    let link = page.address().await;
    assert!(link.ends_with("#event=logs%2F%C3%A4/a%20b"), "{link}");
    page.reload().await;
    page.sees("#event-payload", "12345678901234567890").await;
    page.escape().await;
    page.waits_for("#event-dialog", false).await;
    assert_eq!(page.address().await, format!("{}/", app.url));

    page.types("#events-id", "nothing").await;
    page.click("#events-find button").await;
    page.sees("#events-said", "nothing").await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_are_sorted_found_and_opened() {
    let app = App::over_sqlite(&[]).await;
    for (topic, count) in [("a", 1), ("b", 3), ("c", 2)] {
        app.publish(&events(topic, count)).await.unwrap();
    }
    let page = open(&app).await;
    let order = async || page.text("#topics-table tbody").await;
    let begins = async |first: &str| order().await.starts_with(first);
    eventually("the largest comes first", SOON, async || begins("b").await).await;
    page.click("#topics-table [data-order=name]").await;
    eventually("a comes first", SOON, async || begins("a").await).await;
    page.click("#topics-table [data-order=recent]").await;
    eventually("the latest comes first", SOON, async || begins("c").await).await;
    page.types("#topics-prefix", "b").await;
    eventually("only b is left", SOON, async || {
        page.count("#topics-table tbody tr").await == 1 && begins("b").await
    })
    .await;
    page.click("#topics-table tbody button").await;
    eventually("its events are shown", SOON, async || {
        page.count("#events-table tbody tr").await == 3
    })
    .await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_chart_has_a_table_beside_it_with_the_same_numbers() {
    let app = App::over_sqlite(&[]).await;
    let page = open(&app).await;
    // The second sample comes after ten seconds at most.
    app.publish(&json!({"id": "1"})).await.unwrap();
    page.click("label[for='range-5m']").await;
    page.waits_for("#chart-canvas canvas", true).await;
    page.click("#chart details summary").await;
    page.sees("#chart-table tbody", "/s").await;
    let (_, history): (_, Value) = app.get("/stats/history?last=5m").await;
    let samples = history["count"].as_u64().unwrap();
    let rows = page.count("#chart-table tbody tr").await as u64;
    assert!(
        rows + 1 == samples || rows + 2 == samples,
        "{rows} rows of {samples} samples"
    );
    app.stop().await;
}
