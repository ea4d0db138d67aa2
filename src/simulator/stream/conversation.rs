//! One connection's part of the talk: what to do on what is heard, and on what changes in the world.
//!
//! No socket and no waiting: it says what is to be done, and [`talk`](super::talk) does it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::sync::watch;

use super::super::auth;
use super::super::fault::{Fault, Kind};
use super::super::handles::Simulator;
use super::super::options::{ErrorEnvelope, ResponseShape};
use super::super::response::{Reply, Sent};
use super::super::session_list;
use super::attendance::Disconnect;
use super::dialect::{Form, Heard, StreamProtocol};
use super::spec::{Answered, StreamOptions};
use super::spoil;

/// Something to be done over the line.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Act {
    /// Say this.
    Say(String),
    /// Say a list of about so many bytes between these two texts; in one piece, or as it is made.
    SayLong {
        before: String,
        bytes: u64,
        after: &'static str,
        whole: bool,
    },
    /// Begin to say this.
    SayHalf(String),
    /// Answer as usual, after this time.
    AnswerAfter(Duration),
    /// End in this way.
    End(Disconnect),
}

/// A client policy violation, in WebSocket's words.
const NOT_ALLOWED: u16 = 1008;

/// One connection, from the server's side.
pub(super) struct Conversation {
    world: Simulator,
    dialect: StreamProtocol,
    sent: Sent,
    /// Whose connection it is; in demo mode that is known of a SID that was forgotten.
    account: Option<Arc<str>>,
    demo: bool,
    form: Option<Form>,
    /// The state of the account that the last list showed.
    shown: Option<u64>,
    opening: Option<Fault>,
    begins_with: Vec<String>,
}

/// The account as a connection sees it.
struct View {
    list: Bytes,
    generation: u64,
}

impl Conversation {
    /// A connection that carries this SID. The fault befalls its beginning.
    pub(super) fn new(
        world: &Simulator,
        dialect: StreamProtocol,
        sid: String,
        account: Option<Arc<str>>,
        opening: Option<Fault>,
    ) -> Self {
        let demo = matches!(opening, Some(Fault::DemoMode)) || world.login_of_sid(&sid).is_none();
        Self {
            world: world.clone(),
            dialect,
            sent: Sent {
                sid,
                ..Sent::default()
            },
            account,
            demo,
            form: None,
            shown: None,
            opening,
            begins_with: vec![],
        }
    }

    /// What the transport itself begins with comes before everything else.
    pub(super) fn begin_with(&mut self, texts: impl IntoIterator<Item = String>) {
        self.begins_with = texts.into_iter().collect();
    }

    pub(super) fn dialect(&self) -> StreamProtocol {
        self.dialect
    }

    /// The account's number that grows with every change.
    pub(super) fn watch(&self) -> Option<watch::Receiver<u64>> {
        Some(self.world.account(self.account.as_deref()?).changes())
    }

    /// How the account's streams behave now.
    pub(super) fn quirks(&self) -> StreamOptions {
        let state = self.world.state();
        let account = self.account.as_ref().and_then(|it| state.accounts.get(it));
        account
            .map(|account| account.options.stream.clone())
            .unwrap_or_default()
    }

    /// How long until the list changes by itself, where that is to be pushed.
    pub(super) fn until_expiry(&self) -> Option<Duration> {
        self.form.filter(|_| !self.demo)?;
        let end = self.world.account(self.account.as_deref()?).next_expiry()?;
        Some(end.duration_since(self.world.now()).unwrap_or_default())
    }

    /// What a connection begins with.
    pub(super) fn opened(&mut self) -> Vec<Act> {
        let quirks = self.quirks();
        let mut acts = match self.opening.take() {
            Some(fault) => match spoil::opening(fault) {
                Some(acts) => return self.echoed(acts),
                None => vec![],
            },
            None => vec![],
        };
        acts.extend(
            std::mem::take(&mut self.begins_with)
                .into_iter()
                .map(Act::Say),
        );
        let words = self.demo.then_some(quirks.demo_words);
        acts.extend(self.dialect.greeting(words).map(Act::Say));
        if quirks.other_events {
            acts.push(self.chatter());
        }
        acts
    }

    /// What a text brings about.
    pub(super) fn heard(&mut self, text: &str, log: impl FnOnce()) -> Vec<Act> {
        match self.dialect.read(text) {
            Heard::List {
                form,
                subscriber,
                acknowledge,
            } => {
                log();
                let mut acts = vec![];
                if let Some(number) = acknowledge {
                    acts.push(Act::Say(format!("43{number}[]")));
                }
                acts.extend(self.asked(form, subscriber.as_deref()));
                acts
            }
            Heard::Ping(_) if !self.quirks().answers_pings => vec![],
            Heard::Ping(payload) => vec![Act::Say(format!("3{payload}"))],
            Heard::Leave => vec![Act::End(Disconnect::Eof)],
            Heard::Other => vec![],
        }
    }

    /// What a change of the account brings about; nothing where the list has been shown since.
    pub(super) fn changed(&mut self) -> Vec<Act> {
        if self.demo {
            return vec![];
        }
        let Some(form) = self.form else {
            return if self.is_admitted() {
                vec![]
            } else {
                self.shut_out()
            };
        };
        let quirks = self.quirks();
        if !self.is_admitted() {
            return self.shut_out();
        }
        match self.view() {
            Some(view) if self.shown != Some(view.generation) && quirks.pushes => {
                self.show(view, form, &quirks)
            }
            _ => vec![],
        }
    }

