//! How numbers, times and texts are written.

use std::time::Duration;

use indicatif::{DecimalBytes, FormattedDuration, HumanCount, HumanFloatCount};

/// The steps of a sparkline.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Slower rates are written with a digit after the point.
const WHOLE_RATES_FROM: f64 = 9.95;

/// A number with a comma between thousands: `1,234,567`.
pub(crate) fn number(value: i64) -> String {
    let sign = if value < 0 { "-" } else { "" };
    format!("{sign}{}", HumanCount(value.unsigned_abs()))
}

/// A counter with a comma between thousands.
pub(crate) fn count(value: u64) -> String {
    HumanCount(value).to_string()
}

/// A counter with its noun: `1 event`, `2 events`.
pub(crate) fn counted(value: u64, noun: &str) -> String {
    let plural = if value == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", count(value))
}

/// A rate: `0.5/s`, `1,234/s`.
pub(crate) fn rate(per_second: f64) -> String {
    let digits = usize::from(per_second < WHOLE_RATES_FROM);
    format!("{:.digits$}/s", HumanFloatCount(per_second))
}

/// A number of bytes: `1.50 kB`, `25.00 MB`.
pub(crate) fn bytes(value: u64) -> String {
    DecimalBytes(value).to_string()
}

/// A time as a clock shows it: `00:01:30`.
pub(crate) fn clock(time: Duration) -> String {
    FormattedDuration(time).to_string()
}

/// Text from outside, without the characters that could control a terminal.
pub(crate) fn plain(text: &str) -> String {
    let shown = |symbol: char| {
        if symbol.is_control() {
            '\u{fffd}'
        } else {
            symbol
        }
    };
    text.chars().map(shown).collect()
}

/// JSON on one line: without the white space between its parts. Numbers and names stay as they are written.
pub(crate) fn compact(json: &str) -> String {
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

/// Values as bars; the largest value has a full bar.
pub(crate) fn sparkline(values: impl IntoIterator<Item = f64>) -> String {
    let values: Vec<f64> = values.into_iter().collect();
    let largest = values.iter().copied().fold(0.0, f64::max);
    let bar = |value: f64| {
        if largest <= 0.0 {
            return BARS[0];
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the step is from 0 to 7"
        )]
        let step = (value.max(0.0) / largest * 7.0).round() as usize;
        BARS[step.min(BARS.len() - 1)]
    };
    values.into_iter().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_a_comma_between_thousands() {
        let shown = [0, 999, 1000, -12_345, 1_234_567].map(number);
        assert_eq!(shown, ["0", "999", "1,000", "-12,345", "1,234,567"]);
    }

    #[test]
    fn rates_are_short() {
        let shown = [0.0, 0.52, 9.94, 9.96, 1234.4].map(rate);
        assert_eq!(shown, ["0/s", "0.5/s", "9.9/s", "10/s", "1,234/s"]);
    }

    #[test]
    fn sizes_have_units() {
        let shown = [0, 999, 1_500, 25_000_000, 3_200_000_000].map(bytes);
        assert_eq!(shown, ["0 B", "999 B", "1.50 kB", "25.00 MB", "3.20 GB"]);
    }

    #[test]
    fn a_clock_shows_hours() {
        assert_eq!(clock(Duration::from_secs(3723)), "01:02:03");
    }

    #[test]
    fn text_from_outside_cannot_control_the_terminal() {
        assert_eq!(
            plain("a\u{1b}[2Jb\u{9b}\n"),
            "a\u{fffd}[2Jb\u{fffd}\u{fffd}"
        );
    }

    #[test]
    fn compact_json_is_one_line_and_means_the_same() {
        let spread = "{ \"a b\\\"\" : [ 1.0 ,\r\n\t\"c\\\\\" , { } ] }";
        assert_eq!(compact(spread), r#"{"a b\"":[1.0,"c\\",{}]}"#);
    }

    #[test]
    fn a_sparkline_is_full_at_its_largest_value() {
        assert_eq!(sparkline([0.0, 5.0, 10.0]), "▁▅█");
        assert_eq!(sparkline([0.0, 0.0]), "▁▁");
        assert_eq!(sparkline([]), "");
    }
}
