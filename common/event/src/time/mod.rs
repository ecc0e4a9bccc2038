//! A point in time, written as ISO 8601 date and time.
//!
//! It is read here and not by `jiff` or `chrono`: `jiff` refuses more than 9 digits of a fraction and reads the second 60 as
//! 59, `chrono` takes a second 60 at any minute, and neither says what is wrong.

#[cfg(test)]
mod tests;

use std::{fmt, str::FromStr};

use chrono::{DateTime, Datelike, NaiveDate, SecondsFormat, TimeDelta, Timelike, Utc};
use serde::{Serialize, Serializer};

/// Most digits of a fraction of a second that are read (attoseconds); all after the sixth are cut.
pub const MAX_FRACTION_DIGITS: usize = 18;

/// 0001-01-01T00:00:00Z, in microseconds since 1970.
const MIN_MICROS: i64 = -62_135_596_800_000_000;
/// 9999-12-31T23:59:59.999999Z, in microseconds since 1970.
const MAX_MICROS: i64 = 253_402_300_799_999_999;

/// A point in time in the years 0001 to 9999 UTC, in whole microseconds (what PostgreSQL keeps).
///
/// Reads the extended format of ISO 8601, date *and* time: `YYYY-MM-DD`, then `T`, `t` or one
/// space, then `hh:mm` or `hh:mm:ss` or `hh:mm:ss` with a fraction after `.` or `,`; then `Z`,
/// `z`, `±hh`, `±hhmm`, `±hh:mm`, or nothing for UTC. That includes all of
/// [RFC 3339](https://www.rfc-editor.org/rfc/rfc3339). Digits finer than microseconds are cut. A
/// leap second becomes the second after it, as POSIX and PostgreSQL count.
///
/// Displays and serializes as RFC 3339 in UTC with `Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventTime(DateTime<Utc>);

/// Why a text is not an [`EventTime`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// It is written in another way.
    #[error(
        "must be an ISO 8601 date and time, such as 2026-01-31T12:30:00Z or 2026-01-31T14:30:00.5+02:00"
    )]
    Format,
    /// It is a number that counts from the start of 1970.
    #[error("must be an ISO 8601 date and time, not {unit} since 1970; send {time}")]
    Unix {
        /// What it seems to count.
        unit: Unit,
        /// The time that it then is.
        time: EventTime,
    },
    /// It is written well, but there is no such date, time of day or offset.
    #[error(
        "is not a date and time that exists; hours go from 00 to 23, minutes and seconds from 00 to 59, offsets to 23:59"
    )]
    Nonexistent,
    /// It has a second 60 where none was ever inserted.
    #[error("has the second 60, which exists only at 23:59:60 UTC at the end of a month")]
    NotALeapSecond,
    /// It is before 0001 or after 9999.
    #[error("must be within the years 0001 to 9999 in UTC")]
    OutOfRange,
}

/// What a Unix time counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// As most languages have it.
    Seconds,
    /// As JavaScript has it.
    Milliseconds,
    /// As some databases have it.
    Microseconds,
    /// As Go and OpenTelemetry have it.
    Nanoseconds,
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Seconds => "seconds",
            Self::Milliseconds => "milliseconds",
            Self::Microseconds => "microseconds",
            Self::Nanoseconds => "nanoseconds",
        })
    }
}

impl Unit {
    const ALL: [Self; 4] = [
        Self::Seconds,
        Self::Milliseconds,
        Self::Microseconds,
        Self::Nanoseconds,
    ];

    /// What a number counts if it is a time of the years 1973 to 5138, by its size.
    fn of(number: f64) -> Option<Self> {
        let seconds = 1e8..1e11;
        let fits = |unit: &Self| seconds.contains(&(number / f64::from(unit.in_a_second())));
        Self::ALL.into_iter().find(fits)
    }

    const fn in_a_second(self) -> u32 {
        match self {
            Self::Seconds => 1,
            Self::Milliseconds => 1_000,
            Self::Microseconds => 1_000_000,
            Self::Nanoseconds => 1_000_000_000,
        }
    }
}

impl TimeError {
    /// What is wrong with a number in place of a time; says which time it is, if it looks like a Unix time.
    pub(super) fn of_number(text: &str) -> Self {
        Self::unix(text).unwrap_or(Self::Format)
    }

