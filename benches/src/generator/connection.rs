//! A connection that is kept, and the parts of an answer that matter: the status and the body.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail, ensure};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// The size of the buffer for an answer at first. It grows up to [`MAX_ANSWER_BYTES`].
const BUFFER_BYTES: usize = 16 * 1024;
/// The longest answer that is read.
const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;

/// A connection that is kept from request to request.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// Where in the buffer the body of the last answer is.
    body: std::ops::Range<usize>,
}

impl Connection {
    pub(crate) async fn open(server: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(server)
            .await
            .with_context(|| format!("nothing listens on {server}"))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: vec![0; BUFFER_BYTES],
            body: 0..0,
        })
    }

    /// Sends a request and reads its answer. Returns the status.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> Result<u16> {
        self.stream.write_all(request).await?;
        let mut read = 0;
        loop {
            if read == self.buffer.len() {
                ensure!(
                    read < MAX_ANSWER_BYTES,
                    "an answer has more than {read} bytes"
                );
                self.buffer.resize(2 * read, 0);
            }
            let more = self.stream.read(&mut self.buffer[read..]).await?;
            ensure!(more > 0, "the server closed the connection");
            read += more;
            if let Some((status, body)) = answer(&self.buffer[..read])?
                && read >= body.end
            {
                ensure!(read == body.end, "a request had more than one answer");
                self.body = body;
                return Ok(status);
            }
        }
    }

    /// The body of the last answer.
    pub(crate) fn body(&self) -> &[u8] {
        &self.buffer[self.body.clone()]
    }
}

/// Sends a `GET` request. Returns the status and the body.
pub(crate) async fn get(connection: &mut Connection, path: &str) -> Result<(u16, Vec<u8>)> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let status = connection.exchange(request.as_bytes()).await?;
    Ok((status, connection.body().to_vec()))
}

/// The status and the place of the body, once the head is complete.
fn answer(bytes: &[u8]) -> Result<Option<(u16, std::ops::Range<usize>)>> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = std::str::from_utf8(&bytes[..end]).context("the head of an answer is not text")?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1));
    let status = status.and_then(|status| status.parse().ok());
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let found = name.eq_ignore_ascii_case("content-length");
        found.then(|| value.trim().parse::<usize>().ok()).flatten()
    });
    match (status, length) {
        (Some(status), Some(length)) => Ok(Some((status, end + 4..end + 4 + length))),
        _ => bail!("an answer has no status or no length:\n{head}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_once_its_head_is_there() {
        let text = b"HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\nx: y\r\n\r\n{}";
        let (status, body) = answer(text).unwrap().unwrap();
        assert_eq!((status, &text[body]), (202, &b"{}"[..]));
        assert_eq!(answer(&text[..40]).unwrap(), None);
    }

    #[test]
    fn an_answer_without_a_length_is_refused() {
        let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        assert!(answer(chunked).is_err());
    }
}
