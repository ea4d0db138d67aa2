//! When an account is attempted next: pure, with the time and the random numbers as arguments.

use std::time::Duration;

use tokio::time::Instant;

use crate::tradernet::MAX_RETRY_AFTER;

/// The random part of a back-off grows no further.
const MAX_RANDOM_PART: Duration = Duration::from_secs(5 * 60);

/// One account's next attempt, and what it depends on.
#[derive(Debug)]
pub(super) struct Schedule {
    next: Instant,
    last_attempt: Instant,
    /// Failed attempts in a row.
    failures: u32,
    /// The end of the pause that the server requested; earlier than the last attempt without one.
    not_before: Instant,
    /// An operator requested a retry that has not been made.
    retry_requested: bool,
    /// No retry that an operator requests comes earlier.
    next_retry: Instant,
}

impl Schedule {
    pub(super) fn starting_at(first: Instant) -> Self {
        Self {
            next: first,
            last_attempt: first,
            failures: 0,
            not_before: first,
            retry_requested: false,
            next_retry: first,
        }
    }

    /// When the next attempt is due.
    pub(super) fn next(&self) -> Instant {
        let retry = self.retry_due().unwrap_or(self.next);
        self.next.min(retry)
    }

    /// Failed attempts in a row.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// After a success that took `duration`, the next attempt comes one interval after its start.
    pub(super) fn succeeded(&mut self, now: Instant, interval: Duration, duration: Duration) {
        self.failures = 0;
        self.last_attempt = now;
        self.not_before = now;
        self.next = now + interval.saturating_sub(duration);
    }

    /// After the `n`-th failure in a row, counted from 0, the next attempt comes after the interval
    /// and the share `random` (0 to 1) of min(interval × 2ⁿ, 5 min), and not before `retry_after`,
    /// of which at most an hour counts.
    pub(super) fn failed(
        &mut self,
        now: Instant,
        interval: Duration,
        retry_after: Option<Duration>,
        random: f64,
    ) {
        let random_part = interval
            .saturating_mul(1 << self.failures.min(31))
            .min(MAX_RANDOM_PART)
            .mul_f64(random);
        self.failures = self.failures.saturating_add(1);
        self.last_attempt = now;
        self.not_before = now + retry_after.unwrap_or_default().min(MAX_RETRY_AFTER);
        self.next = self.not_before.max(now + interval + random_part);
    }

    /// The next attempt comes within one interval, at a random point, but not sooner after the last
    /// attempt than a successful account's: the host answers other accounts again, or the interval
    /// has become shorter.
    pub(super) fn within_interval(&mut self, now: Instant, interval: Duration, random: f64) {
        let point = now + interval.mul_f64(random);
        self.bring_forward(point.max(self.last_attempt + interval));
    }

    /// The next attempt comes as soon as the server allows.
    pub(super) fn attempt_now(&mut self, now: Instant) {
        self.bring_forward(now);
    }

    fn bring_forward(&mut self, at: Instant) {
        self.next = self.next.min(at).max(self.not_before);
    }

    /// An operator requests a retry: it comes as soon as the server and [`Self::take_retry`] allow.
    pub(super) fn request_retry(&mut self) {
        self.retry_requested = true;
    }

    /// When the retry that an operator requested is due.
    pub(super) fn retry_due(&self) -> Option<Instant> {
        let due = self.next_retry.max(self.not_before);
        self.retry_requested.then_some(due)
    }