    fn unix(text: &str) -> Option<Self> {
        let number: f64 = text.parse().ok()?;
        let unit = Unit::of(number)?;
        let micros = match text.parse::<i64>() {
            Ok(whole) => {
                let micros = i128::from(whole) * 1_000_000 / i128::from(unit.in_a_second());
                i64::try_from(micros).ok()?
            }
            #[expect(
                clippy::cast_possible_truncation,
                reason = "the number is within 3,200 years"
            )]
            Err(_) => (number * 1e6 / f64::from(unit.in_a_second())).round() as i64,
        };
        let time = DateTime::from_timestamp_micros(micros)?.into();
        Some(Self::Unix { unit, time })
    }
}

impl EventTime {
    /// The time in chrono's type.
    #[must_use]
    pub const fn as_datetime(self) -> DateTime<Utc> {
        self.0
    }

    /// A time in microseconds since 1970.
    pub(crate) fn from_micros(micros: i64) -> Result<Self, TimeError> {
        let within = (MIN_MICROS..=MAX_MICROS).contains(&micros);
        let time = DateTime::from_timestamp_micros(micros).filter(|_| within);
        time.map(Self).ok_or(TimeError::OutOfRange)
    }
}

/// For times from clocks and databases: what is finer than microseconds is cut, and what is out of
/// range becomes the nearest time within.
impl From<DateTime<Utc>> for EventTime {
    fn from(time: DateTime<Utc>) -> Self {
        let micros = time.timestamp_micros().clamp(MIN_MICROS, MAX_MICROS);
        Self(DateTime::from_timestamp_micros(micros).unwrap_or(DateTime::UNIX_EPOCH))
    }
}

impl FromStr for EventTime {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        if let Some(time) = plain(text.as_bytes()) {
            return Ok(time);
        }
        match Written::read(text) {
            Some(written) => written.in_utc(),
            None => Err(TimeError::of_number(text)),
        }
    }
}

impl fmt::Display for EventTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_rfc3339_opts(SecondsFormat::AutoSi, true))
    }
}

