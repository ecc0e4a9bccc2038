//! A program asks its own server whether it is alive and ready. This is for containers, which have neither a shell nor curl.

use std::{
    io::{self, Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use clap::Args;
use runtime::files::LOOK_EVERY;
use rustls::{ClientConnection, StreamOwned};
use tls::{TlsError, pinned};

use crate::settings::TlsArgs;

/// How long connection, handshake and answer may take together, however they trickle in.
const ANSWERS_WITHIN: Duration = Duration::from_secs(4);
/// The most of an answer that is read.
const MAX_ANSWER_BYTES: u64 = 64 * 1024;

/// A certificate that was just renewed is shown after this time.
const RENEWED_WITHIN: Duration = LOOK_EVERY.saturating_mul(2);

/// The question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Args)]
pub struct Healthcheck {
    /// Also ask whether what the server depends on answers (/ready instead of /health)
    #[arg(long)]
    pub ready: bool,
}

/// Why a server does not count as healthy.
#[derive(Debug, thiserror::Error)]
pub enum HealthcheckError {
    /// There is no server, or it does not speak HTTP.
    #[error("{url} does not answer: {source}; is the server running, with the same BIND_ADDR?")]
    NoAnswer {
        /// What was asked.
        url: String,
        /// What the system said.
        source: io::Error,
    },
    /// Another server has taken the address, or the new certificate cannot be used.
    #[error(
        "{url} shows another certificate than the one in TLS_CERT; if that was renewed, the server's \
         log says why it is not in force"
    )]
    OtherCertificate {
        /// What was asked.
        url: String,
    },
    /// The certificate cannot be read.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The server says that something is wrong.
    #[error("{url} answers {answer}")]
    Unwell {
        /// What was asked.
        url: String,
        /// Status and body.
        answer: String,
    },
}

impl Healthcheck {
    /// Asks the server that listens on `bind_addr` of this machine, and returns what it says. A server
    /// that speaks TLS is trusted for the very certificate that is in `tls`, whatever its names.
    ///
    /// # Errors
    /// [`HealthcheckError`] if it does not answer 200.
    pub fn ask(self, bind_addr: SocketAddr, tls: &TlsArgs) -> Result<String, HealthcheckError> {
        let address = reachable(bind_addr);
        let path = if self.ready { "/ready" } else { "/health" };
        let url = format!("{}://{address}{path}", tls.scheme());
        let answer = match tls.certificate() {
            None => get(address, path),
            Some(certificate) => get_over_tls(address, path, certificate)?,
        };
        let answer = answer.map_err(|source| {
            let url = url.clone();
            if is_other_certificate(&source) {
                HealthcheckError::OtherCertificate { url }
            } else {
                HealthcheckError::NoAnswer { url, source }
            }
        })?;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head.split(' ').nth(1).unwrap_or_default();
        if status == "200" {
            Ok(body.to_owned())
        } else {
            Err(HealthcheckError::Unwell {
                url,
                answer: format!("{status} {body}"),
            })
        }
    }
}

/// A server that listens on all addresses also listens on loopback.
fn reachable(bind_addr: SocketAddr) -> SocketAddr {
    let ip = match bind_addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, bind_addr.port())
}

fn get(address: SocketAddr, path: &str) -> io::Result<String> {
    exchange(connect(address)?, path)
}

/// A failure to get an answer is the inner error.
fn get_over_tls(
    address: SocketAddr,
    path: &str,
    certificate: &Path,
) -> Result<io::Result<String>, TlsError> {
    let attempt = || {
        let config = Arc::new(pinned::client_config(certificate)?);
        let connection = ClientConnection::new(config, address.ip().into())?;
        let stream = connect(address).map(|stream| StreamOwned::new(connection, stream));
        Ok(stream.and_then(|stream| exchange(stream, path)))
    };
    match attempt() {
        Ok(Err(error)) if is_other_certificate(&error) => {
            thread::sleep(RENEWED_WITHIN);
            attempt()
        }
        other => other,
    }
}

