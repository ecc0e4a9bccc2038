//! Why a server was not trusted, in words that say what to do.

use std::{error::Error, io, sync::Arc};

use rustls::{AlertDescription, CertificateError, InvalidMessage};

/// What is wrong between this program and a server that it calls over TLS. Trying again does not help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Distrust {
    /// Nobody that is trusted here has signed its certificate.
    Authority,
    /// Its certificate is for other names than the one it was called by.
    Name,
    /// Its certificate is not valid yet, or no more.
    Date,
    /// Its certificate cannot be used for another reason.
    Certificate,
    /// It wants a certificate from this program, or another one.
    Client,
    /// It does not speak TLS there.
    NoTls,
}

impl Distrust {
    /// Finds it in an error and its causes.
    #[must_use]
    pub fn find(error: &(dyn Error + 'static)) -> Option<Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(tls) = error.downcast_ref::<rustls::Error>() {
                return Self::of(tls);
            }
            // The source of these two is that of the error within.
            next = if let Some(io) = error.downcast_ref::<io::Error>() {
                io.get_ref().map(|inner| inner as &(dyn Error + 'static))
            } else if let Some(shared) = error.downcast_ref::<Arc<dyn Error + Send + Sync>>() {
                Some(&**shared)
            } else {
                error.source()
            };
        }
        None
    }

    fn of(error: &rustls::Error) -> Option<Self> {
        match error {
            rustls::Error::InvalidCertificate(problem) => Some(match problem {
                CertificateError::UnknownIssuer => Self::Authority,
                CertificateError::NotValidForName
                | CertificateError::NotValidForNameContext { .. } => Self::Name,
                CertificateError::Expired
                | CertificateError::ExpiredContext { .. }
                | CertificateError::NotValidYet
                | CertificateError::NotValidYetContext { .. } => Self::Date,
                _ => Self::Certificate,
            }),
            rustls::Error::AlertReceived(
                AlertDescription::CertificateRequired
                | AlertDescription::BadCertificate
                | AlertDescription::UnsupportedCertificate
                | AlertDescription::CertificateRevoked
                | AlertDescription::CertificateExpired
                | AlertDescription::CertificateUnknown
                | AlertDescription::UnknownCA
                | AlertDescription::AccessDenied,
            ) => Some(Self::Client),
            rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => Some(Self::NoTls),
            _ => None,
        }
    }

    /// What is wrong and what to do. `ca` says how to name a file of authorities, `address` which
    /// setting has the server's address.
    #[must_use]
    pub fn advice(self, ca: &str, address: &str) -> String {
        match self {
            Self::Authority => format!(
                "its certificate is signed by nobody who is trusted here; give the authority's certificate with {ca}"
            ),
            Self::Name => {
                format!("its certificate is for another name; use one of its names in {address}")
            }
            Self::Date => {
                "its certificate has run out, or is not valid yet; renew it, or set the clock"
                    .to_owned()
            }
            Self::Certificate => {
                "its certificate cannot be used; give the server another one".to_owned()
            }
            Self::Client => "it wants a certificate that it knows from its clients".to_owned(),
            Self::NoTls => format!("it speaks no TLS there; check scheme and port in {address}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_found_however_deep_it_is() {
        let tls = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let io = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, tls));
        let shared: Arc<dyn Error + Send + Sync> = Arc::new(io);
        assert_eq!(Distrust::find(&shared), Some(Distrust::Authority));
        let other = io::Error::from(io::ErrorKind::ConnectionRefused);
        assert_eq!(Distrust::find(&other), None);
    }

    #[test]
    fn the_advice_names_what_to_set() {
        let advice = Distrust::Authority.advice("REDIS_CA_CERT", "REDIS_URL");
        assert!(advice.ends_with("with REDIS_CA_CERT"), "{advice}");
        let advice = Distrust::Name.advice("REDIS_CA_CERT", "REDIS_URL");
        assert!(advice.ends_with("in REDIS_URL"), "{advice}");
    }
}
