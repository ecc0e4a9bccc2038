//! Speaking TLS: whom to trust, and what to show.

use std::{
    error::Error as StdError,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    AlertDescription, CertificateError, ClientConfig, InvalidMessage, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use crate::error::Error;

/// PEM files.
#[derive(Debug, Clone, Default)]
pub struct Files {
    /// Authorities to trust instead of the public ones.
    pub ca: Option<PathBuf>,
    /// A certificate to show, and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
}

impl Files {
    /// What a connection needs.
    ///
    /// # Errors
    /// [`Error::File`] if one of them cannot be used.
    pub fn config(&self) -> Result<ClientConfig, Error> {
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::Usage(error.to_string()))?
            .with_root_certificates(self.roots()?);
        let Some((cert, key)) = &self.identity else {
            return Ok(builder.with_no_client_auth());
        };
        let private = PrivateKeyDer::from_pem_file(key)
            .map_err(|error| Error::file(key, &format!("has no private key in PEM: {error}")))?;
        builder
            .with_client_auth_cert(certificates(cert)?, private)
            .map_err(|error| {
                Error::file(
                    cert,
                    &format!("does not go with {}: {error}", key.display()),
                )
            })
    }

    fn roots(&self) -> Result<RootCertStore, Error> {
        let Some(path) = &self.ca else {
            let public = webpki_roots::TLS_SERVER_ROOTS.iter().cloned();
            return Ok(public.collect());
        };
        let mut roots = RootCertStore::empty();
        for certificate in certificates(path)? {
            roots
                .add(certificate)
                .map_err(|error| Error::file(path, &error))?;
        }
        Ok(roots)
    }
}

/// The certificates in a PEM file; there is at least one.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| Error::file(path, &error))?;
    if certificates.is_empty() {
        return Err(Error::file(path, &"has no certificate in PEM"));
    }
    Ok(certificates)
}

/// Why one side did not trust the other, with what to do, if that is what an error is about. Trying again
/// does not help then.
#[must_use]
pub fn distrust(error: &(dyn StdError + 'static)) -> Option<String> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(tls) = error.downcast_ref() {
            return explain(tls);
        }
        next = match error.downcast_ref::<io::Error>() {
            // Its source is that of the error within.
            Some(io) => io.get_ref().map(|inner| inner as &(dyn StdError + 'static)),
            None => error.source(),
        };
    }
    None
}

fn explain(error: &rustls::Error) -> Option<String> {
    let advice = match error {
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "--ca-cert names the authority that has signed the server's certificate"
        }
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => "call the server by a name that is in its certificate",
        rustls::Error::InvalidCertificate(_) => "the server needs another certificate",
        rustls::Error::AlertReceived(
            AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied,
        ) => "the server does not know the certificate that --cert shows",
        rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "no TLS is spoken there; an http:// address may be right"
        }
        _ => return None,
    };
    Some(format!("{error}; {advice}"))
}
