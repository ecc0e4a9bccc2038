//! Kills, freezes and disconnects the system, seed after seed, and counts what came of it.
//!
//! The publisher and the aggregator must have been built: `cargo build --workspace --bins`.

use std::process::ExitCode;

use clap::Parser;
use tests::{
    chaos::{Options, Stage, report::Summary, run, schedule::Schedule},
    failover::{self, Way},
    faults::Mutant,
};

/// Breaks the system as seeds say, and checks that nothing acknowledged is lost, stored twice or miscounted
#[derive(Debug, Parser)]
struct Arguments {
    /// How many seeds
    #[arg(long, default_value_t = 10, value_name = "COUNT")]
    seeds: u64,

    /// The first of them; the others follow
    #[arg(long, default_value_t = 1, value_name = "SEED")]
    first_seed: u64,

    /// Only this seed, with its schedule
    #[arg(long, conflicts_with_all = ["seeds", "first_seed", "kills_at_least"])]
    seed: Option<u64>,

    /// Go on after the last seed until so many processes and servers were killed
    #[arg(long, default_value_t = 0, value_name = "COUNT")]
    kills_at_least: usize,

    /// What aggregators do wrong on purpose, to see it noticed
    #[arg(long, value_name = "NAME")]
    mutant: Option<Mutant>,

    /// The ledger forgets what is older than a second
    #[arg(long)]
    forgetting: bool,

    /// Instead: so many failovers of Redis under load, over a cluster or Sentinels
    #[arg(long, value_name = "COUNT", requires = "over")]
    failovers: Option<usize>,

    /// Over what
    #[arg(long, value_name = "WAY", requires = "failovers")]
    over: Option<Way>,

    /// `REDIS_WAIT_REPLICAS` of the publishers, during failovers
    #[arg(long, default_value_t = 1, value_name = "COUNT")]
    wait_on_accept: u8,

    /// `REDIS_WAIT_REPLICAS` of the aggregators, during failovers
    #[arg(long, default_value_t = 1, value_name = "COUNT")]
    wait_on_claim: u8,

    /// Go on after a seed that broke the promise
    #[arg(long)]
    keep_going: bool,
}

/// Most seeds in one go: `--kills-at-least` must end, too.
const MAX_SEEDS: u64 = 100_000;

#[tokio::main(flavor = "multi_thread", worker_threads = 4)]
async fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    if let (Some(way), Some(failovers)) = (arguments.over, arguments.failovers) {
        let options = failover::Options {
            wait_on_accept: arguments.wait_on_accept,
            wait_on_claim: arguments.wait_on_claim,
            ..failover::Options::new(way, arguments.first_seed, failovers)
        };
        let report = failover::run(&options).await?;
        println!("{report}");
        return Ok(ExitCode::from(u8::from(!report.is_clean())));
    }
    if let Some(seed) = arguments.seed {
        print!("schedule:\n{}", Schedule::of_seed(seed));
    }
    let first = arguments.seed.unwrap_or(arguments.first_seed);
    let least = arguments.seed.map_or(arguments.seeds, |_| 1);
    let options = Options {
        mutant: arguments.mutant,
        forgetting: arguments.forgetting,
        ..Options::default()
    };
    let mut stage = Stage::start().await;
    let mut summary = Summary::default();
    for seed in (first..).take(usize::try_from(MAX_SEEDS)?) {
        if seed - first >= least && summary.kills.total() >= arguments.kills_at_least {
            break;
        }
        let report = run(seed, &mut stage, &options).await?;
        println!("{report}");
        summary.add(&report);
        if !report.is_clean() && !arguments.keep_going {
            break;
        }
    }
    println!("{summary}");
    Ok(ExitCode::from(u8::from(summary.broken > 0)))
}
