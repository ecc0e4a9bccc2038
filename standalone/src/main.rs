//! The `event-aggregator` program.

use std::process::ExitCode;

use runtime::{lifecycle, output::print, settings, telemetry};
use standalone::{Application, Command, Settings};

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    lifecycle::outlive_hang_ups()?;
    let settings: Settings = settings::parse();
    telemetry::init(&settings.log);
    match &settings.command {
        Some(Command::Verify) => {
            let audit = standalone::verify(&settings).await?;
            print(&audit)?;
            if !audit.is_exact() {
                return Ok(ExitCode::FAILURE);
            }
        }
        Some(Command::Healthcheck(healthcheck)) => {
            print(healthcheck.ask(settings.bind_addr, &settings.server.tls)?)?;
        }
        Some(Command::OpenApi) => print(standalone::description().pretty())?,
        Some(Command::Keys(keys)) => print(keys.run()?)?,
        Some(Command::Acl(acl)) => print(settings.acl(acl)?)?,
        None => {
            let stop = lifecycle::stop_on_signal()?;
            let application = Application::build(&settings)?;
            let (prepared, welcome) =
                (application.prepared(), settings.welcome(application.port()));
            tokio::spawn(async move {
                prepared.await;
                // Whoever cannot be greeted is served all the same.
                let _ = print(welcome);
            });
            application.run_until_stopped(stop).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
