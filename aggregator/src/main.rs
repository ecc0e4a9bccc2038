//! The `aggregator` program.

use std::process::ExitCode;

use aggregator::{Application, Command, Settings, store};
use clap::Parser;
use common::{lifecycle, telemetry};

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let settings = Settings::parse();
    telemetry::init(&settings.log)?;
    match &settings.command {
        Some(Command::Migrate { grant_to }) => {
            aggregator::migrate(&settings, grant_to.as_deref()).await?;
            println!("The tables are up to date.");
        }
        Some(Command::Grants { role }) => print!("{}", store::grants(role)),
        Some(Command::Verify) => {
            let audit = aggregator::verify(&settings).await?;
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
        Some(Command::OpenApi) => println!("{}", aggregator::description().pretty()),
        Some(Command::Keys(keys)) => println!("{}", keys.run()?),
        Some(Command::Acl(acl)) => println!("{}", settings.acl(acl)?),
        None => {
            let stop = lifecycle::stop_on_signal()?;
            Application::build(&settings)?
                .run_until_stopped(stop)
                .await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
