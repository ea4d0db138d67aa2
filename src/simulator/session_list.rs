//! Writes an account's open sessions as the JSON that its server sends.
//!
//! Pure: sessions, options and the time in, JSON out. The fields are those of the vendor's page.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};
use ring::digest;
use serde_json::{Value, json};

use super::options::{DatetimeFormat, ExpireUnit, ResponseOptions, ResponseShape};
use super::session::Session;

/// The type of a session that the use of an API key opens.
pub(super) const API_KEY: i64 = 14;

/// The whole answer, in the account's shape.
pub(super) fn body<'a>(
    sessions: impl Iterator<Item = &'a Session>,
    options: &ResponseOptions,
    now: SystemTime,
) -> Bytes {
    if let Some(raw) = &options.raw_answer {
        return raw.clone();
    }
    let list = list(sessions, options, now);
    let body = match options.shape {
        ResponseShape::BareArray => Value::Array(list),
        ResponseShape::ResponseInArray if list.is_empty() => {
            json!([{ "response": { "res": null } }])
        }
        ResponseShape::ResponseInArray => json!([{ "response": { "res": list } }]),
    };
    Bytes::from(body.to_string())
}

/// The list without an envelope.
pub(super) fn list<'a>(
    sessions: impl Iterator<Item = &'a Session>,
    options: &ResponseOptions,
    now: SystemTime,
) -> Vec<Value> {
    sessions
        .map(|session| entry(session, options, now))
        .collect()
}

fn entry(session: &Session, options: &ResponseOptions, now: SystemTime) -> Value {
    let left = session.expires.duration_since(now).unwrap_or_default();
    let expire = match options.expire_unit {
        ExpireUnit::Milliseconds => u64::try_from(left.as_millis()).unwrap_or(u64::MAX),
        ExpireUnit::Seconds => left.as_secs(),
    };
    let ip = session.client_ip.as_deref().map(|address| {
        if session.safety_type_id == Some(API_KEY) {
            format!("api:{}", address_hash(address))
        } else {
            address_hash(address)
        }
    });
    json!({
        "id": session.id,
        "owner_login": session.owner_login,
        "user_login": session.user_login,
        "safety_type_id": session.safety_type_id,
        "key_current": safety_type_name(session.safety_type_id),
        "start_datetime": datetime(session.start, options),
        "expire_datetime": datetime(session.expires, options),
        "expire": expire,
        "ip": ip,
        "ip_client": session.client_ip,
    })
}

fn safety_type_name(safety_type_id: Option<i64>) -> Option<&'static str> {
    match safety_type_id? {
        2 => Some("Token"),
        3 => Some("SMS"),
        4 => Some("Login, password"),
        API_KEY => Some("API key"),
        _ => None,
    }
}

/// `None`, written as null, for a time outside the calendar.
fn datetime(time: SystemTime, options: &ResponseOptions) -> Option<String> {
    let skew = SignedDuration::from_secs(options.clock_skew_seconds);
    let time = Timestamp::try_from(time).ok()?.checked_add(skew).ok()?;
    let offset = match options.datetimes {
        DatetimeFormat::Utc => Offset::UTC,
        _ => Offset::from_seconds(options.zone_seconds).ok()?,
    };
    let text = offset
        .to_datetime(time)
        .strftime("%Y-%m-%dT%H:%M:%S%.3f")
        .to_string();
    Some(match options.datetimes {
        DatetimeFormat::Local => text,
        DatetimeFormat::Utc => text + "Z",
        DatetimeFormat::Offset => text + &format_offset(offset.seconds()),
    })
}

fn format_offset(seconds: i32) -> String {
    let sign = if seconds < 0 { '-' } else { '+' };
    let minutes = seconds.abs() / 60;
    format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60)
}

/// Looks like the page's sample: 31 digits and lower-case letters.
fn address_hash(address: &str) -> String {
    let digest = digest::digest(&digest::SHA256, address.as_bytes());
    let digits = digest.as_ref().iter().take(31);
    digits
        .filter_map(|byte| char::from_digit(u32::from(byte % 36), 36))
        .collect()
}

/// Whole seconds since the epoch, as V3's timestamps count; negative before it.
pub(super) fn unix_seconds(time: SystemTime) -> i64 {
    let seconds = |length: Duration| i64::try_from(length.as_secs()).unwrap_or(i64::MAX);
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => seconds(since),
        Err(before) => -seconds(before.duration()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::disallowed_methods)]
    use super::*;
    use crate::simulator::SessionSpec;

    /// The vendor's sample: 2016-06-14T13:14:13.187Z, for a day.
    fn sample() -> Session {
        let start = SystemTime::UNIX_EPOCH + Duration::from_millis(1_465_910_053_187);
        let spec = SessionSpec::new(4, Duration::from_secs(86_400)).client_ip("19.16.32.32");
        let login = "virtual@virtual.com";
        Session::open(7_165_011, login, login, spec, start)
    }

    fn written(options: &ResponseOptions, left: Duration) -> Value {
        let now = sample().expires - left;
        serde_json::from_slice(&body([&sample()].into_iter(), options, now)).unwrap()
    }

    #[test]
    fn vendor_sample_matches_documentation() {
        let answer = written(&ResponseOptions::default(), Duration::from_millis(85_299));
        let hash = answer.pointer("/0/ip").unwrap().as_str().unwrap();
        assert_eq!(hash.len(), 31);
        let expected = json!([{
            "id": 7165011,
            "owner_login": "virtual@virtual.com",
            "user_login": "virtual@virtual.com",
            "safety_type_id": 4,
            "key_current": "Login, password",
            "start_datetime": "2016-06-14T13:14:13.187",
            "expire_datetime": "2016-06-15T13:14:13.187",
            "expire": 85299,
            "ip": hash,
            "ip_client": "19.16.32.32"
        }]);
        assert_eq!(answer, expected);
    }

    #[test]
    fn datetimes_follow_format_zone_and_skew_and_expire_does_not() {
        use DatetimeFormat::{Local, Offset, Utc};
        for (datetimes, zone_seconds, clock_skew_seconds, expected) in [
            (Local, 10_800, 0, "2016-06-14T16:14:13.187"),
            (Utc, 10_800, 0, "2016-06-14T13:14:13.187Z"),
            (Offset, 10_800, 0, "2016-06-14T16:14:13.187+03:00"),
            (Offset, -12_600, 0, "2016-06-14T09:44:13.187-03:30"),
            (Local, 0, -5 * 3600, "2016-06-14T08:14:13.187"),
        ] {
            let options = ResponseOptions {
                datetimes,
                zone_seconds,
                clock_skew_seconds,
                ..ResponseOptions::default()
            };
            let answer = written(&options, Duration::from_secs(60));
            assert_eq!(answer.pointer("/0/start_datetime").unwrap(), expected);
            assert_eq!(answer.pointer("/0/expire").unwrap(), 60_000);
        }
    }
}
