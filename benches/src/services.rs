//! The programs under test, as they are shipped: they are built without the features of the tests, and each is a process of its
//! own.

use std::{
    env,
    net::SocketAddr,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use tests::programs::{Running, free_port};
use tokio::time::sleep;

use crate::{
    generator::{Connection, get},
    machine,
    processes::ProcessGroup,
};

/// The profile that images and releases are built in, too.
const PROFILE: &str = "dist";
/// How long a program may take to be ready.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// How long a program may take to stop.
const STOPS_WITHIN: Duration = Duration::from_secs(40);
/// The pause before a program is asked again whether it is ready.
const PAUSE: Duration = Duration::from_millis(20);

/// The beginnings of the variables that `cargo run` sets for the program that it runs. A build that this program starts must not
/// see them; otherwise Cargo builds again whatever depends on them.
const CARGOS_OWN: [&str; 4] = [
    "CARGO_PKG_",
    "CARGO_MANIFEST_",
    "CARGO_BIN_",
    "CARGO_CRATE_",
];

/// A program that listens on a port of its own.
pub(crate) struct Service {
    pub(crate) group: ProcessGroup,
    pub(crate) address: SocketAddr,
    running: Running,
}

/// Builds the programs, optimized, in the target folder of this one. Only these are built, because the rest of the workspace
/// would take longer than they do.
pub(crate) fn build() -> Result<()> {
    let own = env::current_exe().context("the path of this program is not known")?;
    // target/dist/benches
    let folder = own
        .parent()
        .context("this program is not in a target folder")?;
    ensure!(
        folder.ends_with(PROFILE),
        "the programs would not be built as they are shipped, so the figures would mean nothing; run cargo run --profile \
         {PROFILE} -p benches"
    );
    let target = folder
        .parent()
        .context("this program is not in a target folder")?;
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build
        .args(["build", "--profile", PROFILE, "--locked"])
        .args(["--quiet", "--target-dir"])
        .arg(target)
        .args(["-p", "publisher", "-p", "aggregator", "-p", "standalone"])
        .current_dir(machine::workspace());
    for (name, _) in env::vars_os() {
        let cargos_own = |name: &str| CARGOS_OWN.iter().any(|prefix| name.starts_with(prefix));
        if name.to_str().is_some_and(cargos_own) {
            build.env_remove(name);
        }
    }
    let status = build.status().context("cargo cannot be run")?;
    ensure!(status.success(), "the programs cannot be built; see above");
    Ok(())
}

impl Service {
    /// Starts a program of the workspace with these settings. The other settings have their defaults.
    pub(crate) fn start(program: &'static str, settings: &[(&str, &str)]) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let bind = address.to_string();
        let mut settings = settings.to_vec();
        settings.push(("BIND_ADDR", &bind));
        let running = Running::start(program, &[], &settings);
        Self::new(program, address, running)
    }

    /// Starts this program as a server to compare with: see [`crate::baseline`].
    pub(crate) fn baseline(arguments: &[&str]) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let bind = address.to_string();
        let all: Vec<&str> = ["baseline", &bind]
            .into_iter()
            .chain(arguments.iter().copied())
            .collect();
        let running = Running::start("benches", &all, &[]);
        Self::new("baseline", address, running)
    }

    fn new(name: &'static str, address: SocketAddr, running: Running) -> Self {
        Self {
            group: ProcessGroup::one(name, running.id()),
            address,
            running,
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.running.id()
    }

    /// Waits until the program answers `GET /ready` with 200.
    pub(crate) async fn ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            if let Ok(mut connection) = Connection::open(self.address).await
                && let Ok((200, _)) = get(&mut connection, "/ready").await
            {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!(
                    "{} was not ready within {READY_WITHIN:?}; it says:\n{}",
                    self.group.name,
                    self.running.output()
                );
            }
            sleep(PAUSE).await;
        }
    }

    /// What the program has printed.
    pub(crate) fn output(&self) -> String {
        self.running.output()
    }

    /// Ends the program as an operator does. The program finishes its work first.
    pub(crate) async fn stop(mut self) -> Result<()> {
        self.running.signal("TERM");
        let code = self.running.wait_exit(STOPS_WITHIN).await;
        ensure!(
            code == Some(0),
            "{} ended with {code:?}; it says:\n{}",
            self.group.name,
            self.running.output()
        );
        Ok(())
    }
}
