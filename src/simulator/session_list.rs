//! Writes an account's open sessions as the JSON that its server would send.
//!
//! Pure: sessions, quirks and the time in, JSON out. The fields are those of the vendor's page.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};
use ring::digest;
use serde_json::{Map, Value, json};

use super::options::{DatetimeFormat, ExpireUnit, ResponseOptions, ResponseShape};
use super::session::Session;

/// The whole answer, in the account's shape.
pub(super) fn body<'a>(
    sessions: impl Iterator<Item = &'a Session>,
    quirks: &ResponseOptions,
    now: SystemTime,
) -> Bytes {
    if let Some(raw) = &quirks.raw_answer {
        return raw.clone();
    }
    let list = sessions
        .map(|session| self::session(session, quirks, now))
        .collect();
    Bytes::from(shape(list, quirks.shape).to_string())
}

/// The list alone, as the streams push it.
pub(super) fn list<'a>(
    sessions: impl Iterator<Item = &'a Session>,
    quirks: &ResponseOptions,
    now: SystemTime,
) -> Vec<Value> {
    sessions
        .map(|session| self::session(session, quirks, now))
        .collect()
}

fn shape(list: Vec<Value>, shape: ResponseShape) -> Value {
    let empty = list.is_empty();
    match shape {
        ResponseShape::NullRes if empty => json!([{ "response": { "res": null } }]),
        ResponseShape::MissingRes if empty => json!({ "response": {} }),
        ResponseShape::SparseObject if empty => json!([]),
        ResponseShape::BareArray => Value::Array(list),
        ResponseShape::ResponseInArray | ResponseShape::NullRes => {
            json!([{ "response": { "res": list } }])
        }
        ResponseShape::ResponseObject | ResponseShape::MissingRes => {
            json!({ "response": { "res": list } })
        }
        ResponseShape::SparseObject => {
            let gapped = list
                .into_iter()
                .enumerate()
                .map(|(at, session)| ((at * 2).to_string(), session));
            Value::Object(gapped.collect())
        }
    }
}

fn session(session: &Session, quirks: &ResponseOptions, now: SystemTime) -> Value {
    let left = session.expires.duration_since(now).unwrap_or_default();
    let expire = match quirks.expire_unit {
        ExpireUnit::Milliseconds => left.as_millis(),
        ExpireUnit::Seconds => u128::from(left.as_secs()),
    };
    let number = |value: Value| match value {
        Value::Number(number) if quirks.numbers_as_strings => Value::String(number.to_string()),
        other => other,
    };
    let mut fields = Map::new();
    let mut put = |field: &str, value: Value| fields.insert(field.to_owned(), value);
    put("id", number(json!(session.id)));
    put("owner_login", json!(session.owner_login));
    put("user_login", json!(session.user_login));
    put("safety_type_id", number(json!(session.safety_type_id)));
    put("key_current", json!(key_current(session.safety_type_id)));
    put("start_datetime", json!(datetime(session.start, quirks)));
    put("expire_datetime", json!(datetime(session.expires, quirks)));
    put(
        "expire",
        number(json!(u64::try_from(expire).unwrap_or(u64::MAX))),
    );
    put("ip", json!(session.client_ip.as_deref().map(address_hash)));
    put("ip_client", json!(session.client_ip));
    for (field, value) in &session.raw {
        fields.insert(field.clone(), value.clone());
    }
    fields.retain(|field, _| !session.omit.contains(field));
    Value::Object(fields)
}

fn key_current(safety_type_id: Option<i64>) -> Option<&'static str> {
    match safety_type_id? {
        2 => Some("Token"),
        3 => Some("SMS"),
        4 => Some("Login, password"),
        _ => None,
    }
}

