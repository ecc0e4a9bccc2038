//! Holds the running programs against their own descriptions, with
//! [schemathesis](https://schemathesis.readthedocs.io): `api SCHEMATHESIS [ARGUMENT…]`, where that is its program and
//! what else to tell it. Each program is asked without keys and with one. See scripts/test-api.

use std::{
    env,
    ffi::OsString,
    process::{Command, ExitCode},
};

use anyhow::{Context, Result};
use redis::AsyncCommands;
use tests::{
    app::{Deployment, Place},
    keys::KeysFile,
    programs,
};

/// How long one run of schemathesis takes, in seconds; there are six.
const SECONDS_A_RUN: &str = "35";
/// Elements of the queue that are not events: the dead letters that are to be replayed and deleted.
const DEAD_LETTERS: usize = 1000;

const CONFIGURATION: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/schemathesis");

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let mut arguments = env::args_os().skip(1);
    let schemathesis = arguments
        .next()
        .context("usage: api SCHEMATHESIS [ARGUMENT…]")?;
    let arguments: Vec<OsString> = arguments.collect();
    let mut sound = true;
    for program in programs::ALL {
        for keyed in [false, true] {
            let keys = if keyed { "an API key" } else { "no keys" };
            println!("--- {program}, {keys}");
            sound &= run(program, keyed, &schemathesis, &arguments).await?;
        }
    }
    Ok(if sound {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Starts a program over empty stores and asks it everything. Whether all of its answers were as described.
async fn run(
    program: &str,
    keyed: bool,
    schemathesis: &OsString,
    arguments: &[OsString],
) -> Result<bool> {
    let (keys, key) = KeysFile::of_one();
    let place = Place::of(if program == "event-aggregator" {
        Deployment::MemoryAndSqlite
    } else {
        Deployment::Services
    })
    .await;
    if program == "aggregator" {
        let elements = vec!["not an event"; DEAD_LETTERS];
        let mut redis = place.redis().await;
        redis
            .lpush::<_, _, ()>(place.key("queue"), elements)
            .await?;
    }
    let keys_file = keys.path().display().to_string();
    let settings = [("API_KEYS_FILE", keys_file.as_str())];
    let app = place.process(program, if keyed { &settings } else { &[] });
    app.ready().await;

    let folder = tempfile::tempdir()?;
    let mut command = Command::new(schemathesis);
    command
        .args([
            "--config-file",
            &format!("{CONFIGURATION}/schemathesis.toml"),
        ])
        .args(["run", &format!("{}/openapi.json", app.url)])
        .args(["--checks", "all", "--max-time", SECONDS_A_RUN])
        .args(arguments)
        .env("SCHEMATHESIS_HOOKS", format!("{CONFIGURATION}/hooks.py"))
        .current_dir(&folder);
    if keyed {
        command.args(["--header", &format!("Authorization: Bearer {key}")]);
    }
    let status = command.status().context("schemathesis cannot be started")?;
    Ok(status.success())
}
