//! The `publisher` program.

use publisher::{Application, Command, Settings};
use runtime::{lifecycle, output::print, settings, telemetry};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    lifecycle::outlive_hang_ups()?;
    let settings: Settings = settings::parse();
    telemetry::init(&settings.log);
    match &settings.command {
        Some(Command::Healthcheck(healthcheck)) => {
            print(healthcheck.ask(settings.bind_addr, &settings.server.tls)?)?;
        }
        Some(Command::OpenApi) => print(publisher::description().pretty())?,
        Some(Command::Keys(keys)) => print(keys.run()?)?,
        Some(Command::Acl(acl)) => print(settings.acl(acl)?)?,
        None => {
            let stop = lifecycle::stop_on_signal()?;
            Application::build(&settings)?
                .run_until_stopped(stop)
                .await?;
        }
    }
    Ok(())
}
