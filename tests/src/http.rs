//! HTTP clients for tests.

use std::sync::Arc;

use reqwest::{Client, ClientBuilder};
use rustls::{ALL_VERSIONS, ClientConfig, RootCertStore, SupportedProtocolVersion, crypto::ring};

/// A client that speaks plain HTTP, and TLS with nobody: it trusts no authority.
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
    Client::builder().tls_backend_preconfigured(config.with_no_client_auth())
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
