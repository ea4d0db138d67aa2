//! The kind of a JSON value.

use serde_json::value::RawValue;

/// What a value is, by its first character; its syntax was checked.
pub(crate) enum Kind {
    List,
    Object,
    /// Anything else, in words.
    Scalar(&'static str),
}

pub(crate) fn kind(value: &RawValue) -> Kind {
    match value.get().as_bytes() {
        [b'[', ..] => Kind::List,
        [b'{', ..] => Kind::Object,
        [b'n', ..] => Kind::Scalar("null"),
        [b't' | b'f', ..] => Kind::Scalar("true or false"),
        [b'"', ..] => Kind::Scalar("a string"),
        _ => Kind::Scalar("a number"),
    }
}
