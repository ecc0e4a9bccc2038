//! What Redis was given, read from its append-only file.
//!
//! The file says for certain which deliveries reached the queue, also those whose acknowledgement was lost,
//! and needs no word from the programs under test. With `appendfsync always` it holds whatever had an effect.
//! Its format is that of the protocol: arrays of byte strings
//! ([persistence](https://redis.io/docs/latest/operate/oss_and_stack/management/persistence/)).

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::Path,
};

use anyhow::{Context, ensure};
use event::element;

use super::load::Identity;

/// Where Redis keeps its append-only files, within its folder.
const FOLDER: &str = "appendonlydir";
/// What the names of those end in that list commands; the others hold a snapshot.
const COMMANDS: &str = ".incr.aof";

/// What was pushed into the queue.
#[derive(Debug, Default, Clone)]
pub struct Pushed {
    /// How often each event.
    pub events: BTreeMap<Identity, u64>,
    /// What is no event, each time.
    pub strangers: Vec<Vec<u8>>,
}

/// What happened in one queue.
#[derive(Debug, Default)]
pub(super) struct Journal {
    pub(super) pushed: Pushed,
    /// Claims that somebody other than their owner took over.
    pub(super) adopted: usize,
    /// When the last lease of an adopted claim had run out, in milliseconds since 1970.
    pub(super) last_expiry: Option<u64>,
    /// The deadline of each lease.
    leases: HashMap<Vec<u8>, u64>,
}

impl Journal {
    /// Reads what there is about a queue in the files of a Redis.
    pub(super) fn read(redis_folder: &Path, queue_name: &str) -> anyhow::Result<Self> {
        let folder = redis_folder.join(FOLDER);
        let mut journal = Self::default();
        for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().ends_with(COMMANDS) {
                journal.add(&fs::read(entry.path())?, queue_name)?;
            }
        }
        Ok(journal)
    }

    fn add(&mut self, file: &[u8], queue_name: &str) -> anyhow::Result<()> {
        let key = |key| format!("{{{queue_name}}}:{key}").into_bytes();
        let (queue, leases, adopted) = (key("queue"), key("leases"), key("adopted"));
        let mut rest = file;
        while !rest.is_empty() {
            let command = command(&mut rest)?;
            let [name, key, values @ ..] = command.as_slice() else {
                continue;
            };
            if name.eq_ignore_ascii_case(b"LPUSH") && *key == queue {
                for &element in values {
                    self.pushed.add(element);
                }
            } else if name.eq_ignore_ascii_case(b"ZADD") && *key == leases {
                let [.., deadline, claim] = values else {
                    continue;
                };
                let deadline = std::str::from_utf8(deadline)?.parse()?;
                self.leases.insert(claim.to_vec(), deadline);
            } else if name.eq_ignore_ascii_case(b"SADD") && *key == adopted {
                // The deadline it still has: whoever adopts a claim renews its lease afterwards.
                let expiries = values.iter().map(|claim| self.leases.get(*claim).copied());
                self.last_expiry = expiries.flatten().chain(self.last_expiry).max();
                self.adopted += values.len();
            }
        }
        Ok(())
    }
}

fn command<'a>(rest: &mut &'a [u8]) -> anyhow::Result<Vec<&'a [u8]>> {
    let words = number(rest, b'*')?;
    let word = |_| {
        let length = number(rest, b'$')?;
        let (word, after) = rest.split_at_checked(length).context("a word is cut off")?;
        *rest = after.strip_prefix(b"\r\n").context("a word has no end")?;
        Ok(word)
    };
    (0..words).map(word).collect()
}

fn number(rest: &mut &[u8], kind: u8) -> anyhow::Result<usize> {
    let end = rest.windows(2).position(|pair| pair == b"\r\n");
    let (line, after) = rest.split_at(end.context("a line is cut off")?);
    *rest = &after[2..];
    ensure!(line.first() == Some(&kind), "a line is of another kind");
    Ok(std::str::from_utf8(&line[1..])?.parse()?)
}

impl Pushed {
    /// Reads an element as an aggregator does; what that is worth is tested elsewhere.
    fn add(&mut self, element: &[u8]) {
        let opened = element::open(element.to_vec());
        for event in &opened.events {
            let (topic, id) = event.key();
            let identity = (topic.to_owned(), id.to_owned());
            *self.events.entry(identity).or_default() += 1;
        }
        let strangers = opened.malformed.into_iter().map(|malformed| malformed.raw);
        self.strangers.extend(strangers);
    }
}

#[cfg(test)]
mod tests {
    use event::envelope;

    use super::*;
    use crate::events::event;

    fn written(words: &[&str]) -> String {
        let words = words
            .iter()
            .map(|word| format!("${}\r\n{word}\r\n", word.len()));
        format!("*{}\r\n{}", words.len(), words.collect::<String>())
    }

    #[test]
    fn pushes_into_the_queue_and_adoptions_are_counted() {
        let envelope =
            |id: &str| String::from_utf8(envelope::encode(&event("t", id)).unwrap()).unwrap();
        let (a, b) = (&*envelope("a"), &*envelope("b"));
        let file = [
            written(&["SELECT", "0"]),
            written(&["LPUSH", "{q}:queue", a, b]),
            written(&["MULTI"]),
            written(&["ZADD", "{q}:leases", "5000", "w:1"]),
            written(&["LMOVE", "{q}:queue", "{q}:claim:w:1", "RIGHT", "LEFT"]),
            written(&["EXEC"]),
            written(&["lpush", "{q}:queue", a, "hello"]),
            written(&["LPUSH", "{other}:queue", a]),
            written(&["SADD", "{q}:adopted", "w:1"]),
            written(&["ZADD", "{q}:leases", "XX", "6500", "w:1"]),
        ]
        .concat();
        let mut journal = Journal::default();
        journal.add(file.as_bytes(), "q").unwrap();
        let id = |id: &str| ("t".to_owned(), id.to_owned());
        assert_eq!(journal.pushed.events, [(id("a"), 2), (id("b"), 1)].into());
        assert_eq!(journal.pushed.strangers, [b"hello"]);
        assert_eq!((journal.adopted, journal.last_expiry), (1, Some(5000)));
        let cut_off = &file.as_bytes()[..file.len() - 5];
        assert!(journal.add(cut_off, "q").is_err());
    }
}
