//! The `event-aggregator` program.

use clap::Parser;
use common::{lifecycle, telemetry};
use standalone::{Application, Settings};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let settings = Settings::parse();
    telemetry::init(&settings.log)?;
    let stop = lifecycle::stop_on_signal()?;
    let application = Application::build(&settings)?;
    println!("{}", settings.welcome(application.port()));
    application.run_until_stopped(stop).await?;
    Ok(())
}