/// `None` for a time that no calendar date stands for; written as null.
fn datetime(time: SystemTime, quirks: &ResponseOptions) -> Option<String> {
    let skew = SignedDuration::from_secs(quirks.clock_skew_seconds);
    let time = Timestamp::try_from(time).ok()?.checked_add(skew).ok()?;
    let offset = match quirks.datetimes {
        DatetimeFormat::Utc => Offset::UTC,
        _ => Offset::from_seconds(quirks.zone_seconds).ok()?,
    };
    let format = match quirks.datetimes {
        DatetimeFormat::Local | DatetimeFormat::Offset => "%Y-%m-%dT%H:%M:%S%.3f",
        DatetimeFormat::LocalWithSpace => "%Y-%m-%d %H:%M:%S%.3f",
        DatetimeFormat::NoFraction => "%Y-%m-%dT%H:%M:%S",
        DatetimeFormat::Utc => "%Y-%m-%dT%H:%M:%S%.3fZ",
    };
    let text = offset.to_datetime(time).strftime(format).to_string();
    Some(match quirks.datetimes {
        DatetimeFormat::Offset => text + &written_offset(offset.seconds()),
        _ => text,
    })
}

fn written_offset(seconds: i32) -> String {
    let sign = if seconds < 0 { '-' } else { '+' };
    let minutes = seconds.abs() / 60;
    format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60)
}

