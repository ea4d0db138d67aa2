//! The list of sessions as it comes over the wire: bytes in, domain out.
//!
//! Source of the format: the vendor's page of `getSecuritySessions`, and what its clients accept
//! beyond it. Pure: no clock, no socket. Entries are folded one by one into the domain's compact
//! form; no list of the wire's own form, and no tree of JSON values, is ever built.

mod lenient;
mod session;

use std::collections::HashSet;
use std::fmt;
use std::io::Read;
use std::sync::Arc;

use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

pub(crate) use self::lenient::Scalar;
use self::lenient::{KeySeed, ScalarSeed};
use self::session::{Entry, EntrySeed};
use crate::session::{Session, SessionList};

/// A readable answer.
#[derive(Debug, PartialEq)]
pub enum Answer {
    /// The list, possibly empty.
    Sessions(SessionList),
    /// An error in the server's own words.
    Error(ApiErrorBody),
}

/// An error envelope: `{"errMsg": "…", "code": n}` or `{"error": "…", "code": n}`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApiErrorBody {
    /// The code, where there is a readable one.
    pub code: Option<i64>,
    /// The server's words as they came: not yet fit for anybody's eyes.
    pub message: String,
}

/// An answer that is neither a list nor an error.
#[derive(Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// What was wrong with it, in words of ours alone.
    pub what: String,
    /// Whether it was JSON at all.
    pub json: bool,
}

/// Reads a whole answer.
pub fn read(bytes: &[u8]) -> Result<Answer, DecodeError> {
    // RequestCounters from servers whose source files were saved with a byte order mark.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    // One name in another encoding must not hide a whole list.
    read_text(&String::from_utf8_lossy(bytes))
}

/// Reads a text. Where that fails, entries are read each for itself: a value that the grammar
/// allows and no type can hold (`1e999`, half a surrogate pair) costs its entry and no other.
fn read_text(text: &str) -> Result<Answer, DecodeError> {
    let json = serde_json::Deserializer::from_str;
    match finish(json(text), AnswerVisitor { isolate: false }) {
        Err(DecodeError { json: false, what }) => {
            finish(json(text), AnswerVisitor { isolate: true }).map_err(|isolated| {
                if isolated.json {
                    isolated
                } else {
                    DecodeError { what, json: false }
                }
            })
        }
        read => read,
    }
}

/// Reads an answer as it arrives, in constant memory but for the sessions themselves.
pub fn read_from(reader: impl Read) -> Result<Answer, DecodeError> {
    let json = serde_json::Deserializer::from_reader(reader);
    finish(json, AnswerVisitor { isolate: false })
}

fn finish<'de, R: serde_json::de::Read<'de>>(
    mut json: serde_json::Deserializer<R>,
    top: AnswerVisitor,
) -> Result<Answer, DecodeError> {
    let answer = top.deserialize(&mut json);
    answer
        .and_then(|answer| json.end().map(|()| answer))
        .map_err(|error| {
            use serde_json::error::Category;
            let json = error.classify() == Category::Data;
            let what = match error.classify() {
                // Our own words: see the visitors. serde's texts of that category may quote input.
                Category::Data => {
                    let text = error.to_string();
                    // Where it stands differs with how the answer arrived, and helps nobody.
                    text.split(" at line ")
                        .next()
                        .unwrap_or_default()
                        .to_owned()
                }
                Category::Eof => "it is empty or ends in the middle".to_owned(),
                Category::Io => "it broke off".to_owned(),
                Category::Syntax => {
                    format!("it is no JSON (line {})", error.line())
                }
            };
            DecodeError { what, json }
        })
}

/// Sessions that one answer may list. No account has a thousandth of it, and 64 MiB of tiny entries
/// would take a gigabyte.
const MOST_SESSIONS: usize = 100_000;

/// The sessions of a list as they come, with every text once.
#[derive(Default)]
struct Fold {
    sessions: Vec<Session>,
    undecodable: u64,
    texts: HashSet<Arc<str>>,
    /// Whether each entry is read for itself.
    isolate: bool,
}

impl Fold {
    fn new(isolate: bool) -> Self {
        Self {
            isolate,
            ..Self::default()
        }
    }

