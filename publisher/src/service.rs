//! The publisher as a process of its own, over Redis.

use std::{
    io,
    net::SocketAddr,
    process::ExitCode,
    sync::{Arc, LazyLock},
};

use edge::{FrontPage, asset::Asset, routes::Routes};
use program::{BuildError, CommonArgs, Program, Server, Service};
use queue::redis::{Address, AddressError, RedisProducer, acl::Rights};
use runtime::readiness::Watched;
use tokio_util::sync::CancellationToken;

use crate::{Publish, Settings, routes};

/// What browsers get at `/`: what this program is, and where the rest is.
static PAGE: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("page.html", include_bytes!("page.html")));

impl Program for Settings {
    const NAME: &'static str = "publisher";
    const TITLE: &'static str = "Event publisher";
    const RIGHTS: Rights = Rights::Publish;
    type Service = Publish;

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
        routes().state(FrontPage(&PAGE))
    }

    fn open(&self) -> Result<Publish, BuildError> {
        let address = self.queue()?;
        let producer = RedisProducer::new(&address, self.publishing.queue_max_len);
        Ok(Publish::new(Arc::new(producer), self.common.limits))
    }

    async fn run_command(&self) -> anyhow::Result<Option<ExitCode>> {
        let command = self.command.as_ref();
        command.map(|command| command.run(self)).transpose()
    }
}

impl Service for Publish {
    type Error = io::Error;

    fn watched(&self) -> Vec<Watched> {
        self.queue_watched()
    }

    async fn run(self, server: Server, stop: CancellationToken) -> io::Result<()> {
        server.state(self).serve(stop).await
    }
}
