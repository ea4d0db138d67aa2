//! The exporter's share of the accounts, computed by each of several exporters for itself.
//!
//! Rendezvous hashing: every shard has a score for the account, and the greatest one owns it. Adding
//! or removing a shard moves no account between the other shards.

use std::fmt;

use xxhash_rust::xxh3::xxh3_64;

/// A larger number is a mistake.
const MAX_SHARDS: u32 = 65_536;

/// One exporter's share of the accounts: shard `index` of `count`, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// The number of this shard, from 0.
    pub index: u32,
    /// How many shards there are.
    pub count: u32,
}

impl Default for Shard {
    /// The only shard, which owns every account.
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
    /// The valid forms.
    pub fn parse(text: &str, host: impl FnOnce() -> Option<String>) -> Result<Self, String> {
        let wrong = || "is not a shard; use 0/3, the first of three, or auto/3".to_owned();
        let (index, count) = text.split_once('/').ok_or_else(wrong)?;
        let count = count.parse().map_err(|_| wrong())?;
        if !(1..=MAX_SHARDS).contains(&count) {
            return Err(format!("must have 1 to {MAX_SHARDS} shards"));
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
            index => index.parse().map_err(|_| wrong())?,
        };
        if index >= count {
            return Err(format!(
                "names shard {index}, but {count} shards are 0 to {}",
                count - 1
            ));
        }
        Ok(Self { index, count })
    }

    /// Whether this shard owns the account. Of all shards of one count exactly one does.
    pub fn owns(self, account: &str) -> bool {
        self.index == owner(account, self.count)
    }
}

/// The ordinal of a StatefulSet's pod: `…-<digits>`.
fn ordinal(host: &str) -> Option<u32> {
    // `exporter-2.example.com` is the pod's host name where it has a domain.
    let name = host.split('.').next().unwrap_or(host);
    let (_, ordinal) = name.rsplit_once('-')?;
    ordinal.parse().ok()
}

/// The shard with the greatest score; of equal scores, the least number.
fn owner(account: &str, count: u32) -> u32 {
    let score = |index: &u32| xxh3_64(format!("{account}\0{index}").as_bytes());
    // Backwards, since `max_by_key` takes the last of equal scores.
    (0..count).rev().max_by_key(score).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use proptest::prelude::*;

    use super::*;

    const COUNTS: [u32; 8] = [1, 2, 3, 5, 8, 10, 12, 16];

    /// Computed by another implementation (Python's `xxhash`).
    #[test]
    fn known_answers() {
        let long = "x".repeat(128);
        for (account, owners) in [
            ("default", [0, 1, 1, 1, 1, 1, 1, 1]),
            ("desk-1", [0, 0, 0, 4, 7, 7, 7, 15]),
            ("desk-2", [0, 1, 1, 1, 1, 1, 1, 1]),
            ("bot", [0, 0, 0, 4, 4, 4, 4, 12]),
            ("Ünïcode 😀", [0, 0, 2, 3, 3, 3, 3, 3]),
            ("account 9999", [0, 1, 1, 1, 1, 1, 1, 1]),
            (&long, [0, 0, 2, 2, 7, 9, 9, 9]),
        ] {
            let owned = COUNTS.map(|count| owner(account, count));
            assert_eq!(owned, owners, "{account}");
        }
    }

    #[test]
    fn each_account_has_one_owner_and_shares_are_even() {
        for count in [3, 5, 9, 16] {
            let shards: Vec<_> = (0..count).map(|index| Shard { index, count }).collect();
            let mut owned = vec![0.0_f64; shards.len()];
            for n in 0..10_000 {
                let name = format!("account-{n:05}");
                let owners: Vec<_> = shards.iter().filter(|shard| shard.owns(&name)).collect();
                assert_eq!(owners.len(), 1, "{name} of {count}");
                owned[owners[0].index as usize] += 1.0;
            }
            let even = 10_000.0 / f64::from(count);
            let largest = owned.iter().copied().fold(0.0, f64::max);
            assert!(largest <= even * 1.15, "{count}: {owned:?}");
        }
    }

    proptest! {
        #[test]
        fn each_name_has_one_owner(name in ".*", count in 1..200_u32) {
            let owners = (0..count).filter(|&index| Shard { index, count }.owns(&name));
            prop_assert_eq!(owners.count(), 1);
        }
    }

    #[test]
    fn added_shard_moves_accounts_only_to_itself() {
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

    /// Shard, host, what it is or what is wrong.
    const TEXTS: &str = "
0/1 | | 0/1
2/3 | exporter-0 | 2/3
auto/3 | exporter-2 | 2/3
auto/20 | exporter-2-13 | 13/20
auto/3 | exporter-1.exporter.monitoring.svc | 1/3
3/3 | | names shard 3, but 3 shards are 0 to 2
auto/3 | exporter-7 | names shard 7, but 3 shards are 0 to 2
0/0 | | must have 1 to 65536 shards
0/65537 | | must have 1 to 65536 shards
1 | | is not a shard; use 0/3, the first of three, or auto/3
1/ 3 | | is not a shard; use 0/3, the first of three, or auto/3
-1/3 | | is not a shard; use 0/3, the first of three, or auto/3
99999999999/3 | | is not a shard; use 0/3, the first of three, or auto/3
auto/3 | exporter | requires the name of a StatefulSet's pod, such as exporter-0, not HOST
auto/3 | exporter-7d9f8b6c5-x2k1p | requires the name of a StatefulSet's pod, such as exporter-0, not HOST
auto/3 | exporter1 | requires the name of a StatefulSet's pod, such as exporter-0, not HOST
";

    #[test]
    fn numbers_and_names() {
        for row in TEXTS.trim().lines() {
            let mut cells = row.split('|').map(str::trim);
            let [text, host, expected] = [(); 3].map(|()| cells.next().unwrap());
            let advice = "; set POD_NAME, or use 0/3";
            let expected = expected.replace("HOST", &format!("{host:?}{advice}"));
            let found = match Shard::parse(text, || Some(host.to_owned())) {
                Ok(shard) => shard.to_string(),
                Err(message) => message,
            };
            assert_eq!(found, expected, "{row}");
        }
        assert_eq!(
            Shard::parse("auto/3", || None),
            Err("requires the name of a StatefulSet's pod; set POD_NAME, or use 0/3".to_owned())
        );
    }
}
