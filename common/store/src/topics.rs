//! Which topics to read, and a page of them.

use std::{fmt, str::FromStr};

use event::{EventTime, schema::from_json};
use serde::Serialize;
use serde_json::json;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};

use crate::{CursorError, Limit};

/// What is known of a topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct TopicStats {
    /// Its name.
    #[schema(value_type = event::Topic)]
    pub topic: String,
    /// Events stored.
    #[schema(minimum = 1)]
    pub unique_processed: i64,
    /// Deliveries of events that were stored before.
    #[schema(minimum = 0)]
    pub duplicate_dropped: i64,
    /// When its first event was stored.
    pub first_processed_at: EventTime,
    /// When its last delivery was counted, a duplicate too.
    pub last_processed_at: EventTime,
}

/// The topics that may be seen: those that begin with one of these texts. `None`: all.
pub type Visible = Option<Vec<String>>;

/// Which topics belong to the counters ([`Store::stats`](crate::Store::stats)).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StatsQuery {
    /// How many, largest first; `None`: all of them.
    pub largest: Option<u16>,
    /// Among which.
    pub visible: Visible,
}

impl StatsQuery {
    /// The counters with so many of the largest topics.
    #[must_use]
    pub const fn with_largest(topics: u16) -> Self {
        Self {
            largest: Some(topics),
            visible: None,
        }
    }

    /// The counters with every topic.
    #[must_use]
    pub const fn with_all() -> Self {
        Self {
            largest: None,
            visible: None,
        }
    }
}

/// Which topics to read.
#[derive(Debug, Clone, Default)]
pub struct TopicQuery {
    /// Only those that begin with this text.
    pub prefix: String,
    /// Only among these.
    pub visible: Visible,
    /// In which order.
    pub order: TopicOrder,
    /// Only what comes after this place. It must be one of the same order.
    pub after: Option<TopicCursor>,
    /// At most this many.
    pub limit: Limit,
}

/// The order of a list of topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TopicOrder {
    /// By the bytes of their names.
    #[default]
    Name,
    /// The topic with the most events comes first.
    Count,
    /// The topic whose last delivery was counted last comes first.
    Recent,
}

/// A text that does not name a [`TopicOrder`].
#[derive(Debug, thiserror::Error)]
#[error("must be name, count or recent")]
pub struct TopicOrderError;

impl FromStr for TopicOrder {
    type Err = TopicOrderError;

    fn from_str(text: &str) -> Result<Self, TopicOrderError> {
        match text {
            "name" => Ok(Self::Name),
            "count" => Ok(Self::Count),
            "recent" => Ok(Self::Recent),
            _ => Err(TopicOrderError),
        }
    }
}

impl PartialSchema for TopicOrder {
    fn schema() -> RefOr<Schema> {
        from_json(json!({
            "type": "string",
            "description": "By name, by the number of events (the largest first), or by the last delivery (the latest first)",
            "enum": ["name", "count", "recent"],
            "default": "name"
        }))
    }
}

impl ToSchema for TopicOrder {}

/// A page of topics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicPage {
    /// In the order that was asked for.
    pub topics: Vec<TopicStats>,
    /// Where the next page starts; `None` at the end.
    pub next: Option<TopicCursor>,
}

#[cfg(any(feature = "postgres", feature = "sqlite"))]
impl TopicPage {
    /// A page of the first rows, at most as many as the query wants; one more row only tells that there is more.
    pub(crate) fn of(mut rows: Vec<TopicStats>, query: &TopicQuery) -> Self {
        let limit = usize::from(query.limit.get());
        let more = rows.len() > limit;
        rows.truncate(limit);
        let last = rows.last().filter(|_| more);
        Self {
            next: last.map(|topic| TopicCursor::after(query.order, topic)),
            topics: rows,
        }
    }
}

/// A place in a list of topics. Opaque to clients, like [`Cursor`](crate::Cursor).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicCursor {
    /// The order of the list.
    pub order: TopicOrder,
    /// By what the last topic that was seen is ordered: its events, or the microseconds of its last delivery since 1970.
    /// 0 where names are the order.
    pub rank: i64,
    /// The last topic that was seen.
    pub topic: String,
}

