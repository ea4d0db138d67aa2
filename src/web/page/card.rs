//! One account on the page.

use std::fmt::{self, Display};

use crate::clock::Timestamps;
use crate::session::expire_unit::UnitStatus;
use crate::session::rules::Rule;
use crate::session::safety_type::{SafetyNames, SafetyType};
use crate::session::summary::{SessionDetail, Summary};
use crate::status::{AccountStatus, LoginBlock};
use crate::tradernet::Error;
use crate::web::health::State;
use crate::web::html::{Escaped, Span};

/// Further single sessions on the page; the JSON has more.
const MOST_SESSIONS: usize = 10;
/// Sessions that break a rule and are shown without a touch.
const MOST_BREAKERS: usize = 3;
/// What a bar shows when full, unless a session lives longer: sessions are opened for a day.
const FULL_BAR_MS: f64 = 86_400_000.0;
/// The part of a bar under which it changes colour.
const LOW: f64 = 0.1;

pub(super) struct Card<'a> {
    pub(super) state: State,
    pub(super) status: &'a AccountStatus,
    pub(super) names: &'a SafetyNames,
    pub(super) now: Timestamps,
}

impl Display for Card<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let view = self.status.fresh_view(self.now);
        writeln!(
            f,
            "<li class=\"card s-{name}\">\n<div class=\"head\"><h2><bdi>{account}</bdi></h2>\
             <p class=\"state\"><span aria-hidden=\"true\">{symbol}</span> {words}</p></div>",
            name = self.state.name(),
            account = Escaped(&self.status.account),
            symbol = self.state.symbol(),
            words = self.state.words(),
        )?;
        match view {
            Some(view) => self.sessions(f, view)?,
            None => self.no_sessions(f)?,
        }
        self.trouble(f)?;
        if let Some(view) = view {
            self.details(f, view)?;
        }
        self.polls(f)?;
        f.write_str("</li>\n")
    }
}

