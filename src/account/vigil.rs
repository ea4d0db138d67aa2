//! When a standing stream is pinged, asked, and given up: pure, its clock is an argument.
//!
//! Pings go out at a steady beat, whatever else is said: a half-open connection looks like a quiet
//! one, and a socket.io server hangs up on a client that does not ping. Whether a second request
//! for the list is answered is not documented, so one that is not is followed by a ping of its own
//! rather than taken for a failure.

use std::time::Duration;

use tokio::time::Instant;

/// Time between pings. With [`PATIENCE`] a dead connection is noticed within 20 s.
const BEAT: Duration = Duration::from_secs(10);
/// How long a ping waits for any sign of life.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// Unanswered requests in a row after which no other is made on that connection.
const MOST_UNANSWERED: u8 = 3;
/// A list is asked for no more often than this, whatever its sessions' ends say.
const LEAST_BETWEEN_REQUESTS: Duration = Duration::from_secs(5);

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Send a ping.
    Ping,
    /// Ask for the list.
    Ask,
    /// Give the connection up.
    Dead,
}

/// A request under way.
#[derive(Debug)]
struct Request {
    sent: Instant,
    /// Until when the list may come, and then a pong.
    until: Instant,
    pinged: bool,
}

/// One connection's rhythm.
#[derive(Debug)]
pub(super) struct Vigil {
    beat: Duration,
    next_ping: Instant,
    /// Set while a ping waits for a sign of life.
    dead_at: Option<Instant>,
    last_request: Instant,
    next_request: Instant,
    request: Option<Request>,
    unanswered: u8,
}

impl Vigil {
    /// A connection whose first list has just come. `wanted` is the beat that the server asked for.
    pub(super) fn new(now: Instant, interval: Duration, wanted: Option<Duration>) -> Self {
        let beat = wanted.unwrap_or(BEAT).min(BEAT);
        Self {
            beat,
            next_ping: now + beat,
            dead_at: None,
            last_request: now,
            next_request: now + interval,
            request: None,
            unanswered: 0,
        }
    }

    /// When [`Self::step`] has something to say.
    pub(super) fn due(&self) -> Instant {
        let mut due = self.next_ping;
        if let Some(dead_at) = self.dead_at {
            due = due.min(dead_at);
        }
        match &self.request {
            Some(request) => due.min(request.until),
            None if self.may_ask() => due.min(self.next_request),
            None => due,
        }
    }

    /// What is to be done now; asked again until there is nothing.
    pub(super) fn step(
        &mut self,
        now: Instant,
        interval: Duration,
        timeout: Duration,
    ) -> Option<Step> {
        if self.dead_at.is_some_and(|dead_at| dead_at <= now) {
            return Some(Step::Dead);
        }
        if let Some(request) = &mut self.request
            && request.until <= now
        {
            if request.pinged {
                return Some(Step::Dead);
            }
            request.pinged = true;
            request.until = now + PATIENCE;
            return Some(self.ping(now));
        }
        if self.next_ping <= now {
            return Some(self.ping(now));
        }
        if self.may_ask() && self.next_request <= now {
            self.last_request = now;
            self.next_request = now + interval;
            self.request = Some(Request {
                sent: now,
                until: now + timeout,
                pinged: false,
            });
            return Some(Step::Ask);
        }
        None
    }

    fn ping(&mut self, now: Instant) -> Step {
        self.next_ping = now + self.beat;
        self.dead_at.get_or_insert(now + PATIENCE);
        Step::Ping
    }

    /// Whether another request may be made.
    pub(super) fn may_ask(&self) -> bool {
        self.request.is_none() && self.unanswered < MOST_UNANSWERED
    }

    /// Requests are this far apart from now on.
    pub(super) fn set_interval(&mut self, interval: Duration) {
        self.next_request = self.last_request + interval;
    }

    /// Brings the next request forward, within bounds.
    pub(super) fn ask_by(&mut self, at: Instant) {
        let earliest = self.last_request + LEAST_BETWEEN_REQUESTS;
        self.next_request = self.next_request.min(at.max(earliest));
    }

    /// An operator asks: at once, and once more where requests have stopped.
    pub(super) fn ask_now(&mut self, now: Instant) {
        self.unanswered = self.unanswered.min(MOST_UNANSWERED - 1);
        self.next_request = now;
    }

    /// Whether a request is under way.
    pub(super) fn is_asking(&self) -> bool {
        self.request.is_some()
    }

    /// A frame came, whatever it says.
    pub(super) fn heard(&mut self) {
        self.dead_at = None;
    }

    /// The list came; how long it took, where it was asked for.
    pub(super) fn list(&mut self, now: Instant) -> Option<Duration> {
        // Where requests have stopped this is a push, and no reason to start again.
        if self.unanswered < MOST_UNANSWERED {
            self.unanswered = 0;
        }
        let request = self.request.take()?;
        Some(now.duration_since(request.sent))
    }

    /// Something else came in the list's place: an answer, if a bad one.
    pub(super) fn no_list(&mut self, now: Instant) -> Option<Duration> {
        let request = self.request.take()?;
        Some(now.duration_since(request.sent))
    }

