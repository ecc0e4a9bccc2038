//! What is spoken on a connection, and connections on which nothing is.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    sync::Arc,
};

use rustls::{ClientConfig, ClientConnection, StreamOwned, version};
use tests::{SOON, certificates::Authority, programs};

use super::Fixture;

#[tokio::test]
async fn both_versions_of_tls_are_spoken_and_of_http_only_the_first() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let clients = authority.write(folder.path(), "clients.pem");
    let client_ca = format!("--tls-client-ca={}", clients.display());
    let fixture = Fixture::start(&authority, &[&client_ca]).await;
    let shown = authority.sign(&["somebody"]);
    for tls in [&version::TLS12, &version::TLS13] {
        for offered in [&["http/1.1"][..], &["h2", "http/1.1"], &[]] {
            let mut config = authority.trusted_by(Some(&shown), &[tls]);
            config.alpn_protocols = offered.iter().map(|&name| name.into()).collect();
            let mut stream = connect(fixture.port(), config).unwrap();
            assert_eq!(stream.conn.protocol_version(), Some(tls.version));
            let spoken = stream.conn.alpn_protocol();
            assert_eq!(spoken, offered.last().map(|name| name.as_bytes()));
            let answer = exchange(&mut stream, b"GET /stats HTTP/1.0\r\n\r\n");
            assert!(answer.starts_with("HTTP/1.0 200"), "{tls:?}: {answer}");
        }
        let mut config = authority.trusted_by(Some(&shown), &[tls]);
        config.alpn_protocols = vec!["h2".into()];
        assert!(
            connect(fixture.port(), config).is_err(),
            "HTTP/2 alone is refused"
        );
    }
    fixture.app.stop().await;
}

#[tokio::test]
async fn a_connection_without_a_handshake_gets_no_answer_and_harms_nobody() {
    let authority = Authority::new();
    let fixture = Fixture::start(&authority, &[]).await;
    let mut plain = tcp(fixture.port());
    let answer = exchange(&mut plain, b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n");
    assert!(!answer.contains("HTTP"), "{answer}");
    let mut silent = tcp(fixture.port());
    // Until the server has had enough of it.
    let answer = exchange(&mut silent, b"");
    assert!(answer.is_empty(), "{answer}");
    assert!(fixture.is_trusted(&authority.client(None)).await);
    fixture.app.stop().await;
}

#[tokio::test]
async fn silent_connections_keep_out_neither_clients_nor_the_health_check() {
    const SILENT: usize = 1100;
    let authority = Authority::new();
    let fixture = Fixture::start(&authority, &["--max-connections=200"]).await;
    let mut silent: Vec<TcpStream> = (0..SILENT).map(|_| tcp(fixture.port())).collect();
    for _ in 0..3 {
        assert!(fixture.is_trusted(&authority.client(None)).await);
        let address = format!("127.0.0.1:{}", fixture.port());
        let cert = fixture.files.cert.display().to_string();
        let settings = [("BIND_ADDR", &*address), ("TLS_CERT", &cert)];
        let asked = ["healthcheck", "--ready"];
        let check = programs::run("event-aggregator", &asked, &settings).await;
        assert_eq!(check.code, Some(0), "{}", check.err);
    }
    // Those that came first have lost their places, and the others are given up soon.
    for stream in silent.iter_mut().step_by(SILENT - 1) {
        assert_eq!(exchange(stream, b""), "");
    }
    fixture.app.stop().await;
}

fn connect(
    port: u16,
    config: ClientConfig,
) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
    let server = "127.0.0.1".try_into().unwrap();
    let mut connection = ClientConnection::new(Arc::new(config), server).unwrap();
    let mut stream = tcp(port);
    connection.complete_io(&mut stream)?;
    Ok(StreamOwned::new(connection, stream))
}

fn tcp(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream
}

/// Sends this, and reads until the end of the connection.
fn exchange(stream: &mut (impl Read + Write), request: &[u8]) -> String {
    stream.write_all(request).unwrap();
    let mut answer = Vec::new();
    // It may also end by a reset.
    let ended = stream.read_to_end(&mut answer);
    let late = ended.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
    assert!(!late, "the connection has no end");
    String::from_utf8_lossy(&answer).into_owned()
}
