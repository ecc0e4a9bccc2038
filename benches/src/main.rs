//! Measures the programs against what their parts could do alone: `cargo run --release -p benches -- all`.
//!
//! Everything runs on this machine, on servers of this program's own. What is compared is measured in turn, A B A B, and
//! only ratios count: they say the same on a fast and on a slow machine.
//!
//! - `benchmarks`: one file each
//! - `lab`: the servers; `services`: the programs under test; `baseline`: what they are compared with
//! - `workload`: events; `generator`: HTTP load; `drain`, `floor`: into the database, with the aggregator and without
//! - `stats`, `processes`, `machine`, `report`: from samples to a table

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

use std::{net::SocketAddr, time::Instant};

use anyhow::{Result, ensure};
use chrono::Utc;
use clap::{Parser, Subcommand, ValueEnum};

use crate::{
    baseline::Baseline, benchmarks::Benchmark, budget::Budget, lab::Lab, machine::Machine,
    report::Report,
};

/// Measures the event aggregator.
#[derive(Debug, Parser)]
#[command(
    name = "benches",
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
struct Arguments {
    /// What to measure: all (within 30 minutes; writes docs/BENCHMARKS.md), quick (all, with little, within 3), or some of
    /// floor, drain, accept, end-to-end, ingest, standalone, growth, memory, queue-depth, workers, payload
    #[arg(value_parser = What::parse, required = true)]
    what: Vec<What>,

    /// Measure with as little as quick does
    #[arg(long)]
    quick: bool,

    /// Write docs/BENCHMARKS.md also where that is not the default
    #[arg(long)]
    write: bool,

    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    All,
    Quick,
    One(Benchmark),
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Be a server to compare with
    #[command(hide = true)]
    Baseline {
        /// Address and port to listen on
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
                    format!("name all, quick, or some of {}", names.join(", "))
                }),
        }
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    match arguments.command {
        Some(Command::Baseline { address, what }) => baseline::serve(address, what).await,
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
        // What the others came to is worth keeping.
        if let Err(error) = benchmark.run(&lab, &mut report).await {
            eprintln!("  {benchmark:?} failed: {error:#}");
            report.skip(format!("{benchmark:?} failed: {error:#}"));
            failed.push(benchmark);
        }
        eprintln!("  {benchmark:?}: {:.0} s", since.elapsed().as_secs_f64());
    }
    eprintln!("  all of it: {:.0} s", started.elapsed().as_secs_f64());
    if arguments.write || (all && !quick) {
        for path in report.save(&machine::workspace().join("docs"))? {
            eprintln!("  written: {}", path.display());
        }
    } else {
        println!("\n{}", report.markdown());
    }
    ensure!(failed.is_empty(), "these failed, see above: {failed:?}");
    Ok(())
}
