//! The event aggregator's command line, as a library: `main.rs` only wires it.

pub mod cli;
pub mod client;
pub mod dead_letters;
pub mod digest;
pub mod error;
pub mod events;
pub mod exit;
pub mod meter;
pub mod output;
pub mod publish;
pub mod retry;
pub mod screen;
pub mod signals;
pub mod simulate;
pub mod stats;
pub mod tls;
pub mod verify;

#[cfg(test)]
mod testing;

use std::io::{self, Write};

use clap::CommandFactory;

use crate::{
    cli::{Cli, Command},
    client::Client,
    error::Error,
    exit::Outcome,
    simulate::Chance,
};

/// Does what the command line says.
///
/// # Errors
/// If it cannot be done to the end.
pub async fn run(cli: Cli) -> Result<Outcome, Error> {
    let client = Client::new(cli.server.target()?, signals::stop_on_signal()?)?;
    match cli.command {
        Command::Publish(args) => publish::run(&client, &args, cli.json).await,
        Command::Simulate(args) => {
            let chance = Chance::new(args.seed);
            simulate::run(&client, &args, chance, cli.json).await
        }
        Command::Stats(args) => stats::run(&client, &args, cli.json).await,
        Command::Events(args) => events::run(&client, &args, cli.json).await,
        Command::DeadLetters(command) => dead_letters::run(&client, &command, cli.json).await,
        Command::Verify(args) => verify::run(&client, &args, cli.json).await,
        Command::Completions { shell } => {
            let mut command = Cli::command();
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut command, "eventctl", &mut script);
            io::stdout().lock().write_all(&script)?;
            Ok(Outcome::Well)
        }
    }
}