    fn intern(&mut self, text: &str) -> Arc<str> {
        // Most lists repeat one name.
        if let Some(last) = self
            .sessions
            .last()
            .and_then(|session| session.user_login.as_ref())
            && **last == *text
        {
            return Arc::clone(last);
        }
        if let Some(known) = self.texts.get(text) {
            return Arc::clone(known);
        }
        let new: Arc<str> = text.into();
        self.texts.insert(Arc::clone(&new));
        new
    }

    /// A list in which nothing is a session is not an empty list: it could not be read.
    fn into_list<E: serde::de::Error>(self) -> Result<SessionList, E> {
        if self.sessions.is_empty() && self.undecodable > 0 {
            return Err(E::custom(format_args!(
                "none of its {} entries is a session",
                self.undecodable
            )));
        }
        Ok(SessionList::new(self.sessions, self.undecodable))
    }

    fn take<E: serde::de::Error>(&mut self, entry: Entry) -> Result<(), E> {
        match entry {
            Entry::Session(_) if self.sessions.len() >= MOST_SESSIONS => {
                return Err(E::custom(format_args!(
                    "it lists more than {MOST_SESSIONS} sessions"
                )));
            }
            Entry::Session(session) => self.sessions.push(session),
            Entry::Other | Entry::Answer(_) => self.undecodable += 1,
        }
        Ok(())
    }
}

/// The top of an answer: a bare list, an envelope, or an envelope in a list of one.
#[derive(Clone, Copy)]
struct AnswerVisitor {
    isolate: bool,
}

impl<'de> DeserializeSeed<'de> for AnswerVisitor {
    type Value = Answer;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Answer, D::Error> {
        json.deserialize_any(self)
    }
}

/// Refuses every JSON value that is neither list nor object, without quoting it.
macro_rules! refuse_scalars {
    ($what:literal) => {
        fn visit_unit<E: serde::de::Error>(self) -> Result<Self::Value, E> {
            Err(E::custom(concat!($what, " is null")))
        }
        fn visit_bool<E: serde::de::Error>(self, _: bool) -> Result<Self::Value, E> {
            Err(E::custom(concat!($what, " is true or false")))
        }
        fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<Self::Value, E> {
            Err(E::custom(concat!($what, " is a number")))
        }
        fn visit_u64<E: serde::de::Error>(self, _: u64) -> Result<Self::Value, E> {
            Err(E::custom(concat!($what, " is a number")))
        }
        fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<Self::Value, E> {
            Err(E::custom(concat!($what, " is a number")))
        }
        fn visit_str<E: serde::de::Error>(self, _: &str) -> Result<Self::Value, E> {
            Err(E::custom(concat!($what, " is a string")))
        }
    };
}

impl<'de> Visitor<'de> for AnswerVisitor {
    type Value = Answer;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of sessions or an envelope")
    }

    refuse_scalars!("it");

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Answer, A::Error> {
        let mut fold = Fold::new(self.isolate);
        let Some(first) = list.next_element_seed(EntrySeed::first(&mut fold))? else {
            return Ok(Answer::Sessions(SessionList::default()));
        };
        let mut next = list.next_element_seed(EntrySeed::later(&mut fold))?;
        match first {
            // An envelope stands alone in its list; beside others it is no session and no answer.
            Entry::Answer(answer) if next.is_none() => return Ok(answer),
            first => fold.take(first)?,
        }
        while let Some(entry) = next {
            fold.take(entry)?;
            next = list.next_element_seed(EntrySeed::later(&mut fold))?;
        }
        fold.into_list().map(Answer::Sessions)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Answer, A::Error> {
        let mut envelope = EnvelopeFields::default();
        let mut response = None;
        let mut numbered = Fold::new(self.isolate);
        let mut has_numbered = false;
        let mut other_keys = false;
        while let Some(key) = object.next_key_seed(KeySeed)? {
            match key.as_ref() {
                "response" => {
                    response = Some(object.next_value_seed(ResponseVisitor {
                        isolate: self.isolate,
                    })?)
                }
                key if envelope.is_field(key) => {
                    envelope.set(key, &object.next_value_seed(ScalarSeed)?);
                }
                key if is_index(key) => {
                    has_numbered = true;
                    let entry = object.next_value_seed(EntrySeed::later(&mut numbered))?;
                    numbered.take(entry)?;
                }
                _ => {
                    other_keys = true;
                    object.next_value::<IgnoredAny>()?;
                }
            }
        }
        if let Some(error) = envelope.error() {
            return Ok(Answer::Error(error));
        }
        if let Some(response) = response {
            return Ok(response);
        }
        if has_numbered && !other_keys {
            return numbered.into_list().map(Answer::Sessions);
        }
        Err(A::Error::custom(
            "it is an object with neither sessions nor an error",
        ))
    }
}

