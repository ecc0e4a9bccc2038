//! The `publisher` program.

use std::process::ExitCode;

use publisher::Settings;

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    program::run::<Settings>().await
}
