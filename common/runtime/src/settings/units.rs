//! How sizes, times and addresses are written.

use std::{net::SocketAddr, ops::RangeInclusive, time::Duration};

use clap::builder::{StringValueParser, TypedValueParser};

const SIZES: [(&str, u64); 4] = [
    ("B", 1),
    ("KiB", 1024),
    ("MiB", 1024 * 1024),
    ("GiB", 1024 * 1024 * 1024),
];

/// Units that mean 1,000 to some and 1,024 to others, and what to write instead.
const AMBIGUOUS_SIZES: [(&str, &str); 9] = [
    ("K", "KiB"),
    ("k", "KiB"),
    ("KB", "KiB"),
    ("kB", "KiB"),
    ("kb", "KiB"),
    ("M", "MiB"),
    ("MB", "MiB"),
    ("G", "GiB"),
    ("GB", "GiB"),
];

const TIMES: [(&str, u64); 3] = [("s", 1), ("m", 60), ("h", 60 * 60)];
const HOURS: [(&str, u64); 4] = [("h", 60 * 60), ("s", 1), ("m", 60), ("d", 24 * 60 * 60)];
const DAYS: [(&str, u64); 4] = [("d", 24 * 60 * 60), ("s", 1), ("m", 60), ("h", 60 * 60)];

/// Bytes: `1048576`, `1024KiB`, `1MiB`, `1GiB`.
#[must_use]
pub fn bytes(limits: RangeInclusive<u32>) -> impl TypedValueParser<Value = u32> {
    StringValueParser::new().try_map(move |text| parse_bytes(&text, &limits))
}

/// Seconds: `90`, `90s`, `5m`, `1h`.
#[must_use]
pub fn seconds(limits: RangeInclusive<u16>) -> impl TypedValueParser<Value = u16> {
    StringValueParser::new().try_map(move |text| parse_seconds(&text, &limits))
}

/// Hours: `6`, `6h`, `90m`, `45s`, `2d`.
#[must_use]
pub fn hours(limits: RangeInclusive<Duration>) -> impl TypedValueParser<Value = Duration> {
    StringValueParser::new().try_map(move |text| parse_long(&text, "hours", &HOURS, &limits))
}

/// Days: `30`, `30d`, `36h`, `3m`.
#[must_use]
pub fn days(limits: RangeInclusive<Duration>) -> impl TypedValueParser<Value = Duration> {
    StringValueParser::new().try_map(move |text| parse_long(&text, "days", &DAYS, &limits))
}

/// Where to listen: `127.0.0.1:8080`, `[::1]:8080`.
///
/// # Errors
/// What to write instead.
pub fn bind_address(text: &str) -> Result<SocketAddr, String> {
    let form = "an IP address and a port, such as 127.0.0.1:8080, or [::1]:8080";
    text.parse().map_err(|_| match text.trim_start_matches(':').parse::<u16>() {
        Ok(port) => format!("must be {form}; for this machine only, write 127.0.0.1:{port}; for all addresses, 0.0.0.0:{port}"),
        Err(_) => format!("must be {form}"),
    })
}

fn parse_bytes(text: &str, limits: &RangeInclusive<u32>) -> Result<u32, String> {
    let (digits, unit) = split(text);
    if let Some((_, instead)) = AMBIGUOUS_SIZES
        .iter()
        .find(|(ambiguous, _)| *ambiguous == unit)
    {
        return Err(format!(
            "{unit} is 1,000 to some and 1,024 to others; write {digits}{instead}, or a number of bytes"
        ));
    }
    let form = "must be a number of bytes, or a number and KiB, MiB or GiB, such as 1MiB";
    let bytes = times(digits, unit, &SIZES).ok_or(form)?;
    within(bytes, limits).ok_or_else(|| {
        let (least, most) = (limits.start(), limits.end());
        format!("must be from {least} to {most} bytes ({})", shown(*most))
    })
}

fn parse_seconds(text: &str, limits: &RangeInclusive<u16>) -> Result<u16, String> {
    let (digits, unit) = split(text);
    let form = "must be a number of seconds, or a number and s, m or h, such as 30s";
    let seconds = times(digits, unit, &TIMES).ok_or(form)?;
    within(seconds, limits).ok_or_else(|| {
        let (least, most) = (limits.start(), limits.end());
        format!("must be from {least} to {most} seconds")
    })
}

