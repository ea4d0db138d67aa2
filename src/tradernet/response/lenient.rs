//! One field's value, whatever type the server gave it today.

use std::borrow::Cow;
use std::fmt;

use serde_json::value::RawValue;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Integers up to this size are exact as floats; past it an id would silently become another.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// A text that has to be copied is copied up to here: whatever is longer is none of what it should
/// be, and a hostile one could be as long as a whole answer.
const LONGEST_COPY: usize = 4096;

fn copy(text: &str) -> String {
    text.get(..text.floor_char_boundary(LONGEST_COPY))
        .unwrap_or(text)
        .to_owned()
}

/// A field's value; lists and objects are read past.
#[derive(Debug, PartialEq)]
pub(crate) enum Scalar<'de> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// Any other number, always finite.
    Float(f64),
    /// A string.
    Text(Cow<'de, str>),
    /// A list or an object.
    Compound,
}

impl<'a> Scalar<'a> {
    /// Reads a value without building a list or an object; `Null` where no type can hold it.
    pub(crate) fn read(value: &'a RawValue) -> Self {
        match value.get().as_bytes() {
            [b'[' | b'{', ..] => Self::Compound,
            _ => ScalarSeed
                .deserialize(&mut serde_json::Deserializer::from_str(value.get()))
                .unwrap_or(Self::Null),
        }
    }
}

impl Scalar<'_> {
    /// A whole number, also as a float without fraction or a string of digits.
    pub(crate) fn integer(&self) -> Option<i64> {
        match self {
            Self::Integer(value) => Some(*value),
            #[expect(clippy::cast_possible_truncation, reason = "whole and within ±2^53")]
            Self::Float(value) => {
                (value.fract() == 0.0 && value.abs() <= EXACT).then_some(*value as i64)
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
                reason = "a duration past 2^53 ms is not told apart"
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

    /// What a dynamic language takes for true.
    pub(crate) fn is_truthy(&self) -> bool {
        match self {
            Self::Null | Self::Bool(false) | Self::Integer(0) => false,
            Self::Float(value) => *value != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::Bool(true) | Self::Integer(_) | Self::Compound => true,
        }
    }
}

/// Reads a [`Scalar`], borrowing strings where the input can lend them.
pub(super) struct ScalarSeed;

impl<'de> DeserializeSeed<'de> for ScalarSeed {
    type Value = Scalar<'de>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Scalar<'de>, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ScalarSeed {
    type Value = Scalar<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Integer(value))
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "too large for an integer, so only its size counts"
    )]
    fn visit_u64<E>(self, value: u64) -> Result<Scalar<'de>, E> {
        Ok(i64::try_from(value).map_or(Scalar::Float(value as f64), Scalar::Integer))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Float(value))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Text(Cow::Owned(copy(value))))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Scalar<'de>, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::Compound)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Scalar<'de>, A::Error> {
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::Compound)
    }
}

/// Reads an object's key.
pub(super) struct KeySeed;

impl<'de> DeserializeSeed<'de> for KeySeed {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Cow<'de, str>, D::Error> {
        json.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for KeySeed {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(key))
    }

    fn visit_str<E>(self, key: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(copy(key)))
    }
}
