//! The documents that are made from the programs: which settings there are, and which problems.

#![expect(
    clippy::format_push_string,
    reason = "a document is made once, and reads best so"
)]

use std::{fs, path::PathBuf};

use clap::{Arg, ArgAction};
use edge::problem::Kind;

use crate::programs;

/// How to make all documents anew.
pub const MAKE: &str = "cargo run -p tests --bin documents";

/// A document that is made from the programs.
pub struct Document {
    /// Its name under `docs`.
    pub name: &'static str,
    /// What must be in it.
    pub text: String,
}

/// All of them.
#[must_use]
pub fn all() -> [Document; 2] {
    [
        Document {
            name: "SETTINGS.md",
            text: settings(),
        },
        Document {
            name: "ERRORS.md",
            text: errors(),
        },
    ]
}

impl Document {
    /// Where it lies.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("../docs")
            .join(self.name)
    }

    /// What is in it now; nothing if it does not exist.
    #[must_use]
    pub fn current(&self) -> String {
        fs::read_to_string(self.path()).unwrap_or_default()
    }
}

/// The different settings of one name, and which programs have each.
type Variants = Vec<(Setting, Vec<&'static str>)>;

/// One setting, as one or several programs have it.
#[derive(PartialEq)]
struct Setting {
    facts: String,
    about: String,
}

fn settings() -> String {
    let mut settings: Vec<(String, Variants)> = Vec::new();
    for program in programs::ALL {
        let mut command = programs::command(program);
        command.build();
        for arg in command.get_arguments().filter(|arg| is_setting(arg)) {
            let name = name(arg);
            let setting = Setting {
                facts: facts(arg),
                about: about(arg),
            };
            let variants = entry(&mut settings, name, Vec::new());
            entry(variants, setting, Vec::new()).push(program);
        }
    }
    let mut text = format!(
        "<!-- {MAKE} -->\n# Settings\n\nEach setting is an environment variable and a flag; the flag goes first. A value \
         that is not valid stops the start, and the message names the setting. `event-aggregator` is the standalone program. \
         What its subcommands take is in their `--help`.\n"
    );
    for (name, variants) in settings {
        text += &format!("\n## {name}\n");
        for (Setting { facts, about }, programs) in variants {
            text += &format!("\n`{}`{facts}\n\n{about}\n", programs.join("`, `"));
        }
    }
    text
}

/// The value of a key; a new one at the end if there is none.
fn entry<K: PartialEq, V>(list: &mut Vec<(K, V)>, key: K, new: V) -> &mut V {
    let place = list.iter().position(|(other, _)| *other == key);
    let place = place.unwrap_or(list.len());
    if place == list.len() {
        list.push((key, new));
    }
    &mut list[place].1
}

/// Help and version are no settings.
fn is_setting(arg: &Arg) -> bool {
    !matches!(
        arg.get_action(),
        ArgAction::Help | ArgAction::HelpShort | ArgAction::HelpLong | ArgAction::Version
    )
}

fn name(arg: &Arg) -> String {
    let variable = arg.get_env().map(|name| format!("`{}`, ", name.display()));
    let flag = arg.get_long().unwrap_or(arg.get_id().as_str());
    let value = arg
        .get_value_names()
        .filter(|_| arg.get_action().takes_values());
    let value = value.map(|names| format!(" <{}>", names[0]));
    format!(
        "{}`--{flag}{}`",
        variable.unwrap_or_default(),
        value.unwrap_or_default()
    )
}

fn facts(arg: &Arg) -> String {
    let mut facts = String::new();
    let values: Vec<String> = arg
        .get_possible_values()
        .iter()
        .filter(|value| !value.is_hide_set())
        .map(|value| format!("`{}`", value.get_name()))
        .collect();
    if arg.get_action().takes_values() && !values.is_empty() {
        facts += "; one of ";
        facts += &values.join(", ");
    }
    let defaults = arg.get_default_values().iter();
    for default in defaults.filter(|_| arg.get_action().takes_values()) {
        facts += "; default `";
        facts += &default.to_string_lossy();
        facts += "`";
    }
    facts
}

fn about(arg: &Arg) -> String {
    let about = arg.get_long_help().or_else(|| arg.get_help());
    let about = about.map(ToString::to_string).unwrap_or_default();
    // What is between angle brackets would be taken for HTML.
    let about = about.trim().replace('<', "&lt;");
    if about.ends_with(['.', ':']) {
        about
    } else {
        about + "."
    }
}

fn errors() -> String {
    let mut text = format!(
        "<!-- {MAKE} -->\n# Errors\n\nEvery error is a problem document, `application/problem+json` \
         ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)). A client decides by `type`, which never changes; `detail` is \
         for people and says what would be right. With 503 and 429, `Retry-After` says when to try again. Sending a batch \
         again is always safe.\n"
    );
    for kind in Kind::ALL {
        let (when, what_to_do) = kind.explained();
        let status = kind.status().as_u16();
        let (title, uri) = (kind.title(), kind.type_uri());
        text += &format!("\n## {title}\n\n`{status}`, `{uri}`\n\n{when}\n\n{what_to_do}\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use clap::Command;

    use super::*;

    #[test]
    fn a_setting_says_what_it_takes() {
        let mut command = Command::new("program").arg(
            Arg::new("size")
                .long("size")
                .value_name("BYTES")
                .default_value("7")
                .help("Most bytes of a <thing>"),
        );
        command.build();
        let arg = command.get_arguments().next().unwrap();
        assert_eq!(name(arg), "`--size <BYTES>`");
        assert_eq!(facts(arg), "; default `7`");
        assert_eq!(about(arg), "Most bytes of a &lt;thing>.");
    }
}
