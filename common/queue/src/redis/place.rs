//! `REDIS_URL`, parsed: one server, the sentinels that know where it is, or the nodes of a cluster.

use redis::{
    Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisResult, TlsCertificates,
};
use secrecy::{ExposeSecret, SecretString};

const SENTINEL_PORT: u16 = 26_379;
const REDIS_PORT: u16 = 6_379;
/// The most hosts that an address may name.
const MAX_HOSTS: usize = 64;

/// Where Redis is.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) way: Way,
    /// How to get into a server of the queue, at whatever address that is.
    entrance: ConnectionInfo,
    /// Authorities to trust instead of the public ones; PEM.
    authorities: Option<Vec<u8>>,
}

/// How the server of a queue is found.
#[derive(Clone)]
pub(super) enum Way {
    /// It is where the address says.
    Fixed,
    /// These sentinels say where the primary of this name is.
    Sentinel {
        sentinels: Vec<Host>,
        name: String,
        password: Option<SecretString>,
    },
    /// These nodes, and those that they name, say which node serves a slot.
    Cluster { nodes: Vec<Host> },
}

/// Where something listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Host {
    pub(super) name: String,
    pub(super) port: u16,
}

impl Place {
    /// Contacts nobody. `None`: it is not an address. (It may hold a password, so no error repeats it.)
    pub(super) fn parse(url: &str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let (plain, kind) = match scheme {
            "redis-sentinel" => ("redis", Kind::Sentinel),
            "rediss-sentinel" => ("rediss", Kind::Sentinel),
            "redis-cluster" => ("redis", Kind::Cluster),
            "rediss-cluster" => ("rediss", Kind::Cluster),
            _ => return Self::of(url, Way::Fixed),
        };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, hosts) = match authority.rsplit_once('@') {
            Some((user, hosts)) => (format!("{user}@"), hosts),
            None => (String::new(), authority),
        };
        match kind {
            Kind::Cluster => {
                let nodes = hosts_of(hosts, REDIS_PORT)?;
                // A cluster has no other database than 0.
                (path.is_empty() && query.is_empty()).then_some(())?;
                let entrance = format!("{plain}://{user}{}", nodes[0]);
                Self::of(&entrance, Way::Cluster { nodes })
            }
            Kind::Sentinel => {
                let sentinels = hosts_of(hosts, SENTINEL_PORT)?;
                let (name, database) = path.split_once('/').unwrap_or((path, ""));
                let is_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
                (!name.is_empty() && name.chars().all(is_name)).then_some(())?;
                let password = match query.split_once('=') {
                    Some(("sentinel_password", password)) => Some(decoded(password)?),
                    None if query.is_empty() => None,
                    _ => return None,
                };
                let entrance = format!("{plain}://{user}{}/{database}", sentinels[0]);
                let way = Way::Sentinel {
                    sentinels,
                    name: name.to_owned(),
                    password,
                };
                Self::of(&entrance, way)
            }
        }
    }

    fn of(entrance: &str, way: Way) -> Option<Self> {
        let info = entrance.into_connection_info().ok()?;
        // A client needs a right to tell its name, and Redis 7.0 cannot give this right.
        let settings = info.redis_settings().clone().set_skip_set_lib_name();
        let place = Self {
            way,
            entrance: info.set_redis_settings(settings),
            authorities: None,
        };
        // This finds out whether the driver takes the address.
        place.client(place.entrance.clone()).ok()?;
        Some(place)
    }

    /// Trusts the authorities in this PEM text, instead of the public ones.
    ///
    /// # Errors
    /// If the driver does not take them.
    pub(super) fn trusting(mut self, authorities: Vec<u8>) -> RedisResult<Self> {
        self.authorities = Some(authorities);
        self.client(self.entrance.clone())?;
        Ok(self)
    }

    pub(super) fn speaks_tls(&self) -> bool {
        matches!(self.entrance.addr(), ConnectionAddr::TcpTls { .. })
    }

    /// The number of the database in the server.
    pub(super) fn database(&self) -> i64 {
        self.entrance.redis_settings().db()
    }

    /// The addresses as they are shown, without secrets. The secrets of an address are in its other parts.
    pub(super) fn shown(&self) -> String {
        let listed = |hosts: &[Host]| {
            let hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
            hosts.join(",")
        };
        match &self.way {
            Way::Fixed => self.entrance.addr().to_string(),
            Way::Sentinel {
                sentinels, name, ..
            } => format!("{}/{name}", listed(sentinels)),
            Way::Cluster { nodes } => listed(nodes),
        }
    }

    /// A client of the server that the address itself names.
    pub(super) fn named(&self) -> RedisResult<Client> {
        self.client(self.entrance.clone())
    }

    /// A client of a server of the queue at this address.
    pub(super) fn server_at(&self, host: &Host) -> RedisResult<Client> {
        self.client(self.entrance.clone().set_addr(self.address_of(host)))
    }

    /// A client of a sentinel. Neither user nor password of the server are for it.
    pub(super) fn sentinel_at(
        &self,
        host: &Host,
        password: Option<&SecretString>,
    ) -> RedisResult<Client> {
        let info = self.address_of(host).into_connection_info()?;
        let mut settings = info.redis_settings().clone().set_skip_set_lib_name();
        if let Some(password) = password {
            settings = settings.set_password(password.expose_secret());
        }
        self.client(info.set_redis_settings(settings))
    }

    fn address_of(&self, host: &Host) -> ConnectionAddr {
        let Host { name, port } = host.clone();
        if self.speaks_tls() {
            ConnectionAddr::TcpTls {
                host: name,
                port,
                insecure: false,
                tls_params: None,
            }
        } else {
            ConnectionAddr::Tcp(name, port)
        }
    }

    fn client(&self, info: ConnectionInfo) -> RedisResult<Client> {
        match &self.authorities {
            Some(authorities) => Client::build_with_tls(
                info,
                TlsCertificates {
                    client_tls: None,
                    root_cert: Some(authorities.clone()),
                },
            ),
            None => Client::open(info),
        }
    }
}

