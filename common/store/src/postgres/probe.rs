//! What events need of the database, tried while none come: a committed write, over a connection of its own that is set up
//! like a worker's.

use std::time::{Duration, Instant};

use sqlx::{PgConnection, query};
use tokio::sync::Mutex;
use uuid::Uuid;

use super::{classify::failure, connections::Connections};
use crate::StoreError;

/// The probe's row in `worker_claims`. It is a worker that never claims anything: workers have a UUID of version 7.
const WORKER: Uuid = Uuid::nil();

/// It writes one row, and names the other tables so that a missing one is noticed.
const WRITE: &str = "
    WITH others AS (SELECT FROM processed_events, ledger_buckets, topic_stats, agg_stats, dead_letters)
    INSERT INTO worker_claims (worker_id) VALUES ($1)
    ON CONFLICT (worker_id) DO UPDATE SET updated_at = now()";

/// A connection is made anew after so long, as in a pool.
const LIFETIME: Duration = Duration::from_mins(30);

/// The connection of the probe, while there is one.
#[derive(Default)]
pub(super) struct Prober(Mutex<Option<(PgConnection, Instant)>>);

impl Prober {
    /// After an error, and if nobody waits for its end, the connection is given up.
    pub(super) async fn write(&self, connections: &Connections) -> Result<(), StoreError> {
        let mut idle = self.0.lock().await;
        let (mut connection, made) = match idle.take() {
            Some((connection, made)) if made.elapsed() < LIFETIME => (connection, made),
            _ => (
                connections.connect().await.map_err(failure)?,
                Instant::now(),
            ),
        };
        let writing = query(WRITE).bind(WORKER).execute(&mut connection);
        writing.await.map_err(failure)?;
        *idle = Some((connection, made));
        Ok(())
    }

    pub(super) async fn close(&self) {
        // The server notices the end of the socket.
        self.0.lock().await.take();
    }
}
