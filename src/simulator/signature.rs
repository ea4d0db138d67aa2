//! Verifies the signatures of key pairs, V2 and V3, as the server does.
//!
//! Pure: bytes in, a verdict out. Which key belongs to whom, and whether a nonce or a time is acceptable,
//! is the world's to know.

use std::collections::BTreeMap;

use ring::hmac;

/// Fields nested deeper than this are not a form of ours; bounds the recursion.
const DEPTH: usize = 16;

/// A form body whose brackets have been read as PHP reads them: `a[b]=c` is a field `a` with a field `b`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Form(BTreeMap<String, Field>);

#[derive(Debug, PartialEq, Eq)]
enum Field {
    Text(String),
    Nested(Form),
}

impl Form {
    /// Reads a body in form encoding; `None` if it is nested too deeply.
    pub(super) fn parse(body: &[u8]) -> Option<Self> {
        let mut form = Self::default();
        for (key, value) in form_urlencoded::parse(body) {
            let (first, rest) = match key.split_once('[') {
                Some((first, rest)) => (first, rest.strip_suffix(']')?.split("][").collect()),
                None => (&*key, Vec::new()),
            };
            if rest.len() > DEPTH {
                return None;
            }
            form.plant(first, &rest, value.into_owned());
        }
        Some(form)
    }

    fn plant(&mut self, key: &str, path: &[&str], value: String) {
        // `a[]=x` appends under the next number.
        let key = if key.is_empty() {
            self.0.len().to_string()
        } else {
            key.to_owned()
        };
        let Some((next, path)) = path.split_first() else {
            self.0.insert(key, Field::Text(value));
            return;
        };
        let field = self
            .0
            .entry(key)
            .or_insert_with(|| Field::Nested(Self::default()));
        if let Field::Text(_) = field {
            *field = Field::Nested(Self::default());
        }
        if let Field::Nested(form) = field {
            form.plant(next, path, value);
        }
    }

    /// The text of a field at the top.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        match self.0.get(key)? {
            Field::Text(text) => Some(text),
            Field::Nested(_) => None,
        }
    }

    /// What V2 signs: `key=value` joined with `&`, keys sorted, a nested form as `key=` and its own presign.
    pub(super) fn presign(&self) -> String {
        let pairs = self.0.iter().map(|(key, field)| match field {
            Field::Text(text) => format!("{key}={text}"),
            Field::Nested(form) => format!("{key}={}", form.presign()),
        });
        pairs.collect::<Vec<_>>().join("&")
    }
}

/// Whether `signature` is the lower-case hex HMAC-SHA256 of the form's presign.
pub(super) fn v2_is_right(secret: &str, form: &Form, signature: &str) -> bool {
    is_right(secret, form.presign().as_bytes(), signature)
}

/// Whether `signature` is the lower-case hex HMAC-SHA256 of the body followed by the timestamp's digits.
pub(super) fn v3_is_right(secret: &str, body: &[u8], timestamp: &str, signature: &str) -> bool {
    is_right(secret, &[body, timestamp.as_bytes()].concat(), signature)
}

fn is_right(secret: &str, message: &[u8], signature: &str) -> bool {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    unhex(signature).is_some_and(|tag| hmac::verify(&key, message, &tag).is_ok())
}

/// Lower case only: the server compares text with text.
fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs
        .iter()
        .map(|&[high, low]| Some(digit(high)? << 4 | digit(low)?))
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    // Computed with Python: hmac.new(secret, message, hashlib.sha256).hexdigest()
    const SECRET: &str = "3f0c1d5e9a7b2468";
    const V2: &str = "b02e6010dc5dad54f13e6e2458be5936b7b80e61418e31f1e1bc95818bedef6d";
    const V2_PARAMS: &str = "d14b9bc16abb9819cf31e77c93edcfc2f12a6f59330cbe7d0b849fc3f276b094";
    const V3: &str = "64b6b8b56ef408a5defca1e4c49ed7f600d6eadbffeac758b79a0a5ec31321af";

    #[test]
    fn v2_signs_the_sorted_fields() {
        let form =
            Form::parse(b"nonce=17000000000000&cmd=getSecuritySessions&apiKey=demo-key").unwrap();
        assert_eq!(
            form.presign(),
            "apiKey=demo-key&cmd=getSecuritySessions&nonce=17000000000000"
        );
        assert!(v2_is_right(SECRET, &form, V2));
        assert!(!v2_is_right("another", &form, V2));
    }

    #[test]
    fn v2_signs_nested_params_decoded_and_sorted() {
        let body = b"params[b][]=x+y&params[b][]=z&params%5Ba%5D=1&apiKey=demo-key&cmd=getSecuritySessions&nonce=17000000000000";
        let form = Form::parse(body).unwrap();
        assert_eq!(
            form.presign(),
            "apiKey=demo-key&cmd=getSecuritySessions&nonce=17000000000000&params=a=1&b=0=x y&1=z"
        );
        assert!(v2_is_right(SECRET, &form, V2_PARAMS));
    }

    #[test]
    fn v3_signs_the_body_and_the_time() {
        assert!(v3_is_right(SECRET, b"{}", "1700000000", V3));
        assert!(!v3_is_right(SECRET, b"{}", "1700000001", V3));
        assert!(!v3_is_right(SECRET, b"{ }", "1700000000", V3));
    }

    #[test]
    fn a_signature_is_lower_case_hex_and_whole() {
        for bad in [
            String::new(),
            V3.to_uppercase(),
            V3.replacen('6', "g", 1),
            format!("{V3}00"),
            V3.split_at(63).0.into(),
        ] {
            assert!(!v3_is_right(SECRET, b"{}", "1700000000", &bad), "{bad}");
        }
    }

    #[test]
    fn a_form_that_is_too_deep_is_refused() {
        assert_eq!(
            Form::parse(format!("a{}=1", "[x]".repeat(DEPTH + 1)).as_bytes()),
            None
        );
        assert_eq!(Form::parse(b"a[x=1"), None);
    }
}
