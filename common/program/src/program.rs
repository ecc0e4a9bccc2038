//! What a program is.

use std::{net::SocketAddr, process::ExitCode};

use edge::{openapi::Description, routes::Routes};
use queue::redis::{Address, AddressError, acl::Rights};

use crate::{BuildError, CommonArgs, Service};

/// The settings of a program, and what the program is.
pub trait Program: clap::Parser + 'static {
    /// Its name in the log.
    const NAME: &'static str;
    /// The title of its description.
    const TITLE: &'static str;
    /// What it does with the queue.
    const RIGHTS: Rights;
    /// What it does.
    type Service: Service;

    /// The address to listen on.
    fn bind_addr(&self) -> SocketAddr;

    /// The settings that every program has.
    fn common(&self) -> &CommonArgs;

    /// The queue in Redis whose rights [`Command::Acl`](crate::Command::Acl) prints.
    ///
    /// # Errors
    /// [`AddressError`] if the address cannot be used.
    fn queue(&self) -> Result<Address, AddressError>;

    /// The paths of its own. Those of every server come on top.
    fn routes() -> Routes;

    /// Opens what it works with, none of which need be there yet.
    ///
    /// # Errors
    /// [`BuildError`] if a setting cannot be used.
    fn open(&self) -> Result<Self::Service, BuildError>;

    /// Runs the command that was given, and answers with which exit code the program ends. `None`: no command was given,
    /// so it serves.
    ///
    /// # Errors
    /// If the command fails.
    fn run_command(&self) -> impl Future<Output = anyhow::Result<Option<ExitCode>>>;

    /// What is printed for the person who started it, once it serves at this port.
    fn welcome(&self, _port: u16) -> Option<String> {
        None
    }

    /// The description of what it serves.
    #[must_use]
    fn description() -> Description {
        Description::of(Self::TITLE, &served::<Self>())
    }
}

/// All paths of a program.
pub(crate) fn served<P: Program>() -> Routes {
    P::routes().and(edge::server::routes())
}
