//! A JSON value of whatever type the server chose, read one level deep: nesting is not followed.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Integers up to this size are exact as floats; past it an id would silently become another.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

/// Fields of an object that are kept: more than a list has that is encoded as an object. A hostile
/// server's objects must not fill the memory.
const MAX_FIELDS: usize = 20_000;

/// A value; the entries of a list and the fields of an object are not read yet.
#[derive(Debug)]
pub(super) enum Value<'a> {
    Null,
    Bool(bool),
    /// As it is written.
    Number(&'a str),
    Text(Text<'a>),
    List(Vec<&'a RawValue>),
    Object(Fields<'a>),
}

/// The fields of an object, in its order; of several with one name the last counts.
#[derive(Debug)]
pub(super) struct Fields<'a>(pub(super) Vec<(Text<'a>, &'a RawValue)>);

impl<'a> Fields<'a> {
    pub(super) fn get(&self, name: &str) -> Option<&'a RawValue> {
        let named = self.0.iter().rfind(|(Text(key), _)| key == name);
        named.map(|(_, value)| *value)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Fields<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut object: M) -> Result<Fields<'de>, M::Error> {
                // As many as a session has.
                let mut fields = Vec::with_capacity(12);
                while let Some((key, value)) = object.next_entry()? {
                    if fields.len() < MAX_FIELDS {
                        fields.push((Text::read(key), value));
                    }
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(Object)
    }
}

/// A text, borrowed where it has no escapes. Half a surrogate pair becomes three U+FFFD, one for each of
/// its bytes: one name must not hide a list.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Text<'a>(pub(super) Cow<'a, str>);

#[derive(Deserialize)]
struct Bytes<'a>(#[serde(borrow)] Cow<'a, [u8]>);

impl<'a> Text<'a> {
    fn read(string: &'a RawValue) -> Self {
        let content = string.get().strip_prefix('"');
        let content = content.and_then(|content| content.strip_suffix('"'));
        if let Some(content) = content.filter(|content| !content.contains('\\')) {
            return Self(content.into());
        }
        let bytes = serde_json::from_str(string.get());
        let bytes = bytes.map_or_else(|_| Vec::new(), |Bytes(bytes)| bytes.into_owned());
        // Not copied: it may be an SID.
        let text = String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
        Self(text.into())
    }
}

/// [`String::from_utf8_lossy`], which reads byte by byte, only where something is lost.
pub(super) fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}

impl<'a> Value<'a> {
    /// Reads a value whose syntax was checked.
    pub(super) fn read(value: &'a RawValue) -> Self {
        let text = value.get();
        match text.as_bytes() {
            [b'[', ..] => serde_json::from_str(text).map_or(Self::Null, Self::List),
            [b'{', ..] => serde_json::from_str(text).map_or(Self::Null, Self::Object),
            [b'"', ..] => Self::Text(Text::read(value)),
            b"true" => Self::Bool(true),
            b"false" => Self::Bool(false),
            b"null" => Self::Null,
            _ => Self::Number(text),
        }
    }

    /// Reads a text, all of which must be JSON.
    pub(super) fn parse(text: &'a str) -> serde_json::Result<Self> {
        match text.trim_start().as_bytes() {
            [b'[', ..] => serde_json::from_str(text).map(Self::List),
            [b'{', ..] => serde_json::from_str(text).map(Self::Object),
            _ => serde_json::from_str(text).map(Self::read),
        }
    }

    /// A field; `Null` where there is none, or this is not an object.
    pub(super) fn field(&self, name: &str) -> Value<'a> {
        match self {
            Self::Object(fields) => fields.get(name).map_or(Value::Null, Value::read),
            _ => Value::Null,
        }
    }

    /// The value's type, in words.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "true or false",
            Self::Number(_) => "a number",
            Self::Text(_) => "a string",
            Self::List(_) => "a list",
            Self::Object(_) => "an object",
        }
    }

    /// A whole number, also as a float without fraction or a string of digits.
    pub(super) fn integer(&self) -> Option<i64> {
        #[expect(clippy::cast_possible_truncation, reason = "whole and within ±2^53")]
        let whole =
            |value: f64| (value.fract() == 0.0 && value.abs() <= MAX_EXACT).then_some(value as i64);
        let digits = self.digits()?;
        digits.parse().ok().or_else(|| whole(digits.parse().ok()?))
    }

    /// A number, also as a string; always finite: Rust reads `1e400` and "inf" as numbers too.
    pub(super) fn number(&self) -> Option<f64> {
        let number: f64 = self.digits()?.parse().ok()?;
        number.is_finite().then_some(number)
    }

    fn digits(&self) -> Option<&str> {
        match self {
            Self::Number(digits) => Some(digits),
            other => other.text(),
        }
    }

    /// A string that is not empty.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(Text(text)) => Some(text.trim()).filter(|text| !text.is_empty()),
            _ => None,
        }
    }

    /// Whether a dynamic language takes it for true; `"0"` is false, as in PHP.
    pub(super) fn is_truthy(&self) -> bool {
        match self {
            Self::Null | Self::Bool(false) => false,
            Self::Number(_) => self.number() != Some(0.0),
            Self::Text(Text(text)) => !matches!(text.trim(), "" | "0"),
            _ => true,
        }
    }

    /// [`Self::is_truthy`], where the text `"false"` is false too.
    pub(super) fn is_flag_set(&self) -> bool {
        self.is_truthy() && self.text() != Some("false")
    }

    /// Whether this is an envelope with an error: `error` of false, null, "" or 0 is none, whatever
    /// the code says.
    pub(super) fn has_error(&self) -> bool {
        ["errMsg", "error"]
            .iter()
            .any(|name| self.field(name).is_truthy())
    }
}
