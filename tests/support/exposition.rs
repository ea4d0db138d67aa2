//! An exposition in text format 0.0.4, read strictly: what a lenient parser would pass over fails.

use std::collections::{BTreeMap, HashSet};

/// Name and labels, these in the order of their names.
type Series = (String, BTreeMap<String, String>);

/// A page of metrics.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Exposition {
    pub(crate) text: String,
    series: BTreeMap<Series, f64>,
}

impl Exposition {
    /// Fails at a duplicate series, at a sample without HELP and TYPE right before its family, and
    /// at a family in two places.
    pub(crate) fn parse(text: &str) -> Self {
        assert!(text.is_empty() || text.ends_with('\n'), "no final newline");
        let mut series = BTreeMap::new();
        let mut families = HashSet::new();
        let (mut family, mut help) = (String::new(), String::new());
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                help = rest.split(' ').next().unwrap().to_owned();
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                family = rest.split(' ').next().unwrap().to_owned();
                assert_eq!(family, help, "TYPE without its HELP");
                assert!(families.insert(family.clone()), "{family} stands twice");
            } else {
                let (name, labels, value) =
                    sample(line).unwrap_or_else(|| panic!("not a sample: {line:?}"));
                let suffix = name.strip_prefix(&family);
                assert!(
                    matches!(suffix, Some("" | "_bucket" | "_sum" | "_count")),
                    "{line:?} is outside of its family"
                );
                let before = series.insert((name, labels), value);
                assert_eq!(before, None, "the same series twice: {line:?}");
            }
        }
        let text = text.to_owned();
        Self { text, series }
    }

    /// The one series of this name that has these labels, among others.
    pub(crate) fn find(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let mut found = self.matching(name, labels);
        let (series, value) = found.next()?;
        if let Some((other, _)) = found.next() {
            panic!("{name} with {labels:?} is {series:?} and {other:?}");
        }
        Some(value)
    }

    /// The same; fails where there is none.
    pub(crate) fn get(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.find(name, labels)
            .unwrap_or_else(|| panic!("no {name} with {labels:?} in\n{}", self.text))
    }

    /// All series of this name that have these labels.
    pub(crate) fn matching<'a>(
        &'a self,
        name: &'a str,
        labels: &'a [(&'a str, &'a str)],
    ) -> impl Iterator<Item = (&'a BTreeMap<String, String>, f64)> {
        self.series
            .iter()
            .filter(move |((known, has), _)| {
                known == name
                    && labels
                        .iter()
                        .all(|(label, value)| has.get(*label).is_some_and(|has| has == value))
            })
            .map(|((_, labels), value)| (labels, *value))
    }

    /// Names of all series, each once.
    pub(crate) fn names(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.series.keys().map(|(name, _)| name.as_str()).collect();
        names.dedup();
        names
    }

    /// Names of the families that are absent without a fresh answer.
    pub(crate) fn session_gauges(&self) -> Vec<&str> {
        let counters = ["opened_total", "closed_total"];
        let mut names = self.names();
        names.retain(|name| {
            (name.starts_with("tradernet_security_session")
                || *name == "tradernet_sessions_undecodable")
                && !counters.iter().any(|counter| name.ends_with(counter))
        });
        names
    }

    /// How many series there are.
    pub(crate) fn len(&self) -> usize {
        self.series.len()
    }

    /// Failed attempts by reason, those that happened alone.
    pub(crate) fn failures(&self) -> BTreeMap<String, f64> {
        self.matching("tradernet_poll_failures_total", &[])
            .filter(|(_, count)| *count > 0.0)
            .map(|(labels, count)| (labels["reason"].clone(), count))
            .collect()
    }
}

/// `name{label="value",…} 1.5`; timestamps are none of ours.
fn sample(line: &str) -> Option<(String, BTreeMap<String, String>, f64)> {
    let (name, mut rest) = line.split_at(line.find(['{', ' '])?);
    let mut labels = BTreeMap::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            let (label, after) = rest.split_once("=\"")?;
            let (value, after) = quoted(after)?;
            let before = labels.insert(label.to_owned(), value);
            assert_eq!(before, None, "a label twice: {line:?}");
            match after.strip_prefix(',') {
                Some(more) => rest = more,
                None => {
                    rest = after.strip_prefix('}')?;
                    break;
                }
            }
        }
    }
    let value = rest.strip_prefix(' ')?.parse().ok()?;
    Some((name.to_owned(), labels, value))
}

/// A label's value up to its closing quote, and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, text.get(at + 1..)?)),
            '\\' => value.push(match chars.next()?.1 {
                'n' => '\n',
                c @ ('\\' | '"') => c,
                _ => return None,
            }),
            c => value.push(c),
        }
    }
    None
}
