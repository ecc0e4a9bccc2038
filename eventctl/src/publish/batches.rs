//! Makes batches of the input. A thread of its own reads the input, because reading from a pipe cannot be interrupted.

use std::{io::BufRead, mem, thread, time::Duration};

use futures_util::{Stream, stream};
use tokio::{sync::mpsc, time::timeout};

use super::{
    ids,
    input::{Position, Reader, Record},
};

/// How many events are read in advance.
const READ_AHEAD: usize = 64;
/// The largest body of a request, unless a single event is larger. A server takes bodies of 16 MiB unless it is set to another
/// size.
const MAX_BODY_BYTES: usize = 4 * 1024 * 1024;
/// How long a batch that is not full waits for more events.
const FULL_WITHIN: Duration = Duration::from_millis(500);

/// An event that is ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    /// The line in which it begins.
    pub(super) line: u64,
    /// Its text.
    pub(super) text: Vec<u8>,
}

/// An event that was not accepted, and the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    /// The event.
    pub(super) item: Item,
    /// Why it was not accepted.
    pub(super) reason: String,
}

/// Consecutive events of the input.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct InputBatch {
    /// The events to send.
    pub(super) items: Vec<Item>,
    /// The events that are not sent, because the server would refuse them.
    pub(super) refused: Vec<Refused>,
    /// Where the input continues.
    pub(super) next: Position,
}

impl InputBatch {
    const fn at(next: Position) -> Self {
        Self {
            items: Vec::new(),
            refused: Vec::new(),
            next,
        }
    }

    fn len(&self) -> usize {
        self.items.len() + self.refused.len()
    }

    /// Adds a record; returns how many bytes it adds to the body.
    fn add(&mut self, record: Record, from_content: bool) -> usize {
        self.next = record.next;
        let line = record.line;
        let (text, reason) = match record.text {
            Ok(text) => match ids::prepare(text.clone(), from_content) {
                Ok(text) => {
                    let bytes = text.len();
                    self.items.push(Item { line, text });
                    return bytes;
                }
                Err(reason) => (text, reason),
            },
            Err(reason) => (Vec::new(), reason),
        };
        let item = Item { line, text };
        self.refused.push(Refused { item, reason });
        0
    }
}

/// Batches of at most `size` events, in the order of the input. An error is the last item.
pub(super) fn batches<R: BufRead + Send + 'static>(
    reader: Reader<R>,
    start: Position,
    size: usize,
    from_content: bool,
) -> impl Stream<Item = std::io::Result<InputBatch>> {
    let (records, input) = mpsc::channel(READ_AHEAD);
    thread::spawn(move || {
        for record in reader {
            let failed = record.is_err();
            // No one listens any more, or nothing more can be read.
            if records.blocking_send(record).is_err() || failed {
                return;
            }
        }
    });
    let filler = Filler {
        input,
        at: start,
        failed: None,
    };
    stream::unfold(filler, move |mut filler| async move {
        let batch = filler.fill(size, from_content).await?;
        Some((batch, filler))
    })
}

/// Fills one batch after the other.
struct Filler {
    input: mpsc::Receiver<std::io::Result<Record>>,
    at: Position,
    failed: Option<std::io::Error>,
}

impl Filler {
    async fn fill(
        &mut self,
        size: usize,
        from_content: bool,
    ) -> Option<std::io::Result<InputBatch>> {
        let (mut batch, mut bytes) = (InputBatch::at(self.at), 0);
        while batch.len() < size && bytes < MAX_BODY_BYTES && self.failed.is_none() {
            let record = if batch.len() == 0 {
                self.input.recv().await
            } else {
                // If the input pauses, the events that are there are sent.
                let Ok(record) = timeout(FULL_WITHIN, self.input.recv()).await else {
                    break;
                };
                record
            };
            match record {
                None => break,
                Some(Ok(record)) => bytes += batch.add(record, from_content),
                Some(Err(error)) => self.failed = Some(error),
            }
        }
        self.at = batch.next;
        if batch.len() > 0 {
            return Some(Ok(batch));
        }
        mem::take(&mut self.failed).map(Err)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, BufReader, Read};

    use futures_util::StreamExt;

    use super::*;

    async fn all(input: impl Read + Send + 'static, size: usize) -> Vec<io::Result<InputBatch>> {
        let reader = Reader::new(BufReader::new(input), Position::START);
        batches(reader, Position::START, size, false)
            .collect()
            .await
    }

    #[tokio::test]
    async fn all_batches_but_the_last_are_full() {
        let input = "{\"id\":1}\n".repeat(7);
        let batches = all(io::Cursor::new(input), 3).await;
        let sizes: Vec<_> = batches
            .iter()
            .map(|batch| batch.as_ref().unwrap().items.len())
            .collect();
        assert_eq!(sizes, [3, 3, 1]);
        assert_eq!(batches[2].as_ref().unwrap().next.offset, 63);
    }

    #[tokio::test]
    async fn events_that_would_be_refused_are_put_aside_with_their_lines() {
        let batches = all(io::Cursor::new("{\"id\":1}\n{}\nhello\n{\"id\":2}\n"), 10).await;
        let batch = batches[0].as_ref().unwrap();
        let lines: Vec<_> = batch
            .refused
            .iter()
            .map(|refused| refused.item.line)
            .collect();
        assert_eq!((batch.items.len(), lines), (2, vec![2, 3]));
    }

    #[tokio::test]
    async fn large_events_make_smaller_batches() {
        let event = format!(
            "{{\"id\":1,\"payload\":{{\"a\":\"{}\"}}}}\n",
            "x".repeat(900_000)
        );
        let batches = all(io::Cursor::new(event.repeat(12)), 100).await;
        let sizes: Vec<_> = batches
            .iter()
            .map(|batch| batch.as_ref().unwrap().items.len())
            .collect();
        assert_eq!(sizes, [5, 5, 2]);
    }

    #[tokio::test]
    async fn events_before_an_error_are_sent() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("gone"))
            }
        }
        let input = io::Cursor::new("{\"id\":1}\n").chain(Broken);
        let batches = all(input, 10).await;
        assert_eq!(batches[0].as_ref().unwrap().items.len(), 1);
        assert_eq!(batches[1].as_ref().unwrap_err().to_string(), "gone");
    }
}
