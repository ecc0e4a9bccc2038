//! A program asks its own server how it is: for containers, which have neither a shell nor curl.

use std::{
    io::{self, Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    time::Duration,
};

use clap::Args;

/// How long the connection, and then each part of the answer, may take. `/ready` gives what it depends on
/// two seconds.
const ANSWERS_WITHIN: Duration = Duration::from_secs(4);
/// The most of an answer that is read.
const MAX_ANSWER_BYTES: u64 = 64 * 1024;

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
    /// Asks the server that listens on `bind_addr` of this machine, and returns what it says.
    ///
    /// # Errors
    /// [`HealthcheckError`] if it does not answer 200.
    pub fn ask(self, bind_addr: SocketAddr) -> Result<String, HealthcheckError> {
        let address = reachable(bind_addr);
        let path = if self.ready { "/ready" } else { "/health" };
        let url = format!("http://{address}{path}");
        let answer = get(address, path).map_err(|source| HealthcheckError::NoAnswer {
            url: url.clone(),
            source,
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

/// Whoever listens on all addresses also listens on loopback.
fn reachable(bind_addr: SocketAddr) -> SocketAddr {
    let ip = match bind_addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, bind_addr.port())
}

fn get(address: SocketAddr, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, ANSWERS_WITHIN)?;
    stream.set_write_timeout(Some(ANSWERS_WITHIN))?;
    stream.set_read_timeout(Some(ANSWERS_WITHIN))?;
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
            let said = Healthcheck { ready }.ask(address).unwrap();
            assert_eq!(said, "{\"status\":\"ok\"}");
            let request = serving.join().unwrap();
            assert!(request.starts_with(&format!("GET {path} ")), "{request}");
        }
    }

    #[test]
    fn anything_else_is_not_and_says_why() {
        let (address, _) = server("HTTP/1.1 503 Service Unavailable\r\n\r\nredis is away");
        let error = Healthcheck { ready: true }.ask(address).unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("/ready answers 503 redis is away"),
            "{error}"
        );

        let (address, _) = server("no HTTP");
        let error = Healthcheck { ready: false }.ask(address).unwrap_err();
        assert!(matches!(error, HealthcheckError::Unwell { .. }), "{error}");
    }

    #[test]
    fn a_server_that_is_not_there_is_not_healthy() {
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .unwrap()
            .local_addr()
            .unwrap();
        let error = Healthcheck { ready: false }.ask(address).unwrap_err();
        assert!(error.to_string().contains("does not answer"), "{error}");
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
