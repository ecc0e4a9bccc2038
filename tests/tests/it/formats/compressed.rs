//! Bodies that are compressed, or say that they are.

use reqwest::{Method, StatusCode};
use serde_json::json;
use tests::app::answer;

use super::{PATHS, app, detail, encoded, gzip};

const GIBIBYTE: usize = 1 << 30;

/// Zeros as zstd: blocks that say "this byte, so often", in a window of 128 KiB.
fn zstd_zeros(len: usize) -> Vec<u8> {
    const BLOCK: usize = 128 * 1024;
    let mut frame = vec![0x28, 0xB5, 0x2F, 0xFD, 0x00, 7 << 3];
    for left in (0..len / BLOCK).rev() {
        let header = (BLOCK << 3) | (1 << 1) | usize::from(left == 0);
        frame.extend(&header.to_le_bytes()[..3]);
        frame.push(0);
    }
    frame
}

#[tokio::test]
async fn a_gibibyte_in_a_small_body_is_too_large() {
    let app = app().await;
    let member = gzip(&vec![0; 1 << 20]);
    let bombs = [
        ("gzip", member.repeat(GIBIBYTE >> 20)),
        ("zstd", zstd_zeros(GIBIBYTE)),
    ];
    for path in PATHS {
        for (encoding, bomb) in &bombs {
            for media_type in ["application/json", "application/x-ndjson"] {
                let request = app
                    .request(Method::POST, path)
                    .header("content-type", media_type)
                    .header("content-encoding", *encoding)
                    .body(bomb.clone());
                let answer = answer(request).await;
                assert_eq!(
                    answer.0,
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "{encoding}: {}",
                    answer.1
                );
                assert!(detail(&answer).contains("2097152 bytes"), "{}", answer.1);
            }
        }
    }
    assert_eq!(app.stats().await["received"], 0);
    app.stop().await;
}

#[tokio::test]
async fn a_body_that_is_cut_or_not_of_its_encoding_is_refused_as_a_whole() {
    let app = app().await;
    let lines = "{\"id\":\"a\"}\n".repeat(100);
    for path in ["/publish", "/ingest", "/publish?partial=true"] {
        for encoding in ["gzip", "zstd"] {
            let whole = encoded(encoding, lines.as_bytes());
            let cut = &whole[..whole.len() - 3];
            let trailing = [&whole[..], b"garbage, more than a header of any kind"].concat();
            for body in [cut, lines.as_bytes(), &trailing, b""] {
                let request = app
                    .request(Method::POST, path)
                    .header("content-type", "application/x-ndjson")
                    .header("content-encoding", encoding)
                    .body(body.to_vec());
                let answer = answer(request).await;
                assert_eq!(
                    answer.0,
                    StatusCode::BAD_REQUEST,
                    "{encoding}: {}",
                    answer.1
                );
                assert!(detail(&answer).contains("Content-Encoding"), "{}", answer.1);
            }
        }
    }
    assert_eq!(app.stats().await["received"], 0);
    app.stop().await;
}

#[tokio::test]
async fn members_of_a_gzip_file_follow_each_other() {
    let app = app().await;
    let body = [gzip(b"{\"id\":\"a\"}\n{\"id"), gzip(b"\":\"b\"}")].concat();
    let request = app
        .request(Method::POST, "/publish")
        .header("content-type", "application/x-ndjson")
        .header("content-encoding", "gzip")
        .body(body);
    let (status, body) = answer(request).await;
    assert_eq!((status, &body["count"]), (StatusCode::ACCEPTED, &json!(2)));
    app.stop().await;
}
