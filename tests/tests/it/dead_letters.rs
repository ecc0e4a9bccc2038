//! Dead letters over HTTP: read, replayed, thrown away; the counters stay exact all along.

use redis::AsyncCommands;
use reqwest::{Method, StatusCode};
use serde_json::json;
use tests::{
    SOON,
    app::{App, Deployment, Place, answer},
    eventually, programs,
};

const ENVELOPE: &str = r#"{"v":2,"receipt_id":"01970000-0000-7000-8000-000000000001","topic":"t","event_id":"1","timestamp":"2026-01-01T00:00:00Z","source":"s","payload":{}}"#;

/// An aggregator whose queue held three elements that are not envelopes it can read.
async fn aggregator_with_letters() -> (App, Place) {
    let place = Place::of(Deployment::Services).await;
    let elements: [&[u8]; 3] = [b"hello", b"\xff\xfe", ENVELOPE.as_bytes()];
    let mut redis = place.redis().await;
    let _: () = redis.lpush(place.key("queue"), &elements).await.unwrap();
    let app = place.aggregator(&[]);
    eventually("the letters are put aside", SOON, async || {
        app.get("/stats").await.1["dead_lettered"] == 3
    })
    .await;
    (app, place)
}

#[tokio::test]
async fn what_is_not_an_envelope_is_kept_and_can_be_replayed_or_thrown_away() {
    let (app, place) = aggregator_with_letters().await;
    let (status, page) = app.get("/dead-letters?limit=2").await;
    assert_eq!(status, StatusCode::OK);
    let letters = page["dead_letters"].as_array().unwrap();
    assert_eq!(
        (&letters[0]["raw"], &letters[1]["raw_hex"]),
        (&json!("hello"), &json!("fffe"))
    );
    assert!(
        letters[0]["reason"]
            .as_str()
            .unwrap()
            .contains("not an envelope")
    );
    let next = page["next_cursor"].as_str().unwrap();
    let (_, rest) = app.get(&format!("/dead-letters?cursor={next}")).await;
    assert_eq!(
        (&rest["count"], &rest["next_cursor"]),
        (&json!(1), &json!(null))
    );
    assert_eq!(rest["dead_letters"][0]["raw"], ENVELOPE);

    // Somebody mends the last one, as an upgraded aggregator would be able to read it.
    let pool = sqlx::PgPool::connect(place.database_url()).await.unwrap();
    let mend = "UPDATE dead_letters SET raw = convert_to(replace(convert_from(raw, 'UTF8'), '\"v\":2', '\"v\":1'), 'UTF8') WHERE id = 3";
    sqlx::query(mend).execute(&pool).await.unwrap();

    let (_, dry) = app
        .post("/dead-letters/replay?dry_run=true", r#"{"all":true}"#)
        .await;
    assert_eq!(
        (&dry["dry_run"], &dry["accepted"]),
        (&json!(true), &json!(1))
    );
    assert_eq!(app.stats().await["dead_lettered"], 3);
    for accepted in [1, 0] {
        let (status, replayed) = app.post("/dead-letters/replay", r#"{"all":true}"#).await;
        assert_eq!(status, StatusCode::OK, "{replayed}");
        assert_eq!(replayed["accepted"], accepted);
        assert_eq!(replayed["refused"].as_array().unwrap().len(), 2);
    }
    let counters = app.stats().await;
    assert_eq!(
        (&counters["received"], &counters["unique_processed"]),
        (&json!(3), &json!(1))
    );
    assert_eq!(app.get("/events/t/1").await.0, StatusCode::OK);

    let path = format!("/dead-letters/{}", letters[0]["id"]);
    for expected in [StatusCode::NO_CONTENT, StatusCode::NOT_FOUND] {
        assert_eq!(answer(app.request(Method::DELETE, &path)).await.0, expected);
    }
    assert_eq!(app.get("/dead-letters").await.1["count"], 1);
    assert_eq!(
        app.stats().await["dead_lettered"],
        2,
        "it was received, and stays counted"
    );
    app.stop().await;
}

#[tokio::test]
async fn bad_requests_about_dead_letters_say_what_would_be_right() {
    let (app, _place) = aggregator_with_letters().await;
    let long = format!("{{\"{}\":1}}", "x".repeat(10_000));
    for (path, body) in [
        ("/dead-letters/replay", long.as_str()),
        ("/dead-letters/replay", ""),
        ("/dead-letters/replay", "[]"),
        ("/dead-letters/replay", "{}"),
        ("/dead-letters/replay", r#"{"all":false}"#),
        ("/dead-letters/replay", r#"{"ids":[1],"all":true}"#),
        ("/dead-letters/replay", r#"{"ids":["1"]}"#),
        ("/dead-letters/replay", r#"{"all":true,"cursor":"x"}"#),
        ("/dead-letters/replay?dry_run=perhaps", r#"{"all":true}"#),
        ("/dead-letters/replay?colour=red", r#"{"all":true}"#),
    ] {
        let (status, problem) = app.post(path, body.to_owned()).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path} {body}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(
            (1..1000).contains(&detail.len()),
            "{path} {body}: {problem}"
        );
    }
    for path in [
        "/dead-letters?limit=0",
        "/dead-letters?cursor=x",
        "/dead-letters?topic=t",
    ] {
        assert_eq!(app.get(path).await.0, StatusCode::BAD_REQUEST, "{path}");
    }
    for path in ["/dead-letters/0", "/dead-letters/one"] {
        let gone = answer(app.request(Method::DELETE, path)).await;
        assert_eq!(gone.0, StatusCode::NOT_FOUND, "{path}");
    }
    let read = app
        .request(Method::GET, "/dead-letters/1")
        .send()
        .await
        .unwrap();
    assert_eq!(read.headers()["allow"], "DELETE");
    assert_eq!(app.stats().await["dead_lettered"], 3);
    app.stop().await;
}

#[tokio::test]
async fn the_counters_can_be_verified_beside_a_running_system() {
    let (app, place) = aggregator_with_letters().await;
    let settings = [("DATABASE_URL", place.database_url())];
    let verify = async || {
        let ended = programs::run("aggregator", &["verify"], &settings).await;
        (ended.code, ended.out)
    };
    let (code, said) = verify().await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("The counters are exact."), "{said}");

    let pool = sqlx::PgPool::connect(place.database_url()).await.unwrap();
    sqlx::query("DELETE FROM dead_letters WHERE id = 1")
        .execute(&pool)
        .await
        .unwrap();
    let (code, said) = verify().await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("DRIFT"), "{said}");
    app.stop().await;
}