impl std::fmt::Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, port } = self;
        if name.contains(':') {
            write!(f, "[{name}]:{port}")
        } else {
            write!(f, "{name}:{port}")
        }
    }
}

enum Kind {
    Sentinel,
    Cluster,
}

/// At least one.
fn hosts_of(text: &str, default_port: u16) -> Option<Vec<Host>> {
    let hosts: Option<Vec<Host>> = text
        .split(',')
        .map(|host| host_of(host, default_port))
        .collect();
    hosts.filter(|hosts| hosts.len() <= MAX_HOSTS)
}

/// `HOST`, `HOST:PORT`, `[IPV6]` or `[IPV6]:PORT`.
fn host_of(text: &str, default_port: u16) -> Option<Host> {
    let (name, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (name, rest) = rest.split_once(']')?;
            (
                name,
                rest.strip_prefix(':').or(rest.is_empty().then_some(""))?,
            )
        }
        None => text.split_once(':').unwrap_or((text, "")),
    };
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
    (!name.is_empty() && name.chars().all(allowed)).then_some(())?;
    let port = match port {
        "" => default_port,
        port => port.parse().ok()?,
    };
    Some(Host {
        name: name.to_owned(),
        port,
    })
}

fn decoded(text: &str) -> Option<SecretString> {
    let text = percent_encoding::percent_decode_str(text)
        .decode_utf8()
        .ok()?;
    (!text.is_empty()).then(|| text.into_owned().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(url: &str) -> Place {
        Place::parse(url).unwrap_or_else(|| panic!("{url} is an address"))
    }

    #[test]
    fn one_server_is_where_the_address_says() {
        for url in [
            "redis://u:p@h:7000/3",
            "rediss://h",
            "redis+unix:///run/redis.sock",
        ] {
            assert!(matches!(parsed(url).way, Way::Fixed), "{url}");
        }
        assert_eq!(parsed("redis://u:s3cret@h:7000/3").shown(), "h:7000");
        assert_eq!(parsed("redis://u:s3cret@h:7000/3").database(), 3);
    }

    #[test]
    fn sentinels_are_asked_for_a_name_and_the_server_for_user_and_database() {
        let place =
            parsed("rediss-sentinel://u:s%40c@a,b:7000,[::1]/orders.1/2?sentinel_password=x%2Fy");
        assert_eq!(place.shown(), "a:26379,b:7000,[::1]:26379/orders.1");
        assert!(place.speaks_tls());
        assert_eq!(place.database(), 2);
        let host = Host {
            name: "::1".to_owned(),
            port: 7,
        };
        let server = place.server_at(&host).unwrap();
        let settings = server.get_connection_info().redis_settings();
        assert_eq!(
            (settings.username(), settings.password()),
            (Some("u"), Some("s@c"))
        );
        let Way::Sentinel { password, .. } = &place.way else {
            panic!("sentinels");
        };
        let sentinel = place.sentinel_at(&host, password.as_ref()).unwrap();
        let settings = sentinel.get_connection_info().redis_settings();
        assert_eq!(
            (settings.username(), settings.password()),
            (None, Some("x/y"))
        );
    }

    #[test]
    fn the_nodes_of_a_cluster_share_user_and_password() {
        let place = parsed("redis-cluster://u:p@a:1,b");
        assert_eq!(place.shown(), "a:1,b:6379");
        let at = place
            .server_at(&Host {
                name: "c".to_owned(),
                port: 9,
            })
            .unwrap();
        assert_eq!(at.get_connection_info().addr().to_string(), "c:9");
    }

    #[test]
    fn what_is_not_an_address_is_not_taken() {
        for url in [
            "",
            "redis:",
            "http://h",
            "redis-cluster://",
            "redis-cluster://a,,b",
            "redis-cluster://a:b",
            "redis-cluster://a/1",
            "redis-cluster://a:70000",
            "redis-sentinel://a",
            "redis-sentinel://a/",
            "redis-sentinel://a/x y",
            "redis-sentinel://a/x/1/2",
            "redis-sentinel://a/x?password=1",
            "redis-sentinel://[::1/x",
            "redis-sentinel://[::1]y/x",
        ] {
            assert!(Place::parse(url).is_none(), "{url}");
        }
    }
}
