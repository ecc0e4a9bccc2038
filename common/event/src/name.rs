//! Topic, event id and source: text of 1 to 255 bytes without control characters.

use std::fmt;

use bytestring::ByteString;
use serde::{Serialize, Serializer};

/// Longest topic, event id or source, in bytes of UTF-8.
pub const MAX_NAME_BYTES: usize = 255;

/// Why a text is not a valid topic, event id or source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// It has no character.
    #[error("must not be empty; give 1 to {MAX_NAME_BYTES} bytes")]
    Empty,
    /// It has more than [`MAX_NAME_BYTES`] bytes.
    #[error("has {0} bytes; at most {MAX_NAME_BYTES} are allowed")]
    TooLong(usize),
    /// It has a control character (Unicode category Cc: U+0000 to U+001F, U+007F to U+009F).
    #[error("has the control character U+{:04X}; leave it out", u32::from(*.0))]
    ControlCharacter(char),
}

fn check(text: &str) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if text.len() > MAX_NAME_BYTES {
        return Err(NameError::TooLong(text.len()));
    }
    // Nearly all names are printable ASCII, and bytes are compared many at a time.
    let plain = text
        .bytes()
        .fold(true, |plain, byte| plain & matches!(byte, b' '..=b'~'));
    if plain {
        return Ok(());
    }
    match text.chars().find(|c| c.is_control()) {
        Some(found) => Err(NameError::ControlCharacter(found)),
        None => Ok(()),
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// A clone shares its text, which may be a piece of a larger one, such as the body of a request.
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(ByteString);

        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<&str> for $name {
            type Error = NameError;

            fn try_from(text: &str) -> Result<Self, NameError> {
                check(text)?;
                Ok(Self(text.into()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                Self::try_from(ByteString::from(text))
            }
        }

        impl TryFrom<ByteString> for $name {
            type Error = NameError;

            fn try_from(text: ByteString) -> Result<Self, NameError> {
                check(&text)?;
                Ok(Self(text))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name! {
    /// The stream an event belongs to.
    Topic
}
name! {
    /// A client's id of an event, unique within its topic.
    EventId
}
name! {
    /// Who sent an event.
    Source
}

impl Topic {
    /// The topic of an event in the short form that names none.
    #[must_use]
    pub fn fallback() -> Self {
        Self(ByteString::from_static("default"))
    }
}

impl Source {
    /// The source of an event that names none.
    #[must_use]
    pub fn unknown() -> Self {
        Self(ByteString::from_static("unknown"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_counted_in_bytes() {
        assert_eq!(Topic::try_from(""), Err(NameError::Empty));
        assert!(Topic::try_from("x").is_ok());
        assert!(Topic::try_from("é".repeat(127)).is_ok());
        assert_eq!(
            Topic::try_from("é".repeat(128)),
            Err(NameError::TooLong(256))
        );
        assert!(EventId::try_from("x".repeat(255)).is_ok());
    }

    #[test]
    fn control_characters_are_refused_and_other_unicode_is_not() {
        for bad in ["a\0b", "a\nb", "\u{7f}", "\u{85}"] {
            assert!(matches!(
                Source::try_from(bad),
                Err(NameError::ControlCharacter(_))
            ));
        }
        for good in ["logs/apache", "🦀", "a b", "\"quoted\"", "\u{200d}"] {
            assert_eq!(Source::try_from(good).unwrap().as_str(), good);
        }
    }
}
