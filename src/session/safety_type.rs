//! Safety types: what opened a session, as ids and as names.

use std::collections::BTreeMap;

/// A safety type as a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SafetyType {
    /// The server's id.
    Id(i64),
    /// The server gave none.
    None,
    /// One of an account's ids past the first 32.
    Other,
}

impl std::fmt::Display for SafetyType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::None => f.write_str("none"),
            Self::Other => f.write_str("other"),
        }
    }
}

/// The vendor's "types of signatures".
const VENDOR_NAMES: [(i64, &str); 18] = [
    (0, "no_key"),
    (2, "token"),
    (3, "sms"),
    (4, "password"),
    (5, "email"),
    (6, "voice"),
    (7, "web_token"),
    (8, "eds"),
    (9, "quik"),
    (11, "order_registry"),
    (12, "netinvestor_eds"),
    (13, "paper"),
    (14, "api_key"),
    (15, "earlier_instructions"),
    (16, "fix"),
    (17, "app_qr"),
    (18, "multi_token"),
    (19, "face"),
];

/// Display names by id. They are ours or the operator's, never the server's: a name that changes
/// with the server's mood would start new series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SafetyNames(BTreeMap<i64, String>);

impl Default for SafetyNames {
    fn default() -> Self {
        Self(VENDOR_NAMES.map(|(id, name)| (id, name.to_owned())).into())
    }
}

impl SafetyNames {
    /// Names one more type, or renames one.
    pub fn set(&mut self, id: i64, name: String) {
        self.0.insert(id, name);
    }

    /// The ids that have this name, in ascending order.
    pub fn ids(&self, name: &str) -> Vec<i64> {
        let named = self.0.iter().filter(|(_, known)| *known == name);
        named.map(|(id, _)| *id).collect()
    }

    /// All names, in the order of their ids.
    pub fn all(&self) -> Vec<&str> {
        self.0.values().map(String::as_str).collect()
    }

    /// The type's name; `unknown` for an id that nobody named.
    pub fn name(&self, safety_type: SafetyType) -> &str {
        match safety_type {
            SafetyType::Id(id) => self.0.get(&id).map_or("unknown", String::as_str),
            SafetyType::None => "none",
            SafetyType::Other => "other",
        }
    }
}

#[cfg(test)]
mod tests;