#[cfg(any(feature = "postgres", feature = "sqlite"))]
impl TopicCursor {
    fn after(order: TopicOrder, last: &TopicStats) -> Self {
        Self {
            order,
            rank: match order {
                TopicOrder::Name => 0,
                TopicOrder::Count => last.unique_processed,
                TopicOrder::Recent => last.last_processed_at.as_datetime().timestamp_micros(),
            },
            topic: last.topic.clone(),
        }
    }
}

/// What the text of a cursor begins with in each order. It differs from what a [`Cursor`](crate::Cursor) begins with.
const MARKS: [(&str, TopicOrder); 3] = [
    ("n", TopicOrder::Name),
    ("c", TopicOrder::Count),
    ("r", TopicOrder::Recent),
];
/// How many hexadecimal digits follow, for the rank.
const RANK_DIGITS: usize = 16;

impl fmt::Display for TopicCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = MARKS.iter().find(|(_, order)| *order == self.order);
        let mark = mark.map_or("", |(mark, _)| mark);
        write!(f, "{mark}{:016x}{}", self.rank, hex::encode(&self.topic))
    }
}

impl FromStr for TopicCursor {
    type Err = CursorError;

    /// What is not the name of a topic is a place between topics.
    fn from_str(text: &str) -> Result<Self, CursorError> {
        let marked = |(mark, order)| Some((order, text.strip_prefix(mark)?));
        let (order, rest) = MARKS.into_iter().find_map(marked).ok_or(CursorError)?;
        if !rest
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        {
            return Err(CursorError);
        }
        let (rank, topic) = rest.split_at_checked(RANK_DIGITS).ok_or(CursorError)?;
        let rank = i64::from_str_radix(rank, 16).map_err(|_| CursorError)?;
        let topic = hex::decode(topic).map_err(|_| CursorError)?;
        // No database takes U+0000.
        let topic = String::from_utf8_lossy(&topic).replace('\0', "\u{fffd}");
        Ok(Self { order, rank, topic })
    }
}

impl PartialSchema for TopicCursor {
    fn schema() -> RefOr<Schema> {
        from_json(json!({
            "type": "string",
            "description": "A place in a list of topics: a `next_cursor` as it was answered. Its text may change with any version",
            "pattern": "^[ncr][0-7][0-9a-f]{15}([0-9a-f]{2})*$",
            "examples": ["n00000000000000006f7264657273"]
        }))
    }
}

impl ToSchema for TopicCursor {}

/// The smallest text that is larger, byte by byte, than every text with this prefix. `None`: there is none.
///
/// The order of the bytes of UTF-8 is that of the characters
/// ([RFC 3629](https://www.rfc-editor.org/rfc/rfc3629#section-1)).
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub(crate) fn beyond(prefix: &str) -> Option<String> {
    let mut beyond = prefix.to_owned();
    while let Some(last) = beyond.pop() {
        // A range of characters leaves out what no character is.
        if let Some(next) = (last..=char::MAX).nth(1) {
            beyond.push(next);
            return Some(beyond);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written_and_no_other_text_is() {
        for order in [TopicOrder::Name, TopicOrder::Count, TopicOrder::Recent] {
            let cursor = TopicCursor {
                order,
                rank: 1_767_225_600_000_000,
                topic: "logs/ä".to_owned(),
            };
            assert_eq!(cursor.to_string().parse::<TopicCursor>().unwrap(), cursor);
        }
        for text in [
            "",
            "n",
            "01000000000000002a",
            "x00000000000000006f7264657273",
            "n000000000000000A6f7264657273",
            "n00000000000000006F",
            "n+0000000000000006f",
            "n00000000000000006",
            "nffffffffffffffff6f",
            "nä",
        ] {
            assert!(text.parse::<TopicCursor>().is_err(), "{text}");
        }
        let between: TopicCursor = "n000000000000000000ff".parse().unwrap();
        assert_eq!(between.topic, "\u{fffd}\u{fffd}");
    }

    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    #[test]
    fn what_is_beyond_a_prefix_is_the_smallest_text_that_does_not_begin_with_it() {
        assert_eq!(beyond(""), None);
        assert_eq!(beyond("ab").unwrap(), "ac");
        assert_eq!(beyond("a\u{10ffff}").unwrap(), "b");
        assert_eq!(beyond("\u{10ffff}"), None);
        assert_eq!(beyond("\u{d7ff}").unwrap(), "\u{e000}");
    }
}
