//! A server that answers what it is told to.

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};
use tokio_util::sync::CancellationToken;

use crate::{
    client::{Client, Target},
    tls,
};

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// Request line and headers, in small letters.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

/// What to do with a request.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// Status, headers that end with `\r\n`, body.
    Say(u16, &'static str, String),
    /// Read it and close the connection.
    HangUp,
}

/// Gives one answer after the other, and then 202.
pub(crate) struct FakeServer {
    url: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl FakeServer {
    pub(crate) async fn start(answers: Vec<Answer>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let server = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            requests: Arc::default(),
        };
        let requests = Arc::clone(&server.requests);
        tokio::spawn(async move {
            let mut answers = answers.into_iter();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let accepted = Answer::Say(202, "", r#"{"status":"accepted"}"#.to_owned());
                let answer = answers.next().unwrap_or(accepted);
                serve(stream, answer, &requests).await.unwrap();
            }
        });
        server
    }

    pub(crate) fn client(&self, patience: Duration) -> Client {
        let url: reqwest::Url = self.url.parse().unwrap();
        let target = Target {
            url: url.clone(),
            read_url: url,
            key: Some("secret".to_owned()),
            tls: tls::Files::default(),
            patience,
        };
        Client::new(target, CancellationToken::new()).unwrap()
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
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
            length = bytes.trim().parse().unwrap();
        }
        head += &line;
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    requests.lock().unwrap().push(Request { head, body });
    if let Answer::Say(status, headers, text) = answer {
        let bytes = text.len();
        let answer = format!(
            "HTTP/1.1 {status} x\r\ncontent-length: {bytes}\r\nconnection: close\r\n{headers}\r\n{text}"
        );
        stream.write_all(answer.as_bytes()).await?;
    }
    Ok(())
}
