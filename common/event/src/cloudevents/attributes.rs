//! Context attributes: everything of a CloudEvent but its data.

use std::{
    borrow::Cow,
    collections::{BTreeMap, btree_map::Entry},
    fmt::Display,
    str::FromStr,
};

use serde_json::value::RawValue;

use crate::{
    json::JsonType,
    media_type::essence,
    name::NameError,
    parse::{self, EventError, quoted, shortened},
    time::TimeError,
};

/// The one version of the specification that is read.
const SPECVERSION: &str = "1.0";
/// Longest name of an attribute; the specification advises 20.
const MAX_ATTRIBUTE_NAME_BYTES: usize = 64;
/// Most attributes of one CloudEvent; the specification names 8.
const MAX_ATTRIBUTES: usize = 256;
/// Attributes that must be strings, and say something if they are there.
const NOT_EMPTY: [&str; 3] = ["subject", "dataschema", "datacontenttype"];
/// The attribute that is a timestamp.
pub(super) const TIME: &str = "time";
/// This would be the member `data` in JSON, so it cannot be an attribute.
const RESERVED: &str = "data";

/// Attributes by name. Each name is one, and each value is of the
/// [type system](https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md#type-system).
pub(super) struct Attributes<'a> {
    place: Place,
    values: BTreeMap<Cow<'a, str>, Value<'a>>,
}

