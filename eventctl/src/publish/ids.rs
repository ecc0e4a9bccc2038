//! Ids that follow from the content: the same event has the same id, no matter who sends it and how often.
//!
//! The id is the SHA-256, in hexadecimal, of the UTF-8 text
//!
//! ```text
//! [topic,timestamp,source,payload]
//! ```
//!
//! written as JSON without white space. A member that is absent counts as `null`, the members of objects are sorted by
//! name (by code point), and strings are escaped only where JSON demands it. Numbers stay as they are written (`1.0` is not
//! `1`), so that two numbers that differ are never taken for the same.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::digest::sha256;

/// Payloads that are nested deeper are refused here, as the server refuses them.
const MAX_DEPTH: usize = 128;

/// The members of an event, each as it is written.
pub(super) type Members<'a> = BTreeMap<String, &'a RawValue>;

/// The text to send for an event of the input: its own text. If it has no id and `from_content` is set, an id is added that
/// follows from its content.
///
/// # Errors
/// The reason why the event cannot be sent.
pub(super) fn prepare(text: Vec<u8>, from_content: bool) -> Result<Vec<u8>, String> {
    let members: Members<'_> =
        serde_json::from_slice(&text).map_err(|error| not_an_object(&error))?;
    if members.contains_key("event_id") || members.contains_key("id") {
        return Ok(text);
    }
    if !from_content {
        return Err("has no event_id; add one, or use --id-from-content".to_owned());
    }
    let id = id(&members)?;
    let inside = text
        .trim_ascii_start()
        .strip_prefix(b"{")
        .unwrap_or_default();
    let comma = if members.is_empty() { "" } else { "," };
    Ok([format!("{{\"event_id\":\"{id}\"{comma}").as_bytes(), inside].concat())
}

fn not_an_object(error: &serde_json::Error) -> String {
    let text = error.to_string();
    // The error counts the lines of the event, which are not those of the input.
    let what = text
        .rsplit_once(" at line ")
        .map_or(text.as_str(), |(what, _)| what);
    format!("is not a JSON object: {what}, at column {}", error.column())
}

/// The id that follows from the content of an event.
///
/// # Errors
/// If the content cannot be written in the canonical form.
fn id(members: &Members<'_>) -> Result<String, String> {
    let mut text = String::from("[");
    for (place, name) in ["topic", "timestamp", "source", "payload"]
        .into_iter()
        .enumerate()
    {
        if place > 0 {
            text.push(',');
        }
        match members.get(name) {
            Some(value) => canonical(value, MAX_DEPTH, &mut text)?,
            None => text.push_str("null"),
        }
    }
    text.push(']');
    Ok(sha256(text))
}

fn canonical(value: &RawValue, depth: usize, out: &mut String) -> Result<(), String> {
    let text = value.get();
    let reason = |error: serde_json::Error| format!("has no canonical form: {error}");
    let deeper = || {
        let deeper = depth.checked_sub(1);
        deeper.ok_or_else(|| format!("is nested deeper than {MAX_DEPTH}"))
    };
    match text.as_bytes().first() {
        Some(b'{') => {
            let (members, deeper): (Members<'_>, _) =
                (serde_json::from_str(text).map_err(reason)?, deeper()?);
            out.push('{');
            for (place, (name, value)) in members.into_iter().enumerate() {
                if place > 0 {
                    out.push(',');
                }
                out.push_str(&serde_json::to_string(&name).map_err(reason)?);
                out.push(':');
                canonical(value, deeper, out)?;
            }
            out.push('}');
        }
        Some(b'[') => {
            let (elements, deeper): (Vec<&RawValue>, _) =
                (serde_json::from_str(text).map_err(reason)?, deeper()?);
            out.push('[');
            for (place, value) in elements.into_iter().enumerate() {
                if place > 0 {
                    out.push(',');
                }
                canonical(value, deeper, out)?;
            }
            out.push(']');
        }
        Some(b'"') => {
            let string: String = serde_json::from_str(text).map_err(reason)?;
            out.push_str(&serde_json::to_string(&string).map_err(reason)?);
        }
        _ => out.push_str(text),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> String {
        id(&serde_json::from_str(text).unwrap()).unwrap()
    }

    #[test]
    fn the_id_is_what_other_programs_compute_too() {
        // printf '%s' '["orders","2026-01-01T00:00:00Z",null,{"a":1.0,"é":["x"]}]' | sha256sum
        let event = r#"{"payload": {"\u00e9": ["x"], "a": 1.0}, "topic": "orders",
            "timestamp": "2026-01-01T00:00:00Z"}"#;
        assert_eq!(
            of(event),
            "f76537ea2f87f0b47ecb56185a4f3d6aa0d55db28a819e5bf588fc0352f55e81"
        );
    }

    #[test]
    fn content_that_differs_has_another_id() {
        let one = of(r#"{"topic":"t","payload":{"n":1}}"#);
        for other in [
            r#"{"topic":"u","payload":{"n":1}}"#,
            r#"{"topic":"t","payload":{"n":1.0}}"#,
            r#"{"topic":"t","payload":{"n":10000000000000000000000001}}"#,
            r#"{"topic":"t","payload":{"n":"1"}}"#,
            r#"{"topic":"t","source":"s","payload":{"n":1}}"#,
            r#"{"topic":"t"}"#,
        ] {
            assert_ne!(of(other), one, "{other}");
        }
        assert_eq!(of(r#"{ "payload":{ "n" : 1 },"topic":"\u0074" }"#), one);
    }

    fn prepared(text: &str, from_content: bool) -> Result<String, String> {
        let prepared = prepare(text.as_bytes().to_vec(), from_content)?;
        Ok(String::from_utf8(prepared).unwrap())
    }

    #[test]
    fn an_event_with_an_id_is_sent_as_it_is() {
        for text in [r#"{ "event_id": "a" }"#, r#"{"id":7}"#] {
            assert_eq!(prepared(text, true).unwrap(), text);
        }
    }

    #[test]
    fn an_event_without_an_id_gets_one_or_is_refused() {
        let text = r#"{"topic":"t"}"#;
        let expected = format!(r#"{{"event_id":"{}","topic":"t"}}"#, of(text));
        assert_eq!(prepared(text, true).unwrap(), expected);
        assert!(
            prepared(text, false)
                .unwrap_err()
                .contains("--id-from-content")
        );
    }

    #[test]
    fn text_that_is_not_an_event_is_refused() {
        for text in ["", "7", "[]", "{", "{} {}", r#"{"payload":"#] {
            let reason = prepared(text, true).unwrap_err();
            assert!(reason.starts_with("is not a JSON object"), "{reason}");
        }
        let deep = format!(r#"{{"payload":{}1{}}}"#, "[".repeat(200), "]".repeat(200));
        assert!(prepared(&deep, true).unwrap_err().contains("deeper"));
    }
}
