//! Files of API keys for tests.

use std::{fs, path::PathBuf};

use edge::auth::ApiKey;
use tempfile::TempDir;

/// A file of keys, in a folder of its own. A change of it counts once it is written.
pub struct KeysFile {
    folder: TempDir,
    entries: Vec<(String, String)>,
}

impl Default for KeysFile {
    fn default() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
            entries: Vec::new(),
        }
    }
}

impl KeysFile {
    /// A file with one key for everything, and that key.
    #[must_use]
    pub fn of_one() -> (Self, String) {
        let mut file = Self::default();
        let key = file.add("all", "scopes = [\"publish\", \"read\", \"admin\"]");
        file.write();
        (file, key)
    }

    /// Adds a new key, which these lines of TOML describe, and returns it.
    ///
    /// # Panics
    /// If the system gives no random numbers.
    pub fn add(&mut self, name: &str, lines: &str) -> String {
        let key = ApiKey::generate().expect("random numbers");
        let hash = key.hash();
        let entry = format!("[[key]]\nname = {name:?}\nhash = \"{hash}\"\n{lines}\n");
        self.entries.push((name.to_owned(), entry));
        key.expose().to_owned()
    }

    /// Replaces one text by another in the lines of the key of this name.
    ///
    /// # Panics
    /// If there is no such key, or the text is not there.
    pub fn change(&mut self, name: &str, from: &str, to: &str) {
        let entry = self.entries.iter_mut().find(|(other, _)| other == name);
        let (_, entry) = entry.expect("a key of this name");
        assert!(entry.contains(from), "{entry:?} does not contain {from:?}");
        *entry = entry.replace(from, to);
    }

    /// Removes the key of this name.
    pub fn remove(&mut self, name: &str) {
        self.entries.retain(|(other, _)| other != name);
    }

    /// Writes the file.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn write(&self) {
        let text: String = self
            .entries
            .iter()
            .map(|(_, entry)| entry.as_str())
            .collect();
        fs::write(self.path(), text).expect("it can be written");
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("keys.toml")
    }

    /// It as an argument of a program.
    #[must_use]
    pub fn argument(&self) -> String {
        format!("--api-keys-file={}", self.path().display())
    }
}
