//! Whether SQLite's files are still those that it has open. It goes on with a file that was deleted or replaced, as any
//! program does, and what it writes there is gone with the process.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{PoisonError, RwLock},
};

use sqlx::{ConnectOptions, Connection, SqliteConnection, query, sqlite::SqliteConnectOptions};
use tokio::sync::Mutex;

const DATABASE_GONE: &str = "the SQLite file was deleted or replaced while it was in use; stop the program, put the \
                             file back, and start the program again";
const LOG_GONE: &str = "SQLite's write-ahead log (the files -wal and -shm beside the database) was deleted or replaced \
                        while it was in use; stop the program with SIGTERM, which saves what is in the log, and start \
                        it again";

/// The files of a database in use.
pub(super) struct Files {
    database: PathBuf,
    log: [PathBuf; 2],
    held: RwLock<Option<Held>>,
    /// A connection that does nothing: as long as it lives, SQLite itself neither removes the log nor makes another.
    holder: Mutex<Option<SqliteConnection>>,
}

/// What lay at the paths when SQLite opened them.
struct Held {
    database: Identity,
    log: [Identity; 2],
}

/// Which file it is, whatever its name.
#[derive(PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    /// The file is only looked at: closing a second handle of it would release SQLite's locks
    /// ([section 2.2](https://www.sqlite.org/howtocorrupt.html#_posix_advisory_locks_canceled_by_a_separate_thread_doing_close_)).
    fn of(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        Ok(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
        })
    }

    fn is_at(&self, path: &Path) -> bool {
        Self::of(path).is_ok_and(|found| found == *self)
    }
}

impl Files {
    pub(super) fn of(database: &Path) -> Self {
        let beside = |suffix| {
            let mut path = database.as_os_str().to_owned();
            path.push(suffix);
            PathBuf::from(path)
        };
        Self {
            database: database.to_owned(),
            log: ["-wal", "-shm"].map(beside),
            held: RwLock::default(),
            holder: Mutex::new(None),
        }
    }

    /// From now on, these files and no others are meant.
    pub(super) async fn hold(&self, options: &SqliteConnectOptions) -> sqlx::Result<()> {
        let mut holder = self.holder.lock().await;
        if holder.is_some() {
            return Ok(());
        }
        let mut connection = options.connect().await?;
        // What is read first opens the log.
        query("SELECT count(*) FROM sqlite_schema")
            .execute(&mut connection)
            .await?;
        let [wal, shm] = &self.log;
        let held = Held {
            database: Identity::of(&self.database)?,
            log: [Identity::of(wal)?, Identity::of(shm)?],
        };
        self.mean(Some(held));
        *holder = Some(connection);
        Ok(())
    }

    /// Whether what is written now is at the path afterwards.
    ///
    /// # Errors
    /// What to do, if it is not.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        let Some(held) = &*held else {
            return Ok(());
        };
        if !held.database.is_at(&self.database) {
            return Err(DATABASE_GONE);
        }
        let log = held.log.iter().zip(&self.log);
        if log.into_iter().all(|(held, path)| held.is_at(path)) {
            Ok(())
        } else {
            Err(LOG_GONE)
        }
    }

    /// No files are meant any more, and SQLite may remove the log with its last connection.
    pub(super) async fn release(&self) {
        self.mean(None);
        if let Some(connection) = self.holder.lock().await.take() {
            // There is nothing to lose on it.
            let _ = connection.close().await;
        }
    }

    fn mean(&self, held: Option<Held>) {
        *self.held.write().unwrap_or_else(PoisonError::into_inner) = held;
    }
}
