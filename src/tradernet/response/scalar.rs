//! One field's value, whatever type the server gave it.

use serde_json::value::RawValue;

/// Integers up to this size are exact as floats; past it an id would silently become another.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

/// A field's value; lists and objects are not read.
#[derive(Debug, PartialEq)]
pub(crate) enum Scalar {
    /// `null`, or a value that no type can hold: `1e400`, half a surrogate pair.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// Any other number, always finite.
    Float(f64),
    /// A string.
    Text(String),
    /// A list or an object.
    Compound,
}

impl Scalar {
    /// Reads a value whose syntax was checked.
    pub(crate) fn read(value: &RawValue) -> Self {
        let text = value.get();
        let read = match text.as_bytes() {
            [b'[' | b'{', ..] => Some(Self::Compound),
            [b't' | b'f', ..] => serde_json::from_str(text).ok().map(Self::Bool),
            [b'"', ..] => serde_json::from_str(text).ok().map(Self::Text),
            _ => match text.parse() {
                Ok(integer) => Some(Self::Integer(integer)),
                Err(_) => serde_json::from_str(text).ok().map(Self::Float),
            },
        };
        read.unwrap_or(Self::Null)
    }

    /// A whole number, also as a float without fraction or a string of digits.
    pub(crate) fn integer(&self) -> Option<i64> {
        match self {
            Self::Integer(value) => Some(*value),
            #[expect(clippy::cast_possible_truncation, reason = "whole and within ±2^53")]
            Self::Float(value) => {
                (value.fract() == 0.0 && value.abs() <= MAX_EXACT).then_some(*value as i64)
            }
            Self::Text(text) => text.trim().parse().ok(),
            Self::Null | Self::Bool(_) | Self::Compound => None,
        }
    }

    /// A number, also as a string; always finite.
    pub(crate) fn number(&self) -> Option<f64> {
        let value = match self {
            #[expect(
                clippy::cast_precision_loss,
                reason = "no duration needs the digits past 2^53 ms"
            )]
            Self::Integer(value) => *value as f64,
            Self::Float(value) => *value,
            // Rust also reads "inf" and "nan" as numbers.
            Self::Text(text) => text.trim().parse().ok()?,
            Self::Null | Self::Bool(_) | Self::Compound => return None,
        };
        value.is_finite().then_some(value)
    }

    /// A string that is not empty.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text.trim()).filter(|text| !text.is_empty()),
            _ => None,
        }
    }

    /// What a dynamic language takes for true; `"0"` is false, as in PHP.
    pub(crate) fn is_truthy(&self) -> bool {
        match self {
            Self::Null | Self::Bool(false) | Self::Integer(0) => false,
            Self::Float(value) => *value != 0.0,
            Self::Text(text) => !matches!(text.trim(), "" | "0"),
            Self::Bool(true) | Self::Integer(_) | Self::Compound => true,
        }
    }
}