/// Where attributes are, and how errors name them.
#[derive(Clone, Copy)]
pub(super) enum Place {
    /// Members of a JSON object.
    Members,
    /// Headers, of which this is the prefix.
    Headers(&'static str),
}

impl Place {
    fn refuse(self, name: &str, what: impl Display) -> EventError {
        match self {
            Self::Members => EventError::member(name, what),
            Self::Headers(prefix) => {
                let name = shortened(name);
                EventError::invalid(String::new(), format!("{prefix}{name} {what}"))
            }
        }
    }
}

/// What an attribute is.
enum Value<'a> {
    /// `null`, which is the same as none.
    Unset,
    /// A string, and what is written as one.
    Text(Cow<'a, str>),
    /// A boolean or an integer, as JSON.
    Literal(&'a RawValue),
}

impl<'a> Attributes<'a> {
    pub(super) fn new(place: Place) -> Self {
        let values = BTreeMap::new();
        Self { place, values }
    }

    /// What is wrong with an attribute.
    pub(super) fn refuse(&self, name: &str, what: impl Display) -> EventError {
        self.place.refuse(name, what)
    }

    /// Adds an attribute that is text, as headers are.
    pub(super) fn add_text(&mut self, name: &'a str, text: String) -> Result<(), EventError> {
        self.check_name(name)?;
        self.add(Cow::Borrowed(name), Value::Text(Cow::Owned(text)))
    }

    /// Adds an attribute that is JSON.
    pub(super) fn add_json(
        &mut self,
        name: Cow<'a, str>,
        value: &'a RawValue,
    ) -> Result<(), EventError> {
        self.check_name(&name)?;
        let value = match JsonType::of(value) {
            JsonType::Null => Value::Unset,
            JsonType::String => Value::Text(parse::string(&name, value)?),
            JsonType::Boolean => Value::Literal(value),
            JsonType::Number if name == TIME => {
                return Err(self.refuse(&name, TimeError::of_number(value.get())));
            }
            JsonType::Number if value.get().parse::<i32>().is_ok() => Value::Literal(value),
            JsonType::Number => {
                let what = "must be a whole number from -2147483648 to 2147483647, or a string";
                return Err(self.refuse(&name, what));
            }
            other @ (JsonType::Array | JsonType::Object) => {
                let what = format!("must be a string, a boolean or a whole number, got {other}");
                return Err(self.refuse(&name, what));
            }
        };
        self.add(name, value)
    }

    /// This is checked before anything else, so that a text that is not a name is not repeated as one.
    fn check_name(&self, name: &str) -> Result<(), EventError> {
        if is_name(name) {
            return Ok(());
        }
        let what = format!(
            "an attribute is named with up to {MAX_ATTRIBUTE_NAME_BYTES} lower-case letters and digits"
        );
        Err(match self.place {
            Place::Members => EventError::unknown_member(name, &what),
            Place::Headers(_) => self.refuse(name, format_args!("is unknown; {what}")),
        })
    }

    fn add(&mut self, name: Cow<'a, str>, value: Value<'a>) -> Result<(), EventError> {
        match &value {
            Value::Text(text) if text.is_empty() && NOT_EMPTY.contains(&&*name) => {
                return Err(self.refuse(&name, "must not be empty; leave it out"));
            }
            Value::Text(text) => {
                if let Some(found) = text.chars().find(|c| c.is_control()) {
                    return Err(self.refuse(&name, NameError::ControlCharacter(found)));
                }
            }
            Value::Literal(literal) if NOT_EMPTY.contains(&&*name) => {
                return Err(self.not_a_string(&name, literal));
            }
            Value::Literal(_) | Value::Unset => {}
        }
        let full = self.values.len() == MAX_ATTRIBUTES;
        match self.values.entry(name) {
            Entry::Vacant(one_more) if full => {
                let what =
                    format!("is one attribute too many; at most {MAX_ATTRIBUTES} are allowed");
                Err(self.place.refuse(one_more.key(), what))
            }
            Entry::Vacant(vacant) => {
                vacant.insert(value);
                Ok(())
            }
            Entry::Occupied(there) => Err(self
                .place
                .refuse(there.key(), "is there twice; give it once")),
        }
    }

    /// Takes out `specversion`, which must be the one that is read.
    pub(super) fn check_version(&mut self) -> Result<(), EventError> {
        let name = "specversion";
        let found = self.take(name)?.ok_or_else(|| self.missing(name))?;
        if found == SPECVERSION {
            Ok(())
        } else {
            let what = format!("must be {SPECVERSION}, got {}", quoted(&found));
            Err(self.refuse(name, what))
        }
    }

    /// Takes out an attribute that must be there.
    pub(super) fn required<T>(&mut self, name: &str) -> Result<T, EventError>
    where
        T: for<'t> TryFrom<&'t str, Error = NameError>,
    {
        let text = self.take(name)?.ok_or_else(|| self.missing(name))?;
        T::try_from(&text).map_err(|error| self.refuse(name, error))
    }

    /// Takes out an attribute that may be there.
    pub(super) fn optional<T: FromStr<Err: Display>>(
        &mut self,
        name: &str,
    ) -> Result<Option<T>, EventError> {
        let text = self.take(name)?;
        text.map(|text| text.parse().map_err(|error| self.refuse(name, error)))
            .transpose()
    }

    fn take(&mut self, name: &str) -> Result<Option<Cow<'a, str>>, EventError> {
        match self.values.remove(name) {
            None | Some(Value::Unset) => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(Value::Literal(literal)) => Err(self.not_a_string(name, literal)),
        }
    }

    fn missing(&self, name: &str) -> EventError {
        let what = "is missing; a CloudEvent has specversion, id, source and type";
        self.refuse(name, what)
    }

    fn not_a_string(&self, name: &str, found: &RawValue) -> EventError {
        let what = format!("must be a string, got {}", JsonType::of(found));
        self.refuse(name, what)
    }

    /// What is left, as a JSON object; `None` if it is nothing that says anything.
    pub(super) fn as_json(&self) -> Option<String> {
        let members: Vec<_> = self.values.iter().filter_map(member).collect();
        (!members.is_empty()).then(|| format!("{{{}}}", members.join(",")))
    }
}

/// [Naming conventions](https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md#attribute-naming-convention).
fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (1..=MAX_ATTRIBUTE_NAME_BYTES).contains(&name.len())
        && name != RESERVED
        && name.bytes().all(allowed)
}

/// An attribute as a member of an object; its name needs no escapes.
fn member((name, value): (&Cow<'_, str>, &Value<'_>)) -> Option<String> {
    match value {
        Value::Unset => None,
        Value::Text(text) if name == "datacontenttype" && is_plain_json(text) => None,
        Value::Text(text) => Some(format!("\"{name}\":{}", serde_json::Value::from(&**text))),
        Value::Literal(literal) => Some(format!("\"{name}\":{}", literal.get())),
    }
}

/// Parameters of this type mean nothing
/// ([RFC 8259, section 11](https://www.rfc-editor.org/rfc/rfc8259#section-11)).
fn is_plain_json(media_type: &str) -> bool {
    essence(media_type).eq_ignore_ascii_case("application/json")
}
