//! The `aggregator` program.

use std::process::ExitCode;

use aggregator::{Application, Command, Settings};
use runtime::{lifecycle, output::print, settings, telemetry};
use store::postgres;

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    lifecycle::outlive_hang_ups()?;
    let settings: Settings = settings::parse();
    telemetry::init(&settings.log);
    match &settings.command {
        Some(Command::Migrate { grant_to }) => {
            aggregator::migrate(&settings, grant_to.as_deref()).await?;
            print("The tables are up to date.")?;
        }
        Some(Command::Grants { role }) => print(postgres::grants(role).trim_end())?,
        Some(Command::Verify) => {
            let audit = aggregator::verify(&settings).await?;
            print(&audit)?;
            if !audit.is_exact() {
                return Ok(ExitCode::FAILURE);
            }
        }
        Some(Command::Healthcheck(healthcheck)) => {
            print(healthcheck.ask(settings.bind_addr, &settings.server.tls)?)?;
        }
        Some(Command::OpenApi) => print(aggregator::description().pretty())?,
        Some(Command::Keys(keys)) => print(keys.run()?)?,
        Some(Command::Acl(acl)) => print(settings.acl(acl)?)?,
        None => {
            let stop = lifecycle::stop_on_signal()?;
            Application::build(&settings)?
                .run_until_stopped(stop)
                .await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
