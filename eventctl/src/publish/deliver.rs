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
