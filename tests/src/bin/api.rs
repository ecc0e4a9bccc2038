//! Holds the running programs against their own descriptions, with
//! [schemathesis](https://schemathesis.readthedocs.io): `api SCHEMATHESIS [ARGUMENT…]`, where that is its program and
//! what else to tell it. Each program is asked without keys and with one. See scripts/test-api.

use std::{
    env,
    ffi::OsString,
    fs,
    process::{Command, ExitCode},
    time::Duration,
};

use anyhow::{Context, Result};
use edge::auth::ApiKey;
use redis::AsyncCommands;
use reqwest::StatusCode;
use tests::{
    eventually, http,
    programs::{Running, free_port},
    servers,
};

/// How long one run of schemathesis takes, in seconds; there are six.
const SECONDS_A_RUN: &str = "35";
/// How long a program may take to start.
const STARTS_WITHIN: Duration = Duration::from_secs(30);
/// Elements of the queue that are no events: the dead letters that are to be replayed and deleted.
const DEAD_LETTERS: usize = 1000;

const PROGRAMS: [&str; 3] = ["publisher", "aggregator", "event-aggregator"];
const CONFIGURATION: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/schemathesis");

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let mut arguments = env::args_os().skip(1);
    let schemathesis = arguments
        .next()
        .context("usage: api SCHEMATHESIS [ARGUMENT…]")?;
    let arguments: Vec<OsString> = arguments.collect();
    let mut sound = true;
    for program in PROGRAMS {
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
    let folder = tempfile::tempdir()?;
    let key = ApiKey::generate()?;
    let keys_file = folder.path().join("keys.toml");
    let keys = format!(
        "[[key]]\nname = \"all\"\nscopes = [\"publish\", \"read\", \"admin\"]\nhash = \"{}\"\n",
        key.hash()
    );
    fs::write(&keys_file, keys)?;
    let (address, queue) = (format!("127.0.0.1:{}", free_port()), servers::queue_name());
    let (redis, database) = (servers::redis_url().await, servers::database().await);
    let mut settings = vec![("BIND_ADDR", &*address)];
    if program == "event-aggregator" {
        settings.push(("DATABASE_URL", "sqlite://events.db"));
    } else {
        settings.extend([("REDIS_URL", &*redis), ("QUEUE_NAME", &queue)]);
        settings.push(("DATABASE_URL", database.url()));
    }
    let keys_file = keys_file.display().to_string();
    if keyed {
        settings.push(("API_KEYS_FILE", &keys_file));
    }
    if program == "aggregator" {
        let mut redis = redis::Client::open(&*redis)?
            .get_multiplexed_async_connection()
            .await?;
        let elements = vec!["no event"; DEAD_LETTERS];
        redis
            .lpush::<_, _, ()>(format!("{{{queue}}}:queue"), elements)
            .await?;
    }
    let _program = Running::start(program, &[], &settings);
    let (url, client) = (format!("http://{address}"), http::client());
    eventually("it is ready", STARTS_WITHIN, async || {
        let answer = client.get(format!("{url}/ready")).send().await;
        answer.is_ok_and(|answer| answer.status() == StatusCode::OK)
    })
    .await;

    let mut command = Command::new(schemathesis);
    command
        .args([
            "--config-file",
            &format!("{CONFIGURATION}/schemathesis.toml"),
        ])
        .args(["run", &format!("{url}/openapi.json")])
        .args(["--checks", "all", "--max-time", SECONDS_A_RUN])
        .args(arguments)
        .env("SCHEMATHESIS_HOOKS", format!("{CONFIGURATION}/hooks.py"))
        .current_dir(&folder);
    if keyed {
        command.args([
            "--header",
            &format!("Authorization: Bearer {}", key.expose()),
        ]);
    }
    let status = command.status().context("schemathesis cannot be started")?;
    Ok(status.success())
}
