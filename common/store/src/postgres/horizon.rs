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
//! Every role that may connect can take any advisory lock. Two things keep one that may do nothing else from stopping
//! pages or workers with it:
//!
//! - A reader counts only locks of sessions whose role may insert events, or may become a role that may. Nobody else can
//!   have drawn an id.
//! - Nobody waits for a lock that another session holds exclusively: a transaction then takes a key at random below, which
//!   holds the horizon back a little further until it commits. To keep all of those keys takes more locks than a server
//!   has room for, and who can fill that room stops the server with any locks.
//!
//! A role that loses the right to insert while its transaction is open is not counted from then on; revoke it only after
//! its program has stopped.
//!
//! See [advisory locks](https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS)
//! and [`pg_locks`](https://www.postgresql.org/docs/current/view-pg-locks.html).

use sqlx::{PgConnection, query_as, query_scalar};

/// A lock's key is this and the sequence's value, of at most 48 bits: so it does not meet other users of advisory locks.
pub(super) const BASE: i64 = 0x4541 << 48;

/// How far below the sequence's value a key is looked for while others are taken: more than the locks that a server has
/// room for ([max_locks_per_transaction](https://www.postgresql.org/docs/current/runtime-config-locks.html)).
const KEYS_BELOW: i64 = 65_536;
/// How many keys are tried at random.
const RANDOM_ATTEMPTS: usize = 8;

/// Takes the lock in a statement that does other things, too, because a statement of its own takes another way to the server and
/// back. The parameter is [`BASE`]; the query has one row, with the sequence's value and whether the lock was free.
macro_rules! entering {
    ($base:literal) => {
        concat!(
            "SELECT drawn, pg_try_advisory_xact_lock_shared(",
            $base,
            " + drawn) AS entered
             FROM (SELECT last_value - (NOT is_called)::int AS drawn FROM processed_events_id_seq) AS sequence"
        )
    };
}
pub(super) use entering;

/// A column with what [`entering!`] tells, the truth as 1. `$3` is [`BASE`].
macro_rules! entered {
    () => {
        concat!(
            "(SELECT ARRAY[drawn, entered::int] FROM (",
            $crate::postgres::horizon::entering!("$3"),
            ") AS horizon) AS entered"
        )
    };
}
pub(super) use entered;

/// `$2` is the number of keys among which one is taken, from the sequence's value down; 1 is that value itself.
const ENTER: &str = "
    SELECT drawn, pg_try_advisory_xact_lock_shared($1 + drawn - floor(random() * $2)::bigint)
    FROM (SELECT last_value - (NOT is_called)::int AS drawn FROM processed_events_id_seq) AS sequence";

const SEQUENCE: &str = "SELECT last_value - (NOT is_called)::int FROM processed_events_id_seq";

/// `$2` is [`KEYS_BELOW`]. `pg_locks` shows a 64-bit key in two halves of 32 bits. The role of a session can be seen by everybody
/// ([pg_stat_activity](https://www.postgresql.org/docs/current/monitoring-stats.html#MONITORING-PG-STAT-ACTIVITY-VIEW)).
/// Keys of others may be so far away that the difference is not a number of 64 bits, so it is taken only of those near by.
/// Without a session, in a prepared transaction, nobody has inserted events: the program prepares none.
const OLDEST: &str = "
    SELECT min(held.below)
    FROM (
        SELECT pid, min((classid::bigint << 32 | objid::bigint) - $1) AS below
        FROM pg_locks
        WHERE locktype = 'advisory' AND objsubid = 1
          AND (classid::bigint << 32 | objid::bigint) BETWEEN $1 - $2 AND $1 + (1::bigint << 48) - 1 - $2
          AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
          AND pid IS NOT NULL
        GROUP BY pid
    ) AS held
    CROSS JOIN LATERAL pg_stat_get_activity(held.pid) AS session
    WHERE has_table_privilege(session.usesysid, 'processed_events', 'INSERT')
       OR EXISTS (
           SELECT FROM pg_roles
           WHERE pg_has_role(session.usesysid, pg_roles.oid, 'MEMBER')
             AND has_table_privilege(pg_roles.oid, 'processed_events', 'INSERT'))";

/// What the column [`entered`](entered!) tells: all ids of the transaction are above this one. `None`: it has not entered.
pub(super) fn has_entered(column: &[i64]) -> Option<i64> {
    match column {
        [drawn, 1] => Some(*drawn),
        _ => None,
    }
}

/// Call it in a transaction before its first id is drawn. All its ids are above the one that this gives.
pub(super) async fn enter(transaction: &mut PgConnection) -> sqlx::Result<i64> {
    let at_random = std::iter::repeat_n(KEYS_BELOW, RANDOM_ATTEMPTS);
    for keys in std::iter::once(1).chain(at_random) {
        let (drawn, entered): (i64, bool) = query_as(ENTER)
            .bind(BASE)
            .bind(keys)
            .fetch_one(&mut *transaction)
            .await?;
        if entered {
            return Ok(drawn);
        }
    }
    Err(sqlx::Error::AnyDriverError(
        "other sessions hold the advisory locks of this program; end them".into(),
    ))
}

/// The highest id that is safe to read, by a later statement.
pub(super) async fn read(connection: &mut PgConnection) -> sqlx::Result<i64> {
    let drawn: i64 = query_scalar(SEQUENCE).fetch_one(&mut *connection).await?;
    let oldest: Option<i64> = query_scalar(OLDEST)
        .bind(BASE)
        .bind(KEYS_BELOW)
        .fetch_one(connection)
        .await?;
    Ok(oldest.map_or(drawn, |oldest| oldest.min(drawn)))
}
