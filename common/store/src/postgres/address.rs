//! `DATABASE_URL`, parsed.

use std::{path::Path, str::FromStr};

use sqlx::postgres::PgConnectOptions;
use tls::TlsError;

/// The parameters that the driver knows, beside those that begin with `options[`. It would log any other one with its
/// value, which may be a secret.
const PARAMETERS: [&str; 18] = [
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "password",
    "port",
    "ssl-ca",
    "ssl-cert",
    "ssl-key",
    "ssl-mode",
    "ssl-root-cert",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "statement-cache-capacity",
    "user",
];
/// What a session must be for libpq to use it.
const ATTRIBUTES: &str = "target_session_attrs";
/// The most hosts of an address.
const MAX_HOSTS: usize = 16;
/// The most characters of an unknown parameter's name that are shown.
const MAX_SHOWN_CHARS: usize = 40;

/// `DATABASE_URL` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum UrlError {
    /// It is not set.
    #[error("DATABASE_URL is missing; set it to postgres://USER[:PASSWORD]@HOST[:PORT]/DATABASE")]
    Missing,
    /// It cannot be read. It may hold a password: it is not shown.
    #[error(
        "DATABASE_URL is not the address of a database; give postgres://USER[:PASSWORD]@HOST[:PORT][,HOST[:PORT]…]/DATABASE"
    )]
    Malformed,
    /// It asks for sessions that may not write.
    #[error(
        "target_session_attrs in DATABASE_URL must be read-write or primary, because the program writes; correct or remove it"
    )]
    Attributes,
    /// The address of the replica cannot be used.
    #[error("READ_DATABASE_URL cannot be used: {0}")]
    Replica(#[source] Box<Self>),
    /// It has a parameter that means nothing here. Only its name is shown.
    #[error("DATABASE_URL has a parameter that is not known: {0}; remove it, or correct its name")]
    Parameter(String),
    /// The authorities that it names cannot be used.
    #[error(transparent)]
    Authorities(#[from] TlsError),
}

/// Where the database is, and how to get in.
pub(super) struct Address {
    /// One for each host, in the order in which they are named. At least one.
    pub(super) hosts: Vec<PgConnectOptions>,
    /// `HOST:PORT/DATABASE`, without secrets; of several hosts, all.
    pub(super) shown: String,
}

impl Address {
    pub(super) fn parse(url: &str) -> Result<Self, UrlError> {
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(UrlError::Malformed);
        }
        check_parameters(url)?;
        let urls = one_host_each(&without_attributes(url));
        if urls.len() > MAX_HOSTS {
            return Err(UrlError::Malformed);
        }
        let parsed = urls.iter().map(|url| Self::of_host(url));
        let parsed: Vec<(PgConnectOptions, String)> = parsed.collect::<Result<_, _>>()?;
        let shown: Vec<&str> = parsed.iter().map(|(_, shown)| shown.as_str()).collect();
        let shown = shown.join(",");
        let hosts = parsed.into_iter().map(|(options, _)| options).collect();
        Ok(Self { hosts, shown })
    }

    fn of_host(url: &str) -> Result<(PgConnectOptions, String), UrlError> {
        let options = PgConnectOptions::from_str(url).map_err(|_| UrlError::Malformed)?;
        // The driver keeps the brackets of an IPv6 address, and would look them up as a name.
        let host = options.get_host();
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .map(str::to_owned);
        let shown = shown(&options);
        let options = match bare {
            Some(address) => options.host(&address),
            None => options,
        };
        let options = options
            .application_name("event-aggregator")
            // PgBouncer refuses a connection that sets it, and no float is ever read here.
            .extra_float_digits(None);
        Ok((options, shown))
    }
}

