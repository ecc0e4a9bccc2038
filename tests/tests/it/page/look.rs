//! How the page looks and how it is used: sizes, languages, themes, and by keyboard alone.

use serde_json::json;
use tests::{SOON, app::App, browser::Browser, eventually};

use super::{NARROW, WIDE, events, open};

#[tokio::test(flavor = "multi_thread")]
async fn both_languages_and_themes_fit_into_both_widths_and_hinder_nobody() {
    let app = App::over_sqlite(&[]).await;
    app.publish(&events("logs/apache", 30)).await.unwrap();
    for width in [WIDE, NARROW] {
        let page = Browser::open(&app.url, width).await;
        page.sees("#status", "Live").await;
        page.sees("#events-table tbody", "logs/apache").await;
        for (language, title) in [("id", "Kesehatan"), ("en", "Health")] {
            page.run(&format!(
                "const choice = document.getElementById('language');
                 choice.value = '{language}';
                 choice.dispatchEvent(new Event('change'))"
            ))
            .await;
            page.sees("#health-title", title).await;
            for theme in ["light", "dark"] {
                let chosen = format!("return document.documentElement.dataset.theme === '{theme}'");
                for _ in 0..3 {
                    if page.run(&chosen).await == json!(true) {
                        break;
                    }
                    page.click("#theme").await;
                }
                assert_eq!(page.run(&chosen).await, json!(true));
                let overflow = "return document.documentElement.scrollWidth - document.documentElement.clientWidth";
                assert_eq!(
                    page.run(overflow).await,
                    json!(0),
                    "{width} {language} {theme}"
                );
                if let Some(found) = page.hindrances().await {
                    assert_eq!(found, json!([]), "{width} {language} {theme}");
                }
            }
        }
        let columns = "return getComputedStyle(document.getElementById('counters-sum')).gridTemplateColumns.split(' ').length";
        let expected = if width == WIDE { 4 } else { 1 };
        assert_eq!(page.run(columns).await, json!(expected));
        assert_eq!(page.policy_reports().await, json!([]));
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_used_by_keyboard_alone() {
    let app = App::over_sqlite(&[]).await;
    app.publish(&events("a", 1)).await.unwrap();
    let page = open(&app).await;
    page.sees("#events-table tbody", "a").await;
    page.press("?").await;
    page.waits_for("#help-dialog", true).await;
    page.escape().await;
    page.waits_for("#help-dialog", false).await;
    page.press("/").await;
    page.press("a\u{e004}1\u{e007}").await;
    page.sees("#event-title", "a / 1").await;
    page.escape().await;
    page.waits_for("#event-dialog", false).await;
    // Every button, field and link can be reached with the Tab key.
    let reachable = "return [...document.querySelectorAll('button, input, select, a, summary')]
        .filter((element) => element.checkVisibility() && element.tabIndex < 0 && element.type !== 'radio').length";
    assert_eq!(page.run(reachable).await, json!(0));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_read_aloud_does_not_change_while_all_is_well() {
    let app = App::over_sqlite(&[]).await;
    let page = open(&app).await;
    page.sees("#status", "Live").await;
    page.run(
        "window.changes = 0;
         const watcher = new MutationObserver((changes) => { window.changes += changes.length; });
         for (const live of document.querySelectorAll('[role=status], [role=alert], [aria-live]'))
             watcher.observe(live, { childList: true, characterData: true, subtree: true });",
    )
    .await;
    let age = page.text("#age").await;
    eventually("it has asked again", SOON, async || {
        page.text("#age").await != age
    })
    .await;
    assert_eq!(page.run("return window.changes").await, json!(0));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_policy_forbids_is_reported_and_does_not_happen() {
    let app = App::over_sqlite(&[]).await;
    let page = open(&app).await;
    page.sees("#status", "Live").await;
    assert_eq!(page.policy_reports().await, json!([]));
    let tried = page
        .run("try { document.body.innerHTML = '<b>x</b>'; return 'done' } catch { return 'refused' }")
        .await;
    assert_eq!(tried, json!("refused"));
    assert_ne!(page.policy_reports().await, json!([]));
    app.stop().await;
}
