//! The help of every command.

use clap::{Command, CommandFactory};
use eventctl::cli::Cli;

/// The names of this command and of all below it, each with the names above it.
fn names(command: &Command, above: &[String]) -> Vec<Vec<String>> {
    let mut all = vec![above.to_vec()];
    for command in command.get_subcommands() {
        let name = [above, &[command.get_name().to_owned()]].concat();
        all.extend(names(command, &name));
    }
    all
}

/// A command that is added needs a snapshot of its own.
#[tokio::test]
async fn every_command_has_its_help() {
    for names in names(&Cli::command(), &[]) {
        let mut arguments: Vec<&str> = names.iter().map(String::as_str).collect();
        arguments.push("--help");
        let name = ["help"].into_iter().chain(names.iter().map(String::as_str));
        let name = name.collect::<Vec<_>>().join("_");
        insta::assert_snapshot!(name, super::eventctl(&arguments).await);
    }
}
