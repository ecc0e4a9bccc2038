//! Sends one batch until each of its events is done: accepted, or refused.

use std::{collections::BTreeMap, io};

use event_aggregator_client::{self as client, Batch, Client, FailedAttempt, Problem};

use super::{
    batches::{InputBatch, Item, Refused},
    input::Position,
};
use crate::error::Error;

/// What became of a batch.
#[derive(Debug)]
pub(super) struct Delivered {
    /// How many events were accepted.
    pub(super) accepted: u64,
    /// How many of them were stored before, if the server has told.
    pub(super) duplicates: u64,
    /// The events that were not accepted.
    pub(super) refused: Vec<Refused>,
    /// Where the input continues.
    pub(super) next: Position,
}

/// How batches are sent.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Way {
    /// Compressed.
    pub(super) gzip: bool,
    /// To be stored at once, so that the server tells what is new.
    pub(super) ingest: bool,
}

/// Sends a batch. The server accepts all events of a request or none, so the events that it refuses are taken out, and the
/// others are sent again. Each round finishes an event or halves the batch, so the number of rounds is bounded.
///
/// # Errors
/// If the server is away for longer than the client's patience, or refuses the client.
pub(super) async fn deliver(
    client: &Client,
    batch: InputBatch,
    way: Way,
    mut failed: impl FnMut(&FailedAttempt),
) -> Result<Delivered, Error> {
    let mut delivered = Delivered {
        accepted: 0,
        duplicates: 0,
        refused: batch.refused,
        next: batch.next,
    };
    let mut left = vec![batch.items];
    while let Some(mut items) = left.pop() {
        if items.is_empty() {
            continue;
        }
        let body = body(&items, way.gzip)?;
        let sent = if way.ingest {
            let stored = client.ingest_observed(&body, &mut failed).await;
            stored.map(|stored| stored.duplicates)
        } else {
            client
                .publish_observed(&body, &mut failed)
                .await
                .map(|()| 0)
        };
        let problem = match sent {
            Ok(duplicates) => {
                delivered.accepted += items.len() as u64;
                delivered.duplicates += duplicates;
                continue;
            }
            // The events are wrong, not the client.
            Err(client::Error::Refused(problem)) if matches!(problem.status, 400 | 413) => problem,
            Err(error) => return Err(error.into()),
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

/// The events that the server named, by their place in the batch, and what is wrong with each.
fn reasons(problem: &Problem, events: usize) -> BTreeMap<usize, String> {
    let named = problem.errors.iter().filter(|error| error.index < events);
    named
        .map(|error| (error.index, error.detail.clone()))
        .collect()
}

/// Moves the events that the server named to the refused ones; returns the others.
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

fn body(items: &[Item], gzip: bool) -> io::Result<Batch> {
    let texts: Vec<&[u8]> = items.iter().map(|item| item.text.as_slice()).collect();
    let array = [b"[", texts.join(&b","[..]).as_slice(), b"]"].concat();
    let batch = Batch::from_json(array);
    if gzip { batch.gzip() } else { Ok(batch) }
}

#[cfg(test)]
mod tests {
    use std::{io::Read, time::Duration};

    use client::testing::{Answer, FakeServer, Request};
    use flate2::read::GzDecoder;
    use serde_json::{Value, json};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn batch(ids: &[&str]) -> InputBatch {
        let item = |(line, id): (u64, &&str)| Item {
            line,
            text: format!("{{\"id\":\"{id}\"}}").into_bytes(),
        };
        InputBatch {
            items: (1..).zip(ids).map(item).collect(),
            refused: Vec::new(),
            next: Position::START,
        }
    }

    fn ids(body: &[u8]) -> Vec<String> {
        let events: Vec<Value> = serde_json::from_slice(body).unwrap();
        let id = |event: &Value| event["id"].as_str().unwrap().to_owned();
        events.iter().map(id).collect()
    }

    async fn delivered(answers: Vec<Answer>, all: &[&str]) -> (Delivered, Vec<Request>) {
        let server = FakeServer::start(answers).await;
        let client = server.client(PATIENCE);
        let delivered = deliver(&client, batch(all), Way::default(), |_| ())
            .await
            .unwrap();
        (delivered, server.requests())
    }

    fn lines(delivered: &Delivered) -> Vec<u64> {
        let lines = delivered.refused.iter();
        lines.map(|refused| refused.item.line).collect()
    }

    #[tokio::test]
    async fn the_events_that_the_server_names_are_taken_out_and_the_rest_is_sent_again() {
        let errors =
            json!({"status": 400, "errors": [{"index": 1, "pointer": "/1", "detail": "is bad"}]});
        let answers = vec![Answer::json(400, &errors)];
        let (delivered, requests) = delivered(answers, &["a", "b", "c"]).await;
        assert_eq!((delivered.accepted, lines(&delivered)), (2, vec![2]));
        assert_eq!(delivered.refused[0].reason, "is bad");
        assert_eq!(ids(&requests[1].body), ["a", "c"]);
    }

    #[tokio::test]
    async fn a_batch_that_is_too_large_is_halved_until_it_fits() {
        let too_large = Answer::json(413, &json!({"status": 413, "detail": "too large"}));
        let (delivered, requests) = delivered(vec![too_large; 3], &["a", "b", "c", "d"]).await;
        // The server refuses abcd, ab, and a; then it accepts b and cd.
        assert_eq!((delivered.accepted, lines(&delivered)), (3, vec![1]));
        assert_eq!(delivered.refused[0].reason, "too large");
        assert_eq!(ids(&requests[3].body), ["b"]);
        assert_eq!(ids(&requests[4].body), ["c", "d"]);
    }

    #[tokio::test]
    async fn what_is_stored_at_once_is_new_or_a_duplicate() {
        let answer = json!({"accepted": 1, "duplicates": 1, "dead_lettered": 0, "results": []});
        let server = FakeServer::start(vec![Answer::json(200, &answer)]).await;
        let client = server.client(PATIENCE);
        let way = Way {
            ingest: true,
            ..Way::default()
        };
        let delivered = deliver(&client, batch(&["a", "b"]), way, |_| ())
            .await
            .unwrap();
        assert_eq!((delivered.accepted, delivered.duplicates), (2, 1));
        assert!(server.requests()[0].head.starts_with("post /ingest "));
    }

    #[tokio::test]
    async fn a_compressed_request_holds_the_same_events() {
        let server = FakeServer::start(Vec::new()).await;
        let client = server.client(PATIENCE);
        let way = Way {
            gzip: true,
            ..Way::default()
        };
        deliver(&client, batch(&["a", "b"]), way, |_| ())
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
