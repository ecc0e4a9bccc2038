//! Redis, as the tests run it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use testcontainers_modules::{redis::Redis as RedisImage, testcontainers::ImageExt};

use super::{
    containers::{self, Container, Image},
    kind::Kind,
    programs,
};

/// As the services want it: acknowledged means on disk.
const SETTINGS: [&str; 6] = [
    "--appendonly",
    "yes",
    "--appendfsync",
    "always",
    "--save",
    "",
];

const IMAGE: Image = Image {
    variable: "TEST_REDIS_IMAGE",
    default: containers::REDIS_IMAGE,
    port: 6379,
};

/// Redis.
pub struct Redis;

impl Kind for Redis {
    const NAME: &str = "redis";
    const VARIABLE: &str = "TEST_REDIS_URL";
    const KILL: &str = "KILL";

    fn program() -> Result<PathBuf> {
        programs::in_path(&["redis-server"]).context(
            "there is no program redis-server (on Debian and Ubuntu: apt-get install redis-server)",
        )
    }

    fn command(program: &Path, port: u16) -> Result<Vec<String>> {
        let program = program
            .to_str()
            .context("the path of redis-server is not UTF-8")?;
        let port = port.to_string();
        let command = [program, "--bind", "127.0.0.1", "--port", &port];
        Ok(command
            .into_iter()
            .chain(SETTINGS)
            .map(str::to_owned)
            .collect())
    }

    fn url(address: &str) -> String {
        format!("redis://{address}")
    }

    async fn ping(url: &str) -> Result<()> {
        let mut connection = connect(url).await?;
        Ok(redis::cmd("PING").exec_async(&mut connection).await?)
    }

    async fn folder(url: &str) -> Result<PathBuf> {
        // Unlike CONFIG, PING is refused while the data is being loaded.
        Self::ping(url).await?;
        let (_, folder): (String, String) = redis::cmd("CONFIG")
            .arg(&["GET", "dir"])
            .query_async(&mut connect(url).await?)
            .await?;
        Ok(folder.into())
    }

    async fn container() -> Result<Container> {
        containers::start(&IMAGE, Self::url, |name, tag| {
            let command = ["redis-server"].into_iter().chain(SETTINGS);
            RedisImage::default()
                .with_name(name)
                .with_tag(tag)
                .with_cmd(command)
        })
        .await
    }
}

async fn connect(url: &str) -> Result<redis::aio::MultiplexedConnection> {
    Ok(redis::Client::open(url)?
        .get_multiplexed_async_connection()
        .await?)
}
