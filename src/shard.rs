//! Which of several exporters watches an account: pure, so that they need not speak to each other.
//!
//! Rendezvous hashing: every shard draws a number for the account, and the greatest draw wins. A
//! shard more or less moves no account between the others.

use std::fmt;

/// More exporters than any fleet needs; a slip of the hand is found out.
const MOST_SHARDS: u32 = 65_536;

/// One exporter's share of the accounts: shard `index` of `count`, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    index: u32,
    count: u32,
}

impl Default for Shard {
    /// The only one, which owns every account.
    fn default() -> Self {
        Self { index: 0, count: 1 }
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

impl Shard {
    /// `i/n` with i from 0, or `auto/n`: then `host` is the name of a StatefulSet's pod, and i its
    /// ordinal.
    ///
    /// # Errors
    ///
    /// What would be right.
    pub fn parse(text: &str, host: impl FnOnce() -> Option<String>) -> Result<Self, String> {
        let wrong = || "is not a shard; use 0/3, the first of three, or auto/3".to_owned();
        let (index, count) = text.split_once('/').ok_or_else(wrong)?;
        let count = number(count).ok_or_else(wrong)?;
        if !(1..=MOST_SHARDS).contains(&count) {
            return Err(format!("must have 1 to {MOST_SHARDS} shards"));
        }
        let index = match index {
            "auto" => {
                let host = host()
                    .ok_or("requires the name of a StatefulSet's pod; set POD_NAME, or use 0/3")?;
                ordinal(&host).ok_or_else(|| {
                    format!(
                        "requires the name of a StatefulSet's pod, such as exporter-0, not \
                         {host:?}; set POD_NAME, or use 0/{count}"
                    )
                })?
            }
            index => number(index).ok_or_else(wrong)?,
        };
        if index >= count {
            return Err(format!(
                "names shard {index}, but {count} shards are 0 to {}",
                count - 1
            ));
        }
        Ok(Self { index, count })
    }

    /// Whether this shard watches the account; of all shards of one count exactly one does.
    pub fn owns(self, account: &str) -> bool {
        self.index == owner(account, self.count)
    }
}

/// Digits alone: `+1` and ` 1` are slips of the hand.
fn number(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// The ordinal of a StatefulSet's pod: `…-<digits>`.
fn ordinal(host: &str) -> Option<u32> {
    // `exporter-2.example.com` is the pod's host name where it has a domain.
    let name = host.split('.').next().unwrap_or(host);
    let (_, ordinal) = name.rsplit_once('-')?;
    number(ordinal)
}

/// The shard with the greatest draw; of equal draws, the least number.
fn owner(account: &str, count: u32) -> u32 {
    let prefix = fnv1a(fnv1a(FNV_OFFSET, account.as_bytes()), &[0]);
    let draw = |index: &u32| fnv1a(prefix, index.to_string().as_bytes());
    // Backwards, since of equal draws the last is taken.
    (0..count).rev().max_by_key(draw).unwrap_or(0)
}

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

/// FNV-1a of 64 bits, as in <https://datatracker.ietf.org/doc/html/rfc9923>.
fn fnv1a(start: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(start, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(FNV_PRIME)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use super::*;

    const COUNTS: [u32; 8] = [1, 2, 3, 5, 8, 10, 12, 16];

    /// Computed by a few lines of Python, independently of this code.
    #[test]
    fn known_answers() {
        assert_eq!(fnv1a(FNV_OFFSET, b"default\x000"), 0x633c_b9cc_16cc_0ade);
        assert_eq!(fnv1a(FNV_OFFSET, b"a\x000"), 0xe5d2_e719_0426_eb3c);
        let long = "x".repeat(128);
        for (account, owners) in [
            ("default", [0, 1, 1, 4, 5, 5, 10, 14]),
            ("desk-1", [0, 1, 1, 1, 1, 1, 1, 1]),
            ("desk-2", [0, 0, 2, 2, 2, 8, 8, 8]),
            ("bot", [0, 1, 1, 4, 5, 5, 10, 14]),
            ("Ünïcode 😀", [0, 1, 2, 3, 3, 9, 9, 9]),
            ("account 9999", [0, 1, 2, 4, 7, 9, 10, 14]),
            (&long, [0; 8]),
        ] {
            assert_eq!(
                COUNTS.map(|count| owner(account, count)),
                owners,
                "{account}"
            );
        }
    }

    #[test]
    fn together_they_own_each_account_exactly_once() {
        let names: Vec<_> = (0..10_000).map(|n| format!("account-{n:05}")).collect();
        for count in 1..=16 {
            let mut owned = vec![0; count as usize];
            for name in &names {
                let owners: Vec<_> = (0..count)
                    .filter(|index| {
                        Shard {
                            index: *index,
                            count,
                        }
                        .owns(name)
                    })
                    .collect();
                assert_eq!(owners.len(), 1, "{name} of {count}");
                owned[owners[0] as usize] += 1;
            }
            assert!(owned.iter().all(|owned| *owned > 0), "{count}: {owned:?}");
            // The last byte of FNV-1a mixes little: powers of two up to 8 share evenly, and in the
            // others some shards own a multiple of what others do. docs/accounts-file.md says so.
            if matches!(count, 1 | 2 | 4 | 8) {
                let fair = 10_000 / count as usize;
                let even = |owned: &usize| owned.abs_diff(fair) <= fair / 50;
                assert!(owned.iter().all(even), "{count}: {owned:?}");
            }
        }
    }

    #[test]
    fn another_shard_moves_accounts_to_itself_alone() {
        for n in 0..1000 {
            let name = format!("desk-{n}");
            for count in 1..16 {
                let (before, after) = (owner(&name, count), owner(&name, count + 1));
                assert!(
                    after == before || after == count,
                    "{name}: {before} to {after}"
                );
            }
        }
    }

    #[test]
    fn numbers_and_names() {
        let host = |name: &'static str| move || Some(name.to_owned());
        let shard = |text, name| Shard::parse(text, host(name)).map(|shard| shard.to_string());
        for (text, name, expected) in [
            ("0/1", "", Ok("0/1")),
            ("2/3", "exporter-0", Ok("2/3")),
            ("auto/3", "exporter-2", Ok("2/3")),
            ("auto/20", "exporter-2-13", Ok("13/20")),
            ("auto/3", "exporter-1.exporter.monitoring.svc", Ok("1/3")),
            ("3/3", "", Err("names shard 3, but 3 shards are 0 to 2")),
            (
                "auto/3",
                "exporter-7",
                Err("names shard 7, but 3 shards are 0 to 2"),
            ),
            ("0/0", "", Err("must have 1 to 65536 shards")),
            ("0/65537", "", Err("must have 1 to 65536 shards")),
            (
                "1",
                "",
                Err("is not a shard; use 0/3, the first of three, or auto/3"),
            ),
            (
                "+1/3",
                "",
                Err("is not a shard; use 0/3, the first of three, or auto/3"),
            ),
            (
                "1/ 3",
                "",
                Err("is not a shard; use 0/3, the first of three, or auto/3"),
            ),
            (
                "-1/3",
                "",
                Err("is not a shard; use 0/3, the first of three, or auto/3"),
            ),
            (
                "99999999999/3",
                "",
                Err("is not a shard; use 0/3, the first of three, or auto/3"),
            ),
            (
                "auto/3",
                "exporter",
                Err(
                    "requires the name of a StatefulSet's pod, such as exporter-0, not \"exporter\"; set POD_NAME, or use 0/3",
                ),
            ),
            (
                "auto/3",
                "exporter-7d9f8b6c5-x2k1",
                Err(
                    "requires the name of a StatefulSet's pod, such as exporter-0, not \"exporter-7d9f8b6c5-x2k1\"; set POD_NAME, or use 0/3",
                ),
            ),
            (
                "auto/3",
                "exporter1",
                Err(
                    "requires the name of a StatefulSet's pod, such as exporter-0, not \"exporter1\"; set POD_NAME, or use 0/3",
                ),
            ),
        ] {
            let expected = expected.map(str::to_owned).map_err(str::to_owned);
            assert_eq!(shard(text, name), expected, "{text} on {name}");
        }
        assert_eq!(
            Shard::parse("auto/3", || None),
            Err("requires the name of a StatefulSet's pod; set POD_NAME, or use 0/3".to_owned())
        );
    }
}
