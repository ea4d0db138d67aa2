//! Turns a fault into what becomes of a connection's beginning, or of a request for the list over it.

use super::super::fault::Fault;
use super::attendance::Disconnect;
use super::conversation::Act;

/// A server that met what it did not expect, in WebSocket's words.
const INTERNAL_ERROR: u16 = 1011;

/// What comes instead of the greeting; `None` where the connection begins as usual.
pub(super) fn opening(fault: Fault) -> Option<Vec<Act>> {
    match fault {
        Fault::RawFrames(texts) => Some(texts.into_iter().map(Act::Say).collect()),
        Fault::Disconnect(cut) => Some(vec![Act::End(cut)]),
        _ => None,
    }
}

/// What comes instead of the list, which would stand between two texts. What only HTTP has ends the
/// connection as a server ends it that has met the unexpected.
pub(super) fn request(fault: Fault, (before, after): (String, &'static str)) -> Vec<Act> {
    let instead = |list: &str| vec![Act::Say([before.as_str(), list, after].concat())];
    match fault {
        Fault::RawFrames(texts) => texts.into_iter().map(Act::Say).collect(),
        Fault::Disconnect(cut) => vec![Act::End(cut)],
        Fault::Reset => vec![Act::End(Disconnect::Reset)],
        Fault::NoResponse => vec![],
        Fault::StallBody => vec![Act::End(Disconnect::Stall)],
        Fault::Truncated => {
            let begun = [
                before.as_str(),
                "[{\"id\": 7165011, \"safety_type_id\": 4, \"expi",
            ]
            .concat();
            vec![Act::SayHalf(begun), Act::End(Disconnect::Eof)]
        }
        Fault::InvalidJson => vec![Act::Say("\u{0}\u{fffd}{]not json\u{1b}[".to_owned())],
        Fault::HtmlPage => vec![Act::Say(
            "<!DOCTYPE html><title>Maintenance</title>".to_owned(),
        )],
        Fault::EmptyBody => vec![Act::Say(String::new())],
        Fault::OversizedList {
            bytes,
            with_content_length,
        } => vec![Act::SayLong {
            before,
            bytes,
            after,
            whole: with_content_length,
        }],
        Fault::NestedBrackets(depth) => instead(&["[".repeat(depth), "]".repeat(depth)].concat()),
        Fault::Slow { delay } => vec![Act::AnswerAfter(delay)],
        Fault::Status { .. }
        | Fault::RateLimited { .. }
        | Fault::HtmlForbidden
        | Fault::Redirect { .. }
        | Fault::GzipBomb { .. } => vec![Act::End(Disconnect::Close(INTERNAL_ERROR))],
        // The conversation's own.
        Fault::ErrorEnvelope { .. } | Fault::RevokeSid | Fault::DemoMode => vec![],
    }
}
