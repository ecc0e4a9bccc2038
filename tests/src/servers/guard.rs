//! Ends what a test started when the test's process ends, in whatever way.
//!
//! Destructors do not run for statics, nor in a process that is killed. So what is started is put
//! in the care of a small shell process that waits at a pipe: the writing end is held by the test's
//! process alone, and closes with it.

use std::{
    io::{BufRead, BufReader, Write},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use anyhow::{Context, Result, ensure};

use super::account::Account;

/// Runs a server and obeys `start`, `stop`, `freeze` and `thaw`, one a line, with `done` for an answer. Arguments: the
/// signal that ends the server at once, its folder, its command.
const SERVER: &str = r#"
signal=$1 folder=$2
shift 2
start() { "$@" >>"$folder/log" 2>&1 & pid=$!; }
stop() {
    [ -n "$pid" ] || return
    kill -s "$signal" "$pid"
    # A server that is only just starting may have missed the signal.
    [ "$signal" = KILL ] || (sleep 10; kill -s KILL "$pid") >/dev/null & late=$!
    wait "$pid"
    kill "$late"
    pid=
}
start "$@"
while read -r order; do
    case $order in
        start) start "$@" ;;
        stop) stop ;;
        freeze) kill -s STOP "$pid" ;;
        thaw) kill -s CONT "$pid" ;;
    esac
    echo done
done
stop
cd / && rm -rf -- "$folder"
"#;

/// Removes a container at the end. Argument: its name.
const CONTAINER: &str = r#"cat; docker rm --force --volumes "$1""#;

/// The keeper of one server. When it is dropped, or this process ends, the server ends too, and what
/// it stored is removed.
pub(super) struct Guard {
    shell: Child,
    // Always there until the drop, which closes it.
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Guard {
    /// Starts a server, which prints to the file `log` in its folder. The folder must be the
    /// account's, and is removed at the end.
    pub(super) fn server(
        command: &[String],
        folder: &Path,
        signal: &str,
        account: Option<Account>,
    ) -> Result<Self> {
        let mut shell = shell(SERVER);
        shell
            .arg(signal)
            .arg(folder)
            .args(command)
            .current_dir(folder);
        if let Some(account) = account {
            shell.uid(account.user).gid(account.group);
        }
        Self::spawn(shell)
    }

    /// Sees to it that the container of this name is removed.
    pub(super) fn container(name: &str) -> Result<Self> {
        let mut shell = shell(CONTAINER);
        shell.arg(name);
        Self::spawn(shell)
    }

    fn spawn(mut shell: Command) -> Result<Self> {
        let mut shell = shell
            // Away from the group that a terminal or a test runner sends its signals to.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("sh cannot be started")?;
        let (orders, answers) = (shell.stdin.take(), shell.stdout.take());
        let answers = BufReader::new(answers.context("sh has an output")?);
        Ok(Self {
            shell,
            orders,
            answers,
        })
    }

    /// Starts the server again after [`Guard::stop`].
    pub(super) fn start(&mut self) -> Result<()> {
        self.order("start")
    }

    /// Ends the server at once; returns when it has ended. That takes a moment, or the few seconds that
    /// the script gives it.
    pub(super) fn stop(&mut self) -> Result<()> {
        self.order("stop")
    }

    /// Nothing runs in the server until [`Guard::thaw`].
    pub(super) fn freeze(&mut self) -> Result<()> {
        self.order("freeze")
    }

    /// Ends what [`Guard::freeze`] began.
    pub(super) fn thaw(&mut self) -> Result<()> {
        self.order("thaw")
    }

    fn order(&mut self, order: &str) -> Result<()> {
        let mut answer = String::new();
        writeln!(
            self.orders.as_ref().context("its guard has ended")?,
            "{order}"
        )?;
        self.answers.read_line(&mut answer)?;
        ensure!(answer == "done\n", "its guard has ended");
        Ok(())
    }
}

fn shell(script: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", script, "sh"]);
    shell
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.orders = None;
        // There is nothing left to do if it fails.
        let _ = self.shell.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::{env, fs, path::PathBuf, time::Duration};

    use super::*;
    use crate::eventually;

    const SOON: Duration = Duration::from_secs(10);

    fn sleeper(folder: &Path) -> Guard {
        let script = ["sh", "-c", "echo $$ >pid; exec sleep 600"].map(str::to_owned);
        Guard::server(&script, folder, "KILL", None).unwrap()
    }

    async fn running_sleeper() -> (Guard, PathBuf, String) {
        let folder = tempfile::tempdir().unwrap().keep();
        let guard = sleeper(&folder);
        let pid = pid_in(&folder).await;
        (guard, folder, pid)
    }

    async fn pid_in(folder: &Path) -> String {
        let file = folder.join("pid");
        eventually("the server runs", SOON, async || {
            fs::read_to_string(&file)
                .ok()
                .filter(|pid| pid.ends_with('\n'))
        })
        .await
        .trim()
        .to_owned()
    }

    fn runs(pid: &str) -> bool {
        fs::exists(format!("/proc/{pid}")).unwrap()
    }

    #[tokio::test]
    async fn the_server_ends_with_its_guard_and_its_folder_is_removed() {
        let (guard, folder, pid) = running_sleeper().await;
        assert!(runs(&pid));

        drop(guard);

        assert!(!runs(&pid) && !folder.exists());
    }

    #[tokio::test]
    async fn a_server_can_be_stopped_and_started_again() {
        let (mut guard, folder, first) = running_sleeper().await;
        guard.stop().unwrap();
        assert!(!runs(&first) && folder.exists());

        fs::remove_file(folder.join("pid")).unwrap();
        guard.start().unwrap();
        assert_ne!(pid_in(&folder).await, first);
    }

    #[tokio::test]
    async fn a_stopped_servers_folder_is_removed_too() {
        let (mut guard, folder, _) = running_sleeper().await;
        guard.stop().unwrap();
        drop(guard);
        assert!(!folder.exists());
    }

    /// Nothing is dropped in a process that is killed, but the pipe closes.
    #[tokio::test]
    async fn the_server_ends_when_the_process_that_started_it_is_killed() {
        let folder = tempfile::tempdir().unwrap().keep();
        let mut owner = Command::new(env::current_exe().unwrap())
            .args(["--exact", "--include-ignored", OWNER])
            .env(OWNERS_FOLDER, &folder)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let pid = pid_in(&folder).await;
        assert!(runs(&pid));

        owner.kill().unwrap();
        owner.wait().unwrap();

        let ended = async || !runs(&pid) && !folder.exists();
        eventually("the server has ended", SOON, ended).await;
    }

    const OWNER: &str = "servers::guard::tests::an_owner_that_waits_to_be_killed";
    const OWNERS_FOLDER: &str = "TESTS_OWNERS_FOLDER";

    #[tokio::test]
    #[ignore = "the test above runs it, in a process of its own"]
    async fn an_owner_that_waits_to_be_killed() {
        if let Some(folder) = env::var_os(OWNERS_FOLDER) {
            let _guard = sleeper(Path::new(&folder));
            tokio::time::sleep(10 * SOON).await;
        }
    }
}
