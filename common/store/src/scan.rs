//! How much a page of events looks at.
//!
//! Ids grow with the moment at which an event is stored, and there is no index on what a filter asks for. A page with a
//! filter therefore looks at [`SCAN_ROWS`] rows at most, in the order of their ids, and then ends, also if it has found
//! less than it may hold; the next page goes on there. Where the filter is about when events were received, the rows that
//! were stored long before are passed over without being looked at ([`stored_before`]).

use chrono::{DateTime, TimeDelta, Utc};

use crate::{Cursor, EventQuery, Order, Page, Part};

/// Most rows that one page with a filter looks at.
pub const SCAN_ROWS: u32 = 50_000;
/// How far the clocks of publishers and of the database may be apart, plus the longest transaction. An event that was
/// received at a moment was stored at most this long before it, by the database's clock.
pub const CLOCKS_WITHIN: TimeDelta = TimeDelta::minutes(10);
/// A search by halves in ids of 63 bits takes no more steps.
const MAX_STEPS: u32 = 64;

/// The ids that one page looks at: those between two others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ids {
    pub(crate) above: i64,
    pub(crate) below: i64,
}

impl Ids {
    /// The same as far as the row at which a page must end, in this order. `None`: there are not so many rows.
    pub(crate) const fn up_to(self, last: Option<i64>, order: Order) -> Self {
        let Some(last) = last else { return self };
        match order {
            Order::Oldest => Self {
                below: last.saturating_add(1),
                ..self
            },
            Order::Newest => Self {
                above: last.saturating_sub(1),
                ..self
            },
        }
    }
}

impl Part {
    /// The ids of the rows that it may hold.
    pub(crate) fn ids(&self) -> Ids {
        let after = self.after.map(|cursor| cursor.id);
        let (above, below) = match self.order {
            Order::Oldest => (after.unwrap_or(0), i64::MAX),
            Order::Newest => (0, after.unwrap_or(i64::MAX)),
        };
        Ids { above, below }
    }
}

impl EventQuery {
    /// Whether it leaves out any row.
    pub(crate) const fn is_selective(&self) -> bool {
        self.topic.is_some()
            || self.source.is_some()
            || self.since.is_some()
            || self.until.is_some()
            || self.received_since.is_some()
            || self.received_until.is_some()
    }
}

impl<T> Page<T> {
    /// Goes on after this row if the page holds all that was found before it.
    pub(crate) fn or_goes_on_after(mut self, last: Option<i64>) -> Self {
        self.next = self.next.or(last.map(|id| Cursor { id }));
        self
    }
}

/// How much one page has looked at so far, where the rows are in several tables.
pub(crate) struct Scan {
    /// `None`: every row that it looks at is on the page.
    left: Option<u32>,
    ended_at: Option<i64>,
}

impl Scan {
    pub(crate) fn of(query: &EventQuery) -> Self {
        Self {
            left: query.is_selective().then_some(SCAN_ROWS),
            ended_at: None,
        }
    }

    /// How many rows it may look at in the next table. `None`: as many as there are.
    pub(crate) const fn rows_left(&self) -> Option<u32> {
        self.left
    }

    /// The part of a table's ids that it looks at. `last` is the row at which it must end, if the table has so many;
    /// `goes_on`: there is another table.
    pub(crate) fn part_of(
        &mut self,
        ids: Ids,
        last: Option<i64>,
        goes_on: bool,
        order: Order,
    ) -> Ids {
        self.ended_at = last;
        // There are no more rows than ids.
        let rows = ids.below.saturating_sub(ids.above).saturating_sub(1);
        let rows = u32::try_from(rows.max(0)).unwrap_or(u32::MAX);
        let left = self.left.map(|left| left.saturating_sub(rows));
        self.left = left;
        if left == Some(0) && last.is_none() && goes_on {
            self.ended_at = Some(match order {
                Order::Oldest => ids.below.saturating_sub(1),
                Order::Newest => ids.above.saturating_add(1),
            });
        }
        ids.up_to(last, order)
    }

    /// The page must end after the row with this id. `None`: it need not.
    pub(crate) const fn ended_at(&self) -> Option<i64> {
        self.ended_at
    }
}

