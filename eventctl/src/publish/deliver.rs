//! One batch until all of it is settled: accepted, or refused event by event.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};

use super::batches::{Batch, Item, Refused};
use crate::{
    client::{Body, Client, Failure, Problem},
    error::Error,
    publish::input::Position,
};

/// What became of a batch.
#[derive(Debug)]
pub struct Delivered {
    /// How many events were accepted.
    pub accepted: u64,
    /// Those that were not.
    pub refused: Vec<Refused>,
    /// Where the input goes on.
    pub next: Position,
}

/// Sends a batch. The server takes all of it or nothing: what it refuses is taken out and the rest
/// sent again. Each round settles an event or halves the batch, so their number is bounded.
///
/// # Errors
/// If the server is away for longer than the client's patience, or refuses the client.
pub async fn deliver(
    client: &Client,
    batch: Batch,
    gzip: bool,
    mut failed: impl FnMut(&Failure),
) -> Result<Delivered, Error> {
    let mut delivered = Delivered {
        accepted: 0,
        refused: batch.refused,
        next: batch.next,
    };
    let mut left = vec![batch.items];
    while let Some(mut items) = left.pop() {
        if items.is_empty() {
            continue;
        }
        let problem = match client.publish(&body(&items, gzip)?, &mut failed).await {
            Ok(()) => {
                delivered.accepted += items.len() as u64;
                continue;
            }
            // It is about the events, not about the client.
            Err(Error::Refused(problem)) if matches!(problem.status, 400 | 413) => problem,
            Err(error) => return Err(error),
        };
        let reasons = reasons(&problem, items.len());
        if !reasons.is_empty() {
            left.push(take_out(items, reasons, &mut delivered.refused));
        } else if items.len() > 1 {
            left.push(items.split_off(items.len() / 2));
            left.push(items);
        } else {
            let reason = problem.detail;
            let refused = items.into_iter().map(|item| Refused {
                item,
                reason: reason.clone(),
            });
            delivered.refused.extend(refused);
        }
    }
    delivered.refused.sort_by_key(|refused| refused.item.line);
    Ok(delivered)
}

/// Which events the server named, and why.
fn reasons(problem: &Problem, events: usize) -> BTreeMap<usize, String> {
    let named = problem.errors.iter().filter(|error| error.index < events);
    named
        .map(|error| (error.index, error.detail.clone()))
        .collect()
}

fn take_out(
    items: Vec<Item>,
    mut reasons: BTreeMap<usize, String>,
    refused: &mut Vec<Refused>,
) -> Vec<Item> {
    let mut rest = Vec::with_capacity(items.len());
    for (index, item) in items.into_iter().enumerate() {
        match reasons.remove(&index) {
            Some(reason) => refused.push(Refused { item, reason }),
            None => rest.push(item),
        }
    }
    rest
}

fn body(items: &[Item], gzip: bool) -> io::Result<Body> {
    let texts: Vec<&[u8]> = items.iter().map(|item| item.text.as_slice()).collect();
    let array = [b"[", texts.join(&b","[..]).as_slice(), b"]"].concat();
    let bytes = if gzip {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&array)?;
        encoder.finish()?
    } else {
        array
    };
    Ok(Body {
        bytes: Bytes::from(bytes),
        gzip,
    })
}

#[cfg(test)]
mod tests {
    use std::{io::Read, time::Duration};

    use flate2::read::GzDecoder;

    use super::*;
    use crate::testing::{Answer, FakeServer, Request};

    const PATIENCE: Duration = Duration::from_secs(20);

    fn batch(ids: &[&str]) -> Batch {
        let item = |(line, id): (u64, &&str)| Item {
            line,
            text: format!("{{\"id\":\"{id}\"}}").into_bytes(),
        };
        Batch {
            items: (1..).zip(ids).map(item).collect(),
            refused: Vec::new(),
            next: Position::START,
        }
    }

    fn ids(body: &[u8]) -> Vec<String> {
        let events: Vec<serde_json::Value> = serde_json::from_slice(body).unwrap();
        let id = |event: &serde_json::Value| event["id"].as_str().unwrap().to_owned();
        events.iter().map(id).collect()
    }

    async fn delivered(answers: Vec<Answer>, all: &[&str]) -> (Delivered, Vec<Request>) {
        let server = FakeServer::start(answers).await;
        let client = server.client(PATIENCE);
        let delivered = deliver(&client, batch(all), false, |_| ()).await.unwrap();
        (delivered, server.requests())
    }

    fn lines(delivered: &Delivered) -> Vec<u64> {
        let lines = delivered.refused.iter();
        lines.map(|refused| refused.item.line).collect()
    }

    #[tokio::test]
    async fn what_the_server_names_is_taken_out_and_the_rest_sent_again() {
        let errors = r#"{"status":400,"errors":[{"index":1,"pointer":"/1","detail":"is bad"}]}"#;
        let answers = vec![Answer::Say(400, "", errors.to_owned())];
        let (delivered, requests) = delivered(answers, &["a", "b", "c"]).await;
        assert_eq!((delivered.accepted, lines(&delivered)), (2, vec![2]));
        assert_eq!(delivered.refused[0].reason, "is bad");
        assert_eq!(ids(&requests[1].body), ["a", "c"]);
    }

    #[tokio::test]
    async fn a_batch_that_is_too_large_is_halved_until_it_fits() {
        let too_large =
            || Answer::Say(413, "", r#"{"status":413,"detail":"too large"}"#.to_owned());
        let answers = vec![too_large(), too_large(), too_large()];
        let (delivered, requests) = delivered(answers, &["a", "b", "c", "d"]).await;
        // abcd, ab, a: refused alone; then b, and cd.
        assert_eq!((delivered.accepted, lines(&delivered)), (3, vec![1]));
        assert_eq!(delivered.refused[0].reason, "too large");
        assert_eq!(ids(&requests[3].body), ["b"]);
        assert_eq!(ids(&requests[4].body), ["c", "d"]);
    }

    #[tokio::test]
    async fn a_compressed_body_says_so_and_holds_the_same() {
        let server = FakeServer::start(Vec::new()).await;
        let client = server.client(PATIENCE);
        deliver(&client, batch(&["a", "b"]), true, |_| ())
            .await
            .unwrap();
        let request = server.requests().remove(0);
        assert!(request.head.contains("content-encoding: gzip"));
        let mut body = Vec::new();
        GzDecoder::new(request.body.as_slice())
            .read_to_end(&mut body)
            .unwrap();
        assert_eq!(ids(&body), ["a", "b"]);
    }
}
