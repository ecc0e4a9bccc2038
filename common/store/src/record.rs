//! Recording a claim: one transaction that stores its events and counts them. This is the one algorithm of every store; a
//! store adds its statements ([`Transaction`]) and the meaning of its error codes ([`ErrorCodes`]).
//!
//! **A claim is counted at most once.** The first statement of the transaction advances the worker's row in
//! `worker_claims` to the claim's number. It changes nothing if the row has reached that number already, and then nothing
//! is recorded. The counters change in the same transaction, so either all of a claim is committed or nothing of it, and
//! a worker that brings the claim a second time finds the row advanced.
//!
//! **Locks are taken in one order by every transaction**, so none waits for another in a circle: the worker's row, the events by
//! key, the topics by name, and last, for as short a time as possible, the row of counters.
//!
//! **An event that the database refuses does not stop the others.** The first attempt inserts all events with one statement. If
//! the database refuses it, the second attempt halves the batch, each piece under a savepoint, until each refused
//! event stands alone. These become dead letters, and the others are stored. With `n` events, one of them refused, that
//! takes about `2 log2 n` statements.

use event::{Claim, ClaimId, Event, WorkerId};
use runtime::faults::{Point, crash_at};

use crate::{
    Cursor, Recorded, StoreError, Tally,
    failure::{ErrorClass, ErrorCodes, Failure, Unsound},
    plan::{Inserted, Keys, Letter, Outcome, Plan, TopicDelta},
};

/// Begins a piece of a batch. These three statements are the same in every database
/// ([PostgreSQL](https://www.postgresql.org/docs/current/sql-savepoint.html),
/// [SQLite](https://www.sqlite.org/lang_savepoint.html)).
const BEGIN_PIECE: &str = "SAVEPOINT piece";
/// Keeps a piece.
const KEEP_PIECE: &str = "RELEASE SAVEPOINT piece";
/// Takes a piece back, and leaves the savepoint.
const UNDO_PIECE: [&str; 2] = ["ROLLBACK TO SAVEPOINT piece", KEEP_PIECE];

/// Whether the database is expected to take every event.
#[derive(Clone, Copy)]
pub(crate) enum Insert {
    /// It is.
    All,
    /// It refuses some.
    AroundRefused,
}

/// A transaction that has begun, and the statements of a store in it. If it is dropped, nothing of it remains.
pub(crate) trait Transaction: Send {
    /// The meaning of the database's error codes.
    type Errors: ErrorCodes;

    /// Advances the worker's row to the number of this claim. Answers false if there is no row with a smaller number. It
    /// never makes a row, because a worker that was forgotten must not commit.
    fn advance(&mut self, claim: ClaimId) -> impl Future<Output = sqlx::Result<bool>> + Send;

    /// Whether the worker has a row.
    fn is_registered(
        &mut self,
        worker: WorkerId,
    ) -> impl Future<Output = sqlx::Result<bool>> + Send;

    /// What must happen before the first event is inserted.
    fn prepare(&mut self) -> impl Future<Output = sqlx::Result<()>> + Send;

    /// Which of these events are known to be stored, by position. Nothing is known beyond the end. An event that is not known
    /// may be stored only where an [insert](Transaction::insert_all) finds it.
    fn known(&mut self, events: &[Event]) -> impl Future<Output = sqlx::Result<Vec<bool>>> + Send;

    /// Inserts these rows, which are in key order, each identity once. If it fails, the transaction is lost. With no rows
    /// nothing is done.
    fn insert_all(
        &mut self,
        rows: &[&Event],
    ) -> impl Future<Output = Result<Inserted, Failure>> + Send;

    /// Runs the same statement without rows, so that an error of it is an error of no event.
    fn insert_nothing(&mut self) -> impl Future<Output = sqlx::Result<()>> + Send;

    /// Inserts a piece of a batch, under a savepoint. The same identity may come twice. Answers what was not stored before.
    fn insert_piece(
        &mut self,
        rows: &[&Event],
    ) -> impl Future<Output = Result<Keys, Failure>> + Send;

    /// Puts dead letters aside. Answers how many rows it has written.
    fn put_aside(&mut self, letters: &[Letter]) -> impl Future<Output = sqlx::Result<u64>> + Send;

