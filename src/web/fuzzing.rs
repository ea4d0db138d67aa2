//! The parts of a request that a client controls, on any bytes.

use hyper::header::{ACCEPT, ACCEPT_ENCODING, HOST, HeaderMap, HeaderValue, ORIGIN};
use url::Url;

use super::query::Query;
use super::{accept, csrf};

/// A line each: `Accept`, `Accept-Encoding`, `Host`, `Origin`, query.
pub(crate) fn request(bytes: &[u8]) {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let mut headers = HeaderMap::new();
    for name in [ACCEPT, ACCEPT_ENCODING, HOST, ORIGIN] {
        let line = lines.next().filter(|line| !line.is_empty());
        if let Some(Ok(value)) = line.map(HeaderValue::from_bytes) {
            headers.append(name, value);
        }
    }
    let (format, coding) = (accept::format(&headers), accept::coding(&headers));
    assert!(!format.content_type().is_empty() && !coding.is_empty());
    if csrf::check_same_origin(&headers, None).is_ok() {
        let host = |url: String| Some(Url::parse(&url).ok()?.host()?.to_owned());
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let own = host(format!("http://{}", text(HOST).unwrap_or_default()));
        let origin = text(ORIGIN).map(|origin| host(origin.to_owned()));
        assert!(
            own.is_some() && origin.is_none_or(|origin| origin == own),
            "{headers:?}"
        );
    }
    let query = String::from_utf8_lossy(lines.next().unwrap_or_default());
    if let Ok(query) = Query::parse(&query) {
        let link = query.link(query.state, query.page);
        let again = Query::parse(link.trim_start_matches("./").trim_start_matches('?'));
        let first = Query {
            page: query.page.max(1),
            ..query
        };
        assert_eq!(again, Ok(first), "{link}");
    }
}
