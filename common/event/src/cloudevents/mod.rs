//! [CloudEvents 1.0](https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md) as events.
//!
//! | CloudEvent | event |
//! | --- | --- |
//! | `type` | topic |
//! | `id` | event id |
//! | `source` | source |
//! | `time` | timestamp |
//! | data that is an object | the payload itself |
//! | other data | the payload's member `data`, or `data_base64` for bytes |
//! | every other attribute | a member of the payload's member `cloudevents` |
//!
//! `specversion` and a `datacontenttype` of `application/json` are what is meant without them, so
//! they are not kept. Data with a member `cloudevents` of its own counts as other data: that member
//! of a payload always is the attributes.
//!
//! Stricter than the specification: `type`, `id` and `source` have at most
//! [`MAX_NAME_BYTES`](super::name::MAX_NAME_BYTES), names of attributes at most 64 bytes, and a CloudEvent has at most
//! 256 attributes.
//!
//! - [`structured()`], [`batch()`]: the
//!   [JSON format](https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md)
//! - [`binary()`]: attributes in headers, as in the
//!   [HTTP binding](https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md)

mod attributes;
mod binary;
mod data;
mod structured;
#[cfg(test)]
mod tests;

use attributes::{Attributes, Place, TIME};
use data::Data;

pub use binary::{binary, is_binary};
pub use structured::{batch, structured};

use super::{
    Event, EventTime,
    parse::{EventError, Limits, Receipts},
};

fn into_event(
    mut attributes: Attributes<'_>,
    data: Option<&Data<'_>>,
    limits: &Limits,
    receipts: &Receipts,
) -> Result<Event, EventError> {
    attributes.check_version()?;
    let event_id = attributes.required("id")?;
    let source = attributes.required("source")?;
    let topic = attributes.required("type")?;
    let timestamp: Option<EventTime> = attributes.optional(TIME)?;
    let (payload, len) = data::payload(data, &attributes)?;
    let max = limits.max_event_bytes;
    if len > max {
        let detail = format!(
            "data and attributes make a payload of {len} bytes with its numbers written out; at most {max} are allowed"
        );
        return Err(EventError::too_large("/data", detail));
    }
    Ok(Event {
        topic,
        event_id,
        timestamp: timestamp.unwrap_or_else(|| receipts.time()),
        source,
        payload,
        receipt_id: receipts.next(),
    })
}
