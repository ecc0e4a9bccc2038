//! Servers of one test's own, for tests that take them away. Always programs on this machine.

use tempfile::TempDir;

use super::{Guard, local};
use crate::programs::free_port;

macro_rules! own_server {
    ($(#[$doc:meta])* $name:ident, $url:path, $answers:path, $start:path, $make:expr) => {
        $(#[$doc])*
        pub struct $name {
            port: u16,
            guard: Option<Guard>,
            folder: TempDir,
        }

        impl $name {
            /// Starts one, empty.
            ///
            /// # Panics
            /// If it is not installed.
            pub async fn start() -> Self {
                let folder = tempfile::tempdir().expect("a temporary folder");
                $make(folder.path()).expect("an empty server (scripts/test installs what it needs)");
                let mut server = Self { port: free_port(), guard: None, folder };
                server.restart().await;
                server
            }

            /// Its address, the same after a restart.
            #[must_use]
            pub fn url(&self) -> String {
                $url(self.port)
            }

            /// Ends it at once, like a crash.
            pub fn stop(&mut self) {
                self.guard = None;
            }

            /// Starts it again on the same port with the same data, and waits until it answers.
            ///
            /// # Panics
            /// If it does not start.
            pub async fn restart(&mut self) {
                self.stop();
                let guard = $start(self.port, self.folder.path(), false);
                self.guard = Some(guard.expect("it starts (scripts/test installs what it needs)"));
                $answers(&self.url()).await;
            }
        }
    };
}

own_server! {
    /// A Redis of one test's own; everything acknowledged is on disk.
    OwnRedis, local::redis_url, local::redis_answers, local::start_redis, |_| anyhow::Ok(())
}

own_server! {
    /// A PostgreSQL of one test's own.
    OwnPostgres, local::postgres_url, local::postgres_answers, local::start_postgres,
    local::make_postgres
}
