//! Writing records. Texts of clients, databases and Redis are in them, so a record is made one line that shows every
//! character as what it is, in both formats: a reader of the log sees no line that the program did not write.

use std::{
    env,
    fmt::Write as _,
    io::{self, IsTerminal, Write},
};

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// Standard error, if it can be written. If it cannot, the record is lost and nothing else is.
pub(super) struct StandardError {
    coloured: bool,
}

impl StandardError {
    /// Lines have colours where a terminal is, unless `NO_COLOR` is set (<https://no-color.org>).
    pub(super) fn new() -> Self {
        let unwanted = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            coloured: io::stderr().is_terminal() && !unwanted,
        }
    }
}

impl<'a> MakeWriter<'a> for StandardError {
    type Writer = Record;

    fn make_writer(&'a self) -> Record {
        Record { colour: None }
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Record {
        Record {
            colour: self.coloured.then(|| colour(*metadata.level())).flatten(),
        }
    }
}

/// Takes one record, in one piece.
pub(super) struct Record {
    colour: Option<&'static str>,
}

impl Write for Record {
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        let line = line(&String::from_utf8_lossy(record), self.colour);
        // A full disk or a reader that has gone: there is nobody to tell.
        let _ = io::stderr().lock().write_all(line.as_bytes());
        Ok(record.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn colour(level: Level) -> Option<&'static str> {
    match level {
        Level::ERROR => Some("\u{1b}[31m"),
        Level::WARN => Some("\u{1b}[33m"),
        Level::INFO => None,
        Level::DEBUG | Level::TRACE => Some("\u{1b}[2m"),
    }
}

/// The record as one line. What is escaped is escaped as in JSON, so that a JSON record stays one.
fn line(record: &str, colour: Option<&str>) -> String {
    let record = record.strip_suffix('\n').unwrap_or(record);
    let mut line = String::with_capacity(record.len() + 16);
    line.extend(colour);
    for symbol in record.chars() {
        match symbol {
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            '\t' => line.push_str("\\t"),
            // All of them have four digits.
            hidden if is_hidden(hidden) => {
                // Writing to a string does not fail.
                let _ = write!(line, "\\u{:04x}", u32::from(hidden));
            }
            plain => line.push(plain),
        }
    }
    line.extend(colour.map(|_| "\u{1b}[0m"));
    line.push('\n');
    line
}

/// Whether a character could end a line, control a terminal, or change the order in which others are shown
/// ([bidirectional formatting](https://www.unicode.org/reports/tr9/#Directional_Formatting_Characters)).
fn is_hidden(symbol: char) -> bool {
    symbol.is_control()
        || matches!(symbol,
            '\u{2028}' | '\u{2029}' | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use serde_json::Value;
    use tracing_subscriber::{Layer as _, fmt, layer::SubscriberExt as _};

    use super::*;

    /// Each character that could forge something, and its neighbours.
    const HOSTILE: &str = "a\n2026-01-01T00:00:00Z ERROR forged\r\u{1b}[2J\u{7}\t\u{7f}\u{85}\u{9b}\u{2028}\u{2029}\u{202e}\u{2066}\u{61c}\u{200f}é\"\\";

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<String>>);

    impl Write for Log {
        fn write(&mut self, record: &[u8]) -> io::Result<usize> {
            let record = std::str::from_utf8(record).unwrap();
            self.0.lock().unwrap().push_str(&line(record, None));
            Ok(record.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is written of one record with the hostile text everywhere that text can be.
    fn written(json: bool) -> String {
        let log = Log::default();
        let writer = log.clone();
        let records = fmt::layer()
            .with_ansi(false)
            .with_writer(move || writer.clone());
        let records = if json {
            records.json().flatten_event(true).boxed()
        } else {
            records.boxed()
        };
        let subscriber = tracing_subscriber::registry().with(records);
        tracing::subscriber::with_default(subscriber, || {
            let error = io::Error::other(HOSTILE);
            let span = tracing::info_span!("span", shown = %HOSTILE, text = HOSTILE);
            let _inside = span.enter();
            tracing::error!(%error, text = HOSTILE, debug = ?HOSTILE, "{HOSTILE}");
        });
        log.0.lock().unwrap().clone()
    }

    #[test]
    fn a_record_is_one_line_and_holds_nothing_that_is_not_seen() {
        for json in [false, true] {
            let written = written(json);
            let record = written.strip_suffix('\n').unwrap();
            assert!(!record.chars().any(is_hidden), "{record:?}");
            assert!(written.contains("forged"));
        }
    }

    #[test]
    fn a_json_record_still_says_what_was_said() {
        let record: Value = serde_json::from_str(&written(true)).unwrap();
        assert_eq!(record["text"], HOSTILE);
        assert_eq!(record["error"], HOSTILE);
        assert_eq!(record["message"], HOSTILE);
        assert_eq!(record["span"]["text"], HOSTILE);
    }

    #[test]
    fn a_colour_ends_with_its_line() {
        assert_eq!(
            line("a\u{1b}b\n", colour(Level::ERROR)),
            "\u{1b}[31ma\\u001bb\u{1b}[0m\n"
        );
        assert_eq!(line("plain é\n", None), "plain é\n");
    }
}
