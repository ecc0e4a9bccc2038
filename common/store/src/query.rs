//! Which stored things to read, and a page of them.

use std::{fmt, pin::pin, str::FromStr};

use event::{EventTime, Source, Topic, schema::from_json};
use futures_util::{Stream, TryStreamExt};
use serde::Serialize;
use serde_json::{json, value::RawValue};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};
use uuid::Uuid;

/// An event as it is stored.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct StoredEvent {
    /// Its number in the store; grows, with gaps.
    pub id: i64,
    /// The stream it belongs to.
    #[schema(value_type = event::Topic)]
    pub topic: String,
    /// Unique within its topic.
    #[schema(value_type = event::EventId)]
    pub event_id: String,
    /// When it happened, by the client's word.
    pub timestamp: EventTime,
    /// Who says so.
    #[schema(value_type = event::Source)]
    pub source: String,
    /// The client's data.
    #[schema(value_type = event::Payload)]
    pub payload: Box<RawValue>,
    /// When the first delivery was accepted.
    pub received_at: EventTime,
    /// When it was stored.
    pub processed_at: EventTime,
}

/// Which stored events to read.
#[derive(Debug, Clone, Default)]
pub struct EventQuery {
    /// Only of this topic.
    pub topic: Option<Topic>,
    /// Only of this source.
    pub source: Option<Source>,
    /// Only with this `timestamp` or a later one.
    pub since: Option<EventTime>,
    /// Only with a `timestamp` before this one.
    pub until: Option<EventTime>,
    /// Only what was received at this moment or later.
    pub received_since: Option<EventTime>,
    /// Only what was received before this moment.
    pub received_until: Option<EventTime>,
    /// Which of those.
    pub part: Part,
}

/// The order of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// What was stored first comes first.
    #[default]
    Oldest,
    /// What was stored last comes first.
    Newest,
}

/// A text that does not name an [`Order`].
#[derive(Debug, thiserror::Error)]
#[error("must be oldest or newest")]
pub struct OrderError;

impl FromStr for Order {
    type Err = OrderError;

    fn from_str(text: &str) -> Result<Self, OrderError> {
        match text {
            "oldest" => Ok(Self::Oldest),
            "newest" => Ok(Self::Newest),
            _ => Err(OrderError),
        }
    }
}

impl PartialSchema for Order {
    fn schema() -> RefOr<Schema> {
        from_json(json!({
            "type": "string",
            "description": "Which end of a list comes first",
            "enum": ["oldest", "newest"],
            "default": "oldest"
        }))
    }
}

impl ToSchema for Order {}

/// A part of a list: a page, and where it begins.
#[derive(Debug, Clone, Copy, Default)]
pub struct Part {
    /// Which end comes first.
    pub order: Order,
    /// Only what comes after this place, in that order.
    pub after: Option<Cursor>,
    /// At most this many.
    pub limit: Limit,
}

#[cfg(any(feature = "postgres", feature = "sqlite"))]
impl Part {
    /// How many rows to ask for. One more than the limit tells whether there is a next page.
    pub(crate) fn rows(&self) -> i64 {
        i64::from(self.limit.get()) + 1
    }
}

/// A page size: 1 to [`Limit::MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit(u16);

impl Limit {
    /// Largest page.
    pub const MAX: u16 = 1000;

    /// `None` if it is 0 or over [`Limit::MAX`].
    #[must_use]
    pub const fn new(limit: u16) -> Option<Self> {
        match limit {
            1..=Self::MAX => Some(Self(limit)),
            _ => None,
        }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self(100)
    }
}

/// A place in the list of stored events. Opaque to clients: its text may change with any version,
/// and stays readable for as long as a client could reasonably hold it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// The last event that was seen.
    pub id: i64,
}

const CURSOR_VERSION: &str = "01";

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{CURSOR_VERSION}{:016x}", self.id)
    }
}

/// A text that no [`Cursor`] prints.
#[derive(Debug, thiserror::Error)]
#[error("is not a valid cursor; pass next_cursor unchanged")]
pub struct CursorError;

impl PartialSchema for Cursor {
    fn schema() -> RefOr<Schema> {
        from_json(json!({
            "type": "string",
            "description": "A place in a list: a `next_cursor` as it was answered. Its text may change with any version",
            "pattern": "^01[0-7][0-9a-f]{15}$",
            "examples": ["01000000000000002a"]
        }))
    }
}

impl ToSchema for Cursor {}

impl FromStr for Cursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        let digits = text.strip_prefix(CURSOR_VERSION).ok_or(CursorError)?;
        let canonical = digits.len() == 16
            && digits
                .bytes()
                .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        match i64::from_str_radix(digits, 16) {
            Ok(id) if canonical => Ok(Self { id }),
            _ => Err(CursorError),
        }
    }
}

