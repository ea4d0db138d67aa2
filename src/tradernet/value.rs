//! A JSON value of whatever type the server chose, read one level deep: nesting is not followed.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// Integers up to this size are exact as floats; past it an id would silently become another.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

/// A value; the entries of a list and the fields of an object are not read yet.
#[derive(Debug)]
pub(super) enum Value<'a> {
    /// `null`, or a value that no type can hold: `1e400`, half a surrogate pair.
    Null,
    Bool(bool),
    Integer(i64),
    /// Any other number, always finite.
    Float(f64),
    Text(String),
    List(Vec<&'a RawValue>),
    /// Of several fields with one name the last counts.
    Object(BTreeMap<String, &'a RawValue>),
}

impl<'a> Value<'a> {
    /// Reads a value whose syntax was checked.
    pub(super) fn read(value: &'a RawValue) -> Self {
        let text = value.get();
        let read = match text.as_bytes() {
            [b'[', ..] => serde_json::from_str(text).map(Self::List),
            [b'{', ..] => serde_json::from_str(text).map(Self::Object),
            [b't' | b'f', ..] => serde_json::from_str(text).map(Self::Bool),
            [b'"', ..] => serde_json::from_str(text).map(Self::Text),
            _ => match text.parse() {
                Ok(integer) => Ok(Self::Integer(integer)),
                Err(_) => serde_json::from_str(text).map(Self::Float),
            },
        };
        read.unwrap_or(Self::Null)
    }

    /// Reads a text; `Null` where it is not JSON.
    pub(super) fn parse(text: &'a str) -> Self {
        serde_json::from_str(text).map_or(Self::Null, Self::read)
    }

    /// A field; `Null` where there is none, or this is not an object.
    pub(super) fn field(&self, name: &str) -> Value<'a> {
        match self {
            Self::Object(fields) => fields
                .get(name)
                .map_or(Value::Null, |value| Value::read(value)),
            _ => Value::Null,
        }
    }

    /// The value's type, in words.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "true or false",
            Self::Integer(_) | Self::Float(_) => "a number",
            Self::Text(_) => "a string",
            Self::List(_) => "a list",
            Self::Object(_) => "an object",
        }
    }

    /// A whole number, also as a float without fraction or a string of digits.
    pub(super) fn integer(&self) -> Option<i64> {
        match self {
            Self::Integer(value) => Some(*value),
            #[expect(clippy::cast_possible_truncation, reason = "whole and within ±2^53")]
            Self::Float(value) => {
                (value.fract() == 0.0 && value.abs() <= MAX_EXACT).then_some(*value as i64)
            }
            Self::Text(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    /// A number, also as a string; always finite.
    pub(super) fn number(&self) -> Option<f64> {
        let value = match self {
            #[expect(
                clippy::cast_precision_loss,
                reason = "no duration needs the digits past 2^53 ms"
            )]
            Self::Integer(value) => *value as f64,
            Self::Float(value) => *value,
            // Rust also reads "inf" and "nan" as numbers.
            Self::Text(text) => text.trim().parse().ok()?,
            _ => return None,
        };
        value.is_finite().then_some(value)
    }

    /// A string that is not empty.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text.trim()).filter(|text| !text.is_empty()),
            _ => None,
        }
    }

    /// What a dynamic language takes for true; `"0"` is false, as in PHP.
    pub(super) fn is_truthy(&self) -> bool {
        match self {
            Self::Null | Self::Bool(false) | Self::Integer(0) => false,
            Self::Float(value) => *value != 0.0,
            Self::Text(text) => !matches!(text.trim(), "" | "0"),
            _ => true,
        }
    }

    /// [`Self::is_truthy`], where the text `"false"` is false too.
    pub(super) fn is_flag_set(&self) -> bool {
        self.is_truthy() && self.text() != Some("false")
    }
}
