//! `eventctl send`: publishes one event whose payload is given as `key=value`.

use std::collections::BTreeMap;

use event_aggregator_client::{Batch, Client, Error as CallError, Event};
use serde::Serialize;
use serde_json::{Value, json, value::RawValue};
use uuid::Uuid;

use crate::{cli::SendArgs, error::Error, exit_code::Outcome, output};

/// Publishes the event.
///
/// # Errors
/// If a part of the payload cannot be read, or the server is away or refuses the event.
pub(crate) async fn run(client: &Client, args: &SendArgs, json: bool) -> Result<Outcome, Error> {
    let payload = payload(&args.payload).map_err(Error::Usage)?;
    let id = args.id.clone();
    let id = id.unwrap_or_else(|| Uuid::now_v7().to_string());
    let mut event = Event::new(&args.topic, &id, payload);
    event.source.clone_from(&args.source);
    event.timestamp.clone_from(&args.timestamp);
    let batch = Batch::of(&[event]).map_err(|error| Error::Usage(error.to_string()))?;
    match client.publish(&batch).await {
        Ok(()) => {}
        Err(CallError::Refused(problem)) if !problem.errors.is_empty() => {
            return Err(Error::Usage(problem.errors[0].detail.clone()));
        }
        Err(error) => return Err(error.into()),
    }
    if json {
        output::json(&json!({"topic": args.topic, "event_id": id}))?;
    } else {
        output::line(format!("accepted {} / {id}", args.topic))?;
    }
    Ok(Outcome::Well)
}

/// A part of a payload. JSON keeps its text, so that numbers stay as they were written.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Part {
    Json(Box<RawValue>),
    Object(BTreeMap<String, Part>),
}

/// `key=value` is a text, `key:=value` is JSON, and points in a key make objects: `user.name=Ada`.
fn payload(parts: &[String]) -> Result<Part, String> {
    let mut payload = BTreeMap::new();
    for part in parts {
        let (key, value) = split(part)?;
        insert(&mut payload, part, key, value)?;
    }
    Ok(Part::Object(payload))
}

fn split(part: &str) -> Result<(&str, Box<RawValue>), String> {
    let Some((key, value)) = part.split_once('=') else {
        return Err(format!(
            "{part:?} is not a part of a payload; write key=value for a text, or key:=value for JSON"
        ));
    };
    let (key, json) = match key.strip_suffix(':') {
        Some(key) => (key, value.to_owned()),
        None => (key, Value::from(value).to_string()),
    };
    let json = RawValue::from_string(json).map_err(|error| {
        format!("{part:?}: what follows := is not JSON ({error}); write {key}={value} for a text")
    })?;
    Ok((key, json))
}

fn insert(
    payload: &mut BTreeMap<String, Part>,
    part: &str,
    key: &str,
    value: Box<RawValue>,
) -> Result<(), String> {
    let (first, rest) = match key.split_once('.') {
        Some((first, rest)) => (first, Some(rest)),
        None => (key, None),
    };
    if first.is_empty() {
        return Err(format!(
            "{part:?} has no key before the sign; write key=value"
        ));
    }
    match (rest, payload.get_mut(first)) {
        (None, None) => {
            payload.insert(first.to_owned(), Part::Json(value));
            Ok(())
        }
        (Some(rest), None) => {
            let mut inner = BTreeMap::new();
            insert(&mut inner, part, rest, value)?;
            payload.insert(first.to_owned(), Part::Object(inner));
            Ok(())
        }
        (Some(rest), Some(Part::Object(inner))) => insert(inner, part, rest, value),
        (_, Some(_)) => Err(format!(
            "{part:?}: {first} is there twice; give each key once"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(parts: &[&str]) -> Result<String, String> {
        let parts: Vec<String> = parts.iter().map(|&part| part.to_owned()).collect();
        payload(&parts).map(|payload| serde_json::to_string(&payload).unwrap())
    }

    #[test]
    fn a_payload_is_made_of_texts_json_and_paths() {
        assert_eq!(made(&[]).unwrap(), "{}");
        assert_eq!(
            made(&[
                "name=Ada",
                "age:=36.0",
                "tags:=[\"a\"]",
                "note=a=b",
                "user.id=7",
                "user.ok:=true"
            ])
            .unwrap(),
            r#"{"age":36.0,"name":"Ada","note":"a=b","tags":["a"],"user":{"id":"7","ok":true}}"#
        );
    }

    #[test]
    fn a_mistake_says_what_to_write() {
        for (parts, says) in [
            (&["name"][..], "write key=value"),
            (&["age:=old"], "write age=old for a text"),
            (&["=x"], "no key before"),
            (&["a=1", "a=2"], "give each key once"),
            (&["a=1", "a.b=2"], "give each key once"),
        ] {
            let refused = made(parts).unwrap_err();
            assert!(refused.contains(says), "{refused}");
        }
    }
}
