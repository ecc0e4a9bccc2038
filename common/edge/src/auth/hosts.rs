//! By which names a server without keys may be called.

use std::{
    net::{IpAddr, Ipv6Addr},
    str::FromStr,
};

/// Most names that may be listed.
const MAX_HOSTS: usize = 100;

/// Names that the operator has set for this machine, beside those that always mean it. Ports do not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LocalHosts(Vec<String>);

/// A text that lists no names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LocalHostsError {
    /// One of them is not a name.
    #[error(
        "{0:?} is not a host; write names or addresses without scheme, port and path, such as events.internal"
    )]
    NotAHost(String),
    /// There are too many.
    #[error("{0} hosts are listed, at most {MAX_HOSTS} are possible")]
    TooMany(usize),
}

impl FromStr for LocalHosts {
    type Err = LocalHostsError;

    /// Reads names with commas between them. An empty text lists none.
    fn from_str(text: &str) -> Result<Self, LocalHostsError> {
        let hosts = text.split(',').map(str::trim);
        let hosts: Vec<_> = hosts.filter(|host| !host.is_empty()).collect();
        if hosts.len() > MAX_HOSTS {
            return Err(LocalHostsError::TooMany(hosts.len()));
        }
        let host = |text: &str| match name(text) {
            Some((name, "")) => Ok(name),
            _ => Err(LocalHostsError::NotAHost(text.to_owned())),
        };
        hosts
            .into_iter()
            .map(host)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl LocalHosts {
    /// Whether nobody else can own the name that a client called, with or without a port: it is a loopback address, in
    /// `localhost` ([RFC 6761, section 6.3](https://www.rfc-editor.org/rfc/rfc6761#section-6.3)), or listed.
    #[must_use]
    pub fn allow(&self, host: &str) -> bool {
        let Some((name, _)) = name(host) else {
            return false;
        };
        let loopback = |address: IpAddr| address.to_canonical().is_loopback();
        name == "localhost"
            || name.ends_with(".localhost")
            || name.parse().is_ok_and(loopback)
            || self.0.contains(&name)
    }
}

/// The name in lower case without a final dot, or the address without brackets, and then what follows: a port, or nothing.
fn name(host: &str) -> Option<(String, &str)> {
    if let Some((address, port)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        let address: Ipv6Addr = address.parse().ok()?;
        return Some((address.to_string(), port));
    }
    let end = host.find(':').unwrap_or(host.len());
    let (name, port) = host.split_at(end);
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    let part = |symbol: char| symbol.is_ascii_alphanumeric() || matches!(symbol, '.' | '-' | '_');
    (!name.is_empty() && name.chars().all(part)).then_some((name, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_anybody_may_own_is_not_this_machine() {
        for (host, local) in [
            ("localhost", true),
            ("LocalHost:8080", true),
            ("localhost.", true),
            ("app.localhost:8080", true),
            ("127.0.0.1:8080", true),
            ("127.8.8.8", true),
            ("[::1]:8080", true),
            ("[::ffff:127.0.0.1]", true),
            ("publisher:8080", false),
            ("10.0.0.1:8080", false),
            ("0.0.0.0", false),
            ("[2001:db8::1]:8080", false),
            ("evil.example", false),
            ("evil.example:8080", false),
            ("localhost.evil.example", false),
            ("127.0.0.1.evil.example", false),
            ("notlocalhost", false),
            ("[evil.example]", false),
            ("localhost\u{e9}", false),
            ("", false),
            (".", false),
        ] {
            assert_eq!(LocalHosts::default().allow(host), local, "{host}");
        }
    }

    #[test]
    fn a_listed_name_is_this_machine_on_any_port() {
        let hosts: LocalHosts = " events.internal,Publisher , [2001:DB8::1], 10.0.0.1,"
            .parse()
            .unwrap();
        for host in [
            "events.internal",
            "EVENTS.internal:80",
            "publisher:8080",
            "[2001:db8::1]:1",
            "10.0.0.1:8080",
        ] {
            assert!(hosts.allow(host), "{host}");
        }
        for host in ["other.internal", "x.events.internal", "10.0.0.2"] {
            assert!(!hosts.allow(host), "{host}");
        }
    }

    #[test]
    fn what_is_not_a_name_is_refused() {
        for text in [
            "https://a.example",
            "a.example:80",
            "a.example/x",
            "*",
            "a b",
            "[::1]:80",
        ] {
            let error = text.parse::<LocalHosts>().unwrap_err();
            assert!(
                matches!(error, LocalHostsError::NotAHost(_)),
                "{text}: {error}"
            );
        }
        let many = "a,".repeat(MAX_HOSTS + 1);
        assert_eq!(
            many.parse::<LocalHosts>(),
            Err(LocalHostsError::TooMany(MAX_HOSTS + 1))
        );
    }
}
