//! From the command line and the environment to settings.

use std::env;

use clap::{Arg, Command, Parser};

/// The settings that this process was started with. Help, and what is wrong with them, is printed, and ends the process.
#[must_use]
pub fn parse<S: Parser>() -> S {
    let command = ignoring_empty(S::command());
    let mut matches = command.get_matches();
    S::from_arg_matches_mut(&mut matches)
        .unwrap_or_else(|error| error.format(&mut S::command()).exit())
}

/// An empty variable is an unset one: `docker compose` and Kubernetes pass on `NAME=` for what nobody has set.
fn ignoring_empty(command: Command) -> Command {
    let ignore = |arg: Arg| {
        let value = arg.get_env().and_then(env::var_os);
        if value.is_some_and(|value| value.is_empty()) {
            arg.env(None)
        } else {
            arg
        }
    };
    command.mut_args(ignore).mut_subcommands(ignoring_empty)
}
