//! The keys of a file, in [TOML](https://toml.io/en/v1.0.0):
//!
//! ```toml
//! [[key]]
//! name = "shop"
//! scopes = ["publish"]
//! topics = ["orders/"]         # optional: only topics that begin so
//! requests_per_second = 50     # optional
//! events_per_second = 5000     # optional
//! hash = "sha256:…"
//! ```

use std::{collections::HashSet, sync::Arc};

use serde::Deserialize;

use super::{
    KeyHash, Scope,
    key::KeyHashError,
    rate::{Meter, Rate},
};
use crate::event::Topic;

/// Most keys in a file: every request is compared with each.
pub const MAX_KEYS: usize = 1000;

/// The keys that are valid.
#[derive(Debug, Default)]
pub struct Keyring(Vec<Arc<Key>>);

/// One key.
#[derive(Debug)]
pub struct Key {
    /// Whose it is, for logs.
    pub name: String,
    /// What it allows.
    pub scopes: Vec<Scope>,
    /// What topics must begin with; `None`: no matter.
    pub topics: Option<Vec<Topic>>,
    /// Counts requests; `None`: no limit.
    pub(super) requests: Option<Arc<Meter>>,
    /// Counts events; `None`: no limit.
    pub(super) events: Option<Arc<Meter>>,
    hash: KeyHash,
}

/// A file that holds no keys.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// It is not of the form above.
    #[error("line {line}: {what}")]
    Malformed {
        /// Where, from 1.
        line: usize,
        /// What is wrong.
        what: String,
    },
    /// A key breaks a rule.
    #[error("key {name:?}: {reason}")]
    Key {
        /// Its name.
        name: String,
        /// Which rule.
        reason: String,
    },
    /// There are none.
    #[error("there is no key in it; make one with the command `keys new`")]
    Empty,
    /// There are too many.
    #[error("there are {0} keys in it, at most {MAX_KEYS} are possible")]
    TooMany(usize),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    key: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    scopes: Vec<Scope>,
    topics: Option<Vec<String>>,
    requests_per_second: Option<Rate>,
    events_per_second: Option<Rate>,
    hash: String,
}

impl Keyring {
    /// Reads the text of a file.
    ///
    /// # Errors
    /// [`KeyringError`] says what is wrong, and never shows a hash, nor a key that stands where its hash should.
    pub fn parse(text: &str) -> Result<Self, KeyringError> {
        let file: File = toml::from_str(text).map_err(|error| malformed(text, &error))?;
        match file.key.len() {
            0 => return Err(KeyringError::Empty),
            count if count > MAX_KEYS => return Err(KeyringError::TooMany(count)),
            _ => {}
        }
        let (mut names, mut hashes) = (HashSet::new(), HashSet::new());
        let keys = file.key.into_iter().map(|entry| {
            // One key under two names would outlive the removal of one.
            let another = hashes.insert(entry.hash.to_ascii_lowercase());
            let key = Key::try_from(entry)?;
            if !another {
                Err(wrong(&key.name, "the hash is that of another key"))
            } else if names.insert(key.name.clone()) {
                Ok(Arc::new(key))
            } else {
                Err(wrong(&key.name, "the name is taken by another key"))
            }
        });
        Ok(Self(keys.collect::<Result<_, _>>()?))
    }

    /// The key that somebody sent. Every key is compared, so that the time tells nothing.
    #[must_use]
    pub fn find(&self, sent: &str) -> Option<&Arc<Key>> {
        let hash = KeyHash::of(sent);
        self.0.iter().fold(
            None,
            |found, key| {
                if key.hash == hash { Some(key) } else { found }
            },
        )
    }