impl Serialize for EventTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Reads what nearly everybody writes, `YYYY-MM-DDThh:mm:ss` and a fraction of up to 6 digits or none in UTC, without the
/// calendar of a library. `None`: it is written otherwise, or perhaps wrong.
fn plain(text: &[u8]) -> Option<EventTime> {
    let (seconds, rest) = text.split_first_chunk::<19>()?;
    let fraction = rest.strip_suffix(b"Z")?;
    let [
        _,
        _,
        _,
        _,
        b'-',
        _,
        _,
        b'-',
        _,
        _,
        b'T',
        _,
        _,
        b':',
        _,
        _,
        b':',
        _,
        _,
    ] = seconds
    else {
        return None;
    };
    let number = |digits: &[u8]| {
        digits.iter().try_fold(0, |number: i64, digit| {
            let digit = digit.wrapping_sub(b'0');
            (digit < 10).then(|| number * 10 + i64::from(digit))
        })
    };
    let (year, month, day) = (
        number(&seconds[..4])?,
        number(&seconds[5..7])?,
        number(&seconds[8..10])?,
    );
    let (hour, minute, second) = (
        number(&seconds[11..13])?,
        number(&seconds[14..16])?,
        number(&seconds[17..])?,
    );
    // No month is shorter than 28 days.
    if !(1..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=28).contains(&day) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let micros = match fraction.split_first() {
        None => 0,
        Some((b'.', digits)) if (1..=6).contains(&digits.len()) => {
            let unit = 10_i64.pow(u32::try_from(6 - digits.len()).ok()?);
            number(digits)? * unit
        }
        Some(_) => return None,
    };
    let seconds = ((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
    EventTime::from_micros(seconds * 1_000_000 + micros).ok()
}

/// Days since 1970-01-01 in the Gregorian calendar
/// ([days_from_civil](https://howardhinnant.github.io/date_algorithms.html#days_from_civil)), of years from 1 on.
const fn days(year: i64, month: i64, day: i64) -> i64 {
    // Years begin in March, so that the day that may be missing is their last one.
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year) = (year / 400, year % 400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year * 365 + year / 4 - year / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// A date and time as it is written, not yet checked against the calendar.
struct Written {
    year: u32,
    month: u32,
    day: u32,
    hour: u32,
    minute: u32,
    second: u32,
    micros: u32,
    offset: Offset,
}

#[derive(Default)]
struct Offset {
    west: bool,
    hours: u32,
    minutes: u32,
}

impl Written {
    fn read(text: &str) -> Option<Self> {
        let mut rest = Reader(text.as_bytes());
        let year = rest.number(4)?;
        rest.one_of(b"-")?;
        let month = rest.number(2)?;
        rest.one_of(b"-")?;
        let day = rest.number(2)?;
        rest.one_of(b"Tt ")?;
        let hour = rest.number(2)?;
        rest.one_of(b":")?;
        let minute = rest.number(2)?;
        let (mut second, mut micros) = (0, 0);
        if rest.one_of(b":").is_some() {
            second = rest.number(2)?;
            if rest.one_of(b".,").is_some() {
                micros = rest.micros()?;
            }
        }
        let offset = rest.offset()?;
        rest.0.is_empty().then_some(Self {
            year,
            month,
            day,
            hour,
            minute,
            second,
            micros,
            offset,
        })
    }

    fn in_utc(&self) -> Result<EventTime, TimeError> {
        let leap = self.second == 60;
        let local = NaiveDate::from_ymd_opt(self.year.cast_signed(), self.month, self.day)
            .and_then(|date| {
                let second = if leap { 59 } else { self.second };
                date.and_hms_micro_opt(self.hour, self.minute, second, self.micros)
            })
            .ok_or(TimeError::Nonexistent)?;
        let east = self.offset.east().ok_or(TimeError::Nonexistent)?;
        let utc = local.and_utc() - east + TimeDelta::seconds(leap.into());
        if leap && (utc.day(), utc.num_seconds_from_midnight()) != (1, 0) {
            return Err(TimeError::NotALeapSecond);
        }
        if !(MIN_MICROS..=MAX_MICROS).contains(&utc.timestamp_micros()) {
            return Err(TimeError::OutOfRange);
        }
        Ok(EventTime(utc))
    }
}

impl Offset {
    /// How far the local time is ahead of UTC; `None` if no clock is that far off.
    fn east(&self) -> Option<TimeDelta> {
        if self.hours > 23 || self.minutes > 59 {
            return None;
        }
        let size = TimeDelta::minutes((self.hours * 60 + self.minutes).into());
        Some(if self.west { -size } else { size })
    }
}

/// What is left to read.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    /// The next byte, if it is one of these.
    fn one_of(&mut self, allowed: &[u8]) -> Option<u8> {
        let (&next, rest) = self.0.split_first()?;
        allowed.contains(&next).then(|| {
            self.0 = rest;
            next
        })
    }

    /// Exactly so many digits.
    fn number(&mut self, digits: usize) -> Option<u32> {
        (0..digits).try_fold(0, |number, _| {
            Some(number * 10 + u32::from(self.one_of(b"0123456789")? - b'0'))
        })
    }

    /// The digits of a fraction, in millionths.
    fn micros(&mut self) -> Option<u32> {
        let digits = self.0.iter().take_while(|b| b.is_ascii_digit()).count();
        if !(1..=MAX_FRACTION_DIGITS).contains(&digits) {
            return None;
        }
        let (fraction, rest) = self.0.split_at(digits);
        self.0 = rest;
        let padded = fraction.iter().copied().chain(std::iter::repeat(b'0'));
        Some(
            padded
                .take(6)
                .fold(0, |micros, digit| micros * 10 + u32::from(digit - b'0')),
        )
    }

    fn offset(&mut self) -> Option<Offset> {
        match self.one_of(b"Zz+-") {
            None | Some(b'Z' | b'z') => Some(Offset::default()),
            Some(sign) => {
                let hours = self.number(2)?;
                let minutes_follow = self.one_of(b":").is_some() || !self.0.is_empty();
                Some(Offset {
                    west: sign == b'-',
                    hours,
                    minutes: if minutes_follow { self.number(2)? } else { 0 },
                })
            }
        }
    }
}
