//! The `aggregator` program.

use std::process::ExitCode;

use aggregator::Settings;

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    program::run::<Settings>().await
}
