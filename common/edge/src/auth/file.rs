//! Reading the keys of a file. Somebody may have put a key into any place of it, so an error
//! names the line and the rule, and never repeats a text of the file.

use std::ops::Range;

use event::Topic;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    KeyHash, Scope,
    key::{self, KeyHashError},
    rate::{Rate, RateError},
};

/// Most keys in a file: every request is compared with each.
pub const MAX_KEYS: usize = 1000;

/// A file that does not say which keys are valid.
#[derive(Debug, thiserror::Error)]
pub enum KeysFileError {
    /// Something in it breaks a rule.
    #[error("line {line}: {wrong}")]
    Line {
        /// Where, from 1.
        line: usize,
        /// Which rule.
        wrong: Wrong,
    },
    /// There are too many.
    #[error("there are {0} keys in it, at most {MAX_KEYS} are possible")]
    TooMany(usize),
}

/// What is wrong with a line. It cannot hold a text of the file.
#[derive(Debug, thiserror::Error)]
pub enum Wrong {
    /// The form of the file.
    #[error("{0}")]
    Form(&'static str),
    /// The hash of a key.
    #[error(transparent)]
    Hash(#[from] KeyHashError),
    /// A rate.
    #[error(transparent)]
    Rate(#[from] RateError),
}

const NOT_TOML: Wrong = Wrong::Form(
    "this is not TOML; write one field a line, and texts in quotation marks, as in name = \"shop\"; each field once",
);
const NOT_A_KEY: Wrong = Wrong::Form("only keys belong here; begin each with a line [[key]]");
const UNKNOWN_FIELD: Wrong = Wrong::Form(
    "this is not a field of a key; those are name, scopes, topics, requests_per_second, events_per_second and hash",
);
const NAME: Wrong = Wrong::Form("name must be a text without control characters");
const SCOPES: Wrong = Wrong::Form(
    "scopes must be a list of \"publish\", \"read\" or \"admin\", at least one of them",
);
const TOPICS: Wrong = Wrong::Form(
    "topics must be a list of texts that topics begin with, each of 1 to 255 bytes without control characters; leave \
     it out for all topics",
);
const RATE: Wrong =
    Wrong::Form("a rate must be a whole number a second; leave it out for no limit");
const CLEAR_TEXT: Wrong = Wrong::Form(
    "this is a key itself; only its hash belongs into the file. Make another key with the command `keys new`, because \
     whoever can read this file knows this one",
);
const NAME_MISSING: Wrong = Wrong::Form("this key has no name; add name = \"…\"");
const SCOPES_MISSING: Wrong = Wrong::Form("this key has no scopes; add scopes = [\"…\"]");
const HASH_MISSING: Wrong =
    Wrong::Form("this key has no hash; add the line that the command `keys new` prints");

/// A key as it is in the file.
pub(super) struct Entry {
    /// Where it begins.
    pub(super) line: usize,
    pub(super) name: String,
    pub(super) scopes: Vec<Scope>,
    pub(super) topics: Option<Vec<Topic>>,
    pub(super) requests_per_second: Option<Rate>,
    pub(super) events_per_second: Option<Rate>,
    pub(super) hash: KeyHash,
}

/// The keys in the text of a file, in their order.
pub(super) fn read(text: &str) -> Result<Vec<Entry>, KeysFileError> {
    let file = File(text);
    let table = DeTable::parse(text)
        .map_err(|error| file.wrong(error.span().unwrap_or_default(), NOT_TOML))?;
    let mut entries = Vec::new();
    for (name, value) in table.get_ref() {
        let keys = value.get_ref().as_array();
        match keys.filter(|_| name.get_ref() == "key") {
            None => return Err(file.wrong(name.span(), NOT_A_KEY)),
            Some(keys) if keys.len() > MAX_KEYS => return Err(KeysFileError::TooMany(keys.len())),
            Some(keys) => {
                for key in keys {
                    entries.push(file.entry(key)?);
                }
            }
        }
    }
    Ok(entries)
}

struct File<'a>(&'a str);

impl File<'_> {
    fn line(&self, place: &Range<usize>) -> usize {
        let before = self.0.get(..place.start).unwrap_or_default();
        1 + before.matches('\n').count()
    }

    fn wrong(&self, place: Range<usize>, wrong: impl Into<Wrong>) -> KeysFileError {
        KeysFileError::Line {
            line: self.line(&place),
            wrong: wrong.into(),
        }
    }

    fn entry(&self, key: &Spanned<DeValue<'_>>) -> Result<Entry, KeysFileError> {
        let fields = key.get_ref().as_table();
        let fields = fields.ok_or_else(|| self.wrong(key.span(), NOT_A_KEY))?;
        let (mut name, mut scopes, mut hash) = (None, None, None);
        let (mut topics, mut requests_per_second, mut events_per_second) = (None, None, None);
        for (field, value) in fields {
            let read = match field.get_ref().as_ref() {
                "name" => read_name(value).map(|read| name = Some(read)),
                "scopes" => read_list(value, SCOPES, read_scope).map(|read| scopes = Some(read)),
                "topics" => read_list(value, TOPICS, read_topic).map(|read| topics = Some(read)),
                "requests_per_second" => {
                    read_rate(value).map(|read| requests_per_second = Some(read))
                }
                "events_per_second" => read_rate(value).map(|read| events_per_second = Some(read)),
                "hash" => read_hash(value).map(|read| hash = Some(read)),
                _ => return Err(self.wrong(field.span(), UNKNOWN_FIELD)),
            };
            read.map_err(|wrong| self.wrong(value.span(), wrong))?;
        }
        let missing = |wrong| self.wrong(key.span(), wrong);
        Ok(Entry {
            line: self.line(&key.span()),
            name: name.ok_or_else(|| missing(NAME_MISSING))?,
            scopes: scopes.ok_or_else(|| missing(SCOPES_MISSING))?,
            hash: hash.ok_or_else(|| missing(HASH_MISSING))?,
            topics,
            requests_per_second,
            events_per_second,
        })
    }
}

type Value<'a> = Spanned<DeValue<'a>>;

/// A text that is not a key in clear text, which would otherwise be shown as a name or a topic one day.
fn read_text<'a>(value: &'a Value<'_>, otherwise: Wrong) -> Result<&'a str, Wrong> {
    let text = value.get_ref().as_str().ok_or(otherwise)?;
    if key::is_in(text) {
        Err(CLEAR_TEXT)
    } else {
        Ok(text)
    }
}

fn read_name(value: &Value<'_>) -> Result<String, Wrong> {
    let name = read_text(value, NAME)?;
    if name.is_empty() || name.chars().any(char::is_control) {
        return Err(NAME);
    }
    Ok(name.to_owned())
}

/// A list that is not empty.
fn read_list<T>(
    value: &Value<'_>,
    otherwise: Wrong,
    read: fn(&Value<'_>) -> Result<T, Wrong>,
) -> Result<Vec<T>, Wrong> {
    match value.get_ref().as_array() {
        Some(items) if !items.is_empty() => items.iter().map(read).collect(),
        _ => Err(otherwise),
    }
}

fn read_scope(value: &Value<'_>) -> Result<Scope, Wrong> {
    match read_text(value, SCOPES)? {
        "publish" => Ok(Scope::Publish),
        "read" => Ok(Scope::Read),
        "admin" => Ok(Scope::Admin),
        _ => Err(SCOPES),
    }
}

fn read_topic(value: &Value<'_>) -> Result<Topic, Wrong> {
    Topic::try_from(read_text(value, TOPICS)?).map_err(|_| TOPICS)
}

fn read_rate(value: &Value<'_>) -> Result<Rate, Wrong> {
    let number = value.get_ref().as_integer().ok_or(RATE)?;
    let number = u32::from_str_radix(number.as_str(), number.radix()).map_err(|_| RateError)?;
    Ok(Rate::try_from(number)?)
}

fn read_hash(value: &Value<'_>) -> Result<KeyHash, Wrong> {
    Ok(read_text(value, KeyHashError.into())?.parse::<KeyHash>()?)
}

#[cfg(test)]
mod tests {
    use super::{super::ApiKey, *};

    const HASH: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn said(file: &str) -> Option<String> {
        let error = read(file).err()?;
        Some(format!("{error}\n{error:?}"))
    }

    /// Every place that a key can be put into by mistake.
    #[test]
    fn a_misplaced_key_is_never_shown() {
        let key = ApiKey::generate().unwrap();
        let key = key.expose();
        let good = format!("[[key]]\nname = \"a\"\nscopes = [\"read\"]\nhash = \"{HASH}\"\n");
        let cases = [
            // As the whole file, as a line, as a name of something.
            key.to_owned(),
            format!("\"{key}\""),
            format!("{key} = 1"),
            format!("\"{key}\" = 1"),
            format!("key = \"{key}\""),
            format!("key = [\"{key}\"]"),
            format!("key = {{ {key} = 1 }}"),
            format!("[{key}]"),
            format!("[[{key}]]"),
            format!("[key.{key}]"),
            format!("[[key]]\n[key.{key}]"),
            format!("[\"{key}"),
            format!("{good}{key}"),
            format!("{good}{key} = 1"),
            format!("{good}{key} = 1\n{key} = 2"),
            format!("{good}\"{key}\" = \"{key}\""),
            format!("{good}{key}.name = 1"),
            format!("{good}name.{key} = 1"),
            // As a value, quoted or not, of each field.
            good.replace("\"a\"", key),
            good.replace("\"a\"", &format!("\"{key}\"")),
            good.replace("\"a\"", &format!("[\"{key}\"]")),
            good.replace("\"a\"", &format!("{{ {key} = 1 }}")),
            good.replace("\"a\"", &format!("\"{key}\\n\"")),
            good.replace("\"a\"", &format!("\"{key}\\q\"")),
            good.replace("\"a\"", &format!("\"{key}\" \"{key}\"")),
            good.replace("\"a\"", &format!("'''{key}")),
            good.replace("\"read\"", key),
            good.replace("\"read\"", &format!("\"{key}\"")),
            good.replace("[\"read\"]", &format!("\"{key}\"")),
            good.replace(HASH, key),
            good.replace(HASH, &format!("sha256:{key}")),
            good.replace(&format!("\"{HASH}\""), key),
            good.replace(&format!("\"{HASH}\""), &format!("\"{key}")),
            good.replace(&format!("\"{HASH}\""), &format!("[\"{key}\"]")),
            good.replace("hash = ", &format!("hash = {key} ")),
            format!("{good}topics = \"{key}\""),
            format!("{good}topics = [\"{key}\"]"),
            format!("{good}topics = [{key}]"),
            format!("{good}requests_per_second = \"{key}\""),
            format!("{good}events_per_second = {key}"),
            format!("{good}hash = \"{key}\""),
            // In another notation than TOML.
            format!("{good}hash: {key}"),
            format!("{{\"hash\": \"{key}\"}}"),
            format!("API_KEY={key}"),
        ];
        for file in cases {
            let said = said(&file).unwrap_or_else(|| panic!("{file} is a file of keys"));
            for part in [key, &key[..20], &key[20..], "ea_"] {
                assert!(!said.contains(part), "{file}: {said}");
            }
            assert!(said.starts_with("line "), "{file}: {said}");
        }
        let commented = format!("# {key}\n{good}");
        assert!(read(&commented).is_ok(), "a comment is nobody's business");
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line_and_what_to_write() {
        let good =
            format!("# shop\n[[key]]\nname = \"a\"\nscopes = [\"read\"]\nhash = \"{HASH}\"\n");
        for (file, says) in [
            ("key = 7".to_owned(), "line 1: only keys belong here"),
            ("\n[[keys]]".to_owned(), "line 2: only keys belong here"),
            ("nonsense".to_owned(), "line 1: this is not TOML"),
            (
                format!("{good}colour = 1"),
                "line 6: this is not a field of a key; those are name,",
            ),
            (
                format!("{good}topics = []"),
                "line 6: topics must be a list",
            ),
            (
                format!("{good}topics = [\"\"]"),
                "line 6: topics must be a list",
            ),
            (
                format!("{good}events_per_second = 0"),
                "line 6: a rate must be a number from 1",
            ),
            (
                format!("{good}requests_per_second = -1"),
                "line 6: a rate must be",
            ),
            (
                format!("{good}requests_per_second = 1.5"),
                "line 6: a rate must be a whole number",
            ),
            (format!("{good}name = \"b\""), "line 6: this is not TOML"),
            (good.replace("\"a\"", "\"\""), "line 3: name must be a text"),
            (
                good.replace("read", "write"),
                "line 4: scopes must be a list of \"publish\"",
            ),
            (
                good.replace("\"read\"", ""),
                "line 4: scopes must be a list",
            ),
            (
                good.replace("sha256", "md5"),
                "line 5: hash must be sha256:",
            ),
            (
                good.replace("name = \"a\"", ""),
                "line 2: this key has no name",
            ),
            (
                good.replace("scopes = [\"read\"]", ""),
                "line 2: this key has no scopes",
            ),
            (
                good.replace("hash =", "# hash ="),
                "line 2: this key has no hash",
            ),
        ] {
            let said = said(&file).unwrap_or_default();
            assert!(said.starts_with(says), "{file}: {said}");
        }
    }
}
