//! The workspace's programs as processes.

use std::{
    fs::{self, File},
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;

use crate::eventually;

/// A port that was free a moment ago.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}

/// Where cargo put a program of the workspace.
///
/// # Panics
/// If it was not built.
#[must_use]
pub fn path(program: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the test's own path");
    let profile = test.ancestors().nth(2).expect("target/PROFILE/deps/TEST");
    let path = profile.join(program);
    assert!(
        path.exists(),
        "{} is missing: run cargo build --workspace --bins first",
        path.display()
    );
    path
}

/// A running program, ended with this value; what it said is shown if the test fails.
pub struct Running {
    name: String,
    child: Child,
    folder: TempDir,
}

impl Running {
    /// Starts a program with no settings of its environment but these, in a folder of its own.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn start(program: &str, arguments: &[&str], settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let said = File::create(folder.path().join("output")).expect("a file for its output");
        let child = Command::new(path(program))
            .args(arguments)
            .env_clear()
            .envs(settings.iter().copied())
            .current_dir(&folder)
            .stdin(Stdio::null())
            .stdout(said.try_clone().expect("the same file"))
            .stderr(said)
            .spawn()
            .expect("it starts");
        Self {
            name: program.to_owned(),
            child,
            folder,
        }
    }

    /// Sends a signal, such as `TERM`.
    ///
    /// # Panics
    /// If it cannot be sent.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(sent.is_ok_and(|status| status.success()), "kill -s {name}");
    }

    /// Waits for its end; `None` if a signal ended it.
    ///
    /// # Panics
    /// If it has not ended in time.
    pub async fn wait_exit(&mut self, within: Duration) -> Option<i32> {
        let mut status = None;
        eventually(&format!("{} has ended", self.name), within, async || {
            status = self.child.try_wait().expect("its status");
            status.is_some()
        })
        .await;
        status.and_then(|status| status.code())
    }

    /// All it has said so far.
    #[must_use]
    pub fn output(&self) -> String {
        let bytes = fs::read(self.folder.path().join("output")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to kill or to wait for.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- {} said:\n{}---", self.name, self.output());
        }
    }
}
