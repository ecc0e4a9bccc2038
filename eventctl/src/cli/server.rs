//! Where the servers are, and how to speak to them.

use std::path::PathBuf;

use clap::Args;
use event_aggregator_client::{
    CancellationToken, Options, RetryPolicy, SecretString, TlsOptions, Url,
};

use super::values::TimeSpan;
use crate::error::Error;

/// What the servers see of this program.
const USER_AGENT: &str = concat!("eventctl/", env!("CARGO_PKG_VERSION"));

/// Where the servers are, and how to speak to them.
#[derive(Debug, Args)]
#[command(next_help_heading = "Servers")]
pub struct ServerArgs {
    /// The address of the publisher, or of the standalone server
    #[arg(
        long,
        global = true,
        env = "EVENTCTL_URL",
        default_value = "http://127.0.0.1:8080"
    )]
    pub url: Url,

    /// The address of the aggregator, if it is a server of its own [default: --url]
    #[arg(long, global = true, env = "EVENTCTL_READ_URL", value_name = "URL")]
    pub read_url: Option<Url>,

    /// The API key, sent as a bearer token. Prefer the variable: lists of processes show options
    #[arg(long, global = true, env = "EVENTCTL_KEY", hide_env_values = true)]
    pub key: Option<SecretString>,

    /// A PEM file with the authorities to trust instead of the public ones, for https:// addresses
    #[arg(long, global = true, env = "EVENTCTL_CA_CERT", value_name = "FILE")]
    pub ca_cert: Option<PathBuf>,

    /// A PEM file with the certificate to present to a server that asks for one
    #[arg(long, global = true, env = "EVENTCTL_CERT", value_name = "FILE")]
    pub cert: Option<PathBuf>,

    /// A PEM file with the private key of that certificate, not encrypted
    #[arg(long, global = true, env = "EVENTCTL_CERT_KEY", value_name = "FILE")]
    pub cert_key: Option<PathBuf>,

    /// How long a request is repeated while the server is away or busy
    #[arg(long, global = true, default_value = "60s", value_name = "TIME")]
    pub patience: TimeSpan,
}

impl ServerArgs {
    /// What a client needs; `stop` ends its retries.
    ///
    /// # Errors
    /// [`Error::Usage`] if a certificate has no key, or a key has no certificate.
    pub fn options(self, stop: CancellationToken) -> Result<Options, Error> {
        let identity = match (self.cert, self.cert_key) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            _ => {
                let reason = "--cert and --cert-key belong together; give both or neither";
                return Err(Error::Usage(reason.to_owned()));
            }
        };
        let ca = self.ca_cert;
        Ok(Options {
            read_url: self.read_url.unwrap_or_else(|| self.url.clone()),
            key: self.key,
            tls: TlsOptions { ca, identity },
            retry: RetryPolicy::within(self.patience.into()),
            stop,
            user_agent: USER_AGENT.to_owned(),
            ..Options::new(self.url)
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::{super::Cli, *};

    fn options(args: &[&str]) -> Result<Options, Error> {
        let cli = Cli::parse_from([&["eventctl", "simulate"], args].concat());
        cli.server.options(CancellationToken::new())
    }

    #[test]
    fn the_aggregator_is_where_the_publisher_is_unless_another_address_is_given() {
        let read_url = |args: &[&str]| options(args).unwrap().read_url.to_string();
        assert_eq!(read_url(&["--url=http://a:1"]), "http://a:1/");
        assert_eq!(
            read_url(&["--url=http://a:1", "--read-url=http://b:2"]),
            "http://b:2/"
        );
    }

    #[test]
    fn a_certificate_without_its_key_is_refused() {
        let error = options(&["--cert=a.pem"]).unwrap_err().to_string();
        assert!(error.contains("give both or neither"), "{error}");
    }

    #[test]
    fn the_key_is_not_in_what_is_printed_for_debugging() {
        let shown = format!("{:?}", options(&["--key=geheim"]).unwrap());
        assert!(!shown.contains("geheim"), "{shown}");
    }
}
