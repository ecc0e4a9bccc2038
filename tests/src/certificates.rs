//! Certificates for tests.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
};
use reqwest::Client;
use rustls::{
    ALL_VERSIONS, ClientConfig, RootCertStore, SupportedProtocolVersion,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use crate::http;

/// Who signs certificates.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate, with its key, in PEM.
#[derive(Clone)]
pub struct Pair {
    /// The certificate.
    pub cert: String,
    /// Its key.
    pub key: String,
}

/// The files of a pair.
pub struct PairFiles {
    /// That of the certificate.
    pub cert: PathBuf,
    /// That of its key.
    pub key: PathBuf,
}

impl Authority {
    /// A new one, which nobody knows yet.
    ///
    /// # Panics
    /// If the library fails.
    #[must_use]
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        // Clients look for authorities by name: two of one name would be taken for each other.
        let name = format!("authority {:x}", rand::random::<u64>());
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("a certificate"))
    }

    /// Its own certificate, in PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// Writes its own certificate into a file of this folder.
    ///
    /// # Panics
    /// If it cannot be written.
    #[must_use]
    pub fn write(&self, folder: &Path, name: &str) -> PathBuf {
        let path = folder.join(name);
        fs::write(&path, self.pem()).expect("it can be written");
        path
    }

    /// Signs a new certificate for these host names or addresses.
    ///
    /// # Panics
    /// If the library fails.
    #[must_use]
    pub fn sign(&self, names: &[&str]) -> Pair {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let params = CertificateParams::new(names).expect("names");
        let key = KeyPair::generate().expect("a key");
        let cert = params.signed_by(&key, &self.0).expect("a certificate");
        Pair {
            cert: cert.pem(),
            key: key.serialize_pem(),
        }
    }

    /// What a client needs that speaks these versions of TLS, trusts only this authority, and shows this
    /// pair.
    ///
    /// # Panics
    /// If the library fails.
    #[must_use]
    pub fn trusted_by(
        &self,
        shown: Option<&Pair>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).expect("a certificate");
        let config = http::tls(versions).with_root_certificates(roots);
        let Some(pair) = shown else {
            return config.with_no_client_auth();
        };
        let cert = CertificateDer::from_pem_slice(pair.cert.as_bytes()).expect("a certificate");
        let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).expect("a key");
        let config = config.with_client_auth_cert(vec![cert], key);
        config.expect("a pair")
    }

    /// A client that trusts only this authority, and shows this pair.
    ///
    /// # Panics
    /// If the library fails.
    #[must_use]
    pub fn client(&self, shown: Option<&Pair>) -> Client {
        let config = self.trusted_by(shown, ALL_VERSIONS);
        http::over(config).build().expect("a client")
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Pair {
    /// Writes it into two files of this folder.
    ///
    /// # Panics
    /// If they cannot be written.
    #[must_use]
    pub fn write(&self, folder: &Path, name: &str) -> PairFiles {
        let files = PairFiles {
            cert: folder.join(format!("{name}.pem")),
            key: folder.join(format!("{name}.key")),
        };
        files.put_cert(self);
        files.put_key(self);
        files
    }
}

impl PairFiles {
    /// Replaces the certificate by that of another pair.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn put_cert(&self, pair: &Pair) {
        fs::write(&self.cert, &pair.cert).expect("it can be written");
    }

    /// Replaces the key by that of another pair.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn put_key(&self, pair: &Pair) {
        fs::write(&self.key, &pair.key).expect("it can be written");
    }

    /// As arguments of a program.
    #[must_use]
    pub fn arguments(&self) -> [String; 2] {
        [
            format!("--tls-cert={}", self.cert.display()),
            format!("--tls-key={}", self.key.display()),
        ]
    }
}
