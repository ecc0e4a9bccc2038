//! What a worker of a few lines does here: it takes one event at a time off its queue and stores it with one `INSERT`. One is
//! written for Celery in Python, and one for `BullMQ` in Node; both are in `benches/peers`, and are installed by pip and npm.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use sqlx::PgConnection;
use tokio::time::sleep;

use crate::{
    drain,
    lab::{Database, Lab},
    machine,
    report::{Figure, Report},
    stats::{Pairs, float},
    workload::{Mix, Stream},
};

/// How long a worker may take for its events.
const STORED_WITHIN: Duration = Duration::from_mins(3);
/// The pause before the rows are counted again.
const PAUSE: Duration = Duration::from_millis(20);
/// Pairs of each.
const PAIRS: usize = 2;

/// A worker of others.
struct Peer {
    name: &'static str,
    command: fn(&Path) -> Result<Command>,
}

const PEERS: [Peer; 2] = [
    Peer {
        name: "a Celery worker of 4 processes",
        command: celery,
    },
    Peer {
        name: "a BullMQ worker, 50 at once",
        command: bullmq,
    },
];

pub(super) async fn run(lab: &Lab, report: &mut Report) -> Result<()> {
    let folder = machine::workspace().join("benches/peers");
    for peer in PEERS {
        let command = match (peer.command)(&folder) {
            Ok(command) => command,
            Err(error) => {
                report.skip(format!("peers, {}: {error:#}", peer.name));
                continue;
            }
        };
        let mut pairs = Pairs::default();
        for _ in 0..PAIRS {
            let theirs = stored_by(lab, &command).await?;
            let stream = Stream {
                mix: Mix::UNIQUE,
                first: 0,
                count: lab.budget.drain_events,
            };
            lab.empty_queue().await?;
            let database = lab.database().await?;
            let ours = drain::all(lab, &database, stream, &[]).await?.rate;
            lab.remove(database).await?;
            pairs.push(ours, theirs);
        }
        let case = format!("aggregator, beside {}", peer.name);
        let note = "both take events off a full queue and store them in the same table; the worker counts nothing";
        report.add(Figure::beside("peers", case, "events/s", &pairs).note(note));
    }
    Ok(())
}

/// Events per second, from the first row to the last.
async fn stored_by(lab: &Lab, command: &Command) -> Result<f64> {
    lab.empty_queue().await?;
    let database = lab.database().await?;
    let count = lab.budget.peer_events;
    let filled = again(command, lab, &database)
        .args(["fill", &count.to_string()])
        .status()?;
    ensure!(filled.success(), "the queue was not filled; see above");
    let mut connection = database.connect().await?;
    let mut worker = Ended(again(command, lab, &database).arg("work").spawn()?);
    let deadline = Instant::now() + STORED_WITHIN;
    let mut begun = None;
    let rate = loop {
        let rows = rows(&mut connection).await?;
        if rows > 0 {
            let (started, first) = *begun.get_or_insert((Instant::now(), rows));
            if rows == count {
                break float(rows - first) / started.elapsed().as_secs_f64();
            }
        }
        if let Some(status) = worker.0.try_wait()? {
            bail!("the worker ended with {status}; see above");
        }
        ensure!(
            Instant::now() < deadline,
            "{rows} of {count} events were stored within {STORED_WITHIN:?}"
        );
        sleep(PAUSE).await;
    };
    drop(worker);
    connection_closed(connection).await?;
    lab.remove(database).await?;
    Ok(rate)
}

async fn rows(connection: &mut PgConnection) -> Result<u64> {
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM processed_events")
        .fetch_one(connection)
        .await?;
    Ok(u64::try_from(rows)?)
}

async fn connection_closed(connection: PgConnection) -> Result<()> {
    use sqlx::Connection;
    Ok(connection.close().await?)
}

/// A process that ends with this value, with those that it has started.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // Celery ends its processes when it is told to stop.
        let id = self.0.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &id]).status();
        let _ = self.0.wait();
    }
}

fn again(command: &Command, lab: &Lab, database: &Database) -> Command {
    let mut again = Command::new(command.get_program());
    again
        .args(command.get_args())
        .env("REDIS_URL", lab.redis_url())
        .env("DATABASE_URL", database.url())
        .stdout(Stdio::null());
    again
}

/// Where packages are installed: beside the programs that were built.
fn home(name: &str) -> Result<PathBuf> {
    let own = env::current_exe()?;
    let folder = own.parent().context("this program is not in a folder")?;
    Ok(folder.join("peers").join(name))
}

fn celery(folder: &Path) -> Result<Command> {
    let (home, folder) = (home("celery")?, folder.join("celery"));
    let python = home.join("bin/python");
    if !python.exists() {
        run_to_end(Command::new("python3").args(["-m", "venv"]).arg(&home))?;
    }
    let list = folder.join("requirements.txt");
    let mut install = Command::new(&python);
    install.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "-r",
    ]);
    run_to_end(install.arg(list))?;
    let mut command = Command::new(python);
    command.arg(folder.join("worker.py"));
    Ok(command)
}

fn bullmq(folder: &Path) -> Result<Command> {
    let (home, folder) = (home("bullmq")?, folder.join("bullmq"));
    std::fs::create_dir_all(&home)?;
    for file in ["package.json", "package-lock.json", "worker.mjs"] {
        std::fs::copy(folder.join(file), home.join(file))?;
    }
    let mut install = Command::new("npm");
    install.args([
        "ci",
        "--ignore-scripts",
        "--no-audit",
        "--no-fund",
        "--silent",
    ]);
    run_to_end(install.current_dir(&home))?;
    let mut command = Command::new("node");
    command.arg(home.join("worker.mjs"));
    Ok(command)
}

fn run_to_end(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command
        .status()
        .with_context(|| format!("{program} cannot be run; install it"))?;
    ensure!(status.success(), "{program} failed; see above");
    Ok(())
}
