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
        "DATABASE_URL is not the address of a database; give postgres://USER[:PASSWORD]@HOST[:PORT]/DATABASE"
    )]
    Malformed,
    /// It has a parameter that means nothing here. Only its name is shown.
    #[error("DATABASE_URL has a parameter that is not known: {0}; remove it, or correct its name")]
    Parameter(String),
    /// The authorities that it names cannot be used.
    #[error(transparent)]
    Authorities(#[from] TlsError),
}

/// Where the database is, and how to get in.
pub(super) struct Address {
    pub(super) options: PgConnectOptions,
    /// `HOST:PORT/DATABASE`, without secrets.
    pub(super) shown: String,
}

impl Address {
    pub(super) fn parse(url: &str) -> Result<Self, UrlError> {
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(UrlError::Malformed);
        }
        check_parameters(url)?;
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
        Ok(Self { options, shown })
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
        assert_eq!(address.options.get_host(), "::1");
        assert_eq!(address.shown, "[::1]:5433/db");
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