    /// Adds to the counters of topics, in the order of their names, and then to the row of counters. This is the very last
    /// thing in a transaction. Answers how many rows it has written.
    fn count(
        &mut self,
        counted: &Counted<'_>,
    ) -> impl Future<Output = sqlx::Result<Written>> + Send;

    /// Reads dead letters that can be replayed and locks them, by id, until they are
    /// [`Limit::MAX`](crate::Limit::MAX) or hold [`FULL_REPLAY_BYTES`](crate::replay::FULL_REPLAY_BYTES).
    fn take_letters(
        &mut self,
        ids: Option<&[i64]>,
        after: Option<Cursor>,
    ) -> impl Future<Output = sqlx::Result<Vec<(i64, Vec<u8>)>>> + Send;

    /// Removes dead letters.
    fn remove_letters(&mut self, ids: &[i64]) -> impl Future<Output = sqlx::Result<()>> + Send;

    /// Runs a statement that has neither parameters nor rows.
    fn execute(&mut self, statement: &'static str)
    -> impl Future<Output = sqlx::Result<()>> + Send;

    /// Commits. All of the events that [`Transaction::known`] was asked about are stored then, but for those at these
    /// positions.
    fn commit(self, refused: &[usize]) -> impl Future<Output = sqlx::Result<()>> + Send;

    /// Takes everything back.
    fn roll_back(self) -> impl Future<Output = sqlx::Result<()>> + Send;
}

/// A connection over which a claim is recorded.
pub(crate) trait Session: Send {
    /// The meaning of the database's error codes.
    type Errors: ErrorCodes;

    /// [`attempt`] in a new transaction.
    fn attempt(
        &mut self,
        claim: &Claim,
        how: Insert,
    ) -> impl Future<Output = Result<Recorded, Failure>> + Send;

    /// Replaces the connection by a new one, because its own state may be the reason for a failure.
    fn renew(&mut self) -> impl Future<Output = sqlx::Result<()>> + Send;
}

/// What a batch adds to the counters.
pub(crate) struct Counted<'a> {
    pub(crate) topics: &'a [TopicDelta<'a>],
    pub(crate) unique: i64,
    pub(crate) duplicate: i64,
    pub(crate) dead_lettered: i64,
}

/// How many rows were written.
pub(crate) struct Written {
    /// Of `topic_stats`.
    pub(crate) topics: u64,
    /// Of `agg_stats`.
    pub(crate) counters: u64,
}

/// Records a claim in at most two attempts. The second one finds out which events the database refuses.
///
/// Unless the error is plainly about data, the connection's own state may be at fault, such as a plan from before a table
/// was changed. Then the second attempt has a new connection.
pub(crate) async fn record<S: Session>(
    mut session: S,
    claim: &Claim,
) -> Result<Recorded, StoreError> {
    let failed = match session.attempt(claim, Insert::All).await {
        Ok(recorded) => return Ok(recorded),
        Err(failed) => failed,
    };
    match failed.class::<S::Errors>() {
        ErrorClass::Unavailable => return Err(failed.into_error::<S::Errors>()),
        ErrorClass::Refused => {}
        ErrorClass::Schema | ErrorClass::Unexplained => {
            tracing::warn!(
                claim.id = %claim.id, error = %failed,
                "a claim is tried again in pieces, over a fresh connection"
            );
            session.renew().await.map_err(S::Errors::wrap)?;
        }
    }
    let again = session.attempt(claim, Insert::AroundRefused).await;
    again.map_err(Failure::into_error::<S::Errors>)
}

