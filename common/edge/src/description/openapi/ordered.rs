//! A description as text, which is the same each time: members are sorted by name, except that `application/json` is
//! the first of several media types, and `/publish` the first of all paths. Generators of clients take the first media type
//! for what a client sends, and people begin to read at the first path.

use std::fmt;

use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::Value;

/// What comes first where it is a member.
const FIRST: [&str; 2] = ["application/json", "/publish"];

/// Writes a document; `{:#}` writes it over several lines.
pub(super) struct Ordered<'a>(pub(super) &'a Value);

impl Serialize for Ordered<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Object(members) => {
                let mut map = serializer.serialize_map(Some(members.len()))?;
                let first = FIRST.iter().filter_map(|name| members.get_key_value(*name));
                let others = members
                    .iter()
                    .filter(|(name, _)| !FIRST.contains(&name.as_str()));
                for (name, value) in first.chain(others) {
                    map.serialize_entry(name, &Ordered(value))?;
                }
                map.end()
            }
            Value::Array(elements) => serializer.collect_seq(elements.iter().map(Ordered)),
            other => other.serialize(serializer),
        }
    }
}

impl fmt::Display for Ordered<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = if f.alternate() {
            serde_json::to_string_pretty(self)
        } else {
            serde_json::to_string(self)
        };
        f.write_str(&text.map_err(|_| fmt::Error)?)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_is_the_first_media_type_and_publishing_the_first_path_and_all_else_is_sorted() {
        let paths = json!({"/": 1, "/publish": 2, "/a": 3});
        assert_eq!(
            Ordered(&paths).to_string(),
            r#"{"/publish":2,"/":1,"/a":3}"#
        );
        let content = json!({"b": [{"z": 1, "application/json": 2, "application/cloudevents+json": 3}], "a": null});
        assert_eq!(
            Ordered(&content).to_string(),
            r#"{"a":null,"b":[{"application/json":2,"application/cloudevents+json":3,"z":1}]}"#
        );
    }
}
