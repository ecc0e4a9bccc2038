//! A value together with the text that it was read from.

use std::ops::Deref;

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error},
};
use serde_json::value::RawValue;

/// A value together with the JSON text that it was read from. The text has every member that the server sent, also those
/// that this version of the client does not know, and every number as the server wrote it.
///
/// It can be read by `serde_json` only.
#[derive(Debug, Clone)]
pub struct Verbatim<T> {
    value: T,
    text: Box<RawValue>,
}

impl<T> Verbatim<T> {
    /// The JSON text.
    #[must_use]
    pub fn text(&self) -> &str {
        self.text.get()
    }

    /// The value alone.
    #[must_use]
    pub fn into_value(self) -> T {
        self.value
    }
}

impl<T> Deref for Verbatim<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Verbatim<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(deserializer)?;
        let value = serde_json::from_str(text.get()).map_err(D::Error::custom)?;
        Ok(Self { value, text })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Named {
        name: String,
    }

    #[test]
    fn the_text_keeps_what_the_value_does_not_know() {
        let text = r#"{"name":"a","more":1.0}"#;
        let read: Vec<Verbatim<Named>> = serde_json::from_str(&format!("[{text}]")).unwrap();
        assert_eq!((read[0].name.as_str(), read[0].text()), ("a", text));
    }

    #[test]
    fn a_value_that_does_not_fit_is_an_error() {
        assert!(serde_json::from_str::<Verbatim<Named>>(r#"{"name":7}"#).is_err());
    }
}
