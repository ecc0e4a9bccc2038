//! `PgBouncer` in front of a PostgreSQL of a test's own.

use std::{path::Path, time::Duration};

use tokio::net::TcpStream;

use super::{
    account::{Account, put},
    guard::Guard,
    programs,
};
use crate::{eventually, programs::free_port};

/// How long it may take to listen.
const LISTENS_WITHIN: Duration = Duration::from_secs(10);
/// Where Debian and Ubuntu install it; only root has it in the search path.
const DEBIANS_FOLDER: &str = "/usr/sbin";

/// A running `PgBouncer` in session mode, otherwise as it is without settings. It ends when this is dropped.
pub struct PgBouncer {
    port: u16,
    _guard: Guard,
}

impl PgBouncer {
    /// Starts one that lets `user` in without a password, to every database of the PostgreSQL at `port` of 127.0.0.1.
    ///
    /// # Panics
    /// If it is not installed or does not start.
    pub async fn start(user: &str, port: u16) -> Self {
        let names = ["pgbouncer"];
        let program = programs::in_path(&names)
            .or_else(|| programs::in_folder(Path::new(DEBIANS_FOLDER), &names))
            .expect("there is no program pgbouncer (on Debian and Ubuntu: apt-get install pgbouncer); scripts/test installs it");
        let folder = tempfile::Builder::new()
            .prefix("tests-pgbouncer-")
            .tempdir()
            .expect("a temporary folder");
        let account = Account::instead_of_root(folder.path()).expect("an account to run as");
        let listening = free_port();
        let settings = format!(
            "[databases]\n* = host=127.0.0.1 port={port}\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {listening}\nunix_socket_dir =\n\
             auth_type = trust\nauth_file = users\npool_mode = session\n"
        );
        for (name, content) in [
            ("pgbouncer.ini", settings),
            ("users", format!("\"{user}\" \"\"\n")),
        ] {
            put(&folder.path().join(name), &content, account).expect("its files");
        }
        let command = [program.display().to_string(), "pgbouncer.ini".to_owned()];
        let path = folder.path().canonicalize().expect("its folder");
        let guard = Guard::server(&command, &path, "KILL", account).expect("its guard");
        // From here on the guard removes it.
        let _ = folder.keep();
        eventually("pgbouncer listens", LISTENS_WITHIN, async || {
            TcpStream::connect(("127.0.0.1", listening)).await.is_ok()
        })
        .await;
        Self {
            port: listening,
            _guard: guard,
        }
    }

    /// The port of 127.0.0.1 that it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}