    /// Goes on counting what keys spend that were there before with the same rates: a change of the file gives
    /// nobody a fresh start.
    pub(super) fn go_on_from(&mut self, before: &Self) {
        for key in &mut self.0 {
            let same = before.0.iter().find(|old| old.hash == key.hash);
            if let (Some(old), Some(key)) = (same, Arc::get_mut(key)) {
                go_on(&mut key.requests, old.requests.as_ref());
                go_on(&mut key.events, old.events.as_ref());
            }
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Key {
    /// What is stored of the key itself.
    pub(super) const fn hash(&self) -> KeyHash {
        self.hash
    }
}

impl TryFrom<Entry> for Key {
    type Error = KeyringError;

    fn try_from(entry: Entry) -> Result<Self, KeyringError> {
        let Entry {
            name,
            scopes,
            topics,
            requests_per_second,
            events_per_second,
            hash,
        } = entry;
        if name.is_empty() || name.chars().any(char::is_control) {
            return Err(wrong(
                &name,
                "name must be a text without control characters",
            ));
        }
        if scopes.is_empty() {
            return Err(wrong(&name, "scopes must name publish, read or admin"));
        }
        let topics = topics.map(|topics| {
            if topics.is_empty() {
                return Err(wrong(
                    &name,
                    "topics must not be empty; leave it out for all topics",
                ));
            }
            let prefix = |text: String| {
                Topic::try_from(text).map_err(|error| wrong(&name, format!("topics: {error}")))
            };
            topics.into_iter().map(prefix).collect()
        });
        Ok(Self {
            topics: topics.transpose()?,
            requests: requests_per_second.map(Meter::new).map(Arc::new),
            events: events_per_second.map(Meter::new).map(Arc::new),
            hash: hash
                .parse()
                .map_err(|error: KeyHashError| wrong(&name, error.to_string()))?,
            scopes,
            name,
        })
    }
}

fn go_on(meter: &mut Option<Arc<Meter>>, before: Option<&Arc<Meter>>) {
    if let (Some(meter), Some(before)) = (meter, before)
        && meter.rate() == before.rate()
    {
        *meter = before.clone();
    }
}

/// Not as the error shows itself: that repeats the line, and secrets may be in it.
fn malformed(text: &str, error: &toml::de::Error) -> KeyringError {
    let before = error.span().and_then(|span| text.get(..span.start));
    KeyringError::Malformed {
        line: 1 + before.unwrap_or_default().matches('\n').count(),
        what: error.message().to_owned(),
    }
}

fn wrong(name: &str, reason: impl Into<String>) -> KeyringError {
    KeyringError::Key {
        name: name.to_owned(),
        reason: reason.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::rate::Spent, *};

    fn entry(name: &str, key: &str, more: &str) -> String {
        let hash = KeyHash::of(key);
        format!("[[key]]\nname = {name:?}\nscopes = [\"publish\"]\nhash = \"{hash}\"\n{more}\n")
    }

    #[test]
    fn each_key_is_found_and_no_other() {
        let file = entry("a", "ea_1", "") + &entry("b", "ea_2", "topics = [\"orders/\"]");
        let keys = Keyring::parse(&file).unwrap();
        assert_eq!(keys.find("ea_1").unwrap().name, "a");
        let b = keys.find("ea_2").unwrap();
        assert_eq!(b.topics.as_ref().unwrap()[0].as_str(), "orders/");
        for other in ["", "ea_", "ea_3", "EA_1", "ea_1 "] {
            assert!(keys.find(other).is_none(), "{other}");
        }
    }

    #[test]
    fn a_file_that_is_wrong_shows_nothing_that_may_be_a_secret() {
        let good = entry("a", "1", "");
        let (before, _) = good.split_once("hash").unwrap();
        for bad in [
            "hash = ea_secret",
            "hash = \"ea_secret",
            "hash = \"ea_secret\"",
            "ea_secret",
            "hash = [\"ea_secret\"]",
            "\"hash\": \"ea_secret\"",
        ] {
            let error = Keyring::parse(&format!("{before}{bad}\n")).unwrap_err();
            let said = format!("{error} {error:?}");
            assert!(!said.contains("secret"), "{said}");
            let place = if bad == "hash = \"ea_secret\"" {
                "key \"a\""
            } else {
                "line 4: "
            };
            assert!(said.starts_with(place), "{said}");
        }
    }

    #[test]
    fn a_file_that_is_wrong_says_what_is() {
        let twice = entry("a", "1", "") + &entry("a", "2", "");
        let copied = entry("a", "1", "") + &entry("b", "1", "");
        for (file, says) in [
            ("", "no key in it"),
            ("key = 7", "invalid type"),
            ("[[key]]\nname = \"a\"", "missing field"),
            (&entry("a", "1", "colour = 1"), "unknown field `colour`"),
            (&entry("a", "1", "topics = []"), "topics must not be empty"),
            (&entry("a", "1", "events_per_second = 0"), "a rate must be"),
            (
                &entry("a", "1", "requests_per_second = -1"),
                "invalid value",
            ),
            (&entry("a", "1", "topics = [\"\"]"), "topics"),
            (&entry("", "1", ""), "name must be"),
            (&twice, "taken by another"),
            (&copied, "that of another"),
            (
                &entry("a", "1", "").replace("publish", "write"),
                "unknown variant `write`",
            ),
            (
                &entry("a", "1", "").replace("sha256", "md5"),
                "hash must be",
            ),
        ] {
            let error = Keyring::parse(file).unwrap_err().to_string();
            assert!(error.contains(says), "{file}: {error}");
        }
    }

    #[test]
    fn a_change_of_the_file_forgets_nothing_of_what_was_spent() {
        let spend = |keys: &Keyring, key: &str| {
            let key = keys.find(key).unwrap();
            key.requests.as_ref().unwrap().spend(1, 0)
        };
        let file = |b: u32| {
            entry("a", "ea_1", "requests_per_second = 1")
                + &entry("b", "ea_2", &format!("requests_per_second = {b}"))
        };
        let before = Keyring::parse(&file(1)).unwrap();
        assert_eq!(spend(&before, "ea_1"), Spent::Left(9));
        assert_eq!(spend(&before, "ea_2"), Spent::Left(9));
        let mut after = Keyring::parse(&file(2)).unwrap();
        after.go_on_from(&before);
        assert_eq!(spend(&after, "ea_1"), Spent::Left(8));
        assert_eq!(
            spend(&after, "ea_2"),
            Spent::Left(19),
            "the rate is another"
        );
    }
}
