//! What the page shows when all is not as it should be.

use tests::{
    SOON,
    app::{App, Place},
    browser::Browser,
    eventually,
    keys::KeysFile,
    servers::OwnRedis,
};

use super::{WIDE, events, open};

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_goes_away_leaves_its_last_values_with_their_age_until_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let database = format!("sqlite://{}", folder.path().join("events.db").display());
    let mut app = App::process("event-aggregator", &[("DATABASE_URL", &database)]);
    app.ready().await;
    app.publish(&events("a", 2)).await.unwrap();
    let page = open(&app).await;
    page.sees("#counter-received", "2").await;
    page.sees("#status", "Live").await;

    app.signal("KILL");
    app.wait_exit().await;
    page.sees("#status", "does not answer").await;
    page.sees("#age", "old").await;
    assert_eq!(page.text("#counter-received").await, "2");

    let address = app.address().to_string();
    let settings = [("DATABASE_URL", &*database), ("BIND_ADDR", &address)];
    let app = App::process("event-aggregator", &settings);
    app.ready().await;
    page.sees("#status", "Live").await;
    app.publish(&events("b", 1)).await.unwrap();
    page.sees("#counter-received", "3").await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_answers_slowly_is_said_to_be_slow() {
    let folder = tempfile::tempdir().unwrap();
    let database = format!("sqlite://{}", folder.path().join("events.db").display());
    let app = App::process("event-aggregator", &[("DATABASE_URL", &database)]);
    app.ready().await;
    let page = open(&app).await;
    page.sees("#status", "Live").await;
    app.signal("STOP");
    page.sees("#status", "slowly").await;
    app.signal("CONT");
    page.sees("#status", "Live").await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_is_away_is_told_in_words() {
    let mut redis = OwnRedis::start().await;
    let place = Place::with_redis(&redis.url()).await;
    let app = place.aggregator(&[]);
    app.ready().await;
    let page = open(&app).await;
    page.sees("#health-words", "All is well").await;
    redis.stop();
    page.sees("#health-words", "not stored").await;
    page.sees("#health-why", "redis").await;
    page.sees("#status", "no counters").await;
    redis.restart().await;
    page.sees("#health-words", "All is well").await;
    page.sees("#status", "Live").await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_keys_asks_for_one_and_shows_what_the_key_allows() {
    let mut file = KeysFile::default();
    let read = file.add("read", "scopes = [\"read\"]");
    let publish = file.add("publish", "scopes = [\"publish\"]");
    let some = file.add("some", "scopes = [\"read\"]\ntopics = [\"a\"]");
    let admin = file.add("admin", "scopes = [\"read\", \"admin\"]");
    file.write();
    let app = App::over_sqlite(&[&file.argument()]).await;

    let page = open(&app).await;
    page.waits_for("#key", true).await;
    let enter = async |page: &Browser, key: &str| {
        page.types("#key-text", key).await;
        page.click("#key button").await;
    };
    enter(&page, "wrong").await;
    page.sees("#key-wrong", "does not know this key").await;
    enter(&page, &read).await;
    page.sees("#status", "Live").await;
    page.sees("#letters-readonly", "lacks the scope admin")
        .await;
    assert!(!page.address().await.contains(&read));
    // It is kept while the tab is open.
    page.reload().await;
    page.sees("#status", "Live").await;
    drop(page);

    let page = open(&app).await;
    enter(&page, &publish).await;
    page.sees("#notice", "scope read").await;
    drop(page);

    let page = open(&app).await;
    enter(&page, &some).await;
    page.sees("#status", "Live").await;
    page.waits_for("#letters", false).await;
    page.waits_for("#topics", true).await;
    drop(page);

    let page = Browser::open(&app.url, WIDE).await;
    enter(&page, &admin).await;
    page.sees("#status", "Live").await;
    eventually("it may change letters", SOON, async || {
        !page.shows("#letters-readonly").await
    })
    .await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_page_asks_for_nothing_until_it_goes_on() {
    let app = App::over_sqlite(&[]).await;
    let page = open(&app).await;
    page.sees("#status", "Live").await;
    page.press("p").await;
    page.sees("#status", "Paused").await;
    let asked = "return performance.getEntriesByType('resource').filter((entry) => entry.name.includes('/stats')).length";
    // A question may be under way.
    page.run("performance.clearResourceTimings()").await;
    app.publish(&events("a", 1)).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    let asked = page.run(asked).await.as_u64().unwrap();
    assert!(asked <= 1, "{asked} questions while it was paused");
    assert_eq!(page.text("#counter-received").await, "0");
    page.press("p").await;
    page.sees("#counter-received", "1").await;
    app.stop().await;
}
