//! The aggregator as a process of its own, over Redis and PostgreSQL.

use std::{net::SocketAddr, process::ExitCode, sync::Arc};

use edge::routes::Routes;
use program::{BuildError, CommonArgs, Program};
use queue::{
    Opened,
    redis::{Address, AddressError, acl::Rights},
};
use runtime::output::print;
use secrecy::ExposeSecret;
use store::{
    Store,
    postgres::{self, Postgres, UrlError},
};

use crate::{
    Aggregator, Settings, peek, routes,
    settings::{Command, QueueCommand},
};

impl Program for Settings {
    const NAME: &'static str = "aggregator";
    const TITLE: &'static str = "Event aggregator";
    const RIGHTS: Rights = Rights::Work;
    type Service = Aggregator;

    fn bind_addr(&self) -> SocketAddr {
        self.bind_addr
    }

    fn common(&self) -> &CommonArgs {
        &self.common
    }

    fn queue(&self) -> Result<Address, AddressError> {
        self.redis.address()
    }

    fn routes() -> Routes {
        routes()
    }

    fn open(&self) -> Result<Aggregator, BuildError> {
        let (queue, store) = self.parts()?;
        Ok(Aggregator::over(
            queue,
            self.queue_max_len,
            store,
            self.workers,
            self.ledger.rules(),
            self.common.limits,
        ))
    }

    async fn run_command(&self) -> anyhow::Result<Option<ExitCode>> {
        let Some(command) = &self.command else {
            return Ok(None);
        };
        let code = match command {
            Command::Migrate {
                grant_to,
                grant_read_to,
            } => {
                let store = self.store()?;
                store.migrate().await?;
                if let Some(role) = grant_to {
                    store.grant(postgres::grants(role)).await?;
                }
                if let Some(role) = grant_read_to {
                    store.grant(postgres::reading_grants(role)).await?;
                }
                print("The tables are up to date.")?;
                ExitCode::SUCCESS
            }
            Command::Grants { role, read } => {
                let statements = if *read {
                    postgres::reading_grants(role)
                } else {
                    postgres::grants(role)
                };
                print(statements.trim_end())?;
                ExitCode::SUCCESS
            }
            Command::Queue(QueueCommand::Peek { events }) => {
                peek::print_waiting(&self.queue()?, usize::try_from(*events)?).await?;
                ExitCode::SUCCESS
            }
            Command::Retention { dry_run } => self.ledger.forget(&self.store()?, *dry_run).await?,
            Command::Verify => verify(&self.store()?).await?,
            Command::OfEveryProgram(command) => command.run(self)?,
        };
        Ok(Some(code))
    }
}

impl Settings {
    /// Redis and PostgreSQL, which need not be there yet. Call it within the runtime.
    ///
    /// # Errors
    /// [`BuildError`] if a setting cannot be used.
    pub fn parts(&self) -> Result<(Opened, Arc<dyn Store>), BuildError> {
        let store = self.store();
        let store = Arc::new(store.map_err(|error| BuildError::Database(error.into()))?);
        Ok((self.workers.open(&self.queue()?), store))
    }

    fn store(&self) -> Result<Postgres, UrlError> {
        let url = self.database_url.as_ref().ok_or(UrlError::Missing)?;
        let replica = self.read_database_url.as_ref();
        let replica = replica.map(ExposeSecret::expose_secret);
        let store = Postgres::with_replica(url.expose_secret(), replica, self.workers.workers)?;
        Ok(self.ledger.apply(store))
    }
}

/// Compares the counters with the rows, in one snapshot, beside a running system, and prints both. Answers the exit code.
///
/// # Errors
/// If the database cannot be used or has no tables.
pub async fn verify(store: &dyn Store) -> anyhow::Result<ExitCode> {
    let audit = store.audit().await?;
    print(&audit)?;
    Ok(ExitCode::from(u8::from(!audit.is_exact())))
}
