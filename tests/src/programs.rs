//! The workspace's programs as processes.

use std::{
    collections::BTreeSet,
    env,
    fmt::Display,
    fs::{self, File},
    net::{Ipv4Addr, TcpListener},
    ops::Range,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use clap::CommandFactory;
use tempfile::TempDir;
use tokio::time::timeout;

use crate::eventually;

/// The programs that serve, by name.
pub const ALL: [&str; 3] = ["publisher", "aggregator", "event-aggregator"];

/// Where free ports are looked for: below those that systems give to outgoing connections, so that
/// a server that was taken away still finds its port free when it comes back.
const PORTS: Range<u16> = 15_000..32_000;
/// How long a program may take that only prints something.
const RUNS_WITHIN: Duration = Duration::from_secs(30);
/// How many ports are tried.
const PORT_TRIES: usize = 1000;

/// What a program sees of this process's environment besides its settings: a developer's
/// `DATABASE_URL` must not get into a test.
const PASSED_ON: [&str; 4] = ["PATH", "HOME", "TMPDIR", "RUST_BACKTRACE"];

/// What a program prints, in its folder.
const OUTPUT: &str = "output";

/// A port of 127.0.0.1 that was free a moment ago.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn free_port() -> u16 {
    free_ports(1).start
}

/// So many ports of 127.0.0.1 in a row that were free a moment ago.
///
/// # Panics
/// If there are none.
#[must_use]
pub fn free_ports(count: u16) -> Range<u16> {
    let free = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    std::iter::repeat_with(|| rand::random_range(PORTS))
        .map(|first| first..first + count)
        .take(PORT_TRIES)
        .find(|ports| ports.clone().all(free))
        .unwrap_or_else(|| panic!("no free port on 127.0.0.1 in {PORTS:?}: stop what holds them"))
}

/// Where cargo put a program of the workspace, in the profile of this test.
///
/// # Panics
/// If it was not built.
#[must_use]
pub fn path(program: &str) -> PathBuf {
    let own = env::current_exe().expect("this program's own path");
    // A program is in target/PROFILE, a test in target/PROFILE/deps.
    let folders = own.ancestors().skip(1).take(2);
    let paths: Vec<PathBuf> = folders.map(|folder| folder.join(program)).collect();
    let path = paths.iter().find(|path| path.is_file());
    path.cloned()
        .unwrap_or_else(|| panic!("none of {paths:?} exists: run cargo build --workspace first"))
}

/// The arguments and settings of a program that serves, as the program itself knows them.
///
/// # Panics
/// If there is no program of this name.
#[must_use]
pub fn command(program: &str) -> clap::Command {
    match program {
        "publisher" => publisher::Settings::command(),
        "aggregator" => aggregator::Settings::command(),
        "event-aggregator" => standalone::Settings::command(),
        _ => panic!("there is no program {program}"),
    }
}

/// The environment variables from which a program that serves takes its settings.
///
/// # Panics
/// If there is no program of this name.
#[must_use]
pub fn settings(program: &str) -> BTreeSet<String> {
    let command = command(program);
    let names = command.get_arguments().filter_map(clap::Arg::get_env);
    names
        .map(|name| name.to_string_lossy().into_owned())
        .collect()
}

/// How a program ended, and what it printed.
pub struct Ended {
    /// Its exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

/// Runs a program of the workspace to its end, with no other settings in its environment than these.
///
/// # Panics
/// If it was not built, cannot be started, or does not end in time.
pub async fn run(program: &str, arguments: &[&str], settings: &[(&str, &str)]) -> Ended {
    let mut command = Command::new(path(program));
    command.args(arguments);
    run_command(command, settings).await
}

/// Runs any command to its end, with no other settings in its environment than these.
///
/// # Panics
/// If it cannot be started or does not end in time.
pub async fn run_command(mut command: Command, settings: &[(&str, &str)]) -> Ended {
    let folder = tempfile::tempdir().expect("a temporary folder");
    with_settings(&mut command, settings);
    command.current_dir(&folder).stdin(Stdio::null());
    let said = format!("{command:?}");
    let mut command = tokio::process::Command::from(command);
    let output = timeout(RUNS_WITHIN, command.kill_on_drop(true).output()).await;
    let output = output.unwrap_or_else(|_| panic!("{said} does not end within {RUNS_WITHIN:?}"));
    let output = output.unwrap_or_else(|e| panic!("{said} cannot be started: {e}"));
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ended {
        code: output.status.code(),
        out: text(output.stdout),
        err: text(output.stderr),
    }
}

fn with_settings(command: &mut Command, settings: &[(&str, &str)]) {
    let inherited = PASSED_ON.into_iter();
    let inherited = inherited.filter_map(|name| Some((name, env::var_os(name)?)));
    command
        .env_clear()
        .envs(inherited)
        .envs(settings.iter().copied());
}

/// A running program, killed when this is dropped; what it printed is shown if its test fails.
pub struct Running {
    name: String,
    child: Child,
    folder: TempDir,
}

impl Running {
    /// Starts a program of the workspace with these arguments and no other settings in its
    /// environment than these, in a temporary folder.
    ///
    /// # Panics
    /// If it was not built or cannot be started.
    #[must_use]
    pub fn start(program: &str, arguments: &[&str], settings: &[(&str, &str)]) -> Self {
        let mut command = Command::new(path(program));
        command.args(arguments);
        Self::spawn(program, command, settings)
    }

