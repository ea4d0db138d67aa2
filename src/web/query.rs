//! `?state=`, `?q=` and `?page=`: the part of the accounts that the page and the JSON show.

use form_urlencoded::{Serializer, byte_serialize, parse};

use super::health::AccountHealth;
use crate::text::printable;

/// Which accounts are shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Query {
    /// `?state=`: only accounts in this state.
    pub(super) state: Option<AccountHealth>,
    /// `?q=`: only accounts whose name contains this, in any case.
    pub(super) account: String,
    /// `?page=`: from 1.
    pub(super) page: usize,
}

impl Query {
    /// Reads a URL's query. Unknown parameters are ignored; an unknown state is an error with the
    /// known ones.
    pub(super) fn parse(query: &str) -> Result<Self, String> {
        let mut read = Self {
            page: 1,
            ..Self::default()
        };
        for (key, value) in parse(query.as_bytes()) {
            match &*key {
                "state" if !value.is_empty() => {
                    let of = |state: &AccountHealth| state.name() == value;
                    read.state = AccountHealth::ALL.into_iter().find(of);
                    if read.state.is_none() {
                        let known = AccountHealth::ALL.map(AccountHealth::name).join(", ");
                        return Err(format!("state must be one of {known}"));
                    }
                }
                "q" => read.account = printable(value.trim()),
                "page" => read.page = value.parse().unwrap_or(1),
                _ => {}
            }
        }
        Ok(read)
    }

    pub(super) fn matches(&self, state: AccountHealth, account: &str) -> bool {
        self.state.is_none_or(|wanted| wanted == state)
            && (self.account.is_empty()
                || account
                    .to_lowercase()
                    .contains(&self.account.to_lowercase()))
    }

    /// Whether accounts may be left out.
    pub(super) fn is_filter(&self) -> bool {
        self.state.is_some() || !self.account.is_empty()
    }

    /// The query of another state or page with the same search: empty, or from the question mark.
    pub(super) fn link(&self, state: Option<AccountHealth>, page: usize) -> String {
        let mut pairs = Serializer::new(String::new());
        if let Some(state) = state {
            pairs.append_pair("state", state.name());
        }
        if !self.account.is_empty() {
            pairs.append_pair("q", &self.account);
        }
        if page > 1 {
            pairs.append_pair("page", &page.to_string());
        }
        match pairs.finish() {
            query if query.is_empty() => query,
            query => format!("?{query}"),
        }
    }
}

/// A value in a URL's query.
pub(super) fn encoded(value: &str) -> String {
    byte_serialize(value.as_bytes()).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn parts_of_the_accounts_have_addresses() {
        let query = Query::parse("state=failing&q=Desk+1%2F%C3%BC&page=3&x=y").unwrap();
        assert_eq!(query.state, Some(AccountHealth::Failing));
        assert_eq!((query.account.as_str(), query.page), ("Desk 1/ü", 3));
        assert_eq!(
            query.link(query.state, 4),
            "?state=failing&q=Desk+1%2F%C3%BC&page=4"
        );
        assert_eq!(Query::default().link(None, 1), "");
        for (query, page) in [("", 1), ("page=x", 1), ("page=-1", 1), ("state=&q=", 1)] {
            let query = Query::parse(query).unwrap();
            assert!(!query.is_filter() && query.page == page, "{query:?}");
        }
    }

    #[test]
    fn search_has_no_control_characters() {
        let query = Query::parse("q=%00a%1b[31m").unwrap();
        assert_eq!(query.account, "\u{FFFD}a\u{FFFD}[31m");
    }

    #[test]
    fn search_ignores_case() {
        let query = Query::parse("q=ZÜRICH").unwrap();
        assert!(query.matches(AccountHealth::Ok, "desk-Zürich-1"));
        assert!(!query.matches(AccountHealth::Ok, "desk-1"));
    }

    #[test]
    fn unknown_state_is_an_error_with_the_known_ones() {
        assert_eq!(
            Query::parse("state=unknown").unwrap_err(),
            "state must be one of login_blocked, rule_broken, no_data, failing, expiring, \
             no_session, starting, ok"
        );
    }
}
