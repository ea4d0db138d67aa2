//! Safety types: the vendor's kinds of signatures that open a session, as ids and as names.

use std::collections::BTreeMap;

use crate::session::Session;

/// Ids that have a series of their own; the bound on an account whose server invents ids.
const MAX_IDS: usize = 32;

/// The vendor's table ("types of signatures") as label values.
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

/// A safety type as a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SafetyType {
    /// The server's id.
    Id(i64),
    /// The server sent none.
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

/// Display names by id: the vendor's table, overridden by the configuration. A name that a server
/// sends is not used: one that changes would start new series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SafetyNames(BTreeMap<i64, String>);

impl Default for SafetyNames {
    fn default() -> Self {
        Self(VENDOR_NAMES.map(|(id, name)| (id, name.to_owned())).into())
    }
}

impl SafetyNames {
    /// The ids that have this name, in ascending order.
    pub fn ids(&self, name: &str) -> Vec<i64> {
        let named = self.0.iter().filter(|(_, known)| *known == name);
        named.map(|(id, _)| *id).collect()
    }

    /// All names, in the order of their ids.
    pub fn all(&self) -> Vec<&str> {
        self.0.values().map(String::as_str).collect()
    }

    /// The type's name; `unknown` for an id without one.
    pub fn name(&self, safety_type: SafetyType) -> &str {
        match safety_type {
            SafetyType::Id(id) => self.0.get(&id).map_or("unknown", String::as_str),
            SafetyType::None => "none",
            SafetyType::Other => "other",
        }
    }
}

impl Extend<(i64, String)> for SafetyNames {
    fn extend<T: IntoIterator<Item = (i64, String)>>(&mut self, names: T) {
        self.0.extend(names);
    }
}

/// How many sessions have each type that an account has shown: a type keeps its series, at 0 while no
/// session has it.
#[derive(Debug)]
pub(super) struct KnownTypes(BTreeMap<SafetyType, u64>);

impl Default for KnownTypes {
    fn default() -> Self {
        Self([2, 3, 4].map(|id| (SafetyType::Id(id), 0)).into())
    }
}

impl KnownTypes {
    /// Counts the sessions by every known type, by ascending id, and adds their types.
    pub(super) fn count(&mut self, sessions: &[Session]) -> Vec<(SafetyType, u64)> {
        self.0.values_mut().for_each(|count| *count = 0);
        for session in sessions {
            let has_room = self.0.range(..SafetyType::None).count() < MAX_IDS;
            let label = match session.safety_type {
                Some(id) if has_room => SafetyType::Id(id),
                id => self.label(id),
            };
            *self.0.entry(label).or_default() += 1;
        }
        self.0.clone().into_iter().collect()
    }

    /// The label of a type that [`Self::count`] has seen.
    pub(super) fn label(&self, safety_type: Option<i64>) -> SafetyType {
        match safety_type.map(SafetyType::Id) {
            None => SafetyType::None,
            Some(label) if self.0.contains_key(&label) => label,
            Some(_) => SafetyType::Other,
        }
    }
}

#[cfg(test)]
mod tests;