/// Has a place in a list that a [`Cursor`] can name.
pub trait Listed {
    /// Its number in the store; grows, with gaps.
    fn id(&self) -> i64;

    /// How much memory it takes, mostly.
    fn bytes(&self) -> usize;
}

impl Listed for StoredEvent {
    fn id(&self) -> i64 {
        self.id
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + self.payload.get().len()
    }
}

impl Listed for DeadLetter {
    fn id(&self) -> i64 {
        self.id
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + self.raw.len() + self.reason.len()
    }
}

/// A page of a list.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// In the order that was asked for.
    pub items: Vec<T>,
    /// Where the next page starts; `None` at the end.
    pub next: Option<Cursor>,
}

/// A page takes no more rows once it holds so many bytes: events may be large, and memory is for many requests.
pub const FULL_PAGE_BYTES: usize = 8 * 1024 * 1024;

impl<T: Listed> Page<T> {
    /// A page without any row yet.
    pub(crate) const fn empty() -> Self {
        Self {
            items: Vec::new(),
            next: None,
        }
    }

    /// A page of the first rows, at most `limit` and one at least; the next row only tells that there is more.
    /// The rest is not waited for.
    ///
    /// # Errors
    /// Those of `rows`.
    pub async fn collect<E>(
        rows: impl Stream<Item = Result<T, E>>,
        limit: Limit,
    ) -> Result<Self, E> {
        let mut page = Self::empty();
        page.take(rows, limit).await?;
        Ok(page)
    }

    /// Adds rows to a page that has room, as [`Page::collect`] does.
    ///
    /// # Errors
    /// Those of `rows`.
    pub(crate) async fn take<E>(
        &mut self,
        rows: impl Stream<Item = Result<T, E>>,
        limit: Limit,
    ) -> Result<(), E> {
        let mut rows = pin!(rows);
        let mut bytes: usize = self.items.iter().map(Listed::bytes).sum();
        while let Some(row) = rows.try_next().await? {
            if self.items.len() == usize::from(limit.get()) || bytes >= FULL_PAGE_BYTES {
                self.next = self.items.last().map(|last| Cursor { id: last.id() });
                break;
            }
            bytes += row.bytes();
            self.items.push(row);
        }
        Ok(())
    }
}

/// What could not be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its number in the store; grows, with gaps.
    pub id: i64,
    /// The queue element, byte for byte.
    pub raw: Vec<u8>,
    /// Why it could not be stored.
    pub reason: String,
    /// Of the event in it, if it could be read.
    pub receipt_id: Option<Uuid>,
    /// When it was put aside.
    pub failed_at: EventTime,
}

/// Which dead letters to replay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// These; unknown ones are passed over. At most [`Limit::MAX`] count.
    Ids(Vec<i64>),
    /// Those after a place: up to [`Limit::MAX`], and fewer if they are large
    /// ([`FULL_PAGE_BYTES`]).
    After(Option<Cursor>),
}

/// What became of replayed dead letters.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Replayed {
    /// Now stored.
    pub accepted: i64,
    /// Their identity was stored before.
    pub duplicates: i64,
    /// Still refused, and why.
    pub refused: Vec<(i64, String)>,
    /// Where to go on; `None` at the end.
    pub next: Option<Cursor>,
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::stream;

    use super::*;

    struct Item(i64, usize);

    impl Listed for Item {
        fn id(&self) -> i64 {
            self.0
        }

        fn bytes(&self) -> usize {
            self.1
        }
    }

    /// The ids on a page of items of this size, and where the next page starts.
    async fn page(items: i64, bytes: usize, limit: u16) -> (Vec<i64>, Option<i64>) {
        let rows = stream::iter((1..=items).map(|id| Ok::<_, Infallible>(Item(id, bytes))));
        let Ok(page) = Page::collect(rows, Limit::new(limit).unwrap()).await;
        let ids = page.items.iter().map(Listed::id).collect();
        (ids, page.next.map(|cursor| cursor.id))
    }

    #[tokio::test]
    async fn a_page_ends_at_its_limit_or_when_it_is_full_and_the_next_goes_on_there() {
        assert_eq!(page(0, 1, 2).await, (vec![], None));
        assert_eq!(page(2, 1, 2).await, (vec![1, 2], None));
        assert_eq!(page(3, 1, 2).await, (vec![1, 2], Some(2)));
        let half = FULL_PAGE_BYTES / 2;
        assert_eq!(page(3, half, 9).await, (vec![1, 2], Some(2)));
        assert_eq!(page(2, half, 9).await, (vec![1, 2], None));
        assert_eq!(page(2, 2 * FULL_PAGE_BYTES, 9).await, (vec![1], Some(1)));
    }
}
