//! Where the queue is.

use std::{path::Path, sync::Arc};

use redis::RedisError;
use tls::TlsError;

use super::{
    acl::{self, Rights, UserName},
    keys::{QueueName, Tag},
    locator::Locator,
    monitor::monitor,
    place::{Place, Way},
    replicas::Replicas,
    server::{Server, Use},
};

/// Why the address of the queue cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// It cannot be read. (It may hold a password, so it is not shown.)
    #[error(
        "REDIS_URL is not an address of Redis; give redis://HOST:PORT, redis-sentinel://HOST:PORT,HOST:PORT/NAME or \
         redis-cluster://HOST:PORT,HOST:PORT, with rediss for TLS"
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

/// Where the queue is, and in how many shards. Everything that is opened at one address shares what is learned about its
/// servers.
#[derive(Clone)]
pub struct Address {
    name: QueueName,
    place: Arc<Place>,
    replicas: Replicas,
    shards: Arc<[Arc<Server>]>,
}

impl Address {
    /// Of a queue of one shard. Contacts nobody yet.
    ///
    /// # Errors
    /// [`AddressError::Unreadable`] if `url` is not a Redis address.
    pub fn new(url: &str, name: QueueName) -> Result<Self, AddressError> {
        let place = Place::parse(url).ok_or(AddressError::Unreadable)?;
        Ok(Self::of(place.into(), name, Replicas::default(), 1))
    }

    fn of(place: Arc<Place>, name: QueueName, replicas: Replicas, shards: u16) -> Self {
        let tags = Tag::all(&name, shards);
        let server = |tag: &Tag| {
            let locator = Locator::new(place.clone(), tag.slot());
            let part = (tags.len() > 1).then(|| tag.to_string());
            Arc::new(Server::new(locator, place.shown(), tag, part, replicas))
        };
        Self {
            shards: tags.iter().map(server).collect(),
            name,
            place,
            replicas,
        }
    }

    /// Trusts the authorities in this PEM file, instead of the public ones.
    ///
    /// # Errors
    /// [`AddressError`] if the file cannot be used, or the address is not one that speaks TLS.
    pub fn trusting(self, authorities: &Path) -> Result<Self, AddressError> {
        if !self.place.speaks_tls() {
            return Err(AddressError::AuthoritiesWithoutTls);
        }
        let authorities = tls::authorities("REDIS_CA_CERT", authorities)?;
        let place = Place::clone(&self.place).trusting(authorities)?;
        let shards = self.shards();
        Ok(Self::of(place.into(), self.name, self.replicas, shards))
    }

    /// The same queue in so many shards, [`MAX_SHARDS`](super::MAX_SHARDS) at most. They share nothing with those of another
    /// number of shards.
    #[must_use]
    pub fn in_shards(&self, shards: u16) -> Self {
        Self::of(self.place.clone(), self.name.clone(), self.replicas, shards)
    }

    /// Nothing is accepted, and no claim is recorded, before so many replicas have it.
    #[must_use]
    pub fn waiting_for_replicas(&self, replicas: u8) -> Self {
        let (place, name) = (self.place.clone(), self.name.clone());
        Self::of(place, name, Replicas(replicas), self.shards())
    }

    /// How many shards there are.
    #[must_use]
    pub fn shards(&self) -> u16 {
        u16::try_from(self.shards.len()).unwrap_or(u16::MAX)
    }

    /// The name of the queue.
    #[must_use]
    pub fn name(&self) -> &QueueName {
        &self.name
    }

    /// The command that gives `user` the least rights that such a program needs there; `PASSWORD` is to be replaced in it.
    #[must_use]
    pub fn acl(&self, rights: Rights, user: &UserName) -> String {
        let tags = self.shards.iter().map(|server| &server.tag);
        let further = [
            (self.place.database() != 0, "select"),
            (self.replicas.are_asked(), "wait"),
            (
                matches!(self.place.way, Way::Cluster { .. }),
                "cluster|slots",
            ),
        ];
        let further = further.iter().filter(|(needed, _)| *needed);
        let further: Vec<&str> = further.map(|(_, right)| *right).collect();
        acl::line(rights, user, &tags.collect::<Vec<_>>(), &further)
    }

    /// The servers of the shards, without a monitor of their settings.
    pub(super) fn servers(&self) -> &[Arc<Server>] {
        &self.shards
    }

    /// Opens an end of the queue. The first one starts the monitors of the servers' settings, which end when nobody holds
    /// the servers any more.
    pub(super) fn opened_to(&self, usage: Use) -> &[Arc<Server>] {
        for server in &*self.shards {
            if server.open(usage) {
                tokio::spawn(monitor(Arc::downgrade(server)));
            }
        }
        &self.shards
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(url: &str, shards: u16, replicas: u8) -> String {
        let address = Address::new(url, "events".parse().unwrap()).unwrap();
        let address = address.in_shards(shards).waiting_for_replicas(replicas);
        assert_eq!(address.shards(), shards.max(1));
        address.acl(Rights::Publish, &"publisher".parse().unwrap())
    }

    #[test]
    fn the_rights_are_those_that_the_settings_need() {
        let plain = line("redis://h", 1, 0);
        assert!(plain.contains(" ~{events}:* "), "{plain}");
        for right in ["+wait", "+cluster|slots", "+select"] {
            assert!(!plain.contains(right), "{plain}");
        }
        assert!(line("redis://h/1", 1, 0).contains(" +select "));
        let cluster = line("redis-cluster://h", 2, 1);
        for right in [
            " +wait ",
            " +cluster|slots ",
            " ~{events:0.",
            " ~{events:1.",
        ] {
            assert!(cluster.contains(right), "{right}: {cluster}");
        }
        assert!(!cluster.contains("{events}"), "{cluster}");
    }
}
