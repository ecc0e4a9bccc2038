//! Pages of events.

use event::Event;
use store::{EventQuery, Limit, Order, Part, SCAN_ROWS};
use tests::events::event;

use super::{Tables, Tested, time};

contract![
    pages_show_each_event_once_with_every_filter_and_limit,
    the_newest_events_and_dead_letters_come_first_if_asked_for,
    a_page_whose_filter_finds_little_ends_early_and_the_next_goes_on,
    what_was_received_since_a_moment_is_found_without_looking_at_what_was_stored_long_before,
];

async fn pages_show_each_event_once_with_every_filter_and_limit(tested: Tested) {
    let sent: Vec<Event> = (0..30)
        .map(|n| Event {
            source: ["s", "t"][n % 2].try_into().unwrap(),
            // Not in the order in which they are stored.
            timestamp: time(&format!("2026-01-01T00:00:{:02}Z", n * 7 % 30)),
            ..event(["a", "b", "c"][n % 3], &n.to_string())
        })
        .collect();
    for batch in sent.chunks(8) {
        tested.add(batch).await;
    }
    let all = tested.all().await;
    assert_eq!(all.len(), sent.len());
    assert!(all.is_sorted_by(|one, next| one.id < next.id));

    let topics = [None, Some("a"), Some("none")];
    let sources = [None, Some("t")];
    let times = [
        None,
        Some("2026-01-01T00:00:07Z"),
        Some("2026-01-01T00:00:20Z"),
    ];
    let mut queries = Vec::new();
    for topic in topics {
        for source in sources {
            for since in times {
                for until in times {
                    queries.push(EventQuery {
                        topic: topic.map(|topic| topic.try_into().unwrap()),
                        source: source.map(|source| source.try_into().unwrap()),
                        since: since.map(time),
                        until: until.map(time),
                        ..EventQuery::default()
                    });
                }
            }
        }
    }
    let orders = [Order::Oldest, Order::Newest];
    let queries = queries.into_iter().flat_map(|query| {
        orders.map(|order| {
            let part = Part {
                order,
                ..Part::default()
            };
            EventQuery {
                part,
                ..query.clone()
            }
        })
    });
    for query in queries {
        let mut expected: Vec<i64> = all
            .iter()
            .filter(|event| {
                query
                    .topic
                    .as_ref()
                    .is_none_or(|topic| topic.as_str() == event.topic)
                    && query
                        .source
                        .as_ref()
                        .is_none_or(|source| source.as_str() == event.source)
                    && query.since.is_none_or(|since| event.timestamp >= since)
                    && query.until.is_none_or(|until| event.timestamp < until)
            })
            .map(|event| event.id)
            .collect();
        if query.part.order == Order::Newest {
            expected.reverse();
        }
        for limit in [1, 2, 7, 10, 30, Limit::MAX] {
            let pages = walk(&tested, &query, limit).await;
            assert_eq!(pages.concat(), expected, "{query:?} by {limit}");
            let full = expected.len().div_ceil(limit.into()).max(1);
            assert_eq!(
                pages.len(),
                full,
                "no page that is empty: {query:?} by {limit}"
            );
        }
    }
}

async fn the_newest_events_and_dead_letters_come_first_if_asked_for(tested: Tested) {
    tested.tables.refuse().await;
    let refused = ["1", "2", "3"].map(|id| event("refused", id));
    tested.add(&refused).await;
    tested.add(&[event("a", "1")]).await;
    let newest = |after| Part {
        order: Order::Newest,
        after,
        limit: Limit::new(2).unwrap(),
    };
    let oldest: Vec<i64> = tested
        .letters()
        .await
        .iter()
        .map(|letter| letter.id)
        .collect();
    let first = tested.store.dead_letters(newest(None)).await.unwrap();
    let second = tested.store.dead_letters(newest(first.next)).await.unwrap();
    let ids = first
        .items
        .iter()
        .chain(&second.items)
        .map(|letter| letter.id);
    assert!(ids.eq(oldest.iter().rev().copied()));
    assert_eq!((first.items.len(), second.next), (2, None));

    let query = EventQuery {
        part: newest(None),
        ..EventQuery::default()
    };
    let before = tested.store.events(&query).await.unwrap();
    // What is stored meanwhile is newer than every page that is still to come.
    tested.add(&[event("a", "2")]).await;
    let after = tested.store.events(&query).await.unwrap();
    assert_eq!(before.items[0].event_id, "1");
    assert_eq!(after.items[0].event_id, "2");
}