    /// Like [`Running::start`], once `sh` has run `limits` in the same process: `ulimit -S -f 100`.
    ///
    /// # Panics
    /// If it was not built or cannot be started.
    #[must_use]
    pub fn start_limited(limits: &str, program: &str, settings: &[(&str, &str)]) -> Self {
        let mut command = Command::new("sh");
        command
            .args(["-c", &format!("{limits} && exec \"$0\"")])
            .arg(path(program));
        Self::spawn(program, command, settings)
    }

    /// Starts any command, like [`Running::start`].
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn command(name: &str, command: Command) -> Self {
        Self::spawn(name, command, &[])
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How much of its memory is in use, in bytes.
    ///
    /// # Panics
    /// If the system does not tell.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.bytes("VmRSS:")
    }

    /// The most memory that was ever in use, in bytes.
    ///
    /// # Panics
    /// If the system does not tell.
    #[must_use]
    pub fn peak_memory(&self) -> usize {
        self.bytes("VmHWM:")
    }

    /// A line of [proc(5)](https://man7.org/linux/man-pages/man5/proc_pid_status.5.html).
    fn bytes(&self, line: &str) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id()));
        let status = status.expect("a running process has a status");
        let kibibytes = status.lines().find_map(|other| other.strip_prefix(line));
        let kibibytes = kibibytes.expect("Linux says it").trim();
        let kibibytes = kibibytes.trim_end_matches(" kB").parse::<usize>();
        kibibytes.expect("a number") * 1024
    }

    fn spawn(name: &str, mut command: Command, settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let output = File::create(folder.path().join(OUTPUT)).expect("a file for its output");
        with_settings(&mut command, settings);
        command
            .current_dir(&folder)
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("the same file"))
            .stderr(output);
        Self {
            name: name.to_owned(),
            child: command.spawn().expect("it starts"),
            folder,
        }
    }

    /// Sends it a signal, such as `TERM`.
    ///
    /// # Panics
    /// If it cannot be sent.
    pub fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    /// Waits for its end and returns its exit code; `None` if a signal ended it.
    ///
    /// # Panics
    /// If it has not ended in time.
    pub async fn wait_exit(&mut self, within: Duration) -> Option<i32> {
        let what = format!("{} has ended", self.name);
        let child = &mut self.child;
        let ended = async || child.try_wait().expect("its status");
        eventually(&what, within, ended).await.code()
    }

    /// All it has printed so far, on standard output and standard error.
    #[must_use]
    pub fn output(&self) -> String {
        let bytes = fs::read(self.folder.path().join(OUTPUT)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to kill or to wait for.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- {} printed:\n{}---", self.name, self.output());
        }
    }
}

/// Sends a signal to a process.
///
/// # Panics
/// If it cannot be sent.
pub fn signal(process: impl Display, name: &str) {
    // The standard library cannot, and this workspace has no unsafe code.
    let sent = Command::new("kill")
        .args(["-s", name, &process.to_string()])
        .status();
    assert!(
        sent.is_ok_and(|status| status.success()),
        "kill -s {name} {process}"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    fn shell(script: &str, settings: &[(&str, &str)]) -> Running {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Running::spawn("sh", command, settings)
    }

    #[tokio::test]
    async fn a_program_has_its_settings_an_output_and_an_exit_code() {
        let script = "echo $GREETING; echo to you >&2; exit 7";
        let mut program = shell(script, &[("GREETING", "hello")]);
        assert_eq!(program.wait_exit(SOON).await, Some(7));
        assert_eq!(program.output(), "hello\nto you\n");
    }

    #[tokio::test]
    async fn a_program_has_no_settings_but_its_own() {
        assert!(env::var_os("CARGO_MANIFEST_DIR").is_some(), "cargo sets it");
        let mut program = shell("test -z \"$CARGO_MANIFEST_DIR\"", &[]);
        assert_eq!(program.wait_exit(SOON).await, Some(0));
    }

    #[tokio::test]
    async fn a_program_can_be_sent_signals() {
        let script = "trap 'exit 3' TERM; echo ready; while :; do sleep 0.01; done";
        let mut program = shell(script, &[]);
        let ready = async || program.output() == "ready\n";
        eventually("it is ready", SOON, ready).await;
        program.signal("TERM");
        assert_eq!(program.wait_exit(SOON).await, Some(3));
    }

    #[tokio::test]
    async fn a_program_that_a_signal_ended_has_no_exit_code() {
        let mut program = shell("exec sleep 600", &[]);
        program.signal("KILL");
        assert_eq!(program.wait_exit(SOON).await, None);
    }

    #[test]
    fn a_program_ends_with_its_owner() {
        let program = shell("exec sleep 600", &[]);
        let process = format!("/proc/{}", program.child.id());
        let folder = program.folder.path().to_owned();
        drop(program);
        assert!(!fs::exists(process).unwrap() && !folder.exists());
    }

    #[test]
    #[should_panic(expected = "run cargo build --workspace first")]
    fn a_missing_program_is_reported_with_what_to_do() {
        let _ = path("no-such-program");
    }

    #[test]
    fn a_free_port_can_be_listened_on() {
        assert!(TcpListener::bind((Ipv4Addr::LOCALHOST, free_port())).is_ok());
    }
}
