//! Writing to standard output and standard error.

use std::io::{self, Write};

use console::{Term, truncate_str};
use serde::Serialize;

/// Prints a line on standard output.
pub(crate) fn line(text: impl AsRef<str>) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{}", text.as_ref())
}

/// Prints several lines on standard output.
pub(crate) fn lines(lines: &[String]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    lines.iter().try_for_each(|line| writeln!(out, "{line}"))
}

/// Prints a value as one line of JSON on standard output.
pub(crate) fn json(value: &impl Serialize) -> io::Result<()> {
    let mut text = serde_json::to_vec(value)?;
    text.push(b'\n');
    io::stdout().lock().write_all(&text)
}

/// Prints a message for a person on standard error. If nobody can read it there, the command continues all the same.
pub fn tell(text: impl AsRef<str>) {
    let _ = writeln!(io::stderr().lock(), "{}", text.as_ref());
}

/// Cuts a line to the width of the terminal. If there is no terminal, the line stays as it is.
pub(crate) fn fit(line: &str, term: &Term) -> String {
    match term.size_checked() {
        Some((_, columns)) if term.is_term() => {
            truncate_str(line, columns.into(), "…").into_owned()
        }
        _ => line.to_owned(),
    }
}
