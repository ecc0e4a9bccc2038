//! What every program does instead of serving.

use std::process::ExitCode;

use clap::Subcommand;
use edge::{auth::command::Keys, healthcheck::Healthcheck};
use queue::redis::acl::Acl;
use runtime::output::print;

use crate::Program;

/// What to do instead of serving.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Ask the server at `BIND_ADDR` whether it is alive, and end; exit code 1 if it is not
    Healthcheck(Healthcheck),
    /// Print the `OpenAPI` description of what is served, and end
    #[command(name = "openapi")]
    OpenApi,
    /// Make API keys
    #[command(subcommand)]
    Keys(Keys),
    /// Print the command that gives a Redis user the least rights that this program needs, and end
    Acl(Acl),
}

impl Command {
    /// Runs it.
    ///
    /// # Errors
    /// If it fails, such as when the server is not healthy.
    pub fn run<P: Program>(&self, program: &P) -> anyhow::Result<ExitCode> {
        match self {
            Self::Healthcheck(healthcheck) => {
                let tls = &program.common().server.tls;
                print(healthcheck.ask(program.bind_addr(), tls)?)?;
            }
            Self::OpenApi => print(P::description().pretty())?,
            Self::Keys(keys) => print(keys.run()?)?,
            Self::Acl(acl) => print(program.queue()?.acl(P::RIGHTS, &acl.user))?,
        }
        Ok(ExitCode::SUCCESS)
    }
}
