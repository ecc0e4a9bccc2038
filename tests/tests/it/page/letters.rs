//! Dead letters on the page.

use redis::AsyncCommands;
use tests::{
    SOON,
    app::{App, Deployment, Place},
    eventually,
};

use super::open;

/// A program whose queue held this many elements that are not envelopes.
async fn with_letters(place: &Place, count: i64) -> App {
    let app = place.standalone(&[]);
    app.ready().await;
    let mut redis = place.redis().await;
    for n in 0..count {
        let _: () = redis
            .lpush(place.key("queue"), format!("letter {n}"))
            .await
            .unwrap();
    }
    eventually("the letters are put aside", SOON, async || {
        app.stats().await["dead_lettered"] == count
    })
    .await;
    app
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_tried_replayed_and_discarded_after_a_question_that_names_the_number() {
    let place = Place::of(Deployment::RedisAndSqlite).await;
    let app = with_letters(&place, 3).await;
    let page = open(&app).await;
    page.sees("#letters-table tbody", "not an envelope").await;
    page.sees("#counter-dead", "3").await;
    let action =
        |number: u8| format!("#letters-table tbody tr:first-child button:nth-child({number})");

    page.click(&action(1)).await;
    page.sees("#letters-said", "would store 0").await;
    page.sees("#letters-said", "leave 3").await;

    page.click(&action(2)).await;
    page.sees("#confirm-text", "3 dead letters").await;
    page.escape().await;
    page.waits_for("#confirm-dialog", false).await;
    page.click(&action(2)).await;
    page.click("#confirm-yes").await;
    page.sees("#letters-said", "left 3").await;

    page.click(&action(3)).await;
    page.sees("#confirm-text", "content of 3 dead letters")
        .await;
    page.click("#confirm-yes").await;
    page.sees("#letters-said", "Discarded 3").await;
    page.waits_for("#letters-none", true).await;
    // What was thrown away stays counted.
    assert_eq!(page.text("#counter-dead").await, "3");
    assert_eq!(app.stats().await["dead_lettered"], 3);
    app.stop().await;
}