/// Two pages look at as many rows, and a third one at a few.
const MANY: u32 = 2 * SCAN_ROWS + 10;

async fn a_page_whose_filter_finds_little_ends_early_and_the_next_goes_on(tested: Tested) {
    tested.tables.fill(MANY, "common").await;
    tested.add(&[event("rare", "1")]).await;
    let rare = |order, topic: &str| EventQuery {
        topic: Some(topic.try_into().unwrap()),
        part: Part {
            order,
            ..Part::default()
        },
        ..EventQuery::default()
    };
    let found = |pages: Vec<Vec<i64>>| pages.iter().map(Vec::len).collect::<Vec<_>>();
    let pages = walk(&tested, &rare(Order::Oldest, "rare"), 10).await;
    assert_eq!(found(pages), [0, 0, 1]);
    let pages = walk(&tested, &rare(Order::Newest, "rare"), 10).await;
    assert_eq!(found(pages), [1, 0, 0]);
    let pages = walk(&tested, &rare(Order::Oldest, "none"), 10).await;
    assert_eq!(found(pages), [0, 0, 0]);
    // A filter that finds enough does not make more pages.
    let query = rare(Order::Newest, "common");
    let page = tested.store.events(&query).await.unwrap();
    assert_eq!(page.items.len(), usize::from(Limit::default().get()));
}

async fn what_was_received_since_a_moment_is_found_without_looking_at_what_was_stored_long_before(
    tested: Tested,
) {
    // These were stored, by their rows, in 2020.
    tested.tables.fill(MANY, "old").await;
    let before = time("2021-01-01T00:00:00Z");
    let late = event("new", "1");
    tested.add(std::slice::from_ref(&late)).await;
    let received = late.receipt_id.received_at().into();
    let query = |since, until, order| EventQuery {
        received_since: since,
        received_until: until,
        part: Part {
            order,
            ..Part::default()
        },
        ..EventQuery::default()
    };
    for order in [Order::Oldest, Order::Newest] {
        for since in [before, received] {
            let query = query(Some(since), None, order);
            let pages = walk(&tested, &query, 10).await;
            assert_eq!(pages.len(), 1, "the old rows are passed over");
            assert_eq!(pages[0].len(), 1);
        }
        let after = received.as_datetime() + chrono::TimeDelta::milliseconds(1);
        let none = query(Some(after.into()), None, order);
        assert!(walk(&tested, &none, 10).await.concat().is_empty());
        let old = query(None, Some(before), order);
        let old = walk(&tested, &old, Limit::MAX).await.concat();
        assert_eq!(old.len(), MANY as usize);
    }
}

impl Tables {
    /// Adds so many events of a topic that were received and stored in 2020, without counting them.
    async fn fill(&self, rows: u32, topic: &str) {
        self.run(&match self {
            Self::Postgres(_) => format!(
                "INSERT INTO processed_events
                     (bucket, topic, event_id, source, payload, event_timestamp, received_at, processed_at, receipt_id)
                 SELECT (SELECT max(bucket) FROM ledger_buckets),
                     '{topic}', n::text, 's', '{{}}', moment, moment, moment, gen_random_uuid()
                 FROM generate_series(1, {rows}) AS n,
                     LATERAL (SELECT timestamptz '2020-01-01' + n * interval '1 second') AS at (moment)"
            ),
            Self::Sqlite(_) => format!(
                "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {rows})
                 INSERT INTO processed_events
                     (topic, event_id, source, payload, event_timestamp, received_at, processed_at, receipt_id)
                 SELECT '{topic}', n, 's', '{{}}', moment, moment, moment, randomblob(16)
                 FROM (SELECT n, (unixepoch('2020-01-01') + n) * 1000000 AS moment FROM numbers)"
            ),
        })
        .await;
    }
}

/// More than any walk here takes.
const MOST_PAGES: usize = 200;

/// The ids on each page to the end.
async fn walk(tested: &Tested, query: &EventQuery, limit: u16) -> Vec<Vec<i64>> {
    let mut query = query.clone();
    query.part.limit = Limit::new(limit).unwrap();
    let mut pages = Vec::new();
    loop {
        let page = tested.store.events(&query).await.unwrap();
        assert!(page.items.len() <= usize::from(limit));
        assert!(pages.len() < MOST_PAGES, "it comes to an end");
        pages.push(page.items.iter().map(|event| event.id).collect());
        match page.next {
            Some(next) => query.part.after = Some(next),
            None => return pages,
        }
    }
}
