//! The `event-aggregator` program.

use std::process::ExitCode;

use clap::Parser;
use common::{lifecycle, telemetry};
use standalone::{Application, Command, Settings};

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let settings = Settings::parse();
    telemetry::init(&settings.log)?;
    match &settings.command {
        Some(Command::Verify) => {
            let audit = standalone::verify(&settings).await?;
            println!("{audit}");
            if !audit.is_exact() {
                return Ok(ExitCode::FAILURE);
            }
        }
        Some(Command::Healthcheck(healthcheck)) => {
            println!(
                "{}",
                healthcheck.ask(settings.bind_addr, &settings.server.tls)?
            );
        }
        Some(Command::OpenApi) => println!("{}", standalone::description().pretty()),
        Some(Command::Keys(keys)) => println!("{}", keys.run()?),
        Some(Command::Acl(acl)) => println!("{}", settings.acl(acl)?),
        None => {
            let stop = lifecycle::stop_on_signal()?;
            let application = Application::build(&settings)?;
            println!("{}", settings.welcome(application.port()));
            application.run_until_stopped(stop).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
