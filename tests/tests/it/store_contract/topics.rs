//! What the counters say of topics, and pages of topics.

use store::{Limit, StatsQuery, TopicOrder, TopicPage, TopicQuery, TopicStats};
use tests::events::event;

use super::{Tables, Tested, topics};

contract![
    counters_come_with_the_largest_topics_with_all_or_with_none,
    topics_are_listed_in_each_order_page_by_page,
    a_prefix_and_what_may_be_seen_leave_out_topics_everywhere,
    a_topic_tells_when_its_first_and_last_delivery_were_counted,
    tables_of_an_older_version_get_the_beginnings_of_their_topics,
];

async fn counters_come_with_the_largest_topics_with_all_or_with_none(tested: Tested) {
    some(&tested).await;
    let with = async |largest| {
        let query = StatsQuery {
            largest,
            visible: None,
        };
        tested.store.stats(&query).await.unwrap()
    };
    let all = with(None).await;
    assert_eq!(
        all.topics,
        topics([("a", 2), ("b", 3), ("b/c", 1), ("ä", 2)])
    );
    let top = with(Some(2)).await;
    // Of topics with as many events, the first by name is the larger one.
    assert_eq!(top.topics, topics([("a", 2), ("b", 3)]));
    let none = with(Some(0)).await;
    assert!(none.topics.is_empty());
    for stats in [all, top, none] {
        assert_eq!((stats.topics_total, stats.unique_processed), (4, 8));
    }
}

async fn topics_are_listed_in_each_order_page_by_page(tested: Tested) {
    some(&tested).await;
    for (order, expected) in [
        (TopicOrder::Name, ["a", "b", "b/c", "ä"]),
        (TopicOrder::Count, ["b", "a", "ä", "b/c"]),
        (TopicOrder::Recent, ["a", "b/c", "ä", "b"]),
    ] {
        for limit in 1..=5 {
            let query = TopicQuery {
                order,
                limit: Limit::new(limit).unwrap(),
                ..TopicQuery::default()
            };
            let pages = walk(&tested, query).await;
            assert_eq!(names(&pages.concat()), expected, "{order:?} by {limit}");
            assert_eq!(pages.len(), expected.len().div_ceil(limit.into()));
        }
    }
}

async fn a_prefix_and_what_may_be_seen_leave_out_topics_everywhere(tested: Tested) {
    some(&tested).await;
    let listed = async |prefix: &str, visible: &[&str]| {
        let query = TopicQuery {
            prefix: prefix.to_owned(),
            visible: Some(texts(visible)),
            ..TopicQuery::default()
        };
        let page = tested.store.topics(&query).await.unwrap();
        names(&page.topics).join(" ")
    };
    assert_eq!(listed("b", &[""]).await, "b b/c");
    assert_eq!(listed("b/", &[""]).await, "b/c");
    assert_eq!(listed("%", &[""]).await, "");
    assert_eq!(listed("", &["b/", "ä"]).await, "b/c ä");
    assert_eq!(listed("b", &["a"]).await, "");
    assert_eq!(listed("", &[]).await, "");

    let query = StatsQuery {
        largest: Some(1),
        visible: Some(texts(&["b/", "ä"])),
    };
    let stats = tested.store.stats(&query).await.unwrap();
    assert_eq!((stats.topics, stats.topics_total), (topics([("ä", 2)]), 2));
}

async fn a_topic_tells_when_its_first_and_last_delivery_were_counted(tested: Tested) {
    tested.add(&[event("a", "1")]).await;
    let first = only(&tested).await;
    assert_eq!(first.first_processed_at, first.last_processed_at);
    assert_eq!(first.first_processed_at, tested.all().await[0].processed_at);
    tested.add(&[event("a", "1")]).await;
    let last = only(&tested).await;
    assert_eq!((last.unique_processed, last.duplicate_dropped), (1, 1));
    assert_eq!(last.first_processed_at, first.first_processed_at);
    assert!(last.last_processed_at > first.last_processed_at);
}

/// What the migrations of this version have added is taken back.
const BEFORE: &str = "
    DROP VIEW topic_stats_total;
    DROP VIEW agg_stats_total;
    DROP TABLE queue_layouts;
    DROP TABLE retired_events;
    ALTER TABLE topic_stats DROP COLUMN first_processed_at;
    DROP TABLE stats_history;
    DELETE FROM _sqlx_migrations WHERE version >= 3";

async fn tables_of_an_older_version_get_the_beginnings_of_their_topics(tested: Tested) {
    // Those of PostgreSQL: `upgrade`.
    if matches!(tested.tables, Tables::Postgres(_)) {
        return;
    }
    some(&tested).await;
    tested.add(&[event("a", "9")]).await;
    tested.tables.run(BEFORE).await;
    let upgraded = tested.tables.store();
    upgraded.migrate().await.unwrap();
    let page = upgraded.topics(&TopicQuery::default()).await.unwrap();
    let events = tested.all().await;
    for topic in page.topics {
        let of_topic = events.iter().filter(|event| event.topic == topic.topic);
        let first = of_topic.map(|event| event.processed_at).min();
        assert_eq!(Some(topic.first_processed_at), first, "{}", topic.topic);
    }
    // The tables are as useful as new ones.
    upgraded.take_sample(chrono::Utc::now()).await.unwrap();
    tested.add(&[event("new", "1")]).await;
    tested.stats().await;
}

/// Events of four topics, and a duplicate.
async fn some(tested: &Tested) {
    for (topic, ids) in [
        ("b", &["1", "2", "3"][..]),
        ("ä", &["1", "2"]),
        ("b/c", &["1"]),
        ("a", &["1", "2", "2"]),
    ] {
        let events: Vec<_> = ids.iter().map(|id| event(topic, id)).collect();
        tested.add(&events).await;
    }
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

async fn only(tested: &Tested) -> TopicStats {
    let page = tested.store.topics(&TopicQuery::default()).await.unwrap();
    assert_eq!(page.topics.len(), 1);
    page.topics[0].clone()
}

fn names(topics: &[TopicStats]) -> Vec<&str> {
    topics.iter().map(|topic| &*topic.topic).collect()
}

/// More than any walk here takes.
const MOST_PAGES: usize = 10;

/// The topics of each page to the end. A place is read from its text, as a client would pass it.
async fn walk(tested: &Tested, mut query: TopicQuery) -> Vec<Vec<TopicStats>> {
    let mut pages = Vec::new();
    loop {
        assert!(pages.len() < MOST_PAGES, "it comes to an end");
        let TopicPage { topics, next } = tested.store.topics(&query).await.unwrap();
        pages.push(topics);
        match next {
            Some(next) => query.after = Some(next.to_string().parse().unwrap()),
            None => return pages,
        }
    }
}