/// Looks like the page's sample: 31 characters of digits and lower-case letters.
fn address_hash(address: &str) -> String {
    let digest = digest::digest(&digest::SHA256, address.as_bytes());
    let text = digest
        .as_ref()
        .iter()
        .take(31)
        .map(|byte| char::from_digit(u32::from(byte % 36), 36));
    text.flatten().collect()
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
        Session::open(
            7_165_011,
            "virtual@virtual.com",
            "virtual@virtual.com",
            spec,
            start,
        )
    }

    fn written(session: &Session, quirks: &ResponseOptions, left: Duration) -> Value {
        let now = session.expires - left;
        serde_json::from_slice(&body([session].into_iter(), quirks, now)).unwrap()
    }

    #[test]
    fn the_vendors_sample_is_written_as_on_its_page() {
        let answer = written(
            &sample(),
            &ResponseOptions::default(),
            Duration::from_millis(85_299),
        );
        let mut wanted = json!([{
            "id": 7165011,
            "owner_login": "virtual@virtual.com",
            "user_login": "virtual@virtual.com",
            "safety_type_id": 4,
            "key_current": "Login, password",
            "start_datetime": "2016-06-14T13:14:13.187",
            "expire_datetime": "2016-06-15T13:14:13.187",
            "expire": 85299,
            "ip_client": "19.16.32.32"
        }]);
        let hash = answer.pointer("/0/ip").unwrap().as_str().unwrap();
        assert_eq!(hash.len(), 31);
        wanted
            .pointer_mut("/0")
            .unwrap()
            .as_object_mut()
            .unwrap()
            .insert("ip".into(), json!(hash));
        assert_eq!(answer, wanted);
    }

    #[test]
    fn seconds_are_rounded_down_and_strings_are_digits() {
        let quirks = ResponseOptions {
            expire_unit: ExpireUnit::Seconds,
            numbers_as_strings: true,
            ..ResponseOptions::default()
        };
        let answer = written(&sample(), &quirks, Duration::from_millis(85_999));
        let field = |name: &str| answer.pointer(&format!("/0/{name}")).unwrap().clone();
        assert_eq!(field("expire"), json!("85"));
        assert_eq!(field("id"), json!("7165011"));
        assert_eq!(field("safety_type_id"), json!("4"));
        assert_eq!(field("owner_login"), json!("virtual@virtual.com"));
    }

    #[test]
    fn datetimes_follow_style_zone_and_skew_and_expire_does_not() {
        let cases = [
            (DatetimeFormat::Local, 10_800, 0, "2016-06-14T16:14:13.187"),
            (
                DatetimeFormat::LocalWithSpace,
                0,
                0,
                "2016-06-14 13:14:13.187",
            ),
            (DatetimeFormat::NoFraction, 0, 0, "2016-06-14T13:14:13"),
            (DatetimeFormat::Utc, 10_800, 0, "2016-06-14T13:14:13.187Z"),
            (
                DatetimeFormat::Offset,
                10_800,
                0,
                "2016-06-14T16:14:13.187+03:00",
            ),
            (
                DatetimeFormat::Offset,
                -12_600,
                0,
                "2016-06-14T09:44:13.187-03:30",
            ),
            (
                DatetimeFormat::Local,
                0,
                5 * 3600,
                "2016-06-14T18:14:13.187",
            ),
            (
                DatetimeFormat::Local,
                0,
                -5 * 3600,
                "2016-06-14T08:14:13.187",
            ),
        ];
        for (datetimes, zone_seconds, clock_skew_seconds, wanted) in cases {
            let quirks = ResponseOptions {
                datetimes,
                zone_seconds,
                clock_skew_seconds,
                ..ResponseOptions::default()
            };
            let answer = written(&sample(), &quirks, Duration::from_secs(60));
            assert_eq!(answer.pointer("/0/start_datetime").unwrap(), wanted);
            assert_eq!(answer.pointer("/0/expire").unwrap(), 60_000);
        }
    }

    #[test]
    fn shapes_differ_for_a_list_and_for_none() {
        let one = Value::from(7_165_011);
        let cases = [
            (ResponseShape::BareArray, "/0/id", json!([])),
            (
                ResponseShape::ResponseInArray,
                "/0/response/res/0/id",
                json!([{"response": {"res": []}}]),
            ),
            (
                ResponseShape::ResponseObject,
                "/response/res/0/id",
                json!({"response": {"res": []}}),
            ),
            (ResponseShape::SparseObject, "/0/id", json!([])),
            (
                ResponseShape::NullRes,
                "/0/response/res/0/id",
                json!([{"response": {"res": null}}]),
            ),
            (
                ResponseShape::MissingRes,
                "/response/res/0/id",
                json!({"response": {}}),
            ),
        ];
        for (shape, place, empty) in cases {
            let quirks = ResponseOptions {
                shape,
                ..ResponseOptions::default()
            };
            assert_eq!(
                written(&sample(), &quirks, Duration::ZERO).pointer(place),
                Some(&one),
                "{shape:?}"
            );
            let none: Value =
                serde_json::from_slice(&body([].into_iter(), &quirks, SystemTime::UNIX_EPOCH))
                    .unwrap();
            assert_eq!(none, empty, "{shape:?}");
        }
    }

    #[test]
    fn gaps_are_in_the_keys() {
        let quirks = ResponseOptions {
            shape: ResponseShape::SparseObject,
            ..ResponseOptions::default()
        };
        let (a, b) = (sample(), Session { id: 8, ..sample() });
        let answer: Value =
            serde_json::from_slice(&body([&a, &b].into_iter(), &quirks, a.start)).unwrap();
        assert_eq!(
            answer.as_object().unwrap().keys().collect::<Vec<_>>(),
            ["0", "2"]
        );
    }

    #[test]
    fn raw_fields_win_and_omitted_ones_are_gone() {
        let mut odd = sample();
        odd.raw = Map::from_iter([
            ("expire".to_owned(), json!(null)),
            ("safety_type".to_owned(), json!("x")),
        ]);
        odd.omit = vec!["user_login".to_owned()];
        let answer = written(&odd, &ResponseOptions::default(), Duration::ZERO);
        assert_eq!(answer.pointer("/0/expire"), Some(&Value::Null));
        assert_eq!(answer.pointer("/0/safety_type"), Some(&json!("x")));
        assert_eq!(answer.pointer("/0/user_login"), None);
    }

    #[test]
    fn a_raw_answer_is_served_as_it_is() {
        let quirks = ResponseOptions {
            raw_answer: Some(Bytes::from_static(b"[}")),
            ..ResponseOptions::default()
        };
        assert_eq!(
            body([&sample()].into_iter(), &quirks, SystemTime::UNIX_EPOCH),
            "[}"
        );
    }
}
