//! When a standing stream is pinged, asked, and given up: pure, its clock is an argument.
//!
//! Pings go out at a steady beat, whatever else is said: a half-open connection looks like a quiet
//! one, and a socket.io server hangs up on a client that does not ping. Whether a second request
//! for the list is answered is not documented, so one that is not is followed by a ping of its own
//! rather than taken for a failure.

use std::time::Duration;

use tokio::time::Instant;

/// Longest time between pings. With [`PATIENCE`] a dead connection is noticed within 20 s.
const BEAT: Duration = Duration::from_secs(10);
/// Pings within the time for which gauges are true without a confirmation: one may be late.
const BEATS_PER_MAX_AGE: u32 = 3;
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
    /// Give the connection up: it says nothing.
    Dead,
    /// Give the connection up: it lives, but neither list nor pong has come for so long that the
    /// gauges are not true any more, and no request is going to change that.
    Mute,
}

/// A request under way.
#[derive(Debug)]
struct Request {
    sent: Instant,
    /// Until when the list may come. After that a ping is sent, and this is the end of its wait.
    until: Instant,
    pinged: bool,
}

/// One connection's rhythm.
#[derive(Debug)]
pub(super) struct Vigil {
    /// The beat that the server asked for.
    wanted: Option<Duration>,
    beat: Duration,
    max_age: Duration,
    /// When the gauges were last known to be true.
    confirmed: Instant,
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
    pub(super) fn new(
        now: Instant,
        interval: Duration,
        max_age: Duration,
        wanted: Option<Duration>,
    ) -> Self {
        let beat = beat(interval, max_age, wanted);
        Self {
            wanted,
            beat,
            max_age,
            confirmed: now,
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
        if let Some(mute_at) = self.mute_at() {
            due = due.min(mute_at);
        }
        match &self.request {
            Some(request) if request.pinged => due,
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
        if self.mute_at().is_some_and(|mute_at| mute_at <= now) {
            return Some(Step::Mute);
        }
        if let Some(request) = &mut self.request
            && !request.pinged
            && request.until <= now
        {
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

    /// When the connection is of no more use, however much else it says. As long as requests are
    /// answered or others are to come, there is hope.
    fn mute_at(&self) -> Option<Instant> {
        let stale_at = self.confirmed + self.max_age;
        match &self.request {
            Some(request) => request.pinged.then(|| stale_at.max(request.until)),
            None => (!self.may_ask()).then_some(stale_at),
        }
    }

    /// Whether another request may be made.
    pub(super) fn may_ask(&self) -> bool {
        self.request.is_none() && self.unanswered < MOST_UNANSWERED
    }

    /// Requests are this far apart from now on, and gauges are true for so long.
    pub(super) fn set_times(&mut self, now: Instant, interval: Duration, max_age: Duration) {
        self.next_request = self.last_request + interval;
        self.max_age = max_age;
        self.beat = beat(interval, max_age, self.wanted);
        self.next_ping = self.next_ping.min(now + self.beat);
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

    /// The gauges are known to be true.
    pub(super) fn confirmed(&mut self, now: Instant) {
        self.confirmed = now;
    }

    /// The list came; how long it took, where it was asked for.
    pub(super) fn list(&mut self, now: Instant) -> Option<Duration> {
        self.confirmed(now);
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

/// Time between pings: a stream that is silent but whole never outlives `max_age`.
fn beat(interval: Duration, max_age: Duration, wanted: Option<Duration>) -> Duration {
    let beat = BEAT.min(interval).min(max_age / BEATS_PER_MAX_AGE);
    beat.min(wanted.unwrap_or(BEAT))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(30);
    const TIMEOUT: Duration = Duration::from_secs(5);
    const MAX_AGE: Duration = Duration::from_secs(90);

    struct Bench {
        start: Instant,
        vigil: Vigil,
    }

    impl Bench {
        fn new(wanted: Option<Duration>) -> Self {
            let start = Instant::now();
            Self {
                start,
                vigil: Vigil::new(start, INTERVAL, MAX_AGE, wanted),
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
                self.vigil.confirmed(now);
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
            bench.vigil.confirmed(now);
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
    fn a_request_and_then_silence_ends_the_connection() {
        let mut bench = Bench::new(None);
        assert_eq!(bench.next_but_beats(), (30, Step::Ask));
        assert_eq!(bench.next(), (35, Step::Ping));
        assert_eq!(bench.next(), (45, Step::Dead));
    }

    #[test]
    fn other_frames_are_life_but_confirm_nothing() {
        let mut bench = Bench::new(None);
        loop {
            let (second, step) = bench.next();
            match step {
                Step::Ping | Step::Ask => bench.vigil.heard(),
                Step::Dead => panic!("it lives"),
                Step::Mute => {
                    assert_eq!(second, 90);
                    break;
                }
            }
        }
        assert!(bench.vigil.is_asking());
    }

    #[test]
    fn a_late_pong_still_clears_the_request() {
        let mut bench = Bench::new(None);
        assert_eq!(bench.next_but_beats(), (30, Step::Ask));
        assert_eq!(bench.next(), (35, Step::Ping));
        bench.vigil.heard();
        assert_eq!(bench.next(), (45, Step::Ping));
        bench.vigil.heard();
        let now = bench.at(46);
        assert_eq!(bench.vigil.pong(now), Some(Duration::from_secs(16)));
        assert!(bench.vigil.may_ask());
    }

    #[test]
    fn the_beat_fits_the_time_for_which_gauges_are_true() {
        let seconds = Duration::from_secs;
        let minute = seconds(60);
        assert_eq!(beat(seconds(1), seconds(3), None), seconds(1));
        assert_eq!(beat(seconds(3), seconds(9), None), seconds(3));
        assert_eq!(beat(seconds(5), seconds(6), None), seconds(2));
        assert_eq!(beat(seconds(4), minute, None), seconds(4));
        assert_eq!(beat(minute, minute * 3, None), BEAT);
        assert_eq!(beat(minute, minute * 3, Some(seconds(4))), seconds(4));
        assert_eq!(beat(seconds(2), minute, Some(seconds(4))), seconds(2));
    }

    #[test]
    fn other_times_are_taken_up_at_once() {
        let mut bench = Bench::new(None);
        let (interval, max_age) = (Duration::from_secs(2), Duration::from_secs(6));
        bench.vigil.set_times(bench.at(0), interval, max_age);
        assert_eq!(bench.next(), (2, Step::Ping));
        assert_eq!(bench.next(), (2, Step::Ask));
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
