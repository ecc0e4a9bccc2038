//! Ends what was started when the process that started it ends, even by `SIGKILL`.
//!
//! A shell reads from a pipe whose other end this process holds. When the pipe closes, in whichever
//! way, the shell cleans up. Nothing else is sure: statics are never dropped.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
};

use anyhow::Context;

/// Runs `$3…`; at the end sends it the signal `$1`, and removes the folder `$2` if there is one.
const RUN: &str = r#"
signal=$1 folder=$2; shift 2
"$@" </dev/null & pid=$!
trap '' INT TERM
cat >/dev/null
kill -s "$signal" "$pid"
wait "$pid"
[ -z "$folder" ] || rm -rf "$folder"
"#;

/// Runs `$@` at the end.
const RUN_AFTERWARDS: &str = r#"
trap '' INT TERM
cat >/dev/null
"$@" >/dev/null 2>&1
"#;

/// What it stands for ends with it.
#[derive(Debug)]
pub(super) struct Guard(Child);

impl Guard {
    /// Runs a program until then, and ends it with `signal`. Its output goes to `log`.
    pub(super) fn run(
        program: &[&str],
        signal: &str,
        log: &Path,
        remove: Option<&Path>,
    ) -> anyhow::Result<Self> {
        let log = std::fs::File::create(log)?;
        let folder = remove.map(Path::as_os_str).unwrap_or_default();
        let child = Command::new("sh")
            .args(["-c", RUN, "guard", signal])
            .arg(folder)
            .args(program)
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("a shell is needed")?;
        Ok(Self(child))
    }

    /// Runs a command then.
    pub(super) fn run_afterwards(command: &[&str]) -> anyhow::Result<Self> {
        let child = Command::new("sh")
            .args(["-c", RUN_AFTERWARDS, "guard"])
            .args(command)
            .stdin(Stdio::piped())
            .spawn()
            .context("a shell is needed")?;
        Ok(Self(child))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_dropped_guard_ends_its_program_and_removes_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let (log, gone) = (folder.path().join("log"), folder.path().join("data"));
        std::fs::create_dir(&gone).unwrap();
        let program = ["sh", "-c", "echo $$; exec sleep 60"];
        let guard = Guard::run(&program, "KILL", &log, Some(&gone)).unwrap();
        let mut pid = String::new();
        crate::eventually("it runs", Duration::from_secs(10), async || {
            pid = std::fs::read_to_string(&log).unwrap();
            pid.ends_with('\n')
        })
        .await;
        let process = Path::new("/proc").join(pid.trim());
        assert!(process.exists());
        drop(guard);
        assert!(!process.exists());
        assert!(!gone.exists());
    }
}
