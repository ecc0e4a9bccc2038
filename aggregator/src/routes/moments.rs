//! Moments and lengths of time in a query string.

use event::{EventTime, schema::from_json};
use serde_json::json;
use store::history::EVERY;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};

/// Units of a length of time, with their seconds.
const UNITS: [(char, u32); 4] = [('s', 1), ('m', 60), ('h', 3600), ('d', 86_400)];

/// A length of time, such as `24h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span(pub(super) u32);

impl Span {
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let seconds = seconds(text);
        seconds
            .map(Self)
            .ok_or("must be a length of time, such as 30s, 5m, 24h or 7d")
    }
}

impl PartialSchema for Span {
    fn schema() -> RefOr<Schema> {
        from_json(json!({
            "type": "string",
            "description": "A length of time: a number with the unit s, m, h or d",
            "pattern": "^[0-9]{1,4}[smhd]$",
            "examples": ["24h"]
        }))
    }
}

impl ToSchema for Span {
    fn name() -> std::borrow::Cow<'static, str> {
        "TimeSpan".into()
    }
}

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
    fn a_span_has_a_unit() {
        assert_eq!(Span::parse("24h"), Ok(Span(86_400)));
        assert_eq!(Span::parse("1d"), Span::parse("24h"));
        for wrong in ["", "h", "-1h", "1w", "1.5h", "10000s", "60"] {
            assert!(Span::parse(wrong).is_err(), "{wrong}");
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
