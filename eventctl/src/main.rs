//! The `eventctl` program.

use std::process::ExitCode;

use console::style;
use eventctl::{cli::Cli, exit_code, output};

#[tokio::main]
async fn main() -> ExitCode {
    match eventctl::run(Cli::read()).await {
        Ok(outcome) => outcome.code(),
        Err(error) => {
            let code = exit_code::code_of(&error);
            if code != ExitCode::SUCCESS {
                output::tell(format!("{} {error}", style("eventctl:").for_stderr().red()));
            }
            code
        }
    }
}
