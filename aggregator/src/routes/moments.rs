//! Moments and lengths of time in a query string.

use chrono::{DateTime, TimeDelta, Utc};
use event::{EventTime, schema::from_json};
use serde_json::json;
use store::history::EVERY;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};

/// Units of a length of time, with their seconds.
const UNITS: [(char, u32); 4] = [('s', 1), ('m', 60), ('h', 3600), ('d', 86_400)];

/// A moment: a time, or how long ago it was.
pub(super) struct Moment;

impl Moment {
    pub(super) fn parse(text: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>, &'static str> {
        if let Some(ago) = seconds(text) {
            return Ok(now - TimeDelta::seconds(ago.into()));
        }
        let time = time(text).map_err(|_| {
            "must be a time such as 2026-01-01T12:00:00Z, or how long ago it was, such as 30s, 5m, 24h or 7d"
        })?;
        Ok(time.as_datetime())
    }
}

impl PartialSchema for Moment {
    fn schema() -> RefOr<Schema> {
        from_json(json!({
            "description": "A time, or how long ago it was, with the unit s, m, h or d",
            "anyOf": [
                {"$ref": "#/components/schemas/Time"},
                {"type": "string", "pattern": "^[0-9]{1,4}[smhd]$"}
            ],
            "examples": ["2026-01-01T12:00:00Z", "24h"]
        }))
    }
}

impl ToSchema for Moment {}

/// A length of time in seconds, rounded up to a multiple of [`EVERY`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step(pub(super) u32);

impl Step {
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let seconds = seconds(text).or_else(|| seconds(&format!("{text}s")));
        let seconds =
            seconds.ok_or("must be a number of seconds, or a length of time such as 5m or 1h")?;
        let every = u32::try_from(EVERY.as_secs()).unwrap_or(u32::MAX);
        Ok(Self(seconds.max(1).next_multiple_of(every)))
    }
}

impl PartialSchema for Step {
    fn schema() -> RefOr<Schema> {
        from_json(json!({
            "type": "string",
            "description": "A number of seconds, or a number with the unit s, m, h or d; it is rounded up to a multiple of 10 seconds",
            "pattern": "^[0-9]{1,4}[smhd]?$",
            "examples": ["60", "5m"]
        }))
    }
}

impl ToSchema for Step {}

/// In a query string `+` stands for a space, so an offset such as `+02:00` arrives with one unless it was encoded.
pub(super) fn time(text: &str) -> Result<EventTime, <EventTime as std::str::FromStr>::Err> {
    match text.rsplit_once(' ') {
        Some((time, offset)) if time.contains(['T', 't']) => format!("{time}+{offset}").parse(),
        _ => text.parse(),
    }
}

/// Most digits of a number with a unit. So many days fit into a number of seconds.
const MAX_DIGITS: usize = 4;

/// The seconds of a number with a unit.
fn seconds(text: &str) -> Option<u32> {
    let (unit, each) = UNITS.into_iter().find(|&(unit, _)| text.ends_with(unit))?;
    let count = text.strip_suffix(unit)?;
    let digits =
        (1..=MAX_DIGITS).contains(&count.len()) && count.bytes().all(|byte| byte.is_ascii_digit());
    let count: u32 = digits.then(|| count.parse().ok())??;
    count.checked_mul(each)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_time_or_how_long_ago_it_was() {
        let now: DateTime<Utc> = "2026-01-02T00:00:00Z".parse().unwrap();
        let parse = |text| Moment::parse(text, now).map(|moment| moment.to_rfc3339());
        assert_eq!(parse("24h").unwrap(), "2026-01-01T00:00:00+00:00");
        assert_eq!(parse("1d"), parse("24h"));
        assert_eq!(
            parse("2026-01-01T02:00:00 02:00").unwrap(),
            "2026-01-01T00:00:00+00:00"
        );
        for wrong in ["", "h", "-1h", "1w", "1.5h", "10000s", "yesterday"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_step_is_rounded_up_to_ten_seconds() {
        assert_eq!(Step::parse("60"), Ok(Step(60)));
        assert_eq!(Step::parse("5m"), Ok(Step(300)));
        assert_eq!(Step::parse("15s"), Ok(Step(20)));
        assert_eq!(Step::parse("0"), Ok(Step(10)));
        assert_eq!(Step::parse("9999d"), Ok(Step(863_913_600)));
        for wrong in ["", "-10", "1w", "1.5m", "10000"] {
            assert!(Step::parse(wrong).is_err(), "{wrong}");
        }
    }
}
