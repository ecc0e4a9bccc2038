//! How an event is written.

use std::io;

use console::{Term, style};
use event_aggregator_client::{StoredEvent, Verbatim};
use serde_json::json;

use crate::{
    cli::EventsArgs,
    format::{compact, plain},
    output,
};

/// The columns of CSV.
const COLUMNS: [&str; 7] = [
    "topic",
    "event_id",
    "timestamp",
    "source",
    "payload",
    "received_at",
    "processed_at",
];
/// A spreadsheet takes a cell that begins so for a formula. It is written as text, with an apostrophe before it
/// ([CSV injection](https://owasp.org/www-community/attacks/CSV_Injection)).
const FORMULA: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// How events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    People,
    /// As the server answers, one line each.
    Json,
    /// As `publish` reads it, one line each.
    Export,
    Csv,
}

/// Writes events on standard output.
pub(super) struct Lines(Form);

impl Lines {
    pub(super) const fn new(args: &EventsArgs, json: bool) -> Self {
        Self(if args.export {
            Form::Export
        } else if args.csv {
            Form::Csv
        } else if json {
            Form::Json
        } else {
            Form::People
        })
    }

    pub(super) fn are_for_people(&self) -> bool {
        self.0 == Form::People
    }

    /// Writes what comes before the first event.
    pub(super) fn begin(&self) -> io::Result<()> {
        match self.0 {
            Form::Csv => output::line(row(&COLUMNS)?),
            _ => Ok(()),
        }
    }

    pub(super) fn print(&mut self, event: &Verbatim<StoredEvent>) -> io::Result<()> {
        match self.0 {
            Form::People => output::line(output::fit(&for_people(event), &Term::stdout())),
            // The payload is as the client wrote it, and may have line breaks.
            Form::Json => output::line(compact(event.text())),
            Form::Export => output::line(export(event)),
            Form::Csv => {
                let payload = compact(event.payload.get());
                output::line(row(&[
                    &event.topic,
                    &event.event_id,
                    &event.timestamp,
                    &event.source,
                    &payload,
                    &event.received_at,
                    &event.processed_at,
                ])?)
            }
        }
    }
}

fn for_people(event: &StoredEvent) -> String {
    format!(
        "{}  {}  {}  {}  {}",
        style(&event.timestamp).dim(),
        style(plain(&event.topic)).cyan(),
        plain(&event.event_id),
        style(plain(&event.source)).dim(),
        plain(&compact(event.payload.get())),
    )
}

/// An event with what a client says of it, and nothing that the server added. The payload keeps its text.
fn export(event: &StoredEvent) -> String {
    let text = |value: &str| json!(value).to_string();
    format!(
        "{{\"topic\":{},\"event_id\":{},\"timestamp\":{},\"source\":{},\"payload\":{}}}",
        text(&event.topic),
        text(&event.event_id),
        text(&event.timestamp),
        text(&event.source),
        compact(event.payload.get()),
    )
}

/// A row without its line end ([RFC 4180](https://www.rfc-editor.org/rfc/rfc4180)).
fn row(cells: &[&str]) -> io::Result<String> {
    let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
    let cells = cells.iter().map(|cell| {
        let guard = if cell.starts_with(FORMULA) { "'" } else { "" };
        format!("{guard}{cell}")
    });
    writer.write_record(cells).map_err(io::Error::other)?;
    let mut row = writer
        .into_inner()
        .map_err(csv::IntoInnerError::into_error)?;
    row.pop();
    String::from_utf8(row).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_cannot_become_a_formula_or_another_cell() {
        let written = row(&["=1+1", "a,b", "say \"x\"", "two\nlines", "-1", "é"]).unwrap();
        assert_eq!(
            written,
            "'=1+1,\"a,b\",\"say \"\"x\"\"\",\"two\nlines\",'-1,é"
        );
    }

    #[test]
    fn what_is_exported_has_the_payload_as_it_was_sent() {
        let stored = r#"{"id":1,"topic":"a \"b\"","event_id":"1","timestamp":"2026-01-01T00:00:00Z","source":"s",
            "payload":{"n": 1.0, "big":12345678901234567890},"received_at":"r","processed_at":"p"}"#;
        let event: StoredEvent = serde_json::from_str(stored).unwrap();
        assert_eq!(
            export(&event),
            r#"{"topic":"a \"b\"","event_id":"1","timestamp":"2026-01-01T00:00:00Z","source":"s","payload":{"n":1.0,"big":12345678901234567890}}"#
        );
    }
}
