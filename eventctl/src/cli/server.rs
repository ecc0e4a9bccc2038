//! Where the servers are, and how to speak to them.

use std::path::PathBuf;

use clap::Args;
use event_aggregator_client::{
    CancellationToken, Options, RetryPolicy, SecretString, TlsOptions, Url,
};

use super::values::TimeSpan;
use crate::{error::Error, profiles::Profile};

/// Where a server is looked for, if nobody says where it is.
const DEFAULT_URL: &str = "http://127.0.0.1:8080";
/// What the servers see of this program.
const USER_AGENT: &str = concat!("eventctl/", env!("CARGO_PKG_VERSION"));

/// Where the servers are, and how to speak to them.
#[derive(Debug, Args)]
#[command(next_help_heading = "Servers")]
pub struct ServerArgs {
    /// The profile whose servers and key to use; other options and variables come first
    #[arg(long, global = true, env = "EVENTCTL_PROFILE", value_name = "NAME")]
    pub profile: Option<String>,

    /// The address of the publisher, or of the standalone server.
    #[arg(
        long,
        help = "The address of the publisher, or of the standalone server [default: http://127.0.0.1:8080]",
        global = true,
        env = "EVENTCTL_URL"
    )]
    pub url: Option<Url>,

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
    /// What a client needs. What is not given is taken from the profile; `stop` ends its retries.
    ///
    /// # Errors
    /// [`Error::Usage`] if a certificate has no key, a key has no certificate, or the profile has an address that is not
    /// valid.
    pub(crate) fn options(
        self,
        profile: Profile,
        stop: CancellationToken,
    ) -> Result<Options, Error> {
        let address = |text: String| {
            let not_valid = |error| {
                Error::Usage(format!(
                    "the profile has the address {text:?}: {error}; add it anew"
                ))
            };
            text.parse::<Url>().map_err(not_valid)
        };
        let of_profile = profile.url.map(address).transpose()?;
        // The address of an aggregator belongs to that of its publisher.
        let read_url = match (&self.url, profile.read_url) {
            (None, Some(read_url)) => Some(address(read_url)?),
            _ => None,
        };
        let url = self
            .url
            .or(of_profile)
            .map_or_else(|| address(DEFAULT_URL.to_owned()), Ok)?;
        let identity = match (self.cert, self.cert_key) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            _ => {
                let reason = "--cert and --cert-key belong together; give both or neither";
                return Err(Error::Usage(reason.to_owned()));
            }
        };
        let ca = self.ca_cert.or(profile.ca_cert);
        Ok(Options {
            read_url: self.read_url.or(read_url).unwrap_or_else(|| url.clone()),
            key: self.key.or_else(|| profile.key.map(SecretString::from)),
            tls: TlsOptions { ca, identity },
            retry: RetryPolicy::within(self.patience.into()),
            stop,
            user_agent: USER_AGENT.to_owned(),
            ..Options::new(url)
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::{super::Cli, *};

    fn options(args: &[&str]) -> Result<Options, Error> {
        let cli = Cli::parse_from([&["eventctl", "simulate"], args].concat());
        let profile = Profile {
            url: Some("http://p:1".to_owned()),
            read_url: Some("http://r:2".to_owned()),
            key: Some("of the profile".to_owned()),
            ..Profile::default()
        };
        cli.server.options(profile, CancellationToken::new())
    }

    #[test]
    fn what_is_given_comes_before_the_profile() {
        let of_profile = options(&[]).unwrap();
        assert_eq!(of_profile.url.as_str(), "http://p:1/");
        assert_eq!(of_profile.read_url.as_str(), "http://r:2/");
        assert!(of_profile.key.is_some());
        let given = options(&["--url=http://a:1"]).unwrap();
        assert_eq!(
            (given.url.as_str(), given.read_url.as_str()),
            ("http://a:1/", "http://a:1/")
        );
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
