//! CloudEvents in the
//! [JSON format](https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md),
//! alone or as an array.

use serde_json::value::RawValue;

use super::{Attributes, Data, Place, into_event};
use crate::event::{
    Event,
    json::{self, JsonType},
    parse::{self, BatchError, EventError, Limits, Parsed, Receipts},
};

/// Reads one CloudEvent: a body of type `application/cloudevents+json`.
pub fn structured(
    body: &[u8],
    limits: &Limits,
    receipts: &Receipts<'_>,
) -> Result<Parsed, BatchError> {
    let raw = serde_json::from_str(parse::text(body)?)?;
    Ok(Parsed::one(event(raw, limits, receipts)))
}

/// Reads an array of CloudEvents: a body of type `application/cloudevents-batch+json`. It may be
/// empty.
pub fn batch(body: &[u8], limits: &Limits, receipts: &Receipts<'_>) -> Result<Parsed, BatchError> {
    let raw: &RawValue = serde_json::from_str(parse::text(body)?)?;
    match JsonType::of(raw) {
        JsonType::Array => parse::array(raw.get(), "", limits, |raw| event(raw, limits, receipts)),
        other => Err(BatchError::NotAnArray(other)),
    }
}

fn event(raw: &RawValue, limits: &Limits, receipts: &Receipts<'_>) -> Result<Event, EventError> {
    let (len, max) = (raw.get().len(), limits.max_event_bytes);
    if len > max {
        return Err(EventError::too_long(len, max));
    }
    let found = JsonType::of(raw);
    if found != JsonType::Object {
        return Err(EventError::not_an_object(found));
    }
    let (mut attributes, mut data, mut problem) = (Attributes::new(Place::Members), None, None);
    json::members(raw.get(), |name, value| {
        let read = match &*name {
            "data" => set(&mut data, &name, Ok(Data::Json(value))),
            "data_base64" => set(&mut data, &name, Data::from_base64(value)),
            _ => attributes.add_json(name, value),
        };
        if let Err(error) = read {
            problem.get_or_insert(error);
        }
    })
    .map_err(|error| EventError::invalid(String::new(), error.to_string()))?;
    match problem {
        Some(problem) => Err(problem),
        None => into_event(attributes, data.as_ref(), limits, receipts),
    }
}

fn set<'a>(
    data: &mut Option<Data<'a>>,
    name: &str,
    value: Result<Data<'a>, EventError>,
) -> Result<(), EventError> {
    if data.replace(value?).is_none() {
        Ok(())
    } else {
        let what = "is there beside other data; give one of data and data_base64, once";
        Err(EventError::member(name, what))
    }
}