impl Card<'_> {
    fn sessions(&self, f: &mut fmt::Formatter<'_>, view: &Summary) -> fmt::Result {
        let words = match view.open {
            0 => "no session is open",
            1 => "session open",
            _ => "sessions open",
        };
        writeln!(f, "<p class=\"open\"><b>{}</b> {words}</p>", view.open)?;
        f.write_str("<ul class=\"types\" aria-label=\"Open sessions by type\">")?;
        for (safety_type, open) in &view.by_safety_type {
            let class = if *open == 0 { " class=\"zero\"" } else { "" };
            write!(
                f,
                "<li{class}>{} <b>{open}</b></li>",
                Type(*safety_type, self.names)
            )?;
        }
        f.write_str("</ul>\n")?;
        for (rule, count) in view.violating.iter().filter(|(_, count)| *count > 0) {
            writeln!(
                f,
                "<p class=\"broken\"><b>{count}</b> {} <code>{}</code></p>",
                broken(*rule),
                rule.name()
            )?;
        }
        self.time_left(f, view)?;
        if view.undecodable > 0 {
            writeln!(
                f,
                "<p class=\"note\">{} more in the answer could not be read and are left out.</p>",
                view.undecodable
            )?;
        }
        Ok(())
    }

    fn time_left(&self, f: &mut fmt::Formatter<'_>, view: &Summary) -> fmt::Result {
        if view.open == 0 {
            return Ok(());
        }
        let Some(at) = view.expiry.and_then(|expiry| expiry.expires_at_ms) else {
            return f.write_str("<p class=\"note\">Time left unknown: it cannot be read.</p>\n");
        };
        let longest = view.max_lifetime_ms.unwrap_or_default();
        let full = longest
            .max(at.max - view.received_at.wall_ms)
            .max(FULL_BAR_MS);
        if view.open - view.expire_unknown.min(view.open) > 1 {
            self.bar(f, "First ends", at.min, full)?;
            self.bar(f, "Last ends", at.max, full)?;
        } else {
            self.bar(f, "Ends", at.max, full)?;
        }
        if view.expire_unknown > 0 {
            writeln!(
                f,
                "<p class=\"note\">{} without an end that can be read.</p>",
                view.expire_unknown
            )?;
        }
        let UnitStatus { unit, confirmed } = self.status.unit;
        if !confirmed {
            writeln!(
                f,
                "<p class=\"note\">Time left is not confirmed: read as {} until two pairs of answers settle the unit.</p>",
                unit.name()
            )?;
        }
        Ok(())
    }

    fn bar(&self, f: &mut fmt::Formatter<'_>, what: &str, at_ms: f64, full_ms: f64) -> fmt::Result {
        let left = at_ms - self.now.wall_ms;
        let part = (left / full_ms).clamp(0.0, 1.0);
        // The words say it all: the bar is for whoever looks from afar.
        writeln!(
            f,
            "<div class=\"left\"><p>{what} {} <span class=\"when\">{}</span></p>\
             <svg class=\"bar\" aria-hidden=\"true\"><rect class=\"{}\" data-left=\"{left:.0}\" \
             data-full=\"{full_ms:.0}\" width=\"{:.2}%\" height=\"100%\"/></svg></div>",
            Left(left),
            Clock::minutes(at_ms),
            if part < LOW { "low" } else { "" },
            part * 100.0,
        )
    }

    fn no_sessions(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<p class=\"open unknown\"><b>?</b> sessions unknown</p>\n<p class=\"note\">")?;
        match self.status.view.as_ref().map(|view| view.received_at) {
            Some(arrival) => write!(
                f,
                "The last answer came {} and is too old to be believed.",
                Ago(self.now, arrival)
            ),
            None => f.write_str("There has been no answer yet."),
        }?;
        f.write_str("</p>\n")
    }

    fn trouble(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let attempt = self.status.last_attempt.as_ref();
        if let Some(failure) = attempt.and_then(|attempt| attempt.failure.as_ref()) {
            self.failure(f, failure)?;
        } else if let Some(past) = &self.status.last_failure {
            writeln!(
                f,
                "<p class=\"note past\">Last failed {}: {}.</p>",
                Ago(self.now, past.at),
                Escaped(&past.error.to_string()),
            )?;
        }
        match self.status.login_blocked {
            None => Ok(()),
            Some(LoginBlock::Refused) => {
                f.write_str("<p class=\"note\">No login is tried: the last one was refused.</p>\n")
            }
            Some(LoginBlock::TooMany) => f.write_str(
                "<p class=\"note\">No login is tried: there were three within 15 minutes.</p>\n",
            ),
        }
    }

    fn failure(&self, f: &mut fmt::Formatter<'_>, error: &Error) -> fmt::Result {
        writeln!(
            f,
            "<div class=\"failure\"><p><b>Last poll failed</b> <code>{}</code><br>{}.</p>\
             <p><b>What to do</b><br>{}.</p></div>",
            error.reason().name(),
            Sentence(&error.to_string()),
            Sentence(error.advice()),
        )
    }

    /// Rule-breakers are shown at once, as far as there is room; the rest is a touch away.
    fn details(&self, f: &mut fmt::Formatter<'_>, view: &Summary) -> fmt::Result {
        let breaking = view
            .details
            .iter()
            .take_while(|detail| !detail.violated_rules.is_empty());
        let shown = breaking.take(MOST_BREAKERS).count();
        if shown > 0 {
            self.list(f, view.details.iter().take(shown))?;
        }
        let hidden = view.details.len().saturating_sub(shown);
        if hidden == 0 {
            return Ok(());
        }
        let (which, account) = (
            if shown > 0 {
                "Other sessions"
            } else {
                "Sessions"
            },
            Escaped(&self.status.account),
        );
        writeln!(
            f,
            "<details data-account=\"{account}\"><summary>{which} one by one</summary>"
        )?;
        self.list(f, view.details.iter().skip(shown).take(MOST_SESSIONS))?;
        if view.open > (shown + MOST_SESSIONS) as u64 {
            writeln!(
                f,
                "<p class=\"note\">{} of {} are shown; more are in the <a href=\"./api/v1/accounts\">JSON</a>.</p>",
                shown + MOST_SESSIONS,
                view.open
            )?;
        }
        f.write_str("</details>\n")
    }

    fn list<'d>(
        &self,
        f: &mut fmt::Formatter<'_>,
        details: impl Iterator<Item = &'d SessionDetail>,
    ) -> fmt::Result {
        f.write_str("<ul class=\"single\">\n")?;
        for detail in details {
            self.detail(f, detail)?;
        }
        f.write_str("</ul>\n")
    }

    fn detail(&self, f: &mut fmt::Formatter<'_>, detail: &SessionDetail) -> fmt::Result {
        write!(
            f,
            "<li><b>{}</b> {}",
            detail.id,
            Type(detail.safety_type, self.names)
        )?;
        if let Some(login) = &detail.user_login {
            write!(f, ", <bdi>{}</bdi>", Escaped(login))?;
        }
        if let Some(client) = &detail.client {
            write!(f, ", from <bdi>{}</bdi>", Escaped(client))?;
        }
        match detail.expires_at_ms {
            Some(at) => write!(f, ", ends {}", Left(at - self.now.wall_ms))?,
            None => f.write_str(", end unknown")?,
        }
        for rule in &detail.violated_rules {
            write!(
                f,
                " <span class=\"breaks\">breaks <code>{}</code></span>",
                rule.name()
            )?;
        }
        f.write_str("</li>\n")
    }

    fn polls(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let transport = self.status.transport.name();
        let interval = Span::from_ms(self.status.interval.as_secs_f64() * 1000.0);
        f.write_str("<p class=\"polls\">")?;
        match &self.status.last_attempt {
            None => f.write_str("Not asked yet")?,
            Some(attempt) => {
                let took = attempt.duration.as_secs_f64();
                write!(
                    f,
                    "Last poll {}, took {took:.2} s",
                    Ago(self.now, attempt.at)
                )?;
                match self.status.last_success {
                    _ if attempt.failure.is_none() => {}
                    Some(at) => write!(f, "; last good one {}", Ago(self.now, at))?,
                    None => f.write_str("; none was good so far")?,
                }
            }
        }
        match self.status.stream {
            None => writeln!(f, ". Every {interval} over {transport}.</p>"),
            Some(stream) => {
                let state = if stream.connected {
                    "connected"
                } else {
                    "not connected"
                };
                writeln!(
                    f,
                    ". Pushed over {transport}, {state}; asked for every {interval}.</p>"
                )
            }
        }
    }
}