/// Records a claim in this transaction, which has just begun.
pub(crate) async fn attempt<T: Transaction>(
    mut transaction: T,
    claim: &Claim,
    how: Insert,
) -> Result<Recorded, Failure> {
    crash_at(Point::AfterBegin);
    if !transaction.advance(claim.id).await? {
        return Ok(if transaction.is_registered(claim.id.worker).await? {
            Recorded::AlreadyCommitted
        } else {
            Recorded::UnknownWorker
        });
    }
    crash_at(Point::AfterAdvance);
    transaction.prepare().await?;
    let known = transaction.known(&claim.events).await?;
    let plan = Plan::new(&claim.events, &known);
    let outcome = match how {
        Insert::All => {
            let rows = plan.rows();
            let inserted = if rows.is_empty() {
                Inserted::All
            } else {
                transaction.insert_all(&rows).await?
            };
            plan.outcome_of_rows(&inserted)
        }
        Insert::AroundRefused => around_refused(&mut transaction, &plan).await?,
    };
    let mut letters = plan.letters(&outcome);
    letters.extend(claim.malformed.iter().map(Letter::from));
    crash_at(Point::AfterInsert);
    put_aside(&mut transaction, &letters).await?;
    crash_at(Point::AfterLetters);
    count(&mut transaction, &outcome, signed(letters.len())).await?;
    crash_at(Point::BeforeCommit);
    let committed = transaction.commit(&outcome.positions_of_refused()).await;
    committed.map_err(Failure::Commit)?;
    // Somebody who looks into every claim sees the verdicts, too.
    let judged = claim.judged || tracing::enabled!(tracing::Level::DEBUG);
    Ok(Recorded::Committed(Tally {
        unique: outcome.unique().unsigned_abs(),
        duplicate: outcome.duplicate().unsigned_abs(),
        dead_lettered: letters.len() as u64,
        verdicts: if judged {
            plan.verdicts(&outcome)
        } else {
            Vec::new()
        },
    }))
}

/// Halves what is refused until what is refused stands alone, each piece under a savepoint.
///
/// An event is refused only if the same statement without events goes through, and then only for an error that does not
/// pass by itself. An error about the tables may be one of a trigger's: it is the event's if others of the batch meet none.
pub(crate) async fn around_refused<'a, T: Transaction>(
    transaction: &mut T,
    plan: &Plan<'a>,
) -> Result<Outcome<'a>, Failure> {
    transaction.insert_nothing().await?;
    let deliveries = plan.deliveries();
    let (mut inserted, mut refused) = (Keys::new(), Vec::new());
    let mut about_tables = None;
    let mut pieces = vec![&deliveries[..]];
    while let Some(piece) = pieces.pop() {
        if piece.is_empty() {
            continue;
        }
        let rows: Vec<&Event> = piece.iter().map(|&(_, event)| event).collect();
        transaction.execute(BEGIN_PIECE).await?;
        let failure = match transaction.insert_piece(&rows).await {
            Ok(keys) => {
                transaction.execute(KEEP_PIECE).await?;
                inserted.extend(keys);
                continue;
            }
            Err(failure) => failure,
        };
        let class = failure.class::<T::Errors>();
        if class == ErrorClass::Unavailable {
            return Err(failure);
        }
        for statement in UNDO_PIECE {
            transaction.execute(statement).await?;
        }
        if let [(at, _)] = piece {
            refused.push((*at, failure.reason::<T::Errors>()));
            if class == ErrorClass::Schema {
                about_tables = Some(failure);
            }
        } else {
            let (left, right) = piece.split_at(piece.len() / 2);
            pieces.extend([right, left]);
        }
    }
    match about_tables {
        Some(failure) if refused.len() == deliveries.len() => Err(failure),
        _ => Ok(plan.outcome_of_pieces(&inserted, refused)),
    }
}

/// Puts dead letters aside.
pub(crate) async fn put_aside(
    transaction: &mut impl Transaction,
    letters: &[Letter],
) -> Result<(), Failure> {
    let written = transaction.put_aside(letters).await?;
    Ok(Unsound::unless_written(
        "dead_letters",
        written,
        letters.len(),
    )?)
}

/// As the counters count.
pub(crate) fn signed(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Adds a batch to the counters.
pub(crate) async fn count(
    transaction: &mut impl Transaction,
    outcome: &Outcome<'_>,
    dead_lettered: i64,
) -> Result<(), Failure> {
    let counted = Counted {
        topics: &outcome.topics,
        unique: outcome.unique(),
        duplicate: outcome.duplicate(),
        dead_lettered,
    };
    let written = transaction.count(&counted).await?;
    Unsound::unless_written("agg_stats", written.counters, 1)?;
    Ok(Unsound::unless_written(
        "topic_stats",
        written.topics,
        outcome.topics.len(),
    )?)
}