/// Reads when rows were stored.
pub(crate) trait StoredAt {
    /// The first row with an id above this one, and below the end: its id, and when it was stored.
    fn first_above(
        &mut self,
        id: i64,
        below: i64,
    ) -> impl Future<Output = sqlx::Result<Option<(i64, DateTime<Utc>)>>> + Send;
}

/// An id so that it and all ids below it were stored before events that were received at this moment.
///
/// It searches by halves. Rows that were stored within the same minute may have ids in another order; [`CLOCKS_WITHIN`]
/// covers that, too.
pub(crate) async fn stored_before(
    rows: &mut impl StoredAt,
    ids: Ids,
    received: DateTime<Utc>,
) -> sqlx::Result<i64> {
    let Some(stored) = received.checked_sub_signed(CLOCKS_WITHIN) else {
        return Ok(ids.above);
    };
    // All up to `low` were stored before; the first row above `high` was not, if there is one.
    let (mut low, mut high) = (ids.above, ids.below - 1);
    for _ in 0..MAX_STEPS {
        if low >= high {
            break;
        }
        let middle = low + (high - low) / 2;
        match rows.first_above(middle, high + 1).await? {
            Some((id, at)) if at < stored => low = id,
            _ => high = middle,
        }
    }
    Ok(low)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows with these ids, each stored so many seconds after 1970 as its id says.
    struct Rows(Vec<i64>);

    impl StoredAt for Rows {
        async fn first_above(
            &mut self,
            id: i64,
            below: i64,
        ) -> sqlx::Result<Option<(i64, DateTime<Utc>)>> {
            let found = self.0.iter().find(|&&row| row > id && row < below);
            Ok(found.map(|&row| (row, DateTime::from_timestamp(row, 0).unwrap())))
        }
    }

    #[tokio::test]
    async fn rows_that_were_stored_long_before_are_passed_over_and_no_other() {
        let mut rows = Rows((0..100).map(|n| n * n * 10 + 1).collect());
        let all = Ids {
            above: 0,
            below: i64::MAX,
        };
        let margin = CLOCKS_WITHIN.num_seconds();
        for received in [
            0, 600, 601, 602, 700, 5_000, 98_000, 98_611, 98_612, 1_000_000,
        ] {
            let moment = DateTime::from_timestamp(received, 0).unwrap();
            let place = stored_before(&mut rows, all, moment).await.unwrap();
            let stored = received - margin;
            let last_before = rows.0.iter().rev().find(|&&row| row < stored);
            let first_after = rows.0.iter().find(|&&row| row >= stored);
            assert!(first_after.is_none_or(|&row| place < row), "{received}");
            assert!(last_before.is_none_or(|&row| place >= row), "{received}");
        }
    }

    #[test]
    fn a_page_over_several_tables_looks_at_no_more_rows_than_over_one() {
        let ids = |above, below| Ids { above, below };
        let mut scan = Scan {
            left: Some(100),
            ended_at: None,
        };
        assert_eq!(
            scan.part_of(ids(0, 61), None, true, Order::Oldest),
            ids(0, 61)
        );
        assert_eq!((scan.rows_left(), scan.ended_at()), (Some(40), None));
        let part = scan.part_of(ids(60, 200), Some(100), true, Order::Oldest);
        assert_eq!((part, scan.ended_at()), (ids(60, 101), Some(100)));
        // Many ids and few rows: it goes on in the next page.
        for (order, end) in [(Order::Oldest, 499), (Order::Newest, 1)] {
            let mut scan = Scan {
                left: Some(100),
                ended_at: None,
            };
            assert_eq!(scan.part_of(ids(0, 500), None, false, order), ids(0, 500));
            assert_eq!(scan.ended_at(), None);
            assert_eq!(scan.part_of(ids(0, 500), None, true, order), ids(0, 500));
            assert_eq!(scan.ended_at(), Some(end));
        }
    }

    #[test]
    fn a_page_ends_at_the_last_row_that_it_looks_at() {
        let ids = Ids {
            above: 5,
            below: 500,
        };
        assert_eq!(ids.up_to(None, Order::Oldest), ids);
        assert_eq!(ids.up_to(Some(50), Order::Oldest).below, 51);
        assert_eq!(ids.up_to(Some(50), Order::Newest).above, 49);
    }
}
