//! The `publisher` program.

use clap::Parser;
use common::{lifecycle, telemetry};
use publisher::{Application, Settings};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let settings = Settings::parse();
    telemetry::init(&settings.log)?;
    let stop = lifecycle::stop_on_signal()?;
    Application::build(&settings)?
        .run_until_stopped(stop)
        .await?;
    Ok(())
}