/// The driver takes one host. Of several, separated by commas, each gets an address with everything else.
fn one_host_each(url: &str) -> Vec<String> {
    let Some((scheme, rest)) = url.split_once("://") else {
        return vec![url.to_owned()];
    };
    let (authority, path) = match rest.find(['/', '?', '#']) {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    let (user, hosts) = match authority.rfind('@') {
        Some(at) => authority.split_at(at + 1),
        None => ("", authority),
    };
    let each = hosts.split(',');
    each.map(|host| format!("{scheme}://{user}{host}{path}"))
        .collect()
}

/// What libpq would be told with it is what this program does anyway, and the driver does not know it.
fn without_attributes(url: &str) -> String {
    let (url, query) = url.split_once('?').unwrap_or((url, ""));
    let kept = query.split('&').filter(|pair| {
        let name = pair.split_once('=').map_or(*pair, |(name, _)| name);
        !pair.is_empty() && name != ATTRIBUTES
    });
    let kept: Vec<&str> = kept.collect();
    if kept.is_empty() {
        url.to_owned()
    } else {
        format!("{url}?{}", kept.join("&"))
    }
}

fn shown(options: &PgConnectOptions) -> String {
    let database = options.get_database().unwrap_or(options.get_username());
    match options.get_socket() {
        Some(socket) => format!("{}/{database}", socket.display()),
        None => format!("{}:{}/{database}", options.get_host(), options.get_port()),
    }
}

/// The driver reads certificates for each connection, and would only then say that it cannot.
fn check_parameters(url: &str) -> Result<(), UrlError> {
    let (url, _) = url.split_once('#').unwrap_or((url, ""));
    let (_, query) = url.split_once('?').unwrap_or_default();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if name == ATTRIBUTES {
            if !matches!(&*value, "read-write" | "primary") {
                return Err(UrlError::Attributes);
            }
            continue;
        }
        if !PARAMETERS.contains(&&*name) && !name.starts_with("options[") {
            return Err(UrlError::Parameter(harmless(&name)));
        }
        let is_authorities = matches!(&*name, "sslrootcert" | "ssl-root-cert" | "ssl-ca");
        // It takes the certificates themselves, too.
        if is_authorities && !value.starts_with("-----BEGIN") {
            tls::authorities("sslrootcert in DATABASE_URL", Path::new(&*value))?;
        }
    }
    Ok(())
}

/// A name as it can be shown: short, and of plain characters.
fn harmless(name: &str) -> String {
    name.chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || "_-.[]".contains(c) {
                c
            } else {
                '?'
            }
        })
        .take(MAX_SHOWN_CHARS)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(url: &str) -> Address {
        Address::parse(url).unwrap_or_else(|error| panic!("{url}: {error}"))
    }

    #[test]
    fn an_ipv6_address_loses_its_brackets_where_it_is_called() {
        let address = parsed("postgres://u:s3cret@[::1]:5433/db");
        assert_eq!(address.hosts[0].get_host(), "::1");
        assert_eq!(address.shown, "[::1]:5433/db");
    }

    #[test]
    fn of_several_hosts_each_gets_an_address_with_everything_else() {
        let url =
            "postgres://u:s3cret@a,b:1,[::1]:2/db?target_session_attrs=read-write&sslmode=disable";
        let address = parsed(url);
        assert_eq!(address.shown, "a:5432/db,b:1/db,[::1]:2/db");
        let hosts: Vec<(&str, u16)> = address
            .hosts
            .iter()
            .map(|host| (host.get_host(), host.get_port()))
            .collect();
        assert_eq!(hosts, [("a", 5432), ("b", 1), ("::1", 2)]);
        assert!(address.hosts.iter().all(|host| host.get_username() == "u"));
        for (url, expected) in [
            (
                "postgres://a/db?target_session_attrs=standby",
                "must be read-write",
            ),
            ("postgres://a:x,b/db", "is not the address"),
        ] {
            let Err(error) = Address::parse(url) else {
                panic!("{url} cannot be used")
            };
            assert!(error.to_string().contains(expected), "{error}");
        }
    }

    #[test]
    fn an_address_is_shown_without_secrets() {
        for (url, shown) in [
            (
                "postgres://u:s3cret@host/db?password=s3cret",
                "host:5432/db",
            ),
            ("postgres://u:s3cret@host:1", "host:1/u"),
            ("postgres://u:s3cret@%2Frun%2Fpg/db", "/run/pg/db"),
        ] {
            assert_eq!(parsed(url).shown, shown);
        }
    }

    #[test]
    fn of_an_unknown_parameter_only_the_name_is_shown() {
        let url = "postgres://u@host/db?sslmode=prefer&passwort=s3cret";
        let Err(error) = Address::parse(url) else {
            panic!("it is not known")
        };
        let text = format!("{error} {error:?}");
        assert!(
            text.contains("passwort") && !text.contains("s3cret"),
            "{text}"
        );
        let long = format!("postgres://u@host/db?{}%0Ax=1", "y".repeat(100));
        let Err(UrlError::Parameter(name)) = Address::parse(&long) else {
            panic!("it is not known")
        };
        assert_eq!(name.len(), MAX_SHOWN_CHARS);
    }
}
