//! The `event-aggregator` program.

use std::process::ExitCode;

use standalone::Settings;

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    program::run::<Settings>().await
}
