//! PostgreSQL, as the tests run it.

use std::{
    cmp::Reverse,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use sqlx::{Connection, PgConnection};
use testcontainers_modules::{postgres::Postgres as PostgresImage, testcontainers::ImageExt};

use super::{
    containers::{self, Container, Image},
    kind::Kind,
    programs,
};

/// In tests processes are killed, but the machine does not lose its power: what was written is there
/// without waiting for the disk. Many tests have connections at the same time, and little data.
const SETTINGS: [&str; 6] = [
    "-c",
    "fsync=off",
    "-c",
    "max_connections=300",
    "-c",
    "shared_buffers=32MB",
];

/// Makes the data folder if there is none yet, and becomes the server. Arguments: the folder of the
/// programs, then the server's.
const SCRIPT: &str = r#"
programs=$1
shift
[ -f data/PG_VERSION ] || "$programs/initdb" --pgdata=data --username=postgres --auth=trust \
    --encoding=UTF8 --locale=C --no-sync || exit
exec "$programs/postgres" -D data "$@"
"#;

/// Where Debian and Ubuntu install it, outside the search path: VERSION/bin in here.
const DEBIANS_FOLDER: &str = "/usr/lib/postgresql";

const IMAGE: Image = Image {
    variable: "TEST_POSTGRES_IMAGE",
    default: containers::POSTGRES_IMAGE,
    port: 5432,
};

/// PostgreSQL.
pub struct Postgres;

impl Kind for Postgres {
    const NAME: &str = "postgres";
    const VARIABLE: &str = "TEST_DATABASE_URL";
    /// All its processes end at once and nothing more is written, as in a crash. After a SIGKILL of
    /// its first process the others may live on for a moment, and keep it from being started again.
    const KILL: &str = "QUIT";
    const REFUSES_ROOT: bool = true;

    fn program() -> Result<PathBuf> {
        let names = ["postgres", "initdb"];
        programs::in_path(&names)
            .or_else(|| installed().iter().find_map(|folder| programs::in_folder(folder, &names)))
            .context(
                "there are no programs postgres and initdb (on Debian and Ubuntu: apt-get install postgresql)",
            )
    }

    fn command(program: &Path, port: u16) -> Result<Vec<String>> {
        let folder = program
            .parent()
            .and_then(Path::to_str)
            .context("the path of postgres is not UTF-8")?;
        let port = port.to_string();
        let command = ["sh", "-c", SCRIPT, "sh", folder, "-p", &port];
        let local = [
            "-c",
            "listen_addresses=127.0.0.1",
            "-c",
            "unix_socket_directories=",
        ];
        Ok(command
            .into_iter()
            .chain(local)
            .chain(SETTINGS)
            .map(str::to_owned)
            .collect())
    }

    fn url(address: &str) -> String {
        format!("postgres://postgres:postgres@{address}/postgres")
    }

    async fn ping(url: &str) -> Result<()> {
        Ok(PgConnection::connect(url).await?.close().await?)
    }

    async fn folder(url: &str) -> Result<PathBuf> {
        let mut connection = PgConnection::connect(url).await?;
        let data: String = sqlx::query_scalar("SHOW data_directory")
            .fetch_one(&mut connection)
            .await?;
        connection.close().await?;
        let folder = Path::new(&data)
            .parent()
            .context("its data is in a folder")?;
        Ok(folder.to_owned())
    }

    async fn container() -> Result<Container> {
        containers::start(&IMAGE, Self::url, |name, tag| {
            let command = ["postgres"].into_iter().chain(SETTINGS);
            PostgresImage::default()
                .with_name(name)
                .with_tag(tag)
                .with_cmd(command)
        })
        .await
    }
}

/// The folders of installed programs, newest first.
fn installed() -> Vec<PathBuf> {
    let versions = fs::read_dir(DEBIANS_FOLDER).into_iter().flatten().flatten();
    let mut folders: Vec<(u32, PathBuf)> = versions
        .filter_map(|version| {
            let number = version.file_name().to_str()?.parse().ok()?;
            Some((number, version.path().join("bin")))
        })
        .collect();
    folders.sort_by_key(|(number, _)| Reverse(*number));
    folders.into_iter().map(|(_, folder)| folder).collect()
}
