//! Numbers and times on the command line.

use std::{ops::RangeInclusive, str::FromStr, time::Duration};

use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
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

/// A moment: a time such as `2026-11-26T12:00:00Z`, a day, or how long ago it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Moment {
    /// A time, as the server reads it.
    At(String),
    /// So long ago.
    Ago(TimeSpan),
}

impl Moment {
    /// The moment as the server reads it; `now` is the present.
    #[must_use]
    pub fn before(&self, now: DateTime<Utc>) -> String {
        match self {
            Self::At(text) => text.clone(),
            Self::Ago(span) => (now - span.0).to_rfc3339_opts(SecondsFormat::Millis, true),
        }
    }
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if NaiveDate::parse_from_str(text, "%Y-%m-%d").is_ok() {
            return Ok(Self::At(format!("{text}T00:00:00Z")));
        }
        if text.ends_with(['s', 'm', 'h', 'd']) {
            return text.parse().map(Self::Ago);
        }
        if text.contains(['T', ' ']) {
            return Ok(Self::At(text.to_owned()));
        }
        Err("must be how long ago, as in 30s, 5m, 1h or 7d, a day, as in 2026-11-26, or a time, as in 2026-11-26T12:00:00Z".to_owned())
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
    fn a_moment_is_a_time_a_day_or_how_long_ago_it_was() {
        let now = "2026-11-26T12:00:00Z".parse().unwrap();
        let read = |text: &str| text.parse::<Moment>().map(|moment| moment.before(now));
        assert_eq!(read("1h").unwrap(), "2026-11-26T11:00:00.000Z");
        assert_eq!(read("2026-11-26").unwrap(), "2026-11-26T00:00:00Z");
        assert_eq!(
            read("2026-11-26T01:02:03+07:00").unwrap(),
            "2026-11-26T01:02:03+07:00"
        );
        for text in ["", "soon", "yesterday", "h", "12"] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_number_outside_of_its_range_is_refused() {
        assert_eq!(number_within("0.5", &(0.0..=0.99)), Ok(0.5));
        for text in ["1", "-0.1", "NaN", "much"] {
            assert!(number_within(text, &(0.0..=0.99)).is_err(), "{text}");
        }
    }
}
