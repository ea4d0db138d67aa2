//! One entry of a list: a session with all its oddities, or something else.

use std::borrow::Cow;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;
use serde::Deserialize as _;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use serde_json::value::RawValue;

use super::lenient::{Scalar, ScalarSeed};
use super::{Answer, EnvelopeFields, Fold, ResponseVisitor};
use crate::session::{ClientAddress, Session};

/// Logins and addresses longer than this are not what they say they are.
const LONGEST_TEXT: usize = 256;

/// What one entry turned out to be.
pub(super) enum Entry {
    /// A session.
    Session(Session),
    /// No session.
    Other,
    /// `{"response": …}` or an error envelope: an answer of its own where it stands alone.
    Answer(Answer),
}

/// Reads an entry; texts are interned in the fold, the entry itself is handed back.
pub(super) struct EntrySeed<'a> {
    fold: &'a mut Fold,
    /// Whether the entry may be an envelope.
    first: bool,
    /// Whether the entry stands by itself already.
    isolated: bool,
    /// Whether a field that no type can hold, as `1e400` or half a surrogate pair, costs itself
    /// alone.
    lenient: bool,
}

impl<'a> EntrySeed<'a> {
    pub(super) fn first(fold: &'a mut Fold) -> Self {
        Self {
            fold,
            first: true,
            isolated: false,
            lenient: false,
        }
    }

    pub(super) fn later(fold: &'a mut Fold) -> Self {
        Self {
            fold,
            first: false,
            isolated: false,
            lenient: false,
        }
    }
}

impl<'de> DeserializeSeed<'de> for EntrySeed<'_> {
    type Value = Entry;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Entry, D::Error> {
        if !self.fold.isolate || self.isolated {
            return json.deserialize_any(self);
        }
        let entry = <&RawValue>::deserialize(json)?;
        let Self { fold, first, .. } = self;
        for lenient in [false, true] {
            let alone = EntrySeed {
                fold: &mut *fold,
                first,
                isolated: true,
                lenient,
            };
            let json = &mut serde_json::Deserializer::from_str(entry.get());
            if let Ok(read) = alone.deserialize(json) {
                return Ok(read);
            }
        }
        Ok(Entry::Other)
    }
}

/// The fields of a session that mean something here.
#[derive(Default)]
struct Fields<'de> {
    id: Option<u64>,
    safety_type: Option<i64>,
    time_left: Option<f64>,
    start: Option<Cow<'de, str>>,
    end: Option<Cow<'de, str>>,
}

impl<'de> Visitor<'de> for EntrySeed<'_> {
    type Value = Entry;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a session")
    }

    fn visit_unit<E>(self) -> Result<Entry, E> {
        Ok(Entry::Other)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Entry, E> {
        Ok(Entry::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Entry, E> {
        Ok(Entry::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Entry, E> {
        Ok(Entry::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Entry, E> {
        Ok(Entry::Other)
    }

    fn visit_str<E>(self, _: &str) -> Result<Entry, E> {
        Ok(Entry::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Entry, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Entry::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Entry, A::Error> {
        let mut fields = Fields::default();
        let mut user_login = None;
        let mut client = None;
        let mut envelope = EnvelopeFields::default();
        let mut response = None;
        while let Some(key) = object.next_key::<Key>()? {
            if key == Key::Response && self.first {
                response = Some(object.next_value_seed(ResponseVisitor {
                    isolate: self.fold.isolate,
                })?);
                continue;
            }
            if matches!(key, Key::Response | Key::Unknown) {
                object.next_value::<IgnoredAny>()?;
                continue;
            }
            let value = if self.lenient {
                let json = object.next_value::<&RawValue>()?;
                let json = &mut serde_json::Deserializer::from_str(json.get());
                ScalarSeed.deserialize(json).unwrap_or(Scalar::Null)
            } else {
                object.next_value_seed(ScalarSeed)?
            };
            match key {
                Key::Id => fields.id = value.integer().and_then(|id| u64::try_from(id).ok()),
                Key::SafetyTypeId => fields.safety_type = value.integer(),
                Key::Expire => fields.time_left = value.number(),
                Key::StartDatetime => fields.start = owned_text(value),
                Key::ExpireDatetime => fields.end = owned_text(value),
                Key::UserLogin => {
                    user_login = value.text().map(|text| self.fold.intern(clip(text)))
                }
                Key::IpClient => {
                    client = value
                        .text()
                        .and_then(|text| ClientAddress::parse(clip(text)))
                }
                Key::ErrMsg => envelope.set("errMsg", &value),
                Key::Error => envelope.set("error", &value),
                Key::Code => envelope.set("code", &value),
                Key::Response | Key::Unknown => {}
            }
        }
        if let Some(id) = fields.id {
            return Ok(Entry::Session(Session {
                id,
                safety_type: fields.safety_type,
                user_login,
                client,
                time_left: fields.time_left,
                expire_datetime_hash: fields.end.as_deref().map(mark),
                lifetime_ms: lifetime_ms(fields.start.as_deref(), fields.end.as_deref()),
            }));
        }
        if let Some(error) = envelope.error() {
            return Ok(Entry::Answer(Answer::Error(error)));
        }
        Ok(response.map_or(Entry::Other, Entry::Answer))
    }
}

/// The keys that mean something here. `key_current` and `ip` are read past: the one is close to a
/// secret, the other a hash that says less than `ip_client`.
#[derive(Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
enum Key {
    Id,
    SafetyTypeId,
    UserLogin,
    StartDatetime,
    ExpireDatetime,
    Expire,
    IpClient,
    Response,
    #[serde(rename = "errMsg")]
    ErrMsg,
    Error,
    Code,
    #[serde(other)]
    Unknown,
}

fn owned_text(value: Scalar<'_>) -> Option<Cow<'_, str>> {
    match value {
        Scalar::Text(text) if !text.trim().is_empty() => Some(text),
        _ => None,
    }
}

fn clip(text: &str) -> &str {
    text.char_indices()
        .nth(LONGEST_TEXT)
        .and_then(|(end, _)| text.get(..end))
        .unwrap_or(text)
}

/// A date's identity: the text itself, so that it works for dates nobody can read.
fn mark(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// A date and time as the server writes it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Date {
    /// With a zone: milliseconds since the epoch.
    Zoned(i64),
    /// Without: milliseconds since the epoch if it were UTC, which it may not be.
    Local(i64),
}

impl Date {
    /// Reads `2016-06-14T13:14:13.187`, also with a space for the `T`, without the fraction, and
    /// with `Z` or `+03:00` behind.
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        // A sign or a Z behind the date is a zone; the date's own dashes come before.
        let zoned = text
            .get(10..)
            .is_some_and(|time| time.contains(['Z', 'z', '+', '-']));
        if zoned {
            return text
                .parse::<Timestamp>()
                .ok()
                .map(|at| Self::Zoned(at.as_millisecond()));
        }
        let local: DateTime = text.parse().ok()?;
        let utc = Offset::UTC.to_timestamp(local).ok()?;
        Some(Self::Local(utc.as_millisecond()))
    }
}

/// Closing less opening date, where both are written the same way and in order.
#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds of less than 285 000 years"
)]
fn lifetime_ms(start: Option<&str>, end: Option<&str>) -> Option<f64> {
    let lifetime = match (Date::parse(start?)?, Date::parse(end?)?) {
        (Date::Zoned(start), Date::Zoned(end)) | (Date::Local(start), Date::Local(end)) => {
            end.checked_sub(start)?
        }
        _ => return None,
    };
    (lifetime >= 0).then_some(lifetime as f64)
}
