//! The file's three kinds of mapping, and what is said of a key that does not belong in one.

use crate::config::env::{ACCOUNT_KEYS, GLOBAL_KEYS, WEB_KEYS};
use crate::config::redaction::start;
use crate::config::suggest::{self, Guess};

/// Of a longer name the rest is not looked at.
const LONGEST_NAME: usize = 256;
const TOP_KEYS: [&str; 3] = ["defaults", "accounts", "safety_types"];

/// Where in the file keys stand.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    Top,
    Defaults,
    AccountConfig,
}

/// A key that does not belong where it stands.
pub(super) struct Stray {
    pub(super) meant: Meant,
    /// The key by which it is decided what of the value may be shown; none where nothing may be.
    pub(super) shown_as: Option<&'static str>,
    pub(super) text: String,
}

/// What a key that does not belong was meant to be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Meant {
    /// This key, which it is elsewhere, or clearly is misspelt.
    Key(&'static str),
    /// The keys of another mapping.
    Merge,
    Unknown,
}

impl Meant {
    pub(super) fn key(self) -> Option<&'static str> {
        match self {
            Self::Key(key) => Some(key),
            Self::Merge | Self::Unknown => None,
        }
    }
}

impl Level {
    /// What a mapping of this level is called.
    pub(super) fn what(self) -> &'static str {
        match self {
            Self::Top => "the file",
            Self::Defaults => "defaults",
            Self::AccountConfig => "an account",
        }
    }

    /// What stands before the names of its keys.
    pub(super) fn prefix(self) -> &'static str {
        match self {
            Self::Defaults => "defaults.",
            Self::Top | Self::AccountConfig => "",
        }
    }

    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Top => &TOP_KEYS,
            Self::Defaults | Self::AccountConfig => ACCOUNT_KEYS,
        }
    }

    /// The key, if it belongs here.
    pub(super) fn key(self, name: &str) -> Option<&'static str> {
        find(self.keys(), name)
    }

    /// What is to be said of a key that does not belong here, with several values under it or one.
    pub(super) fn stray(self, name: &str, has_several: bool) -> Stray {
        // An alias may stand for a long name, often.
        let name = start(name, LONGEST_NAME);
        if name == "<<" {
            return Stray {
                meant: Meant::Merge,
                shown_as: None,
                text: "merges are not understood: write what accounts share under defaults"
                    .to_owned(),
            };
        }
        // A list of accounts under the key of an account's name.
        let is_misspelt = self == Self::Top && name == "account" && has_several;
        self.misplaced(name)
            .filter(|_| !is_misspelt)
            .unwrap_or_else(|| self.misspelt(name))
    }

    /// What is to be said of an unknown key that has an account's keys under it.
    pub(super) fn named_account(self) -> &'static str {
        match self {
            Self::Top => {
                "unknown key, with an account's keys under it: list it under accounts: as \
                 - account: NAME, or call it defaults"
            }
            Self::Defaults | Self::AccountConfig => {
                "unknown key, with an account's keys under it: write account: NAME, and the keys \
                 beside it"
            }
        }
    }

    /// A key that is known, but elsewhere.
    fn misplaced(self, name: &str) -> Option<Stray> {
        let elsewhere = |key, text: String| Stray {
            meant: Meant::Key(key),
            shown_as: Some(key),
            text,
        };
        let lower = name.to_ascii_lowercase();
        if self == Self::Top {
            if let Some(key) = find(ACCOUNT_KEYS, name) {
                let text = "is an account's key: write it under defaults, or in an account";
                return Some(elsewhere(key, text.to_owned()));
            }
        } else if let Some(key) = find(&TOP_KEYS, name) {
            let text = "is a key of the file, not of an account: write it without indentation";
            return Some(elsewhere(key, text.to_owned()));
        }
        let variable = |prefix: &str, keys, key: &str| {
            let key = find(keys, key)?;
            let variable = format!("{prefix}{}", key.to_ascii_uppercase());
            let text = format!("is no key of the file: set the variable {variable}");
            Some(elsewhere(key, text))
        };
        let bare = lower.strip_prefix("tradernet_").unwrap_or(&lower);
        let bare_of_web = lower.strip_prefix("web_").unwrap_or(&lower);
        variable("TRADERNET_", GLOBAL_KEYS, bare)
            .or_else(|| variable("WEB_", WEB_KEYS, bare_of_web))
            .filter(|stray| stray.meant != Meant::Key("safety_types"))
    }

    fn misspelt(self, name: &str) -> Stray {
        let own = suggest::guess(name, self.keys().iter().copied());
        let of_accounts = || suggest::guess(name, ACCOUNT_KEYS.iter().copied());
        // A dedented `pasword` is near to no key of the file.
        let (guess, suffix) = match own {
            Some(own) if self == Self::Top && !own.is_clear => {
                match of_accounts().filter(|guess| guess.is_clear) {
                    Some(guess) => (
                        Some(guess),
                        ", an account's key: write it under defaults, or in an account",
                    ),
                    None => (Some(own), ""),
                }
            }
            own => (own, ""),
        };
        let Some(guess) = guess else {
            return Stray {
                meant: Meant::Unknown,
                shown_as: None,
                text: "unknown key".to_owned(),
            };
        };
        let Guess {
            nearest,
            is_clear,
            may_show,
        } = guess;
        let mut text = format!("unknown key; the nearest known one is {nearest}{suffix}");
        if name.trim_start_matches(':').contains(':') {
            text.push_str("; write a blank after the colon");
        }
        Stray {
            meant: if is_clear {
                Meant::Key(nearest)
            } else {
                Meant::Unknown
            },
            shown_as: may_show.then_some(nearest),
            text,
        }
    }
}

fn find(keys: &[&'static str], name: &str) -> Option<&'static str> {
    keys.iter().copied().find(|key| *key == name)
}
