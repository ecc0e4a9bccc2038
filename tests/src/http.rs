//! HTTP clients for tests.

use std::{sync::Arc, time::Duration};

use reqwest::{Client, ClientBuilder, redirect::Policy};
use rustls::{ALL_VERSIONS, ClientConfig, RootCertStore, SupportedProtocolVersion, crypto::ring};

/// How long a whole answer may take, unless a test sets another bound.
const ANSWERED_WITHIN: Duration = Duration::from_mins(1);

/// A client that speaks plain HTTP, and TLS with nobody, because it trusts no authority. It follows no redirects.
///
/// # Panics
/// If the library fails.
#[must_use]
pub fn client() -> Client {
    builder().build().expect("a client")
}

/// The same, to be completed.
pub fn builder() -> ClientBuilder {
    let config = tls(ALL_VERSIONS).with_root_certificates(RootCertStore::empty());
    over(config.with_no_client_auth())
}

/// A client that speaks TLS as this says, to be completed.
pub fn over(config: ClientConfig) -> ClientBuilder {
    Client::builder()
        .timeout(ANSWERED_WITHIN)
        .redirect(Policy::none())
        .tls_backend_preconfigured(config)
}

/// TLS of these versions, to be completed with whom to trust and what to show.
///
/// # Panics
/// If there is no such version.
#[must_use]
pub fn tls(
    versions: &[&'static SupportedProtocolVersion],
) -> rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier> {
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .expect("versions that the provider knows")
}
