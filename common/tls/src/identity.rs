//! What a server shows its clients and asks of them. It follows its files: new connections get what is in
//! them now, those that exist live on, and files that cannot be used change nothing.

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
};

use runtime::files;
use rustls::{
    DigitallySignedStruct, DistinguishedName, InconsistentKeys, ServerConfig, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, UnixTime},
    server::{
        ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    sign::CertifiedKey,
};
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use super::{TlsError, pem::PemFile, provider};

/// The files that it is in, all PEM.
#[derive(Debug, Clone)]
pub struct Files {
    /// The server's own certificate, then those that signed it.
    pub cert: PathBuf,
    /// The key of the first one.
    pub key: PathBuf,
    /// Authorities, if clients must show a certificate that one of them signed.
    pub client_ca: Option<PathBuf>,
}

/// A server's certificate and key, and the authorities of its clients.
#[derive(Clone)]
pub struct Identity(Arc<State>);

struct State {
    files: Files,
    provider: Arc<CryptoProvider>,
    current: RwLock<Arc<Loaded>>,
}

/// What the files held when they were last good.
struct Loaded {
    /// Of the files, to see that they changed. The key itself is kept only as the library keeps it.
    digest: [u8; 32],
    shown: Arc<CertifiedKey>,
    clients: Option<Arc<dyn ClientCertVerifier>>,
}

impl Identity {
    /// Reads the files.
    ///
    /// # Errors
    /// [`TlsError`] if they cannot be used.
    pub fn open(files: Files) -> Result<Self, TlsError> {
        let provider = provider();
        let loaded = Read::files(&files)?.load(&provider)?;
        Ok(Self(Arc::new(State {
            files,
            provider,
            current: RwLock::new(Arc::new(loaded)),
        })))
    }

    /// Whether clients are asked for a certificate.
    #[must_use]
    pub fn asks_clients(&self) -> bool {
        self.0.files.client_ca.is_some()
    }

    /// For a listener: TLS 1.2 and 1.3. The handshake lets in clients without a certificate, and none
    /// with one of another authority: what may be called without is not decided here.
    ///
    /// # Errors
    /// [`TlsError::Library`] if the library cannot do that.
    pub fn server_config(&self) -> Result<ServerConfig, TlsError> {
        let builder = ServerConfig::builder_with_provider(self.0.provider.clone())
            .with_safe_default_protocol_versions()?;
        if self.asks_clients() {
            let mut config = builder
                .with_client_cert_verifier(Arc::new(self.clone()))
                .with_cert_resolver(Arc::new(self.clone()));
            // A session that is resumed is not asked for its certificate again, whatever has become of the
            // authorities.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
            Ok(config)
        } else {
            let builder = builder.with_no_client_auth();
            Ok(builder.with_cert_resolver(Arc::new(self.clone())))
        }
    }

    /// Follows the files until `stop`.
    pub async fn follow(&self, stop: CancellationToken) {
        let kept = "the certificate from before stays in force";
        files::follow(stop, kept, || self.look()).await;
    }

    fn look(&self) -> Result<(), TlsError> {
        let read = Read::files(&self.0.files)?;
        if read.digest() != self.current().digest {
            let loaded = Arc::new(read.load(&self.0.provider)?);
            *self
                .0
                .current
                .write()
                .unwrap_or_else(PoisonError::into_inner) = loaded;
            tracing::info!("TLS certificates were read again");
        }
        Ok(())
    }

    fn current(&self) -> Arc<Loaded> {
        let current = self.0.current.read();
        current.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn clients(&self) -> Result<Arc<dyn ClientCertVerifier>, rustls::Error> {
        let clients = self.current().clients.clone();
        clients.ok_or_else(|| rustls::Error::General("clients are not asked".to_owned()))
    }
}

/// The files as they were read.
struct Read<'a> {
    cert: PemFile<'a>,
    key: PemFile<'a>,
    client_ca: Option<PemFile<'a>>,
}

impl<'a> Read<'a> {
    fn files(files: &'a Files) -> Result<Self, TlsError> {
        let client_ca = files.client_ca.as_deref();
        Ok(Self {
            cert: PemFile::read("TLS_CERT", &files.cert)?,
            key: PemFile::read("TLS_KEY", &files.key)?,
            client_ca: client_ca
                .map(|path| PemFile::read("TLS_CLIENT_CA", path))
                .transpose()?,
        })
    }

    fn digest(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        for file in [&self.cert, &self.key].into_iter().chain(&self.client_ca) {
            digest.update(file.bytes.len().to_be_bytes());
            digest.update(&file.bytes);
        }
        digest.finalize().into()
    }

    fn load(&self, provider: &Arc<CryptoProvider>) -> Result<Loaded, TlsError> {
        let shown = CertifiedKey::new(self.cert.certificates()?, self.key.key(provider)?);
        match shown.keys_match() {
            // Not every key can tell.
            Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
            Err(rustls::Error::InconsistentKeys(_)) => return Err(TlsError::Mismatch),
            Err(error) => return Err(error.into()),
        }
        let clients = self.client_ca.as_ref().map(|file| {
            let roots = Arc::new(file.roots()?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider));
            let verifier = verifier
                .build()
                .map_err(|error| rustls::Error::General(error.to_string()))?;
            Ok::<_, TlsError>(verifier)
        });
        Ok(Loaded {
            digest: self.digest(),
            shown: Arc::new(shown),
            clients: clients.transpose()?,
        })
    }
}

/// Never what is in it.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Identity").field(&self.0.files).finish()
    }
}

impl ResolvesServerCert for Identity {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current().shown.clone())
    }
}

impl ClientCertVerifier for Identity {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    /// None, though they would help a client that has several certificates: they may change, and this
    /// borrows them.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.clients()?
            .verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.clients()?.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.clients()?.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0
            .provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
