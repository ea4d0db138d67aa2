//! How an account's streams behave, as a world is told. Plain values.

use std::time::Duration;

/// How an account's streams behave. The default is the vendor's page, and what its clients show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamOptions {
    /// Which requests for the list are answered. It is documented nowhere that a second one is.
    pub answered: Answered,
    /// Whether a change of the list is pushed to those who have asked for it.
    pub pushes: bool,
    /// Whether pings are answered: WebSocket's, and Engine.IO's.
    pub answers_pings: bool,
    /// The words that tell a client that its SID was not accepted.
    pub demo_words: DemoWords,
    /// Whether the list's frames have a third element.
    pub third_element: bool,
    /// Whether an event that nobody asked for follows each greeting and comes before each list.
    pub other_events: bool,
    /// Sends an event that nobody asked for whenever this time has passed.
    pub chatter: Option<Duration>,
    /// Which events socket.io takes requests by.
    pub forms: SocketIoForms,
    /// Whether socket.io offers to go on over a WebSocket after it began with polling.
    pub upgrades: bool,
    /// How often a client of socket.io is to ping.
    pub ping_interval: Duration,
    /// How much longer than that it may be silent before it is taken for gone.
    pub ping_timeout: Duration,
}

impl Default for StreamOptions {
    fn default() -> Self {
        Self {
            answered: Answered::Every,
            pushes: true,
            answers_pings: true,
            demo_words: DemoWords::Both,
            third_element: false,
            other_events: true,
            chatter: None,
            forms: SocketIoForms::Both,
            upgrades: true,
            ping_interval: Duration::from_secs(25),
            ping_timeout: Duration::from_secs(5),
        }
    }
}

/// Which requests for the list are answered on one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answered {
    /// Each.
    Every,
    /// The first alone: it subscribes, and more are ignored. Changes are pushed.
    First,
    /// None, although they subscribe: the first list comes with the first change.
    None,
}

/// How the greeting says that the SID was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DemoWords {
    /// `"mode":"demo"` and `"isDemo":true`
    Both,
    /// `"mode":"demo"`
    Mode,
    /// `"isDemo":true`
    IsDemo,
}

/// Which events socket.io takes requests for the list by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketIoForms {
    /// Both.
    Both,
    /// `sup_subscribe` alone.
    Subscribe,
    /// The older `notifySessions` alone.
    Older,
    /// Neither: every request is ignored.
    Neither,
}
