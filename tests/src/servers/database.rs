//! A database of one test's own.

use std::{thread, time::Duration};

use anyhow::{Context, Result};
use reqwest::Url;
use sqlx::{Connection, PgConnection};
use tokio::{runtime, time::timeout};

use super::names::unique;

/// How long creating or removing a database may take.
const WITHIN: Duration = Duration::from_secs(30);

/// A PostgreSQL database of one test's own; removed when this is dropped.
pub struct Database {
    url: String,
    name: String,
    server: String,
}

impl Database {
    pub(super) async fn create(server: &str) -> Result<Self> {
        let name = unique("db");
        let mut url: Url = server.parse().context("the server's address")?;
        url.set_path(&name);
        // Nobody can be connected to template0, which would keep it from being copied.
        run(server, &format!("CREATE DATABASE {name} TEMPLATE template0"))
            .await
            .context("a database for a test could not be created: its user needs the right to CREATE DATABASE")?;
        Ok(Self {
            url: url.into(),
            name,
            server: server.to_owned(),
        })
    }

    /// Its address: `postgres://…`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Database {
    /// Best effort: the server may be a long-lived one, but it may also be gone by now.
    fn drop(&mut self) {
        let statement = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        let server = self.server.clone();
        // The runtime of the test cannot be waited on from within, so this takes another.
        let removing = thread::spawn(move || {
            let runtime = runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(run(&server, &statement))
        });
        if let Ok(Err(e)) = removing.join() {
            eprintln!("tests: the database {} is left behind: {e:#}", self.name);
        }
    }
}

async fn run(server: &str, statement: &str) -> Result<()> {
    let run = async {
        let mut connection = PgConnection::connect(server).await?;
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement))
            .execute(&mut connection)
            .await?;
        Ok(connection.close().await?)
    };
    timeout(WITHIN, run)
        .await
        .context("PostgreSQL takes too long")?
}
