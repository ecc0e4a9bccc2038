//! A client that sends any bytes: what a library for HTTP would not send, or not so slowly.

use std::{io, net::SocketAddr, time::Duration};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpSocket, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    time::timeout,
};

use crate::app::App;

/// How long an answer, and the end of its connection, may take.
pub const ANSWERED_WITHIN: Duration = Duration::from_secs(20);
/// The beginning of an answer: `HTTP/1.1 200`.
const STATUS_LINE: usize = 12;

/// A connection to a server.
pub struct Raw(TcpStream);

impl Raw {
    /// Connects to a program.
    ///
    /// # Panics
    /// If it does not listen.
    pub async fn to(app: &App) -> Self {
        Self::connect(app.address()).await.expect("it listens")
    }

    /// Connects to a server.
    ///
    /// # Errors
    /// If nobody listens there.
    pub async fn connect(address: SocketAddr) -> io::Result<Self> {
        Ok(Self(TcpStream::connect(address).await?))
    }

    /// Connects to a program with next to no memory for answers, so that those that are not read stay with the program.
    ///
    /// # Panics
    /// If it does not listen.
    pub async fn without_buffer(app: &App) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(1).expect("the least there is");
        Self(socket.connect(app.address()).await.expect("it listens"))
    }

    /// Sends these bytes.
    ///
    /// # Panics
    /// If they cannot be sent.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).await.expect("it can be sent");
    }

    /// Sends these bytes to a server that may have ended the connection.
    ///
    /// # Errors
    /// If they cannot be sent.
    pub async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.0.write_all(bytes.as_ref()).await
    }

    /// Says that nothing more will be sent.
    ///
    /// # Panics
    /// If the connection has ended.
    pub async fn end(&mut self) {
        self.0.shutdown().await.expect("it is still connected");
    }

    /// Waits for as many bytes as `expected` has, which must be those.
    ///
    /// # Panics
    /// If others come, or none.
    pub async fn expect(&mut self, expected: &str) {
        let mut bytes = vec![0; expected.len()];
        let read = timeout(ANSWERED_WITHIN, self.0.read_exact(&mut bytes)).await;
        read.expect("an answer in time").expect("an answer");
        assert_eq!(String::from_utf8_lossy(&bytes), expected);
    }

    /// The status of the next answer, of which nothing more is read; `None` if none begins within this time.
    pub async fn status(&mut self, within: Duration) -> Option<u16> {
        let mut line = [0; STATUS_LINE];
        let read = timeout(within, self.0.read_exact(&mut line)).await;
        read.ok()?.ok()?;
        std::str::from_utf8(&line[9..]).ok()?.parse().ok()
    }

    /// All that comes until the connection ends, in whatever way.
    ///
    /// # Panics
    /// If it does not end in time.
    pub async fn rest(&mut self) -> String {
        let mut bytes = Vec::new();
        let read = timeout(ANSWERED_WITHIN, self.0.read_to_end(&mut bytes)).await;
        let said = String::from_utf8_lossy(&bytes).into_owned();
        assert!(read.is_ok(), "the connection stays open after {said:?}");
        said
    }

    /// Whether the connection ends within this time; what is still on the way is passed over.
    pub async fn ends(&mut self, within: Duration) -> bool {
        let mut nowhere = tokio::io::sink();
        // It may also end by a reset.
        timeout(within, tokio::io::copy(&mut self.0, &mut nowhere))
            .await
            .is_ok()
    }

    /// Both directions, to be used at the same time.
    pub fn split(&mut self) -> (ReadHalf<'_>, WriteHalf<'_>) {
        self.0.split()
    }
}

/// Sends a request on a connection of its own, and returns all that comes back until the server closes it.
///
/// # Panics
/// If nobody listens, or the connection does not end.
pub async fn exchange(address: SocketAddr, request: impl AsRef<[u8]>) -> String {
    let mut connection = Raw::connect(address).await.expect("it listens");
    // The server may refuse the request before it has read everything.
    let _ = connection.try_send(request).await;
    connection.rest().await
}

/// A `GET` of this target, after which the connection stays open.
#[must_use]
pub fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

/// A `GET` of this target, after which the connection ends.
#[must_use]
pub fn last_get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
}

/// A `POST` of this body as JSON, with the length that it has.
#[must_use]
pub fn post(path: &str, body: &str) -> String {
    let headers = format!(
        "Content-Type: application/json\r\nContent-Length: {}",
        body.len()
    );
    post_with(path, &headers, body)
}

/// A `POST` with these headers, before whatever follows.
#[must_use]
pub fn post_with(path: &str, headers: &str, rest: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n\r\n{rest}")
}

/// The statuses of all answers, in order.
///
/// # Panics
/// If these are not answers.
#[must_use]
pub fn statuses(answers: &str) -> Vec<u16> {
    let heads = answers.split("HTTP/1.").skip(1);
    heads
        .map(|head| head[2..5].parse().expect("a status"))
        .collect()
}

/// The body of the last answer, which is JSON.
///
/// # Panics
/// If it is not.
#[must_use]
pub fn body(answers: &str) -> Value {
    let (_, body) = answers.rsplit_once("\r\n\r\n").expect("a body");
    serde_json::from_str(body).expect("JSON")
}
