//! Compares the programs with what their parts could do alone: `cargo run --profile dist -p benches -- all`.
//!
//! Everything runs on this machine, with servers of this program's own. Two things that are compared are measured in turn,
//! A B A B, and only their ratio counts, because it is about the same on a fast and on a slow machine.
//!
//! - `benchmarks`: the benchmarks, one file each
//! - `lab`: the servers; `services`: the programs under test; `baseline`: the servers that they are compared with
//! - `workload`: the events; `generator`: the load over HTTP
//! - `drain`: the aggregator stores a queue; `floor`, `sqlite`: a database stores the same rows alone
//! - `stats`, `processes`, `machine`, `report`: make a table of samples; `budget`: how much is measured

mod baseline;
mod benchmarks;
mod budget;
mod drain;
mod floor;
mod generator;
mod lab;
mod machine;
mod processes;
mod report;
mod services;
mod sqlite;
mod stats;
mod workload;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use chrono::Utc;
use clap::{Parser, Subcommand, ValueEnum};

use crate::{
    baseline::Baseline, benchmarks::Benchmark, budget::Budget, floor::Floor, lab::Lab,
    machine::Machine, report::Report,
};

/// Measure the event aggregator, beside what its parts could do alone
#[derive(Debug, Parser)]
#[command(
    name = "benches",
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
struct Arguments {
    /// What to measure: all (takes up to 30 minutes and writes docs/BENCHMARKS.md), quick (measures all with less, in up to 3
    /// minutes), or any of floor, drain, accept, end-to-end, ingest, standalone, growth, forgetting, memory, queue-bytes,
    /// queue-depth, workers, slots, shards, payload, peers
    #[arg(value_parser = What::parse, required = true)]
    what: Vec<What>,

    /// Measure as little as quick does
    #[arg(long)]
    quick: bool,

    /// The benches of an earlier commit, built with --profile dist, beside its programs: each benchmark is measured with them,
    /// too, right after this one
    #[arg(long, value_name = "PATH")]
    before: Option<PathBuf>,

    /// Write docs/BENCHMARKS.md, also when that is not the default
    #[arg(long)]
    write: bool,

    #[command(subcommand)]
    command: Option<Serve>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    All,
    Quick,
    One(Benchmark),
}

#[derive(Debug, Subcommand)]
enum Serve {
    /// Run a server that the programs are compared with
    #[command(hide = true)]
    Baseline {
        /// The address and port to listen on
        address: SocketAddr,
        #[command(subcommand)]
        what: Baseline,
    },
}

impl What {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "all" => Ok(Self::All),
            "quick" => Ok(Self::Quick),
            name => Benchmark::from_str(name, false)
                .map(Self::One)
                .map_err(|_| {
                    let names = Benchmark::value_variants()
                        .iter()
                        .filter_map(Benchmark::to_possible_value);
                    let names: Vec<String> =
                        names.map(|value| value.get_name().to_owned()).collect();
                    format!("must be all, quick, or any of {}", names.join(", "))
                }),
        }
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    match arguments.command {
        Some(Serve::Baseline { address, what }) => baseline::serve(address, what).await,
        None => measure(&arguments).await,
    }
}

async fn measure(arguments: &Arguments) -> Result<()> {
    let all = arguments.what.contains(&What::All);
    let quick = arguments.quick || arguments.what.contains(&What::Quick);
    let named = |benchmark: &Benchmark| arguments.what.contains(&What::One(*benchmark));
    let everything = all || arguments.what.contains(&What::Quick);
    let chosen = Benchmark::value_variants().iter();
    let chosen = chosen.filter(|benchmark| everything || named(benchmark));

    services::build()?;
    let started = Instant::now();
    let lab = Lab::start(if quick { Budget::QUICK } else { Budget::ALL }).await?;
    let floor = Floor::of(&lab);
    let settings = lab::POSTGRES_SETTINGS.map(str::to_owned);
    let mut report = Report {
        started: Utc::now(),
        quick,
        machine: Machine::this(lab.data())?,
        versions: lab.versions().to_vec(),
        settings: settings
            .into_iter()
            .chain([lab::REDIS_SETTINGS.join(" ")])
            .collect(),
        figures: Vec::new(),
        skipped: Vec::new(),
    };
    println!("{}", report::HEAD);
    let mut failed = Vec::new();
    for benchmark in chosen {
        let since = Instant::now();
        // One that fails does not stop the others.
        if let Err(error) = benchmark.run(&lab, &floor, &mut report).await {
            eprintln!("  {benchmark:?} failed: {error:#}");
            report.skip(format!("{benchmark:?} failed: {error:#}"));
            failed.push(benchmark);
        }
        if let Some(before) = &arguments.before {
            report.compare(&earlier(before, *benchmark, quick)?);
        }
        eprintln!("  {benchmark:?}: {:.0} s", since.elapsed().as_secs_f64());
    }
    eprintln!("  everything: {:.0} s", started.elapsed().as_secs_f64());
    if arguments.write || (all && !quick) {
        for path in report.save(&machine::workspace().join("docs"))? {
            eprintln!("  written: {}", path.display());
        }
    } else {
        println!("\n{}", report.markdown());
    }
    ensure!(
        failed.is_empty(),
        "these benchmarks failed: {failed:?}; see above"
    );
    Ok(())
}

/// What the benches of an earlier commit print about a benchmark. They need not be built again, and may not know it.
fn earlier(benches: &Path, benchmark: Benchmark, quick: bool) -> Result<String> {
    let value = benchmark.to_possible_value();
    let name = value.map_or_else(String::new, |value| value.get_name().to_owned());
    let mut command = Command::new(benches);
    command.arg(name).env("CARGO", "true");
    if quick {
        command.arg("--quick");
    }
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| benches.display().to_string())?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
