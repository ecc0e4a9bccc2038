//! A description as text, which is the same each time: members are sorted by name, except that `application/json` is
//! the first of several media types. Generators of clients take the first one for what a client sends.

use std::fmt;

use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::Value;

const FIRST: &str = "application/json";

/// Writes a document; `{:#}` writes it over several lines.
pub(super) struct Ordered<'a>(pub(super) &'a Value);

impl Serialize for Ordered<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Object(members) => {
                let mut map = serializer.serialize_map(Some(members.len()))?;
                let others = members.iter().filter(|(name, _)| *name != FIRST);
                for (name, value) in members.get_key_value(FIRST).into_iter().chain(others) {
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
    fn json_is_the_first_media_type_and_all_else_is_sorted() {
        let content = json!({"b": [{"z": 1, "application/json": 2, "application/cloudevents+json": 3}], "a": null});
        assert_eq!(
            Ordered(&content).to_string(),
            r#"{"a":null,"b":[{"application/json":2,"application/cloudevents+json":3,"z":1}]}"#
        );
    }
}