fn parse_long(
    text: &str,
    counted: &str,
    units: &[(&str, u64)],
    limits: &RangeInclusive<Duration>,
) -> Result<Duration, String> {
    let (digits, unit) = split(text);
    let form = format!(
        "must be a whole number of {counted}, or a whole number and s, m, h or d, such as 36h"
    );
    let seconds = times(digits, unit, units).ok_or(form)?;
    let duration = Duration::from_secs(seconds);
    if limits.contains(&duration) {
        return Ok(duration);
    }
    let (least, most) = (
        limits.start().as_secs(),
        limits.end().as_secs() / (24 * 60 * 60),
    );
    Err(format!("must be from {least}s to {most}d"))
}

/// The number, and what stands behind it.
fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text.find(|symbol: char| !symbol.is_ascii_digit());
    let (digits, unit) = text.split_at(end.unwrap_or(text.len()));
    (digits, unit.trim_start())
}

/// Without a unit, the number counts the first one.
fn times(digits: &str, unit: &str, units: &[(&str, u64)]) -> Option<u64> {
    let (_, factor) = units
        .iter()
        .find(|(name, _)| unit.is_empty() || *name == unit)?;
    digits.parse::<u64>().ok()?.checked_mul(*factor)
}

fn within<T: TryFrom<u64> + PartialOrd>(number: u64, limits: &RangeInclusive<T>) -> Option<T> {
    T::try_from(number)
        .ok()
        .filter(|number| limits.contains(number))
}

/// A size in the largest unit that it fills.
fn shown(bytes: u32) -> String {
    let bytes = u64::from(bytes);
    let fills = |&&(_, factor): &&(&str, u64)| bytes >= factor;
    match SIZES.iter().rev().find(fills) {
        Some((unit, factor)) => format!("{}{unit}", bytes / factor),
        None => bytes.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        for (text, bytes) in [
            ("1024", 1024),
            ("1024B", 1024),
            ("1KiB", 1024),
            (" 16 MiB ", 16 * 1024 * 1024),
            ("1GiB", 1024 * 1024 * 1024),
        ] {
            assert_eq!(parse_bytes(text, &(1..=u32::MAX)), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn a_size_that_is_not_one_says_what_to_write() {
        for (text, says) in [
            ("1MB", "write 1MiB"),
            ("64k", "write 64KiB"),
            ("", "a number of bytes"),
            ("MiB", "such as 1MiB"),
            ("-1", "a number of bytes"),
            ("1.5MiB", "a number of bytes"),
            ("1TiB", "KiB, MiB or GiB"),
            ("4GiB", "from 1024 to 1073741824 bytes (1GiB)"),
            ("99999999999999999999", "a number of bytes"),
            ("99999999999999999GiB", "a number of bytes"),
            ("1", "from 1024"),
        ] {
            let error = parse_bytes(text, &(1024..=1024 * 1024 * 1024)).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn times_have_units() {
        for (text, seconds) in [("30", 30), ("30s", 30), ("5m", 300), ("1h", 3600), ("0", 0)] {
            assert_eq!(parse_seconds(text, &(0..=3600)), Ok(seconds), "{text}");
        }
        for (text, says) in [
            ("2h", "from 0 to 3600 seconds"),
            ("soon", "such as 30s"),
            ("30ms", "such as 30s"),
            ("", "such as 30s"),
        ] {
            let error = parse_seconds(text, &(0..=3600)).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn long_times_have_units_and_each_setting_counts_its_own_without_one() {
        let limits = Duration::from_secs(1)..=Duration::from_hours(24 * 365);
        let long = |text, units: &[(&str, u64)]| parse_long(text, "days", units, &limits);
        for (text, units, seconds) in [
            ("6", HOURS, 6 * 3600),
            ("2d", HOURS, 2 * 86_400),
            ("30", DAYS, 30 * 86_400),
            ("36h", DAYS, 36 * 3600),
            ("3m", DAYS, 180),
            ("365", DAYS, 365 * 86_400),
        ] {
            assert_eq!(
                long(text, &units),
                Ok(Duration::from_secs(seconds)),
                "{text}"
            );
        }
        for (text, says) in [
            ("0", "from 1s to 365d"),
            ("366", "from 1s to 365d"),
            ("0.5", "a whole number of days"),
            ("1w", "s, m, h or d"),
            ("", "such as 36h"),
        ] {
            let error = long(text, &DAYS).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn an_address_that_is_not_one_says_what_to_write() {
        assert!(bind_address("[::1]:80").is_ok());
        for (text, says) in [
            ("8080", "0.0.0.0:8080"),
            (":8080", "127.0.0.1:8080;"),
            ("localhost:8080", "such as 127.0.0.1:8080"),
            ("0.0.0.0", "an IP address and a port"),
        ] {
            let error = bind_address(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
