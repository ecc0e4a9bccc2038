//! The command line of the event aggregator, as a library. `main.rs` only starts it.
//!
//! - `cli`: what the command line says
//! - `publish`, `send`, `simulate`, `stats`, `topics`, `events`, `event`, `dead_letters`, `verify`, `ready`, `profile`: the
//!   commands, one module each
//! - `profiles`: servers with names; `patience`: tells that a command waits
//! - `output`, `format`, `table`, `screen`, `rates`: what people see
//! - `error`, `exit_code`, `signals`: how a command ends

pub mod cli;
mod dead_letters;
pub mod error;
mod event;
mod events;
pub mod exit_code;
mod format;
pub mod output;
mod patience;
mod profile;
mod profiles;
mod publish;
mod rates;
mod ready;
mod screen;
mod send;
mod signals;
mod simulate;
mod stats;
mod table;
mod topics;
mod verify;

use std::io::{self, Write};

use clap::CommandFactory;
use event_aggregator_client::{Client, Options};

use crate::{
    cli::{Cli, Command},
    error::Error,
    exit_code::Outcome,
    profiles::{Profile, Profiles},
    simulate::RunId,
};

/// Does what the command line says.
///
/// # Errors
/// If the command cannot continue to its end.
pub async fn run(cli: Cli) -> Result<Outcome, Error> {
    // These need no server.
    match cli.command {
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "eventctl", &mut script);
            io::stdout().lock().write_all(&script)?;
            return Ok(Outcome::Well);
        }
        Command::Profile(command) => return profile::run(&command, cli.server, cli.json),
        _ => {}
    }
    let profile = match &cli.server.profile {
        Some(name) => Profiles::read()?.get(name)?.clone(),
        None => Profile::default(),
    };
    let options = cli.server.options(profile, signals::stop_on_signal()?)?;
    let client = Client::new(Options {
        waiting: patience::observer(),
        ..options
    })?;
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
        Command::Send(args) => send::run(&client, &args, cli.json).await,
        Command::Topics(args) => topics::run(&client, &args, cli.json).await,
        Command::Event(args) => event::run(&client, &args, cli.json).await,
        Command::Ready => ready::run(&client, cli.json).await,
        Command::Completions { .. } | Command::Profile(_) => Ok(Outcome::Well),
    }
}
