//! A server that gives prepared answers, for tests (feature `testing`).
//!
//! # Panics
//! Everything in here panics if something is not as expected, as is right in a test.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

use crate::{client::Client, options::Options, retry::RetryPolicy};

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct Request {
    /// The request line and the headers, in lower case.
    pub head: String,
    /// The body.
    pub body: Vec<u8>,
}

/// What to do with a request.
#[derive(Debug, Clone)]
pub struct Answer(Option<Response>);

#[derive(Debug, Clone)]
struct Response {
    status: u16,
    headers: String,
    body: String,
}

impl Answer {
    /// An answer with this status and this JSON.
    #[must_use]
    pub fn json(status: u16, body: &Value) -> Self {
        Self(Some(Response {
            status,
            headers: String::new(),
            body: body.to_string(),
        }))
    }

    /// The answer to a batch that is accepted.
    #[must_use]
    pub fn accepted() -> Self {
        Self::json(202, &serde_json::json!({"status": "accepted"}))
    }

    /// The request is read, and then the connection is closed without an answer.
    #[must_use]
    pub const fn hang_up() -> Self {
        Self(None)
    }

    /// The same answer with `Retry-After`, in seconds.
    #[must_use]
    pub fn asking_to_wait(mut self, seconds: u32) -> Self {
        if let Some(response) = &mut self.0 {
            response.headers = format!("retry-after: {seconds}\r\n");
        }
        self
    }
}

/// A server on a free port of this machine. It gives one answer after the other, and then it accepts everything.
#[derive(Debug)]
pub struct FakeServer {
    url: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl FakeServer {
    /// Starts a server, which runs as long as the runtime.
    ///
    /// # Panics
    /// If there is no free port.
    pub async fn start(answers: Vec<Answer>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await;
        let listener = listener.expect("a free port");
        let address = listener.local_addr().expect("the address of a listener");
        let server = Self {
            url: format!("http://{address}"),
            requests: Arc::default(),
        };
        let requests = Arc::clone(&server.requests);
        tokio::spawn(async move {
            let mut answers = answers.into_iter();
            while let Ok((stream, _)) = listener.accept().await {
                let answer = answers.next().unwrap_or_else(Answer::accepted);
                let served = serve(stream, answer, &requests).await;
                served.expect("a client that reads its answer");
            }
        });
        server
    }

    /// The address of the server.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A client of this server, with the key `secret`.
    ///
    /// # Panics
    /// If no client can be made.
    #[must_use]
    pub fn client(&self, patience: Duration) -> Client {
        let url = self.url.parse().expect("a valid address");
        let options = Options {
            key: Some("secret".to_owned().into()),
            retry: RetryPolicy::within(patience),
            ..Options::new(url)
        };
        Client::new(options).expect("valid options")
    }

    /// All requests so far.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        let requests = self.requests.lock();
        requests.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn serve(
    stream: TcpStream,
    answer: Answer,
    requests: &Mutex<Vec<Request>>,
) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let (mut head, mut length) = (String::new(), 0);
    while !head.ends_with("\r\n\r\n") {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        let line = line.to_lowercase();
        if let Some(bytes) = line.strip_prefix("content-length:") {
            length = bytes.trim().parse().map_err(io::Error::other)?;
        }
        head += &line;
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    requests
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(Request { head, body });
    let Answer(Some(Response {
        status,
        headers,
        body,
    })) = answer
    else {
        return Ok(());
    };
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {status} x\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n{body}"
    );
    stream.write_all(answer.as_bytes()).await
}