/// A list with gaps is encoded as an object whose keys are the indices.
fn is_index(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_digit())
}

/// What stands under `response`: `res` is the list, missing or null means none.
struct ResponseVisitor {
    isolate: bool,
}

impl<'de> DeserializeSeed<'de> for ResponseVisitor {
    type Value = Answer;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Answer, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ResponseVisitor {
    type Value = Answer;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with `res`")
    }

    refuse_scalars!("its `response`");

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Answer, A::Error> {
        Err(A::Error::custom("its `response` is a list"))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Answer, A::Error> {
        let mut envelope = EnvelopeFields::default();
        let mut list = SessionList::default();
        while let Some(key) = object.next_key_seed(KeySeed)? {
            match key.as_ref() {
                "res" => {
                    list = object.next_value_seed(ListVisitor {
                        isolate: self.isolate,
                    })?
                }
                key if envelope.is_field(key) => {
                    envelope.set(key, &object.next_value_seed(ScalarSeed)?);
                }
                _ => {
                    object.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(envelope
            .error()
            .map_or(Answer::Sessions(list), Answer::Error))
    }
}

/// A list inside an envelope: sessions, or sessions by index, or null.
struct ListVisitor {
    isolate: bool,
}

impl<'de> DeserializeSeed<'de> for ListVisitor {
    type Value = SessionList;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<SessionList, D::Error> {
        json.deserialize_any(NullableList {
            isolate: self.isolate,
        })
    }
}

struct NullableList {
    isolate: bool,
}

impl<'de> Visitor<'de> for NullableList {
    type Value = SessionList;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of sessions or null")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<SessionList, E> {
        Ok(SessionList::default())
    }

    fn visit_bool<E: serde::de::Error>(self, _: bool) -> Result<SessionList, E> {
        Err(E::custom("its `res` is true or false"))
    }

    fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<SessionList, E> {
        Err(E::custom("its `res` is a number"))
    }

    fn visit_u64<E: serde::de::Error>(self, _: u64) -> Result<SessionList, E> {
        Err(E::custom("its `res` is a number"))
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<SessionList, E> {
        Err(E::custom("its `res` is a number"))
    }

    fn visit_str<E: serde::de::Error>(self, _: &str) -> Result<SessionList, E> {
        Err(E::custom("its `res` is a string"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<SessionList, A::Error> {
        let mut fold = Fold::new(self.isolate);
        while let Some(entry) = list.next_element_seed(EntrySeed::later(&mut fold))? {
            fold.take(entry)?;
        }
        fold.into_list()
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<SessionList, A::Error> {
        let mut fold = Fold::new(self.isolate);
        let mut empty = true;
        while let Some(key) = object.next_key_seed(KeySeed)? {
            if !is_index(&key) {
                return Err(A::Error::custom("its `res` is an object, not a list"));
            }
            empty = false;
            let entry = object.next_value_seed(EntrySeed::later(&mut fold))?;
            fold.take(entry)?;
        }
        if empty {
            return Err(A::Error::custom("its `res` is an empty object"));
        }
        fold.into_list()
    }
}

/// The fields of an error envelope as they come by.
#[derive(Default)]
struct EnvelopeFields {
    code: Option<i64>,
    is_error: bool,
    message: String,
}

impl EnvelopeFields {
    fn is_field(&self, key: &str) -> bool {
        matches!(key, "errMsg" | "error" | "code")
    }

    fn set(&mut self, key: &str, value: &Scalar<'_>) {
        if key == "code" {
            self.code = value.integer();
        } else if value.is_truthy() {
            self.is_error = true;
            if let Some(text) = value.text() {
                text.clone_into(&mut self.message);
            }
        }
    }

    /// `error` of false, null, "" or 0 is no error, whatever the code says.
    fn error(self) -> Option<ApiErrorBody> {
        self.is_error.then_some(ApiErrorBody {
            code: self.code,
            message: self.message,
        })
    }
}

#[cfg(test)]
mod tests;
