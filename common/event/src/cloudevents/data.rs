//! The data of a CloudEvent, and the payload it becomes.

use std::{borrow::Cow, ops::ControlFlow};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::value::RawValue;

use super::attributes::Attributes;
use crate::{
    Payload,
    json::{self, JsonType},
    media_type::essence,
    parse::{self, BatchError, EventError},
    payload::PayloadError,
};

/// The payload's member for attributes.
const ATTRIBUTES: &str = "cloudevents";

/// What a CloudEvent is about.
pub(super) enum Data<'a> {
    /// A JSON value.
    Json(&'a RawValue),
    /// Text that is not JSON.
    Text(&'a str),
    /// Anything else, in Base64.
    Base64(Cow<'a, str>),
}

impl<'a> Data<'a> {
    /// The member `data_base64` of the JSON format.
    pub(super) fn from_base64(value: &'a RawValue) -> Result<Self, EventError> {
        let name = "data_base64";
        let text = parse::string(name, value)?;
        if STANDARD.decode(&*text).is_ok() {
            Ok(Self::Base64(text))
        } else {
            let what = "must be Base64 with padding (RFC 4648, section 4)";
            Err(EventError::member(name, what))
        }
    }

    /// A body of this type. Without a type it is JSON if it can be read as that, else bytes.
    pub(super) fn from_body(
        media_type: Option<&str>,
        body: &'a [u8],
    ) -> Result<Option<Self>, BatchError> {
        if body.is_empty() {
            return Ok(None);
        }
        let json = || Ok(Self::Json(serde_json::from_str(parse::text(body)?)?));
        let Some(media_type) = media_type else {
            let data = json().unwrap_or_else(|_: BatchError| Self::bytes(body));
            return Ok(Some(data));
        };
        let data = match (Content::of(media_type), std::str::from_utf8(body)) {
            (Content::Json, _) => json()?,
            // No payload has U+0000.
            (Content::Text, Ok(text)) if !text.contains('\0') => Self::Text(text),
            _ => Self::bytes(body),
        };
        Ok(Some(data))
    }

    fn bytes(body: &[u8]) -> Self {
        Self::Base64(STANDARD.encode(body).into())
    }
}

/// What a media type says of the bytes.
enum Content {
    Json,
    Text,
    Bytes,
}

impl Content {
    fn of(media_type: &str) -> Self {
        let essence = essence(media_type).to_ascii_lowercase();
        let (kind, subtype) = essence.split_once('/').unwrap_or_default();
        let is = |format: &str| {
            let suffix = subtype.strip_suffix(format);
            suffix.is_some_and(|before| before.is_empty() || before.ends_with('+'))
        };
        if is("json") {
            Self::Json
        } else if kind == "text" || is("xml") {
            Self::Text
        } else {
            Self::Bytes
        }
    }
}

/// Puts data and attributes into a payload, and tells its length with its numbers written out.
pub(super) fn payload(
    data: Option<&Data<'_>>,
    attributes: &Attributes<'_>,
) -> Result<(Payload, usize), EventError> {
    let attributes = attributes.as_json();
    let members = match (data, &attributes) {
        (None, None) => {
            let empty = Payload::empty();
            let len = empty.as_str().len();
            return Ok((empty, len));
        }
        (None, Some(_)) => Cow::Borrowed(""),
        (Some(Data::Json(value)), _) => match (members(value), &attributes) {
            (Some(_), None) => return Payload::measured(value).map_err(refuse),
            (Some(members), Some(_)) => Cow::Borrowed(members),
            (None, _) => format!("\"data\":{}", value.get()).into(),
        },
        (Some(Data::Text(text)), _) => {
            format!("\"data\":{}", serde_json::Value::from(*text)).into()
        }
        // Base64 needs no escapes.
        (Some(Data::Base64(text)), _) => format!("\"data_base64\":\"{text}\"").into(),
    };
    let comma = if members.trim_ascii().is_empty() {
        ""
    } else {
        ","
    };
    let text = match attributes {
        Some(attributes) => format!("{{{members}{comma}\"{ATTRIBUTES}\":{attributes}}}"),
        None => format!("{{{members}}}"),
    };
    let text = RawValue::from_string(text).expect("members of an object make an object");
    Payload::measured(&text).map_err(refuse)
}

/// The members of an object that can be the payload itself, without its braces.
fn members(value: &RawValue) -> Option<&str> {
    if JsonType::of(value) != JsonType::Object {
        return None;
    }
    let text = value.get();
    let taken = json::members(text, |name, _| {
        if name == ATTRIBUTES {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    taken.ok()?.is_none().then(|| &text[1..text.len() - 1])
}

fn refuse(error: PayloadError) -> EventError {
    let detail = format!("data becomes a payload that {error}");
    EventError::invalid("/data".to_owned(), detail)
}