    /// The usual answer to a request for the list.
    pub(super) fn answer(&mut self) -> Vec<Act> {
        if self.demo {
            // The newer stream keeps silent; of the legacy one the page says that an error comes first.
            return match self.dialect {
                StreamProtocol::Plain => vec![],
                StreamProtocol::SocketIo => vec![self.error(&auth::denied())],
            };
        }
        if !self.is_admitted() {
            return self.shut_out();
        }
        match (self.view(), self.form) {
            (Some(view), Some(form)) => self.show(view, form, &self.quirks()),
            _ => vec![],
        }
    }

    /// An event that nobody asked for.
    pub(super) fn chatter(&self) -> Act {
        Act::Say(self.dialect.other_event())
    }

    /// Texts from the world's owner.
    pub(super) fn told(&self, texts: Vec<String>) -> Vec<Act> {
        self.echoed(texts.into_iter().map(Act::Say).collect())
    }

    /// A refusal, as an act.
    pub(super) fn error(&self, envelope: &ErrorEnvelope) -> Act {
        let envelope = Reply::envelope(200, envelope, &self.sent).body;
        let envelope = String::from_utf8_lossy(&envelope);
        Act::Say(self.dialect.error(self.form, &envelope))
    }

    fn asked(&mut self, form: Form, subscriber: Option<&str>) -> Vec<Act> {
        let quirks = self.quirks();
        if !quirks.forms.offers(form) {
            return vec![];
        }
        let first = self.form.replace(form).is_none();
        let visit = self
            .account
            .as_ref()
            .and_then(|login| self.world.begin(login, Kind::StreamRequest { first }));
        if let Some(fault) = visit.and_then(|mut visit| visit.fault.take()) {
            let acts = self.spoilt(fault, form, &quirks);
            return self.echoed(acts);
        }
        if form != Form::Plain && self.is_somebody_else(subscriber) {
            return vec![self.error(&auth::denied())];
        }
        match quirks.answered {
            Answered::Every => self.answer(),
            Answered::First if first => self.answer(),
            Answered::First | Answered::None => vec![],
        }
    }

    fn spoilt(&mut self, fault: Fault, form: Form, quirks: &StreamOptions) -> Vec<Act> {
        match fault {
            Fault::RevokeSid => {
                // An account that has gone since has no SIDs either.
                if let Some(login) = &self.account {
                    self.world.account(login).revoke_sids();
                }
                self.answer()
            }
            Fault::DemoMode => {
                self.demo = true;
                let greeting = self.dialect.greeting(Some(quirks.demo_words));
                match greeting {
                    Some(greeting) => vec![Act::Say(greeting)],
                    None => vec![self.error(&auth::denied())],
                }
            }
            Fault::ErrorEnvelope { envelope, .. } => vec![self.error(&envelope)],
            fault => {
                let around = self.dialect.around(form, quirks.third_element);
                spoil::request(fault, around)
            }
        }
    }

    /// Another account of this world is nobody's to subscribe to. Of other names nothing is known.
    fn is_somebody_else(&self, subscriber: Option<&str>) -> bool {
        let subscriber = subscriber.filter(|login| Some(*login) != self.account.as_deref());
        subscriber.is_some_and(|login| self.world.state().accounts.contains_key(login))
    }

    fn is_admitted(&self) -> bool {
        self.world.login_of_sid(&self.sent.sid).is_some()
    }

    /// The SID was forgotten while the connection stood.
    fn shut_out(&self) -> Vec<Act> {
        vec![
            self.error(&auth::denied()),
            Act::End(Disconnect::Close(NOT_ALLOWED)),
        ]
    }

    fn show(&mut self, view: View, form: Form, quirks: &StreamOptions) -> Vec<Act> {
        self.shown = Some(view.generation);
        let (before, after) = self.dialect.around(form, quirks.third_element);
        let list = String::from_utf8_lossy(&view.list);
        let mut acts = vec![];
        if quirks.other_events {
            acts.push(self.chatter());
        }
        acts.push(Act::Say([before.as_str(), &list, after].concat()));
        acts
    }

    /// The list and what it shows, in one look: a change between the two would be missed, or shown twice.
    fn view(&self) -> Option<View> {
        let now: SystemTime = self.world.now();
        let mut state = self.world.state();
        let account = state.accounts.get_mut(self.account.as_ref()?)?;
        let mut quirks = account.options.clone();
        if self.dialect == StreamProtocol::SocketIo && quirks.shape == ResponseShape::BareArray {
            quirks.shape = ResponseShape::NullRes;
        }
        let list = session_list::body(account.open_sessions(now), &quirks, now);
        Some(View {
            list,
            generation: *account.generation.borrow(),
        })
    }

    fn echoed(&self, acts: Vec<Act>) -> Vec<Act> {
        let echo = |act| match act {
            Act::Say(text) => Act::Say(self.sent.echo(&text)),
            other => other,
        };
        acts.into_iter().map(echo).collect()
    }
}
