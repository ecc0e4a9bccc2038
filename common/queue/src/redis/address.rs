//! Where the queue is.

use std::{path::Path, sync::Arc};

use redis::{Client, ConnectionAddr, IntoConnectionInfo, RedisError, TlsCertificates};
use tls::TlsError;

use super::{
    acl::{self, Rights, UserName},
    keys::QueueName,
    monitor::monitor,
    server::{Server, Use},
};

/// Why the address of the queue cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// It cannot be read. (It may hold a password, so it is not shown.)
    #[error(
        "REDIS_URL is not the address of a Redis server; give redis://HOST:PORT or rediss://HOST:PORT"
    )]
    Unreadable,
    /// Authorities were named, and TLS is not spoken.
    #[error("REDIS_CA_CERT needs TLS: give rediss://HOST:PORT in REDIS_URL, or unset it")]
    AuthoritiesWithoutTls,
    /// The authorities that sign the server's certificate cannot be read.
    #[error(transparent)]
    Authorities(#[from] TlsError),
    /// The driver does not take the authorities.
    #[error("redis: {0}")]
    Tls(#[from] RedisError),
}

/// Where the queue is. Everything that is opened at one address shares what is learned about its server.
#[derive(Clone)]
pub struct Address {
    name: QueueName,
    server: Arc<Server>,
}

impl Address {
    /// Contacts nobody yet.
    ///
    /// # Errors
    /// [`AddressError::Unreadable`] if `url` is not a Redis address.
    pub fn new(url: &str, name: QueueName) -> Result<Self, AddressError> {
        let info = url
            .into_connection_info()
            .map_err(|_| AddressError::Unreadable)?;
        // A client needs a right to tell its name, and Redis 7.0 cannot give this right.
        let settings = info.redis_settings().clone().set_skip_set_lib_name();
        let info = info.set_redis_settings(settings);
        let client = Client::open(info).map_err(|_| AddressError::Unreadable)?;
        Ok(Self::of(client, name))
    }

    fn of(client: Client, name: QueueName) -> Self {
        let server = Arc::new(Server::new(client, &name));
        Self { name, server }
    }

    /// Trusts the authorities in this PEM file, instead of the public ones.
    ///
    /// # Errors
    /// [`AddressError`] if the file cannot be used, or the address is not one of `rediss://`.
    pub fn trusting(self, authorities: &Path) -> Result<Self, AddressError> {
        let info = self.server.peer.client().get_connection_info();
        if !matches!(info.addr(), ConnectionAddr::TcpTls { .. }) {
            return Err(AddressError::AuthoritiesWithoutTls);
        }
        let certificates = TlsCertificates {
            client_tls: None,
            root_cert: Some(tls::authorities("REDIS_CA_CERT", authorities)?),
        };
        let client = Client::build_with_tls(info.clone(), certificates)?;
        Ok(Self::of(client, self.name))
    }

    /// The command that gives `user` the least rights that such a program needs there; `PASSWORD` is to be replaced in it.
    #[must_use]
    pub fn acl(&self, rights: Rights, user: &UserName) -> String {
        let info = self.server.peer.client().get_connection_info();
        acl::line(rights, user, &self.name, info.redis_settings().db())
    }

    /// The server, without a monitor of its settings.
    pub(super) fn server(&self) -> &Server {
        &self.server
    }

    /// Opens an end of the queue. The first one starts the monitor of the server's settings, which ends when nobody holds
    /// the server any more.
    pub(super) fn opened_to(&self, usage: Use) -> Arc<Server> {
        if self.server.open(usage) {
            tokio::spawn(monitor(Arc::downgrade(&self.server)));
        }
        self.server.clone()
    }
}
