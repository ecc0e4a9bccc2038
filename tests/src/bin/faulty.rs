//! A publisher or an aggregator with a fault. Its other settings are those of the program, in the environment.

use aggregator::Aggregator;
use clap::{Parser, ValueEnum};
use runtime::{faults::Point, lifecycle, telemetry};
use tests::faults::{Mutant, die_at};

#[derive(Debug, Parser)]
struct Arguments {
    /// Which program
    #[arg(env)]
    program: Program,

    /// The point at which the process dies
    #[arg(long, env)]
    crash_at: Option<Point>,

    /// The rule that an aggregator breaks
    #[arg(long, env)]
    mutant: Option<Mutant>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Program {
    Publisher,
    Aggregator,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if let Some(point) = arguments.crash_at {
        die_at(point);
    }
    let stop = lifecycle::stop_on_signal()?;
    match arguments.program {
        Program::Publisher => {
            let settings = publisher::Settings::parse_from(["publisher"]);
            telemetry::init(&settings.common.log);
            let publisher = publisher::Application::build(&settings)?;
            publisher.run_until_stopped(stop).await?;
        }
        Program::Aggregator => {
            let settings = aggregator::Settings::parse_from(["aggregator"]);
            telemetry::init(&settings.common.log);
            let aggregator = aggregator::Application::build_with(&settings, |settings| {
                let (mut queue, mut store) = settings.parts()?;
                if let Some(mutant) = arguments.mutant {
                    (queue, store) = mutant.among(queue, store);
                }
                Ok(Aggregator::over(
                    queue,
                    settings.queue_max_len,
                    store,
                    settings.workers,
                    settings.ledger.rules(),
                    settings.common.limits,
                ))
            })?;
            aggregator.run_until_stopped(stop).await?;
        }
    }
    Ok(())
}