    /// Whether the attempt that begins now is a retry that an operator requested. Such retries are
    /// at least `min_interval` apart.
    pub(super) fn take_retry(&mut self, now: Instant, min_interval: Duration) -> bool {
        let is_due = self.retry_due().is_some_and(|due| due <= now);
        if is_due {
            self.retry_requested = false;
            self.next_retry = now + min_interval;
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const INTERVAL: Duration = seconds(30);

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// The pause after so many failures in a row.
    fn pause(failures: u32, retry_after: Option<Duration>, random: f64) -> Duration {
        let now = Instant::now();
        let mut schedule = Schedule::starting_at(now);
        for _ in 0..failures {
            schedule.failed(now, INTERVAL, retry_after, random);
        }
        schedule.next() - now
    }

    #[test]
    fn the_random_part_doubles_up_to_five_minutes() {
        for (failures, longest) in [(1, 60), (2, 90), (4, 30 + 240), (5, 330), (100, 330)] {
            assert_eq!(pause(failures, None, 1.0), seconds(longest), "{failures}");
            assert_eq!(pause(failures, None, 0.0), INTERVAL, "{failures}");
        }
    }

    proptest! {
        #[test]
        fn back_off_is_within_its_bounds(
            interval in 1..7200_u64,
            failures in prop::collection::vec((prop::option::of(0..10_000_u64), 0.0..=1.0_f64), 1..40),
        ) {
            let (now, interval) = (Instant::now(), seconds(interval));
            let mut schedule = Schedule::starting_at(now);
            for (n, (retry_after, random)) in (0..).zip(failures) {
                let retry_after = retry_after.map(seconds);
                schedule.failed(now, interval, retry_after, random);
                let pause = schedule.next() - now;
                let pause_of_server = retry_after.unwrap_or_default().min(MAX_RETRY_AFTER);
                let longest = interval + MAX_RANDOM_PART.min(interval.saturating_mul(2_u32.saturating_pow(n)));
                prop_assert!(pause >= interval.max(pause_of_server), "{:?}", pause);
                prop_assert!(pause <= longest.max(pause_of_server), "{:?}", pause);
                prop_assert_eq!(schedule.failures(), n + 1);
            }
            schedule.succeeded(now, interval, Duration::ZERO);
            prop_assert_eq!(schedule.next() - now, interval);
        }
    }

    #[test]
    fn a_success_ends_the_back_off_and_keeps_the_interval() {
        let now = Instant::now();
        let mut schedule = Schedule::starting_at(now);
        schedule.failed(now, INTERVAL, Some(seconds(600)), 1.0);
        schedule.succeeded(now, INTERVAL, seconds(9));
        assert_eq!(schedule.next(), now + seconds(21));
        schedule.succeeded(now, INTERVAL, seconds(31));
        assert_eq!(schedule.next(), now);
        assert_eq!(schedule.failures(), 0);
    }

    #[test]
    fn recovered_host_is_polled_within_one_interval() {
        let start = Instant::now();
        let recovered = |after: u64, retry_after, random| {
            let mut schedule = Schedule::starting_at(start);
            (0..9).for_each(|_| schedule.failed(start, INTERVAL, retry_after, 1.0));
            schedule.within_interval(start + seconds(after), INTERVAL, random);
            schedule.next() - start
        };
        assert_eq!(recovered(100, None, 0.5), seconds(115));
        assert_eq!(recovered(100, None, 1.0), seconds(130));
        // Never sooner than an account that succeeds, nor later than it would have been.
        assert_eq!(recovered(1, None, 0.5), INTERVAL);
        assert_eq!(recovered(325, None, 1.0), seconds(330));
        assert_eq!(recovered(100, Some(seconds(600)), 0.5), seconds(600));
    }

    #[test]
    fn a_shorter_interval_applies_at_once_except_to_retry_after() {
        let now = Instant::now();
        let mut schedule = Schedule::starting_at(now);
        schedule.succeeded(now, seconds(3600), Duration::ZERO);
        let later = now + seconds(100);
        schedule.within_interval(later, INTERVAL, 0.5);
        assert_eq!(schedule.next(), later + seconds(15));
        schedule.within_interval(later, seconds(3600), 0.5);
        assert_eq!(schedule.next(), later + seconds(15));
        schedule.failed(now, seconds(3600), Some(seconds(600)), 0.0);
        schedule.within_interval(later, INTERVAL, 0.5);
        assert_eq!(schedule.next(), now + seconds(600));
    }

    #[test]
    fn an_operator_has_one_retry_in_five_seconds_and_none_before_retry_after() {
        const MIN_INTERVAL: Duration = seconds(5);
        let now = Instant::now();
        let mut schedule = Schedule::starting_at(now);
        schedule.failed(now, INTERVAL, None, 0.0);
        assert!(!schedule.take_retry(now, MIN_INTERVAL));
        schedule.request_retry();
        assert_eq!(schedule.next(), now);
        assert!(schedule.take_retry(now, MIN_INTERVAL));
        (0..200).for_each(|_| schedule.request_retry());
        assert_eq!(schedule.next(), now + MIN_INTERVAL);
        assert!(!schedule.take_retry(now + seconds(4), MIN_INTERVAL));
        assert!(schedule.take_retry(now + MIN_INTERVAL, MIN_INTERVAL));
        assert_eq!(schedule.next(), now + INTERVAL);

        schedule.failed(now, INTERVAL, Some(seconds(600)), 0.0);
        schedule.request_retry();
        schedule.attempt_now(now);
        assert_eq!(schedule.next(), now + seconds(600));
        assert!(!schedule.take_retry(now + seconds(599), MIN_INTERVAL));
    }
}
