//! One entry of a list: a session with all its oddities, or something else.

use std::hash::{DefaultHasher, Hash, Hasher};

use jiff::fmt::temporal::Pieces;
use jiff::tz::Offset;
use serde_json::value::RawValue;

use super::super::value::Value;
use crate::session::{ClientAddress, Session};

/// Reads an entry; `None` where it is not a session, that is an object with a readable id.
/// `key_current` and `ip` are not read: the one is close to a secret, the other a hash that says
/// less than `ip_client`.
pub(super) fn read(entry: &RawValue) -> Option<Session> {
    let entry = Value::read(entry);
    let id = entry.field("id").integer()?;
    let end = entry.field("expire_datetime");
    let [start_date, end_date] =
        [&entry.field("start_datetime"), &end].map(|date| date.text().and_then(date_ms));
    Some(Session {
        id: u64::try_from(id).ok()?,
        safety_type: entry.field("safety_type_id").integer(),
        // Whole: a part of a secret would not be found in them.
        user_login: entry.field("user_login").text().map(Into::into),
        client: (entry.field("ip_client").text()).and_then(ClientAddress::parse),
        time_left: entry.field("expire").number(),
        expire_datetime_hash: end.text().map(hash),
        expire_datetime_ms: end_date.map(|(date, _)| date),
        lifetime_ms: lifetime_ms(start_date, end_date),
    })
}

/// A date's identity: of the text itself, so that it works for dates that cannot be parsed.
fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// Reads `2016-06-14T13:14:13.187`, also with a space for the `T`, without the fraction, and with `Z`
/// or `+03:00` behind: milliseconds since the epoch, and whether there is a zone. Without one it is
/// read as UTC, which it may not be.
#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds of less than 285 000 years"
)]
fn date_ms(text: &str) -> Option<(f64, bool)> {
    let pieces = Pieces::parse(text).ok()?;
    let zone = pieces.to_numeric_offset();
    let date = (pieces.date()).to_datetime(pieces.time().unwrap_or_default());
    let date = zone.unwrap_or(Offset::UTC).to_timestamp(date).ok()?;
    Some((date.as_millisecond() as f64, zone.is_some()))
}

/// Closing less opening date, where both are written the same way and in order.
fn lifetime_ms(start: Option<(f64, bool)>, end: Option<(f64, bool)>) -> Option<f64> {
    let ((start, is_zoned), (end, is_end_zoned)) = (start?, end?);
    (is_zoned == is_end_zoned && end >= start).then_some(end - start)
}
