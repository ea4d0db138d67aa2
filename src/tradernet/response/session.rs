//! One entry of a list: a session with all its oddities, or something else.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;
use serde_json::value::RawValue;

use super::super::value::Value;
use crate::session::{ClientAddress, Session};

/// One copy of each text of a list.
pub(super) type Texts = HashSet<Arc<str>>;

/// Of a longer login or address the rest is dropped.
const MAX_TEXT_CHARS: usize = 256;

/// Reads an entry; `None` where it is not a session, that is an object with a readable id.
/// `key_current` and `ip` are not read: the one is close to a secret, the other a hash that says
/// less than `ip_client`.
pub(super) fn read(entry: &RawValue, texts: &mut Texts) -> Option<Session> {
    let entry = Value::read(entry);
    let id = entry.field("id").integer()?;
    let (start, end) = (
        entry.field("start_datetime"),
        entry.field("expire_datetime"),
    );
    Some(Session {
        id: u64::try_from(id).ok()?,
        safety_type: entry.field("safety_type_id").integer(),
        user_login: (entry.field("user_login").text()).map(|login| intern(truncate(login), texts)),
        client: (entry.field("ip_client").text())
            .and_then(|address| ClientAddress::parse(truncate(address))),
        time_left: entry.field("expire").number(),
        expire_datetime_hash: end.text().map(hash_text),
        lifetime_ms: lifetime_ms(start.text(), end.text()),
    })
}

fn intern(text: &str, texts: &mut Texts) -> Arc<str> {
    if let Some(known) = texts.get(text) {
        return Arc::clone(known);
    }
    let new: Arc<str> = text.into();
    texts.insert(Arc::clone(&new));
    new
}

fn truncate(text: &str) -> &str {
    text.char_indices()
        .nth(MAX_TEXT_CHARS)
        .and_then(|(end, _)| text.get(..end))
        .unwrap_or(text)
}

/// A date's identity: of the text itself, so that it works for dates that cannot be parsed.
fn hash_text(text: &str) -> u64 {
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
