//! `keys new`: makes a key and the lines for the file.

use std::fmt::Write as _;

use clap::{Args, Subcommand};
use event::Topic;

use super::{
    ApiKey, Scope,
    rate::{Rate, RateError},
};

/// What to do about keys.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Keys {
    /// Make a key: print it, once, and the lines for `API_KEYS_FILE`
    New(NewKey),
}

/// A key that is to be made.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct NewKey {
    /// Whose it is
    #[arg(value_parser = parse_name)]
    name: String,

    /// What it allows; may be given several times
    #[arg(long = "scope", value_name = "SCOPE", required = true)]
    scopes: Vec<Scope>,

    /// Only topics that begin so; may be given several times
    #[arg(long = "topic", value_name = "PREFIX", value_parser = parse_topic)]
    topics: Vec<Topic>,

    /// Most requests, on average
    #[arg(long, value_name = "NUMBER", value_parser = parse_rate)]
    requests_per_second: Option<Rate>,

    /// Most events, on average
    #[arg(long, value_name = "NUMBER", value_parser = parse_rate)]
    events_per_second: Option<Rate>,
}

impl Keys {
    /// Does it, and returns what to print.
    ///
    /// # Errors
    /// If the system has no random numbers.
    pub fn run(&self) -> std::io::Result<String> {
        let Self::New(new) = self;
        let key = ApiKey::generate()?;
        Ok(format!(
            "The key, which is shown only now:\n\n{}\n\nFor the file that API_KEYS_FILE names:\n\n{}",
            key.expose(),
            new.lines(&key)
        ))
    }
}

impl NewKey {
    fn lines(&self, key: &ApiKey) -> String {
        let quoted = |texts: Vec<String>| {
            let texts: Vec<String> = texts.iter().map(|text| quote(text)).collect();
            texts.join(", ")
        };
        let scopes = quoted(self.scopes.iter().map(Scope::to_string).collect());
        let mut lines = format!(
            "[[key]]\nname = {}\nscopes = [{scopes}]\n",
            quote(&self.name)
        );
        if !self.topics.is_empty() {
            let topics = self.topics.iter().map(|topic| topic.as_str().to_owned());
            // Writing to a string does not fail.
            let _ = writeln!(lines, "topics = [{}]", quoted(topics.collect()));
        }
        for (name, rate) in [
            ("requests_per_second", self.requests_per_second),
            ("events_per_second", self.events_per_second),
        ] {
            if let Some(rate) = rate {
                let _ = writeln!(lines, "{name} = {}", rate.per_second());
            }
        }
        let _ = write!(lines, "hash = {}", quote(&key.hash().to_string()));
        lines
    }
}

/// A basic string of TOML. There are no control characters in it.
fn quote(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn parse_name(text: &str) -> Result<String, &'static str> {
    if text.is_empty() || text.chars().any(char::is_control) {
        Err("must be a text without control characters")
    } else {
        Ok(text.to_owned())
    }
}

fn parse_rate(text: &str) -> Result<Rate, RateError> {
    text.parse::<u32>().map_err(|_| RateError)?.try_into()
}

fn parse_topic(text: &str) -> Result<Topic, String> {
    Topic::try_from(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::auth::{Keyring, rate::Meter};

    #[test]
    fn the_lines_for_the_file_hold_the_key() {
        let new = NewKey {
            name: r#"the "shop" \ web"#.to_owned(),
            scopes: vec![Scope::Publish, Scope::Read],
            topics: vec![
                parse_topic("orders/").unwrap(),
                parse_topic("a\"b").unwrap(),
            ],
            requests_per_second: Some(parse_rate("7").unwrap()),
            events_per_second: None,
        };
        let key = ApiKey::generate().unwrap();
        let keys = Keyring::parse(&new.lines(&key)).unwrap();
        let found = keys.find(key.expose()).unwrap();
        assert_eq!(found.name, new.name);
        assert_eq!(found.scopes, new.scopes);
        assert_eq!(found.topics.as_deref(), Some(&new.topics[..]));
        let rate = |meter: &Option<Arc<Meter>>| meter.as_ref().map(|meter| meter.rate());
        assert_eq!(rate(&found.requests), new.requests_per_second);
        assert_eq!(rate(&found.events), None);
    }

    #[test]
    fn what_is_printed_has_the_key_once_and_its_hash() {
        let new = NewKey {
            name: "dashboard".to_owned(),
            scopes: vec![Scope::Read],
            topics: Vec::new(),
            requests_per_second: None,
            events_per_second: None,
        };
        let printed = Keys::New(new).run().unwrap();
        assert_eq!(printed.matches("ea_").count(), 1);
        let (_, file) = printed.split_once("[[key]]").unwrap();
        assert_eq!(Keyring::parse(&format!("[[key]]{file}")).unwrap().len(), 1);
    }
}
