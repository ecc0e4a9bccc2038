//! The `publisher` program.

use clap::Parser;
use common::{lifecycle, telemetry};
use publisher::{Application, Command, Settings};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let settings = Settings::parse();
    telemetry::init(&settings.log)?;
    match &settings.command {
        Some(Command::Healthcheck(healthcheck)) => {
            println!(
                "{}",
                healthcheck.ask(settings.bind_addr, &settings.server.tls)?
            );
        }
        Some(Command::OpenApi) => println!("{}", publisher::description().pretty()),
        Some(Command::Keys(keys)) => println!("{}", keys.run()?),
        Some(Command::Acl(acl)) => println!("{}", settings.acl(acl)?),
        None => {
            let stop = lifecycle::stop_on_signal()?;
            Application::build(&settings)?
                .run_until_stopped(stop)
                .await?;
        }
    }
    Ok(())
}
