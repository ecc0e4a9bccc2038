//! One event.

use std::{borrow::Cow, ops::ControlFlow};

use serde_json::value::RawValue;

use super::{EventError, Limits, Receipts};
use crate::{
    Event, EventId, EventTime, Payload, Source, Topic,
    json::{self, JsonType},
    name::{MAX_NAME_BYTES, NameError},
    time::TimeError,
};

/// Reads one event. The pointer of an error starts at the event.
pub fn parse_event(
    raw: &RawValue,
    limits: &Limits,
    receipts: &Receipts,
) -> Result<Event, EventError> {
    let (len, max) = (raw.get().len(), limits.max_event_bytes);
    if len > max {
        return Err(EventError::too_long(len, max));
    }
    let members = Members::read(raw)?;
    let (topic, event_id) = members.identity()?;
    let timestamp = match members.timestamp {
        Some(raw) => timestamp(raw)?,
        None => receipts.time(),
    };
    let source = match members.source {
        Some(raw) => name("source", raw)?,
        None => Source::unknown(),
    };
    let payload = match members.payload {
        Some(raw) => {
            let (payload, written_out_len) =
                Payload::measured(raw).map_err(|error| EventError::member("payload", error))?;
            let len = (len - payload.as_str().len()).saturating_add(written_out_len);
            if len > max {
                let detail = format!(
                    "payload makes the event {len} bytes with its numbers written out; at most {max} are allowed"
                );
                return Err(EventError::too_large("/payload", detail));
            }
            payload
        }
        None => Payload::empty(),
    };
    Ok(Event {
        topic,
        event_id,
        timestamp,
        source,
        payload,
        receipt_id: receipts.next(),
    })
}

/// The members of an event as they are written. A member that is `null` counts as absent.
#[derive(Default)]
struct Members<'a> {
    topic: Option<&'a RawValue>,
    event_id: Option<&'a RawValue>,
    id: Option<&'a RawValue>,
    timestamp: Option<&'a RawValue>,
    source: Option<&'a RawValue>,
    payload: Option<&'a RawValue>,
}

impl<'a> Members<'a> {
    fn read(raw: &'a RawValue) -> Result<Self, EventError> {
        let found = JsonType::of(raw);
        if found != JsonType::Object {
            return Err(EventError::not_an_object(found));
        }
        let mut members = Self::default();
        let problem = json::members(raw.get(), |name, value| members.set(&name, value))
            .map_err(|error| EventError::invalid(String::new(), json::fault(&error)))?;
        match problem {
            Some(problem) => Err(problem),
            None => Ok(members.without_null()),
        }
    }

    fn without_null(self) -> Self {
        Self {
            topic: json::not_null(self.topic),
            event_id: json::not_null(self.event_id),
            id: json::not_null(self.id),
            timestamp: json::not_null(self.timestamp),
            source: json::not_null(self.source),
            payload: json::not_null(self.payload),
        }
    }

    fn set(&mut self, name: &str, value: &'a RawValue) -> ControlFlow<EventError> {
        let member = match name {
            "topic" => &mut self.topic,
            "event_id" => &mut self.event_id,
            "id" => &mut self.id,
            "timestamp" => &mut self.timestamp,
            "source" => &mut self.source,
            "payload" => &mut self.payload,
            _ => {
                let what = "an event has topic, event_id (or id), timestamp, source and payload";
                return ControlFlow::Break(EventError::unknown_member(name, what));
            }
        };
        if member.replace(value).is_some() {
            let what = "is there twice; give it once";
            return ControlFlow::Break(EventError::member(name, what));
        }
        ControlFlow::Continue(())
    }

    fn identity(&self) -> Result<(Topic, EventId), EventError> {
        let topic = match (self.topic, self.id) {
            (Some(raw), _) => name("topic", raw)?,
            (None, Some(_)) => Topic::fallback(),
            (None, None) => return Err(missing("topic")),
        };
        let event_id = match (self.event_id, self.id) {
            (Some(raw), None) => name("event_id", raw)?,
            (None, Some(raw)) => name("id", raw)?,
            (None, None) => return Err(missing("event_id")),
            (Some(_), Some(_)) => {
                let what = "stands for event_id, which is there too; give one of them";
                return Err(EventError::member("id", what));
            }
        };
        Ok((topic, event_id))
    }
}

fn missing(member: &str) -> EventError {
    let what = format!("is missing; give a string of 1 to {MAX_NAME_BYTES} bytes");
    EventError::member(member, what)
}

fn name<T>(member: &str, raw: &RawValue) -> Result<T, EventError>
where
    T: for<'t> TryFrom<&'t str, Error = NameError>,
{
    T::try_from(&string(member, raw)?).map_err(|error| EventError::member(member, error))
}

fn timestamp(raw: &RawValue) -> Result<EventTime, EventError> {
    let member = "timestamp";
    if JsonType::of(raw) == JsonType::Number {
        return Err(EventError::member(member, TimeError::of_number(raw.get())));
    }
    string(member, raw)?
        .parse()
        .map_err(|error| EventError::member(member, error))
}

/// What the string in this member says.
pub(crate) fn string<'a>(member: &str, raw: &'a RawValue) -> Result<Cow<'a, str>, EventError> {
    match JsonType::of(raw) {
        JsonType::String => json::unquote(raw.get()).ok_or_else(|| {
            let what = "has half a surrogate pair; write the character itself";
            EventError::member(member, what)
        }),
        other => {
            let what = format!("must be a string, got {other}");
            Err(EventError::member(member, what))
        }
    }
}
