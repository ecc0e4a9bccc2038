//! A point in time, written as ISO 8601 date and time.

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

/// Why a text is no [`EventTime`].
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_way_to_write_a_time_comes_out_as_utc() {
        for (written, utc) in [
            ("2026-01-31T12:30:00Z", "2026-01-31T12:30:00Z"),
            ("2026-01-31t12:30:00z", "2026-01-31T12:30:00Z"),
            ("2026-01-31 12:30:00", "2026-01-31T12:30:00Z"),
            ("2026-01-31T12:30", "2026-01-31T12:30:00Z"),
            ("2026-01-31T12:30+01", "2026-01-31T11:30:00Z"),
            ("2026-01-31T12:30:00+0530", "2026-01-31T07:00:00Z"),
            ("2026-01-31T12:30:00-05:30", "2026-01-31T18:00:00Z"),
            ("2026-01-31T12:30:00-00:00", "2026-01-31T12:30:00Z"),
            ("2026-01-31T23:30:00-23:59", "2026-02-01T23:29:00Z"),
            ("2024-02-29T00:00:00Z", "2024-02-29T00:00:00Z"),
            ("2026-01-31T12:30:00.5Z", "2026-01-31T12:30:00.500Z"),
            ("2026-01-31T12:30:00,25+01:00", "2026-01-31T11:30:00.250Z"),
            ("2026-01-31T12:30:00.000001", "2026-01-31T12:30:00.000001Z"),
            (
                "2026-01-31T12:30:00.1234569Z",
                "2026-01-31T12:30:00.123456Z",
            ),
            (
                "1969-12-31T23:59:59.9999999Z",
                "1969-12-31T23:59:59.999999Z",
            ),
            (
                "2026-01-31T12:30:00.999999999999999999Z",
                "2026-01-31T12:30:00.999999Z",
            ),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
            ("0000-12-31T23:59:00-00:01", "0001-01-01T00:00:00Z"),
            ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"),
        ] {
            let time: EventTime = written.parse().expect(written);
            assert_eq!(time.to_string(), utc, "{written}");
        }
    }

    #[test]
    fn other_ways_to_write_a_time_are_refused() {
        for text in [
            "",
            "now",
            "2026-01-31",
            "12:30:00Z",
            "17698626",
            "1e400",
            "99999999999999999999999",
            "20260131T123000Z",
            "2026-W05-6T12:30:00Z",
            "2026-031T12:30:00Z",
            "26-01-31T12:30:00Z",
            "2026-1-31T12:30:00Z",
            "+2026-01-31T12:30:00Z",
            "-2026-01-31T12:30:00Z",
            "12026-01-31T12:30:00Z",
            "2026-01-31  12:30:00Z",
            "2026-01-31_12:30:00Z",
            "2026-01-31T12Z",
            "2026-01-31T12:3Z",
            "2026-01-31T12:30.5Z",
            "2026-01-31T12:30:Z",
            "2026-01-31T12:30:00.Z",
            "2026-01-31T12:30:00.0000000000000000000Z",
            "2026-01-31T12:30:00 Z",
            "2026-01-31T12:30:00ZZ",
            "2026-01-31T12:30:00Z ",
            " 2026-01-31T12:30:00Z",
            "2026-01-31T12:30:00Z\n",
            "2026-01-31T12:30:00Z[Europe/Berlin]",
            "2026-01-31T12:30:00 CET",
            "2026-01-31T12:30:00+",
            "2026-01-31T12:30:00+1",
            "2026-01-31T12:30:00+01:",
            "2026-01-31T12:30:00+01:0",
            "2026-01-31T12:30:00+010",
            "2026-01-31T12:30:00+01:00:00",
            "２026-01-31T12:30:00Z",
        ] {
            assert_eq!(text.parse::<EventTime>(), Err(TimeError::Format), "{text}");
        }
    }

    #[test]
    fn a_unix_time_is_refused_with_the_very_instant_as_it_should_be_written() {
        for (text, unit, time) in [
            ("1769862600", "seconds", "2026-01-31T12:30:00Z"),
            ("1769862600.5", "seconds", "2026-01-31T12:30:00.500Z"),
            (
                "1769862600.123456",
                "seconds",
                "2026-01-31T12:30:00.123456Z",
            ),
            ("1.7698626e9", "seconds", "2026-01-31T12:30:00Z"),
            ("1769862600123", "milliseconds", "2026-01-31T12:30:00.123Z"),
            (
                "1769862600123.4",
                "milliseconds",
                "2026-01-31T12:30:00.123400Z",
            ),
            (
                "1769862600123456",
                "microseconds",
                "2026-01-31T12:30:00.123456Z",
            ),
            (
                "1769862600123456789",
                "nanoseconds",
                "2026-01-31T12:30:00.123456Z",
            ),
        ] {
            let message = text.parse::<EventTime>().expect_err(text).to_string();
            let expected =
                format!("must be an ISO 8601 date and time, not {unit} since 1970; send {time}");
            assert_eq!(message, expected, "{text}");
            assert!(time.parse::<EventTime>().is_ok());
        }
    }

    #[test]
    fn times_that_do_not_exist_are_refused() {
        for text in [
            "2026-00-31T12:30:00Z",
            "2026-13-01T12:30:00Z",
            "2026-02-29T12:30:00Z",
            "2026-04-31T12:30:00Z",
            "2026-01-00T12:30:00Z",
            "2026-01-31T24:00:00Z",
            "2026-01-31T12:60:00Z",
            "2026-01-31T12:30:61Z",
            "2026-01-31T12:30:00+24:00",
            "2026-01-31T12:30:00+01:60",
        ] {
            assert_eq!(
                text.parse::<EventTime>(),
                Err(TimeError::Nonexistent),
                "{text}"
            );
        }
    }

    #[test]
    fn a_leap_second_is_the_second_after_it_and_only_where_one_can_be() {
        for (written, utc) in [
            ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"),
            ("2016-12-31T23:59:60.5Z", "2017-01-01T00:00:00.500Z"),
            ("2017-01-01T05:29:60+05:30", "2017-01-01T00:00:00Z"),
            ("2015-06-30T15:59:60-08:00", "2015-07-01T00:00:00Z"),
        ] {
            let time: EventTime = written.parse().expect(written);
            assert_eq!(time.to_string(), utc, "{written}");
        }
        for text in [
            "2016-12-31T12:59:60Z",
            "2016-12-30T23:59:60Z",
            "2016-12-31T23:59:60+01:00",
        ] {
            let refused = text.parse::<EventTime>();
            assert_eq!(refused, Err(TimeError::NotALeapSecond), "{text}");
        }
    }

    #[test]
    fn years_out_of_range_in_utc_are_refused_in_text_and_clamped_from_clocks() {
        for text in [
            "0000-12-31T23:59:59Z",
            "0001-01-01T00:00:00+00:01",
            "9999-12-31T23:59:00-00:01",
            "9999-12-31T23:59:60Z",
        ] {
            let refused = text.parse::<EventTime>();
            assert_eq!(refused, Err(TimeError::OutOfRange), "{text}");
        }
        let [min, max] = [DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC].map(EventTime::from);
        assert_eq!(min.to_string(), "0001-01-01T00:00:00Z");
        assert_eq!(max.to_string(), "9999-12-31T23:59:59.999999Z");
    }

    #[test]
    fn nanoseconds_and_leap_seconds_of_a_clock_become_whole_microseconds() {
        for (seconds, nanos, utc) in [
            (0, 1_999, "1970-01-01T00:00:00.000001Z"),
            (-1, 999_999_999, "1969-12-31T23:59:59.999999Z"),
            (59, 1_500_000_000, "1970-01-01T00:01:00.500Z"),
        ] {
            let clock = DateTime::from_timestamp(seconds, nanos).unwrap();
            assert_eq!(EventTime::from(clock).to_string(), utc);
        }
    }

    #[test]
    fn serializes_as_it_displays() {
        let time = EventTime::from(DateTime::UNIX_EPOCH);
        let json = serde_json::to_string(&time).unwrap();
        assert_eq!(json, "\"1970-01-01T00:00:00Z\"");
    }

    proptest! {
        #[test]
        fn what_is_displayed_reads_back_the_same(micros in MIN_MICROS..=MAX_MICROS) {
            let time = EventTime::from(DateTime::from_timestamp_micros(micros).unwrap());
            prop_assert_eq!(time.as_datetime().timestamp_micros(), micros);
            prop_assert_eq!(time.to_string().parse(), Ok(time));
        }

        #[test]
        fn an_offset_moves_the_time_and_nothing_else(
            minute in MIN_MICROS / 60_000_000 + 1440..MAX_MICROS / 60_000_000 - 1440,
            offset in -1439_i64..=1439,
        ) {
            let time = DateTime::from_timestamp(minute * 60, 0).unwrap();
            let local = (time + TimeDelta::minutes(offset)).format("%Y-%m-%dT%H:%M");
            let sign = if offset < 0 { '-' } else { '+' };
            let (hours, minutes) = (offset.abs() / 60, offset.abs() % 60);
            let written = format!("{local}{sign}{hours:02}:{minutes:02}");
            prop_assert_eq!(written.parse(), Ok(EventTime::from(time)));
        }

        #[test]
        fn arbitrary_text_is_refused_without_panic(text in "\\PC{0,18}|[-+0-9TtZz:., ]{0,15}") {
            let refused = text.parse::<EventTime>();
            let expected = matches!(refused, Err(TimeError::Format | TimeError::Unix { .. }));
            prop_assert!(expected, "{:?}", refused);
        }

        #[test]
        fn a_time_with_one_byte_changed_is_refused_or_another_time(
            at in 0_usize..32,
            byte in 0_u8..128,
        ) {
            let mut text = *b"2016-12-31T23:59:59.123456+01:30";
            text[at] = byte;
            if let Ok(time) = std::str::from_utf8(&text).unwrap().parse::<EventTime>() {
                prop_assert_eq!(time.to_string().parse(), Ok(time));
            }
        }
    }
}
