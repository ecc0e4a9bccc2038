//! CloudEvents in the
//! [JSON format](https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md),
//! alone or as an array.

use std::ops::ControlFlow;

use serde_json::value::RawValue;

use super::{Attributes, Data, Place, into_event};
use crate::{
    Event,
    json::{self, JsonType},
    parse::{self, BatchError, EventError, Limits, Parsed, Receipts},
};

/// Reads one CloudEvent: a body of type `application/cloudevents+json`.
pub fn structured(body: &[u8], limits: &Limits, receipts: &Receipts) -> Result<Parsed, BatchError> {
    let raw = serde_json::from_str(parse::text(body)?)?;
    Ok(Parsed::one(event(raw, limits, receipts)))
}

/// Reads an array of CloudEvents: a body of type `application/cloudevents-batch+json`. It may be
/// empty.
pub fn batch(body: &[u8], limits: &Limits, receipts: &Receipts) -> Result<Parsed, BatchError> {
    let raw: &RawValue = serde_json::from_str(parse::text(body)?)?;
    match JsonType::of(raw) {
        JsonType::Array => parse::array(raw.get(), "", limits, |raw| event(raw, limits, receipts)),
        other => Err(BatchError::NotAnArray(other)),
    }
}

fn event(raw: &RawValue, limits: &Limits, receipts: &Receipts) -> Result<Event, EventError> {
    let (len, max) = (raw.get().len(), limits.max_event_bytes);
    if len > max {
        return Err(EventError::too_long(len, max));
    }
    let found = JsonType::of(raw);
    if found != JsonType::Object {
        return Err(EventError::not_an_object(found));
    }
    let mut attributes = Attributes::new(Place::Members);
    let mut data = Written::default();
    let problem = json::members(raw.get(), |name, value| {
        let read = match &*name {
            "data" => set(&mut data.json, &name, value),
            "data_base64" => set(&mut data.base64, &name, value),
            _ => attributes.add_json(name, value),
        };
        read.map_or_else(ControlFlow::Break, ControlFlow::Continue)
    })
    .map_err(|error| EventError::invalid(String::new(), json::fault(&error)))?;
    match problem {
        Some(problem) => Err(problem),
        None => into_event(attributes, data.read()?.as_ref(), limits, receipts),
    }
}

/// The members for data as they are written.
#[derive(Default)]
struct Written<'a> {
    json: Option<&'a RawValue>,
    base64: Option<&'a RawValue>,
}

impl<'a> Written<'a> {
    /// A `data_base64` that is `null` is as none, and so is a `data` that is `null` beside the other; alone it is the
    /// data.
    fn read(self) -> Result<Option<Data<'a>>, EventError> {
        match (self.json, json::not_null(self.base64)) {
            (json, None) => Ok(json.map(Data::Json)),
            (json, Some(base64)) if json::not_null(json).is_none() => {
                Data::from_base64(base64).map(Some)
            }
            _ => {
                let what = "is there beside data; give one of them";
                Err(EventError::member("data_base64", what))
            }
        }
    }
}

fn set<'a>(
    member: &mut Option<&'a RawValue>,
    name: &str,
    value: &'a RawValue,
) -> Result<(), EventError> {
    match member.replace(value) {
        None => Ok(()),
        Some(_) => Err(EventError::member(name, "is there twice; give it once")),
    }
}
