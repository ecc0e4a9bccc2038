//! CloudEvents whose attributes are headers:
//! [HTTP binding, section 3.1](https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md#31-binary-content-mode).

use percent_encoding::percent_decode;

use super::{Attributes, Data, Place, into_event};
use crate::{
    Event,
    parse::{BatchError, EventError, Limits, Parsed, Receipts},
};

/// What the name of an attribute's header begins with.
const PREFIX: &str = "ce-";
/// The attribute that is the header `Content-Type`.
const CONTENT_TYPE: &str = "datacontenttype";
/// Any of these tells that a CloudEvent is meant.
const REQUIRED: [&str; 4] = ["ce-specversion", "ce-id", "ce-source", "ce-type"];

/// Whether these names of headers, in lower case, are those of a CloudEvent.
pub fn is_binary<'h>(mut names: impl Iterator<Item = &'h str>) -> bool {
    names.any(|name| REQUIRED.contains(&name))
}

/// Reads a CloudEvent from its headers, with names in lower case, and its body, the data.
/// Pointers of errors are empty, as headers have none; details name the header.
pub fn binary<'h>(
    headers: impl IntoIterator<Item = (&'h str, &'h [u8])>,
    media_type: Option<&str>,
    body: &[u8],
    limits: &Limits,
    receipts: &Receipts,
) -> Result<Parsed, BatchError> {
    let (len, max) = (body.len(), limits.max_event_bytes);
    if len > max {
        return Ok(Parsed::one(Err(EventError::too_long(len, max))));
    }
    let data = Data::from_body(media_type, body)?;
    let event = event(headers, media_type, data.as_ref(), limits, receipts);
    Ok(Parsed::one(event.map_err(|error| EventError {
        pointer: String::new(),
        ..error
    })))
}

fn event<'h>(
    headers: impl IntoIterator<Item = (&'h str, &'h [u8])>,
    media_type: Option<&str>,
    data: Option<&Data<'_>>,
    limits: &Limits,
    receipts: &Receipts,
) -> Result<Event, EventError> {
    let mut attributes = Attributes::new(Place::Headers(PREFIX));
    for (name, value) in headers {
        if let Some(name) = name.strip_prefix(PREFIX) {
            add(&mut attributes, name, value)?;
        }
    }
    if let Some(media_type) = media_type {
        attributes.add_text(CONTENT_TYPE, media_type.to_owned())?;
    }
    into_event(attributes, data, limits, receipts)
}

fn add<'h>(attributes: &mut Attributes<'h>, name: &'h str, value: &[u8]) -> Result<(), EventError> {
    if name == CONTENT_TYPE {
        return Err(attributes.refuse(name, "must not be there; say it as Content-Type"));
    }
    let text = decoded(value).ok_or_else(|| {
        attributes.refuse(name, "is not UTF-8; percent-encode the bytes of its UTF-8")
    })?;
    attributes.add_text(name, text)
}

/// The text of a header: without the quotes that earlier versions of the binding allowed, then
/// percent-decoded, once. `None` if it is not UTF-8.
fn decoded(value: &[u8]) -> Option<String> {
    let unquoted = unquoted(value);
    let bytes = percent_decode(unquoted.as_deref().unwrap_or(value)).collect();
    String::from_utf8(bytes).ok()
}

/// What a quoted string says
/// ([RFC 9110, section 5.6.4](https://www.rfc-editor.org/rfc/rfc9110#section-5.6.4)); `None` if it
/// is none.
fn unquoted(value: &[u8]) -> Option<Vec<u8>> {
    let inside = value.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    let mut escaped = false;
    let kept = inside.iter().copied().filter(|&byte| {
        escaped = byte == b'\\' && !escaped;
        !escaped
    });
    Some(kept.collect())
}