fn is_other_certificate(error: &io::Error) -> bool {
    let tls = error.get_ref().and_then(|error| error.downcast_ref());
    tls.is_some_and(pinned::is_stranger)
}

fn connect(address: SocketAddr) -> io::Result<Bounded> {
    let ends = Instant::now() + ANSWERS_WITHIN;
    let stream = TcpStream::connect_timeout(&address, ANSWERS_WITHIN)?;
    Ok(Bounded { stream, ends })
}

/// A connection that is good for nothing after its end, whatever comes in.
struct Bounded {
    stream: TcpStream,
    ends: Instant,
}

impl Bounded {
    fn left(&self) -> io::Result<Option<Duration>> {
        let left = self.ends.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let detail = format!(
                "there is no whole answer after {} s",
                ANSWERS_WITHIN.as_secs()
            );
            return Err(io::Error::new(io::ErrorKind::TimedOut, detail));
        }
        Ok(Some(left))
    }
}

impl Read for Bounded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(self.left()?)?;
        self.stream.read(buffer)
    }
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(self.left()?)?;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

fn exchange(mut stream: impl Read + Write, path: &str) -> io::Result<String> {
    // In HTTP/1.0 the end of the connection is the end of the answer.
    let request = format!("GET {path} HTTP/1.0\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.take(MAX_ANSWER_BYTES).read_to_string(&mut answer)?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, thread};

    use super::*;

    /// A server that gives one answer to the first request, and that request.
    fn server(answer: &'static str) -> (SocketAddr, thread::JoinHandle<String>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let serving = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let read = stream.read(&mut request).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8_lossy(&request[..read]).into_owned()
        });
        (address, serving)
    }

    #[test]
    fn a_200_is_healthy_and_its_body_is_returned() {
        for (ready, path) in [(false, "/health"), (true, "/ready")] {
            let (address, serving) = server("HTTP/1.1 200 OK\r\nx: y\r\n\r\n{\"status\":\"ok\"}");
            let said = Healthcheck { ready }
                .ask(address, &TlsArgs::default())
                .unwrap();
            assert_eq!(said, "{\"status\":\"ok\"}");
            let request = serving.join().unwrap();
            assert!(request.starts_with(&format!("GET {path} ")), "{request}");
        }
    }

    #[test]
    fn anything_else_is_not_and_says_why() {
        let (address, _) = server("HTTP/1.1 503 Service Unavailable\r\n\r\nredis is away");
        let error = Healthcheck { ready: true }
            .ask(address, &TlsArgs::default())
            .unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("/ready answers 503 redis is away"),
            "{error}"
        );

        let (address, _) = server("no HTTP");
        let error = Healthcheck { ready: false }
            .ask(address, &TlsArgs::default())
            .unwrap_err();
        assert!(matches!(error, HealthcheckError::Unwell { .. }), "{error}");
    }

    #[test]
    fn a_server_that_is_not_there_is_not_healthy() {
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .unwrap()
            .local_addr()
            .unwrap();
        let error = Healthcheck { ready: false }
            .ask(address, &TlsArgs::default())
            .unwrap_err();
        assert!(error.to_string().contains("does not answer"), "{error}");
    }

    #[test]
    fn a_server_that_drips_is_not_healthy_once_the_time_is_over() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            while stream.write_all(b"HTTP/1.1 200 OK\r\n").is_ok() {
                thread::sleep(Duration::from_millis(100));
            }
        });
        let began = Instant::now();
        let asked = Healthcheck { ready: false }.ask(address, &TlsArgs::default());
        assert!(
            matches!(asked, Err(HealthcheckError::NoAnswer { .. })),
            "{asked:?}"
        );
        assert!(began.elapsed() < 2 * ANSWERS_WITHIN);
    }

    #[test]
    fn all_addresses_are_reached_by_loopback() {
        for (bound, reached) in [
            ("0.0.0.0:8080", "127.0.0.1:8080"),
            ("[::]:8080", "[::1]:8080"),
            ("10.1.2.3:8080", "10.1.2.3:8080"),
        ] {
            assert_eq!(reachable(bound.parse().unwrap()), reached.parse().unwrap());
        }
    }
}
