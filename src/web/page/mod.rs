//! The status page `/`: for a tired person on a phone and for a screen on the wall.
//!
//! Rendered here, whole, worst account first; the script only fetches the same page again and
//! counts down in between, so it works without. It shows what is published and asks nobody.

mod card;
mod document;
#[cfg(test)]
mod tests;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hyper::header::HeaderValue;
use sha2::{Digest, Sha256};

use self::document::{Document, Numbers};
use super::health::State;
use crate::clock::Timestamps;
use crate::session::safety_type::SafetyNames;
use crate::status::{AccountStatus, StatusStore};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
/// Accounts on one page: what a phone scrolls through, and a screen's worth of trouble many times over.
const PER_PAGE: usize = 200;

/// The page's content security policy: its own style and script by hash, an icon in itself,
/// requests to where it came from, and nothing else.
pub(super) fn policy() -> HeaderValue {
    let hash = |text: &str| STANDARD.encode(Sha256::digest(text));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; img-src data:; \
         connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        hash(STYLE),
        hash(SCRIPT)
    );
    // Base64 and the words around it are all valid in a header; without a policy of its own the
    // page would still be safe, only plain.
    HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
}

/// The page as of `now`. `number` is clamped to the pages that there are, counted from 1.
pub(super) fn render(
    board: &StatusStore,
    names: &SafetyNames,
    now: Timestamps,
    number: usize,
    telemetry_path: &str,
) -> Bytes {
    let mut accounts: Vec<_> = board
        .accounts()
        .into_iter()
        .map(|status| (State::of(&status, now), status))
        .collect();
    // Names ascend already, and a stable sort keeps them so among equals.
    accounts.sort_by(|(a, one), (b, other)| {
        (a.cmp(b)).then_with(|| last_end(one, now).total_cmp(&last_end(other, now)))
    });
    let pages = accounts.len().div_ceil(PER_PAGE).max(1);
    let number = number.clamp(1, pages);
    let numbers = Numbers::of(&accounts, now);
    let document = Document {
        numbers,
        first: (number - 1) * PER_PAGE,
        accounts: accounts
            .chunks(PER_PAGE)
            .nth(number - 1)
            .unwrap_or_default(),
        number,
        pages,
        names,
        now,
        telemetry_path,
    };
    Bytes::from(document.to_string())
}

/// When an account's last session ends, in milliseconds since the epoch: among equals the one
/// that is left without a session first comes first.
fn last_end(status: &AccountStatus, now: Timestamps) -> f64 {
    status
        .fresh_view(now)
        .and_then(|view| view.expiry?.expires_at_ms)
        .map_or(f64::INFINITY, |at| at.max)
}