/// What breaks a rule, after its number.
fn broken(rule: Rule) -> &'static str {
    match rule {
        Rule::ClientIp => "from an address that is not allowed",
        Rule::SafetyType => "of a type that is not allowed",
        Rule::Login => "for a login that is not allowed",
        Rule::Lifetime => "living longer than allowed",
        Rule::MaxSessions => "more than allowed",
        Rule::MinSessions => "fewer than expected",
    }
}

/// A safety type as people call it.
struct Type<'a>(SafetyType, &'a SafetyNames);

impl Display for Type<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0, self.1.name(self.0)) {
            (SafetyType::None, _) => f.write_str("no type"),
            (SafetyType::Other, _) => f.write_str("other types"),
            (id, "unknown") => write!(f, "type {id}"),
            (_, name) => Escaped(name).fmt(f),
        }
    }
}

/// Time left in milliseconds; the script counts it down.
struct Left(f64);

impl Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0;
        write!(f, "<span class=\"time\" data-left=\"{ms:.0}\">")?;
        // The clock closes nothing: only an answer without the session does.
        if ms > 0.0 {
            write!(f, "in {}", Span::from_ms(ms))?;
        } else {
            f.write_str("now: the next answer tells")?;
        }
        f.write_str("</span>")
    }
}

/// How long ago something was; the script counts it up.
struct Ago(Timestamps, Timestamps);

impl Display for Ago {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0.age_of(self.1).as_secs_f64() * 1000.0;
        write!(
            f,
            "<span class=\"time\" data-ago=\"{ms:.0}\">{} ago</span>",
            Span::from_ms(ms)
        )
    }
}

/// A point in time by the clock, in UTC; the script shows it in the reader's zone.
pub(super) struct Clock {
    at: Option<jiff::Timestamp>,
    format: &'static str,
    part: &'static str,
}

impl Clock {
    /// With the day, to the minute.
    pub(super) fn minutes(ms: f64) -> Self {
        Self::new(ms, "%a %H:%M", "minutes")
    }

    /// To the second.
    pub(super) fn seconds(ms: f64) -> Self {
        Self::new(ms, "%H:%M:%S", "seconds")
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "`as` saturates, and what saturates is no timestamp"
    )]
    fn new(ms: f64, format: &'static str, part: &'static str) -> Self {
        Self {
            at: jiff::Timestamp::from_millisecond(ms as i64).ok(),
            format,
            part,
        }
    }
}

impl Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(at) = self.at else {
            return f.write_str("in the far future");
        };
        write!(
            f,
            "<time datetime=\"{at}\" data-clock=\"{}\">{} UTC</time>",
            self.part,
            at.strftime(self.format)
        )
    }
}

/// Words that begin in lower case and end without a stop, as a sentence without the stop.
struct Sentence<'a>(&'a str);

impl Display for Sentence<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut characters = self.0.chars();
        // Names such as TRADERNET_URL are in capitals already.
        if let Some(first) = characters.next() {
            Escaped(first.to_uppercase()).fmt(f)?;
        }
        Escaped(characters.as_str()).fmt(f)
    }
}
