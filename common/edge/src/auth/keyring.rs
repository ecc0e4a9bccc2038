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

use event::Topic;

use super::{
    KeyHash, Scope,
    file::{self, Entry, KeysFileError, Wrong},
    rate::Meter,
};

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
    /// What topics must begin with; `None`: any topic is allowed.
    pub topics: Option<Vec<Topic>>,
    /// Counts requests; `None`: no limit.
    pub(super) requests: Option<Arc<Meter>>,
    /// Counts events; `None`: no limit.
    pub(super) events: Option<Arc<Meter>>,
    hash: KeyHash,
}

const SAME_NAME: Wrong = Wrong::Form("this key has the name of another one; give each its own");
const SAME_HASH: Wrong = Wrong::Form(
    "this key has the hash of another one; keep one of the two, because removing one would leave the other",
);

impl Keyring {
    /// Reads the text of a file. A file without keys lets nobody in.
    ///
    /// # Errors
    /// [`KeysFileError`] says what is wrong and where, and shows nothing of the file.
    pub fn parse(text: &str) -> Result<Self, KeysFileError> {
        let (mut names, mut hashes) = (HashSet::new(), HashSet::new());
        let keys = file::read(text)?.into_iter().map(|entry| {
            let line = entry.line;
            if !hashes.insert(entry.hash.to_string()) {
                Err(KeysFileError::Line {
                    line,
                    wrong: SAME_HASH,
                })
            } else if !names.insert(entry.name.clone()) {
                Err(KeysFileError::Line {
                    line,
                    wrong: SAME_NAME,
                })
            } else {
                Ok(Arc::new(Key::from(entry)))
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

    /// Keys that were there before, with the same rates, keep their counts. So a change of the file does not give anybody a
    /// new allowance.
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

    /// Whether it has no key.
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

impl From<Entry> for Key {
    fn from(entry: Entry) -> Self {
        let meter = |rate| Arc::new(Meter::new(rate));
        Self {
            name: entry.name,
            scopes: entry.scopes,
            topics: entry.topics,
            requests: entry.requests_per_second.map(meter),
            events: entry.events_per_second.map(meter),
            hash: entry.hash,
        }
    }
}

fn go_on(meter: &mut Option<Arc<Meter>>, before: Option<&Arc<Meter>>) {
    if let (Some(meter), Some(before)) = (meter, before)
        && meter.rate() == before.rate()
    {
        *meter = before.clone();
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
    fn a_file_without_keys_lets_nobody_in() {
        for file in ["", " \n", "# revoked\n", "key = []"] {
            let keys = Keyring::parse(file).unwrap();
            assert!(keys.is_empty() && keys.find("ea_1").is_none(), "{file}");
        }
    }

    #[test]
    fn no_two_keys_have_one_name_or_one_hash() {
        for (file, says) in [
            (
                entry("a", "1", "") + &entry("a", "2", ""),
                "line 6: this key has the name of another",
            ),
            (
                entry("a", "1", "") + &entry("b", "1", ""),
                "line 6: this key has the hash of another",
            ),
        ] {
            let error = Keyring::parse(&file).unwrap_err().to_string();
            assert!(error.starts_with(says), "{file}: {error}");
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