    /// A pong came; how long the request took that it clears, where it clears one.
    pub(super) fn pong(&mut self, now: Instant) -> Option<Duration> {
        let request = self.request.take_if(|request| request.pinged)?;
        self.unanswered += 1;
        Some(now.duration_since(request.sent))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(30);
    const TIMEOUT: Duration = Duration::from_secs(5);

    struct Bench {
        start: Instant,
        vigil: Vigil,
    }

    impl Bench {
        fn new(wanted: Option<Duration>) -> Self {
            let start = Instant::now();
            Self {
                start,
                vigil: Vigil::new(start, INTERVAL, wanted),
            }
        }

        fn at(&self, seconds: u64) -> Instant {
            self.start + Duration::from_secs(seconds)
        }

        fn step(&mut self, seconds: u64) -> Option<Step> {
            let now = self.at(seconds);
            self.vigil.step(now, INTERVAL, TIMEOUT)
        }

        /// Steps at the second at which one is due, and says which it is.
        fn next(&mut self) -> (u64, Step) {
            let due = self.vigil.due().duration_since(self.start).as_secs();
            (due, self.step(due).unwrap())
        }

        /// A server that answers every ping, until the next step that is no ping.
        fn next_but_beats(&mut self) -> (u64, Step) {
            loop {
                let (second, step) = self.next();
                if step != Step::Ping {
                    return (second, step);
                }
                self.vigil.heard();
                let now = self.at(second);
                assert_eq!(self.vigil.pong(now), None);
            }
        }
    }

    #[test]
    fn a_connection_that_says_nothing_is_dead_within_thirty_seconds() {
        let mut bench = Bench::new(None);
        assert_eq!(bench.next(), (10, Step::Ping));
        assert_eq!(bench.next(), (20, Step::Dead));
    }

    #[test]
    fn one_that_died_just_after_a_pong_is_noticed_as_soon() {
        let mut bench = Bench::new(None);
        assert_eq!(bench.next(), (10, Step::Ping));
        bench.vigil.heard();
        assert_eq!(bench.next(), (20, Step::Ping));
        assert_eq!(bench.next(), (30, Step::Dead));
    }

    #[test]
    fn any_frame_is_a_sign_of_life() {
        let mut bench = Bench::new(None);
        for second in [10, 20] {
            assert_eq!(bench.next(), (second, Step::Ping));
            bench.vigil.heard();
        }
        assert_eq!(bench.next().1, Step::Ping);
    }

    #[test]
    fn a_server_that_wants_to_be_pinged_more_often_is() {
        let mut bench = Bench::new(Some(Duration::from_secs(4)));
        assert_eq!(bench.next(), (4, Step::Ping));
        let mut bench = Bench::new(Some(Duration::from_secs(25)));
        assert_eq!(bench.next(), (10, Step::Ping));
    }

    #[test]
    fn the_list_is_asked_for_at_the_interval() {
        let mut bench = Bench::new(None);
        for second in [30, 60, 90, 120, 150] {
            assert_eq!(bench.next_but_beats(), (second, Step::Ask));
            let now = bench.at(second + 2);
            assert_eq!(bench.vigil.list(now), Some(Duration::from_secs(2)));
        }
    }

    #[test]
    fn three_unanswered_requests_in_a_row_are_the_last_on_a_connection() {
        let mut bench = Bench::new(None);
        for second in [30, 60, 90] {
            assert_eq!(bench.next_but_beats(), (second, Step::Ask));
            assert_eq!(bench.next(), (second + 5, Step::Ping));
            bench.vigil.heard();
            let now = bench.at(second + 6);
            assert_eq!(bench.vigil.pong(now), Some(Duration::from_secs(6)));
        }
        for _ in 0..100 {
            let (second, step) = bench.next();
            assert_eq!(step, Step::Ping);
            bench.vigil.heard();
            let now = bench.at(second);
            assert_eq!(bench.vigil.list(now), None, "a push");
        }
    }

    #[test]
    fn an_operator_may_ask_once_more() {
        let mut bench = Bench::new(None);
        bench.vigil.unanswered = MOST_UNANSWERED;
        let now = bench.at(7);
        bench.vigil.ask_now(now);
        assert_eq!(bench.next(), (7, Step::Ask));
        assert_eq!(bench.next(), (10, Step::Ping));
        bench.vigil.heard();
        assert_eq!(bench.next(), (12, Step::Ping));
        bench.vigil.heard();
        assert!(bench.vigil.pong(bench.at(12)).is_some());
        assert!(!bench.vigil.may_ask());
    }

    #[test]
    fn a_list_between_them_starts_the_count_again() {
        let mut bench = Bench::new(None);
        for _ in 0..10 {
            for _ in 0..2 {
                let (second, step) = bench.next_but_beats();
                assert_eq!(step, Step::Ask);
                assert_eq!(bench.next(), (second + 5, Step::Ping));
                bench.vigil.heard();
                let now = bench.at(second + 5);
                assert!(bench.vigil.pong(now).is_some());
            }
            let now = bench.at(bench.vigil.due().duration_since(bench.start).as_secs());
            assert_eq!(bench.vigil.list(now), None, "a push");
        }
    }

    #[test]
    fn a_request_with_neither_list_nor_pong_ends_the_connection() {
        let mut bench = Bench::new(None);
        assert_eq!(bench.next_but_beats(), (30, Step::Ask));
        assert_eq!(bench.next(), (35, Step::Ping));
        // Other frames do not make up for the pong.
        bench.vigil.heard();
        assert_eq!(bench.next(), (45, Step::Dead));
    }

    #[test]
    fn an_ends_request_is_brought_forward_and_bounded() {
        let mut bench = Bench::new(None);
        bench.vigil.ask_by(bench.at(1));
        assert_eq!(bench.next(), (5, Step::Ask));
        let now = bench.at(5);
        bench.vigil.list(now);
        bench.vigil.ask_by(bench.at(100));
        assert_eq!(bench.next_but_beats(), (35, Step::Ask));
    }
}
