//! Engine.IO 3's payload: packets in the body of a poll or a post, `length:packet` one after the other.
//!
//! Lengths are JavaScript's: UTF-16 code units, whatever the body's encoding.

/// Packets as one body.
pub(super) fn encode<'a>(packets: impl IntoIterator<Item = &'a str>) -> String {
    let framed = |packet: &str| format!("{}:{packet}", packet.encode_utf16().count());
    packets.into_iter().map(framed).collect()
}

/// The packets of a body; `None` where it is no payload.
pub(super) fn decode(body: &str) -> Option<Vec<String>> {
    let mut packets = vec![];
    let mut rest = body;
    while !rest.is_empty() {
        let (length, after) = rest.split_once(':')?;
        let end = bytes_of(after, length.parse().ok()?)?;
        packets.push(after.get(..end)?.to_owned());
        rest = after.get(end..)?;
    }
    Some(packets)
}

/// How many bytes so many code units take; `None` where there are fewer, or one is half a character.
fn bytes_of(text: &str, units: usize) -> Option<usize> {
    let (mut bytes, mut seen) = (0, 0);
    for character in text.chars() {
        if seen >= units {
            break;
        }
        seen += character.len_utf16();
        bytes += character.len_utf8();
    }
    (seen == units).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_count_what_javascript_counts() {
        let packets = ["2probe", "42[\"é\"]", "4🦀:1", ""];
        let body = encode(packets);
        assert_eq!(body, "6:2probe7:42[\"é\"]5:4🦀:10:");
        assert_eq!(decode(&body), Some(packets.map(str::to_owned).to_vec()));
        assert_eq!(decode(""), Some(vec![]));
    }

    #[test]
    fn what_is_no_payload_is_refused() {
        for body in ["2", "x:2", "-1:2", "3:22", "2:4🦀", ":2", "1:22:3"] {
            assert_eq!(decode(body), None, "{body}");
        }
    }
}
