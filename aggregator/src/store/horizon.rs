//! Up to which id a reader may look without missing an event for ever.
//!
//! Ids are drawn before the commit. A reader that has paged past id 10 would never see id 5 if the
//! transaction that drew it commits later. So every transaction that is about to draw ids takes a
//! shared advisory lock, and its key says which ids it cannot have: it has only ids above the
//! sequence's value at that moment ([`enter`]).
//!
//! A reader ([`read`]) looks at the sequence's value first, and after it at the smallest key that is
//! held. Nothing with an id up to the smaller of the two can still appear: who drew such an id did
//! so before the reader looked at the sequence, so it held its lock by then. Either it holds it
//! still, then its key is below all its ids, and the horizon is too; or it has committed, and a
//! snapshot taken from now on sees its rows: PostgreSQL releases locks after it makes the commit
//! visible. The rows must be read by a later statement.
//!
//! See [advisory locks](https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS)
//! and [`pg_locks`](https://www.postgresql.org/docs/current/view-pg-locks.html).

use sqlx::{PgConnection, query_as, query_scalar};

/// The upper 16 bits of the lock's 64-bit key, so as not to meet other users of advisory locks. The
/// lower 48 bits are the sequence's value.
const NAMESPACE: i64 = 0x4541;

const ENTER: &str = "
    SELECT last_value - (NOT is_called)::int,
           pg_advisory_xact_lock_shared(($1 << 48) | (last_value - (NOT is_called)::int))::text
    FROM processed_events_id_seq";

const SEQUENCE: &str = "SELECT last_value - (NOT is_called)::int FROM processed_events_id_seq";

/// `pg_locks` shows a 64-bit key in two halves of 32 bits.
const OLDEST: &str = "
    SELECT min(((classid::bigint & 65535) << 32) | objid::bigint)
    FROM pg_locks
    WHERE locktype = 'advisory' AND objsubid = 1 AND classid::bigint >> 16 = $1
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";

/// Call it in a transaction before its first id is drawn. All its ids are above the one that this gives.
pub(super) async fn enter(transaction: &mut PgConnection) -> sqlx::Result<i64> {
    let (below, _): (i64, String) = query_as(ENTER)
        .bind(NAMESPACE)
        .fetch_one(transaction)
        .await?;
    Ok(below)
}

/// The highest id that is safe to read, by a later statement.
pub(super) async fn read(connection: &mut PgConnection) -> sqlx::Result<i64> {
    let drawn: i64 = query_scalar(SEQUENCE).fetch_one(&mut *connection).await?;
    let oldest: Option<i64> = query_scalar(OLDEST)
        .bind(NAMESPACE)
        .fetch_one(connection)
        .await?;
    Ok(oldest.map_or(drawn, |oldest| oldest.min(drawn)))
}
