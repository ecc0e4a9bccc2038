//! What differs between the servers.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::containers::Container;

/// A kind of server.
pub trait Kind {
    /// Its name, for people.
    const NAME: &str;
    /// The environment variable that names one to use.
    const VARIABLE: &str;
    /// The signal that ends it at once, as a crash would.
    const KILL: &str;
    /// Whether it has to run as another user where the tests run as root.
    const REFUSES_ROOT: bool = false;

    /// The path of its program; the error says what to install.
    fn program() -> Result<PathBuf>;

    /// The command that runs it on this port of 127.0.0.1, with its data in the current folder.
    fn command(program: &Path, port: u16) -> Result<Vec<String>>;

    /// The address, as clients want it, of one started by the tests at `HOST:PORT`.
    fn url(address: &str) -> String;

    /// Succeeds if one answers there.
    fn ping(url: &str) -> impl Future<Output = Result<()>>;

    /// Where the one that answers there has its data.
    fn folder(url: &str) -> impl Future<Output = Result<PathBuf>>;

    /// Starts a container; the error says why there is none.
    fn container() -> impl Future<Output = Result<Container>>;
}
