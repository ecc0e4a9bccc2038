//! What people see: numbers, tables, sparklines. Colours only where a terminal is.

use std::{
    io::{self, Write},
    time::Duration,
};

use console::{Alignment, Term, measure_text_width, pad_str, truncate_str};
use serde::Serialize;

/// The steps of a sparkline.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Prints a line on standard output.
pub fn line(text: impl AsRef<str>) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{}", text.as_ref())
}

/// Tells a person something on standard error. If nobody reads it, nothing else is lost.
pub fn tell(text: impl AsRef<str>) {
    let _ = writeln!(io::stderr().lock(), "{}", text.as_ref());
}

/// Prints a value as one line of JSON on standard output.
pub fn json(value: &impl Serialize) -> io::Result<()> {
    let mut text = serde_json::to_vec(value)?;
    text.push(b'\n');
    io::stdout().lock().write_all(&text)
}

/// JSON without the white space between its parts: one line, whatever it was. Numbers and names stay as they were written.
#[must_use]
pub fn compact(json: &str) -> String {
    let (mut in_string, mut escaped) = (false, false);
    let kept = json.chars().filter(|&symbol| {
        if in_string {
            in_string = symbol != '"' || escaped;
            escaped = symbol == '\\' && !escaped;
            return true;
        }
        in_string = symbol == '"';
        !symbol.is_ascii_whitespace()
    });
    kept.collect()
}

/// A number with its thousands apart: `1,234,567`.
#[must_use]
pub fn number(value: i64) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut text = String::from(if value < 0 { "-" } else { "" });
    for (place, digit) in digits.char_indices() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A counter with its thousands apart.
#[must_use]
pub fn count(value: u64) -> String {
    number(i64::try_from(value).unwrap_or(i64::MAX))
}

/// A rate, as short as it may be: `0.5/s`, `1,234/s`.
#[must_use]
pub fn rate(per_second: f64) -> String {
    if per_second > 0.0 && per_second < 9.95 {
        return format!("{per_second:.1}/s");
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a rate is far below i64::MAX"
    )]
    let whole = per_second.round() as i64;
    format!("{}/s", number(whole))
}

/// A number of bytes, rounded: `1.5 kB`, `25 MB`.
#[must_use]
pub fn bytes(mut value: f64) -> String {
    let mut units = ["B", "kB", "MB", "GB", "TB"].into_iter();
    let mut unit = units.next().unwrap_or_default();
    for next in units {
        if value < 999.5 {
            break;
        }
        (value, unit) = (value / 1000.0, next);
    }
    if value < 9.95 && unit != "B" {
        format!("{value:.1} {unit}")
    } else {
        format!("{value:.0} {unit}")
    }
}

/// A time as a clock shows it: `00:01:30`.
#[must_use]
pub fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    format!("{hours:02}:{minutes:02}:{:02}", seconds % 60)
}

/// `1 event`, `2 events`.
#[must_use]
pub fn counted(value: u64, noun: &str) -> String {
    let plural = if value == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", count(value))
}

/// Text of others, without what could control a terminal.
#[must_use]
pub fn plain(text: &str) -> String {
    let shown = |symbol: char| {
        if symbol.is_control() {
            '\u{fffd}'
        } else {
            symbol
        }
    };
    text.chars().map(shown).collect()
}

/// A line no longer than the terminal is wide; elsewhere it is left as it is.
#[must_use]
pub fn fit(line: &str, term: &Term) -> String {
    match term.size_checked() {
        Some((_, columns)) if term.is_term() => {
            truncate_str(line, columns.into(), "…").into_owned()
        }
        _ => line.to_owned(),
    }
}

/// The values as bars, the highest of them full.
#[must_use]
pub fn sparkline(values: impl IntoIterator<Item = f64>) -> String {
    let values: Vec<f64> = values.into_iter().collect();
    let highest = values.iter().copied().fold(0.0, f64::max);
    let bar = |value: f64| {
        if highest <= 0.0 {
            return BARS[0];
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share from 0 to 1 of few bars"
        )]
        let step = (value.max(0.0) / highest * 7.0).round() as usize;
        BARS[step.min(BARS.len() - 1)]
    };
    values.into_iter().map(bar).collect()
}

/// Rows in columns: the first to the left, the others to the right.
#[must_use]
pub fn table(rows: &[Vec<String>]) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells
            .map(|cell| measure_text_width(cell))
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let render = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).enumerate();
        let cells = cells.map(|(column, (cell, &width))| {
            let side = if column == 0 {
                Alignment::Left
            } else {
                Alignment::Right
            };
            pad_str(cell, width, side, None).into_owned()
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(render).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compact_json_is_one_line_and_means_the_same() {
        let spread = "{ \"a b\\\"\" : [ 1.0 ,\r\n\t\"c\\\\\" , { } ] }";
        assert_eq!(compact(spread), r#"{"a b\"":[1.0,"c\\",{}]}"#);
    }

    #[test]
    fn sizes_have_units() {
        let shown = [0.0, 999.0, 1_500.0, 25_000_000.0, 3.2e9].map(bytes);
        assert_eq!(shown, ["0 B", "999 B", "1.5 kB", "25 MB", "3.2 GB"]);
    }

    #[test]
    fn numbers_have_their_thousands_apart() {
        let shown = [0, 999, 1000, -12_345, 1_234_567].map(number);
        assert_eq!(shown, ["0", "999", "1,000", "-12,345", "1,234,567"]);
    }

    #[test]
    fn rates_are_short() {
        let shown = [0.0, 0.52, 9.94, 9.96, 1234.4].map(rate);
        assert_eq!(shown, ["0/s", "0.5/s", "9.9/s", "10/s", "1,234/s"]);
    }

    #[test]
    fn a_clock_shows_hours() {
        assert_eq!(clock(Duration::from_secs(3723)), "01:02:03");
    }

    #[test]
    fn text_of_others_cannot_control_the_terminal() {
        assert_eq!(
            plain("a\u{1b}[2Jb\u{9b}\n"),
            "a\u{fffd}[2Jb\u{fffd}\u{fffd}"
        );
    }

    #[test]
    fn a_sparkline_is_full_at_its_highest() {
        assert_eq!(sparkline([0.0, 5.0, 10.0]), "▁▅█");
        assert_eq!(sparkline([0.0, 0.0]), "▁▁");
        assert_eq!(sparkline([]), "");
    }

    #[test]
    fn a_table_aligns_numbers_to_the_right() {
        let row = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        let rows = [row(["topic", "1"]), row(["é", "1,000"])];
        assert_eq!(table(&rows), ["topic      1", "é      1,000"]);
    }
}
