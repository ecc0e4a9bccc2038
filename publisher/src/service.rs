//! The publisher as a process of its own, over Redis.

use std::{io, net::SocketAddr, process::ExitCode, sync::Arc};

use edge::routes::Routes;
use program::{BuildError, CommonArgs, Program, Server, Service, Watched};
use queue::{
    QueueError,
    redis::{Address, RedisProducer, acl::Rights},
};
use tokio_util::sync::CancellationToken;

use crate::{Publish, Settings, routes};

impl Program for Settings {
    const NAME: &'static str = "publisher";
    const TITLE: &'static str = "Event publisher";
    const RIGHTS: Rights = Rights::Publish;
    type Service = Publisher;

    fn bind_addr(&self) -> SocketAddr {
        self.bind_addr
    }

    fn common(&self) -> &CommonArgs {
        &self.common
    }

    fn queue(&self) -> Result<Address, QueueError> {
        self.redis.address()
    }

    fn routes() -> Routes {
        routes()
    }

    fn open(&self) -> Result<Publisher, BuildError> {
        let address = self.queue()?;
        let producer = RedisProducer::new(&address, self.publishing.queue_max_len);
        Ok(Publisher {
            publish: Publish::new(Arc::new(producer), self.common.limits),
            queue: address.watched(),
        })
    }

    async fn run_command(&self) -> anyhow::Result<Option<ExitCode>> {
        let command = self.command.as_ref();
        command.map(|command| command.run(self)).transpose()
    }
}

/// `POST /publish` over a queue that other processes see too.
pub struct Publisher {
    publish: Publish,
    queue: Watched,
}

impl Service for Publisher {
    type Error = io::Error;

    fn watched(&self) -> Vec<Watched> {
        vec![self.queue.clone()]
    }

    async fn run(self, server: Server, stop: CancellationToken) -> io::Result<()> {
        server.state(self.publish).serve(stop).await
    }
}
