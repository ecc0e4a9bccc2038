//! The `eventctl` program.

use std::process::ExitCode;

use clap::Parser;
use console::style;
use eventctl::{cli::Cli, exit};

#[tokio::main]
async fn main() -> ExitCode {
    match eventctl::run(Cli::parse()).await {
        Ok(outcome) => outcome.code(),
        Err(error) => {
            let code = exit::code_of(&error);
            if code != ExitCode::SUCCESS {
                eprintln!("{} {error}", style("eventctl:").for_stderr().red());
            }
            code
        }
    }
}
