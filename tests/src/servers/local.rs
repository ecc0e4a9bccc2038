//! Servers from the programs on this machine, on free ports, in temporary folders.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, bail};

use super::{ANSWERS_WITHIN, Guard, Server};
use crate::{eventually, programs::free_port};

/// Where Debian puts the programs of each version of PostgreSQL.
const DEBIAN_POSTGRES: &str = "/usr/lib/postgresql";
/// PostgreSQL does not run as root; then one of these runs it.
const POSTGRES_USERS: [&str; 2] = ["postgres", "nobody"];

pub(super) async fn redis() -> anyhow::Result<Server> {
    let folder = tempfile::tempdir()?.keep();
    let port = free_port();
    let guard = start_redis(port, &folder, true)?;
    let url = redis_url(port);
    redis_answers(&url).await;
    let version = first_line(Command::new("redis-server").arg("--version"))?;
    eprintln!("tests: Redis from a program on this machine ({version})");
    Ok(Server {
        url,
        _guard: Some(guard),
    })
}

pub(super) async fn postgres() -> anyhow::Result<Server> {
    let folder = tempfile::tempdir()?.keep();
    let port = free_port();
    make_postgres(&folder)?;
    let guard = start_postgres(port, &folder, true)?;
    let url = postgres_url(port);
    postgres_answers(&url).await;
    let version = first_line(Command::new(postgres_program("postgres")?).arg("--version"))?;
    eprintln!("tests: PostgreSQL from a program on this machine ({version})");
    Ok(Server {
        url,
        _guard: Some(guard),
    })
}

pub(super) fn redis_url(port: u16) -> String {
    format!("redis://127.0.0.1:{port}")
}

pub(super) fn postgres_url(port: u16) -> String {
    format!("postgres://postgres@127.0.0.1:{port}/postgres")
}

/// Acknowledged means on disk, as in production.
pub(super) fn start_redis(port: u16, folder: &Path, remove: bool) -> anyhow::Result<Guard> {
    first_line(Command::new("redis-server").arg("--version"))?;
    let (port, dir) = (port.to_string(), folder.display().to_string());
    let program = [
        "redis-server",
        "--port",
        &port,
        "--bind",
        "127.0.0.1",
        "--dir",
        &dir,
        "--appendonly",
        "yes",
        "--appendfsync",
        "always",
        "--save",
        "",
    ];
    let log = folder.join("redis.log");
    Guard::run(&program, "KILL", &log, remove.then_some(folder))
}

/// Makes an empty database server in a folder.
pub(super) fn make_postgres(folder: &Path) -> anyhow::Result<()> {
    let user = postgres_user()?;
    if let Some(user) = user {
        let given = Command::new("chown").arg(user).arg(folder).status()?;
        anyhow::ensure!(
            given.success(),
            "{user} cannot be given {}",
            folder.display()
        );
    }
    let data = folder.join("data").display().to_string();
    let initdb = postgres_program("initdb")?.display().to_string();
    let arguments = [
        "--auth=trust",
        "--username=postgres",
        "--encoding=UTF8",
        "--locale=C",
        "--no-sync",
    ];
    let command = as_user(
        user,
        &[&[initdb.as_str(), "-D", &data], arguments.as_slice()].concat(),
    );
    let made = Command::new(&command[0]).args(&command[1..]).output()?;
    anyhow::ensure!(
        made.status.success(),
        "initdb failed: {}",
        String::from_utf8_lossy(&made.stderr)
    );
    Ok(())
}

/// Without `fsync`: tests kill processes, they do not cut the power.
pub(super) fn start_postgres(port: u16, folder: &Path, remove: bool) -> anyhow::Result<Guard> {
    let program = postgres_program("postgres")?.display().to_string();
    let data = folder.join("data").display().to_string();
    let port = format!("port={port}");
    let mut arguments = vec![program.as_str(), "-D", &data];
    for setting in [
        &port,
        "listen_addresses=127.0.0.1",
        "unix_socket_directories=",
        "max_connections=300",
        "shared_buffers=64MB",
        "fsync=off",
    ] {
        arguments.extend(["-c", setting]);
    }
    let command = as_user(postgres_user()?, &arguments);
    let command: Vec<&str> = command.iter().map(String::as_str).collect();
    let log = folder.join("postgres.log");
    // QUIT: stop at once, like a crash, but without leaving processes behind.
    Guard::run(&command, "QUIT", &log, remove.then_some(folder))
}

pub(super) async fn redis_answers(url: &str) {
    let address = url.trim_start_matches("redis://");
    eventually("Redis answers", ANSWERS_WITHIN, async || {
        tokio::net::TcpStream::connect(address).await.is_ok()
    })
    .await;
}

pub(super) async fn postgres_answers(url: &str) {
    eventually("PostgreSQL answers", ANSWERS_WITHIN, async || {
        super::execute(url, "SELECT 1".to_owned()).await.is_ok()
    })
    .await;
}

/// From the search path, else the newest of Debian's.
fn postgres_program(name: &str) -> anyhow::Result<PathBuf> {
    let debian = || -> Option<PathBuf> {
        let versions = fs::read_dir(DEBIAN_POSTGRES).ok()?;
        versions
            .filter_map(|version| {
                let version = version.ok()?;
                let number: u32 = version.file_name().to_str()?.parse().ok()?;
                let program = version.path().join("bin").join(name);
                program.exists().then_some((number, program))
            })
            .max()
            .map(|(_, program)| program)
    };
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|program| program.exists());
    debian()
        .or(on_path)
        .with_context(|| format!("{name} is not installed"))
}

/// `None`: the one who runs this.
fn postgres_user() -> anyhow::Result<Option<&'static str>> {
    if first_line(Command::new("id").arg("-u"))? != "0" {
        return Ok(None);
    }
    let exists = |user: &&str| first_line(Command::new("id").args(["-u", user])).is_ok();
    match POSTGRES_USERS.into_iter().find(|user| exists(user)) {
        Some(user) => Ok(Some(user)),
        None => bail!("PostgreSQL does not run as root, and there is no user postgres"),
    }
}

fn as_user(user: Option<&str>, command: &[&str]) -> Vec<String> {
    let prefix: Vec<String> = match user {
        Some(user) => vec![
            "setpriv".to_owned(),
            format!("--reuid={user}"),
            format!("--regid={user}"),
            "--clear-groups".to_owned(),
        ],
        None => Vec::new(),
    };
    prefix
        .into_iter()
        .chain(command.iter().map(|word| (*word).to_owned()))
        .collect()
}

fn first_line(command: &mut Command) -> anyhow::Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .with_context(|| format!("{name} is not installed"))?;
    anyhow::ensure!(output.status.success(), "{name} failed");
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().next().unwrap_or_default().to_owned())
}
