//! Numbers and times on the command line.

use std::{ops::RangeInclusive, str::FromStr, time::Duration};

use clap::builder::RangedU64ValueParser;

/// A length of time such as `90s`, `5m`, `2h` or `1d`. A number without a unit is in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeSpan(Duration);

impl From<TimeSpan> for Duration {
    fn from(span: TimeSpan) -> Self {
        span.0
    }
}

impl FromStr for TimeSpan {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (digits, seconds) = match text.char_indices().last() {
            Some((at, 's')) => (&text[..at], 1),
            Some((at, 'm')) => (&text[..at], 60),
            Some((at, 'h')) => (&text[..at], 60 * 60),
            Some((at, 'd')) => (&text[..at], 24 * 60 * 60),
            _ => (text, 1),
        };
        let number: u32 = digits
            .parse()
            .map_err(|_| "must be a whole number and a unit, as in 90s, 5m, 2h or 1d".to_owned())?;
        Ok(Self(Duration::from_secs(u64::from(number) * seconds)))
    }
}

/// Reads a whole number within a range, into a type that holds all of the range.
pub(super) fn within<T>(range: RangeInclusive<u64>) -> RangedU64ValueParser<T>
where
    T: TryFrom<u64> + Clone + Send + Sync + 'static,
    T::Error: std::error::Error + Send + Sync + 'static,
{
    RangedU64ValueParser::new().range(range)
}

/// Reads a number within a range.
pub(super) fn number_within(text: &str, range: &RangeInclusive<f64>) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| format!("must be a number from {} to {}", range.start(), range.end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        let seconds = |text: &str| text.parse::<TimeSpan>().map(|span| span.0.as_secs()).ok();
        let read = ["90", "90s", "5m", "2h", "1d", "", "m", "-1s", "5 m", "1.5h"].map(seconds);
        let expected = [Some(90), Some(90), Some(300), Some(7200), Some(86_400)];
        assert_eq!(read[..5], expected);
        assert_eq!(read[5..], [None; 5]);
    }

    #[test]
    fn a_number_outside_of_its_range_is_refused() {
        assert_eq!(number_within("0.5", &(0.0..=0.99)), Ok(0.5));
        for text in ["1", "-0.1", "NaN", "much"] {
            assert!(number_within(text, &(0.0..=0.99)).is_err(), "{text}");
        }
    }
}
