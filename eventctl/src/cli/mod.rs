//! The command line: `server` says which servers, `commands` what to do with them, and `values` reads numbers and times.

mod commands;
mod server;
mod values;

use std::env;

use clap::{Arg, CommandFactory, FromArgMatches, Parser};

pub use self::{
    commands::{
        Command, DeadLettersCommand, EventArgs, EventsArgs, First, ProfileCommand, PublishArgs,
        SendArgs, SimulateArgs, StatsArgs, TopicsArgs, VerifyArgs,
    },
    server::ServerArgs,
    values::{Moment, TimeSpan},
};
use crate::exit_code;

/// What `--help` shows that can be tried.
const EXAMPLES: &str = "\
Examples:
  eventctl send orders customer=Ada total:=12.50
  eventctl publish events.ndjson
  eventctl stats --watch
  eventctl events --follow";

/// Publish events, simulate clients, and look at what an event aggregator has stored.
#[derive(Debug, Parser)]
#[command(name = "eventctl", version, after_help = format!("{EXAMPLES}\n\n{}", exit_code::HELP), arg_required_else_help = true)]
pub struct Cli {
    /// Print JSON, for scripts
    #[arg(long, global = true)]
    pub json: bool,

    /// Where the servers are, and how to speak to them.
    #[command(flatten)]
    pub server: ServerArgs,

    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// Reads the command line and the environment of this process. If help is asked for, or something is wrong, this prints
    /// it and ends the process.
    #[must_use]
    pub fn read() -> Self {
        let command = Self::command().mut_args(ignoring_empty);
        let mut matches = command.get_matches();
        Self::from_arg_matches_mut(&mut matches)
            .unwrap_or_else(|error| error.format(&mut Self::command()).exit())
    }
}

/// An empty variable counts as unset: `docker compose` and Kubernetes pass on `NAME=` for a variable that nobody has set.
fn ignoring_empty(arg: Arg) -> Arg {
    let value = arg.get_env().and_then(env::var_os);
    if value.is_some_and(|value| value.is_empty()) {
        arg.env(None)
    } else {
        arg
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
