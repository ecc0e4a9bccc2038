//! The command line of the event aggregator, as a library. `main.rs` only starts it.
//!
//! - `cli`: what the command line says
//! - `publish`, `simulate`, `stats`, `events`, `dead_letters`, `verify`: the commands, one module each
//! - `output`, `format`, `table`, `screen`, `rates`: what people see
//! - `error`, `exit_code`, `signals`: how a command ends

pub mod cli;
mod dead_letters;
pub mod error;
mod events;
pub mod exit_code;
mod format;
pub mod output;
mod publish;
mod rates;
mod screen;
mod signals;
mod simulate;
mod stats;
mod table;
mod verify;

use std::io::{self, Write};

use clap::CommandFactory;
use event_aggregator_client::Client;

use crate::{
    cli::{Cli, Command},
    error::Error,
    exit_code::Outcome,
    simulate::RunId,
};

/// Does what the command line says.
///
/// # Errors
/// If the command cannot continue to its end.
pub async fn run(cli: Cli) -> Result<Outcome, Error> {
    let client = Client::new(cli.server.options(signals::stop_on_signal()?)?)?;
    match cli.command {
        Command::Publish(args) => publish::run(&client, &args, cli.json).await,
        Command::Simulate(args) => {
            let id = RunId::new(args.seed);
            simulate::run(&client, &args, id, cli.json).await
        }
        Command::Stats(args) => stats::run(&client, &args, cli.json).await,
        Command::Events(args) => events::run(&client, &args, cli.json).await,
        Command::DeadLetters(command) => dead_letters::run(&client, &command, cli.json).await,
        Command::Verify(args) => verify::run(&client, &args, cli.json).await,
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "eventctl", &mut script);
            io::stdout().lock().write_all(&script)?;
            Ok(Outcome::Well)
        }
    }
}
