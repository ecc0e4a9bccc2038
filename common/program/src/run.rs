//! A program from its start to its end.

use std::process::ExitCode;

use runtime::{lifecycle, output::print, settings::parse, telemetry};

use crate::{Application, Program};

/// Runs a program: its command, if one is given, or its service until a signal stops it.
///
/// # Errors
/// If a setting cannot be used, the command fails, or the service has to give up. Each error says what to do.
pub async fn run<P: Program>() -> anyhow::Result<ExitCode> {
    lifecycle::outlive_hang_ups()?;
    let settings: P = parse();
    telemetry::init(&settings.common().log);
    if let Some(code) = settings.run_command().await? {
        return Ok(code);
    }
    let stop = lifecycle::stop_on_signal()?;
    let application = Application::build(&settings)?;
    if let Some(welcome) = settings.welcome(application.port()) {
        let prepared = application.prepared();
        tokio::spawn(async move {
            prepared.await;
            // If it cannot be printed, the program serves all the same.
            let _ = print(welcome);
        });
    }
    application.run_until_stopped(stop).await?;
    Ok(ExitCode::SUCCESS)
}
