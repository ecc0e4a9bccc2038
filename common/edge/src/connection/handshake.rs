//! From a socket to a connection: a place, and the TLS handshake where TLS is spoken.
//!
//! A client that says nothing is given up soon, costs nothing but its socket until then, and may lose its place to
//! another one before.

use std::{io, rc::Rc, sync::Arc, time::Duration};

use actix_web::rt::net::TcpStream;
use rustls::ServerConfig;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::connection::{
    places::Places,
    stream::{Stream, Transport},
};

/// How long a client may take to begin the handshake.
const BEGUN_WITHIN: Duration = Duration::from_secs(3);
/// How long the whole handshake may take after that.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);
/// The only protocol that is spoken: actix bounds neither the streams of an HTTP/2 connection nor the headers of one.
const PROTOCOLS: [&[u8]; 1] = [b"http/1.1"];

/// Accepts connections on one thread.
#[derive(Clone)]
pub(crate) struct Handshake {
    places: Rc<Places>,
    tls: Option<TlsAcceptor>,
}

impl Handshake {
    /// `tls` is what the server shows, if it speaks TLS.
    pub(crate) fn new(places: Rc<Places>, tls: Option<Arc<ServerConfig>>) -> Self {
        Self {
            places,
            tls: tls.map(TlsAcceptor::from),
        }
    }

    /// The settings of a listener that speaks TLS.
    pub(crate) fn config(mut config: ServerConfig) -> Arc<ServerConfig> {
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        Arc::new(config)
    }

    /// A connection over this socket.
    ///
    /// # Errors
    /// If there is no place for it, if it lost its place, or if the handshake failed or took too long.
    pub(crate) async fn accept(self, socket: TcpStream) -> io::Result<Stream> {
        let taken = self.places.enter().await;
        let taken = taken.ok_or_else(|| io::Error::other("there is no place for it"))?;
        // An answer is not held back to be sent with a later one.
        socket.set_nodelay(true)?;
        let Some(tls) = self.tls else {
            return Ok(Stream::new(Transport::Plain(socket), taken));
        };
        let place = Rc::clone(taken.place());
        let shaking = async {
            timeout(BEGUN_WITHIN, socket.readable()).await??;
            timeout(HANDSHAKE_WITHIN, tls.accept(socket)).await?
        };
        let tls = tokio::select! {
            shaken = shaking => shaken?,
            () = place.lost() => return Err(io::Error::other("it has lost its place")),
        };
        Ok(Stream::new(Transport::Tls(Box::new(tls)), taken))
    }
}
