//! How many sessions were open since the start: few samples, however long that is.
//!
//! Pure: good answers in, samples out. A count is believed for as long as its answer is; whatever
//! no answer covers is unknown, and never 0. It knows no account and draws nothing.

use std::time::Duration;

use crate::clock::Timestamps;

/// Samples of one history, at most. When they are used up two become one and the step doubles, so
/// a history takes less than 2 KiB and always reaches back to its start.
const MOST_SAMPLES: usize = 64;
/// The first step, in microseconds: 5 s, so that there is something to see within a minute.
const FIRST_STEP_US: u64 = 5_000_000;
/// A wall clock that leaps so far ahead of the monotonic one was set, or the machine slept: a
/// history that went on over the leap would be nothing but the leap.
const LEAP: Duration = Duration::from_secs(24 * 3600);
/// The start by the wall clock is corrected only where it is this far off, so that it does not jitter.
const START_SLACK_MS: f64 = 1000.0;

/// The open count of one account since it was first attempted.
#[derive(Clone, Debug)]
pub struct History {
    /// The start by the wall clock, in milliseconds since the epoch.
    start_ms: f64,
    /// Up to where the samples reach.
    at: Timestamps,
    step_us: u64,
    /// Whole samples, the oldest first.
    done: Vec<Sample>,
    /// The one that goes on, and how long it is by now: always shorter than a step.
    current: Sample,
    current_us: u64,
    last: Option<Answer>,
}

/// The last good answer.
#[derive(Clone, Copy, Debug)]
struct Answer {
    at: Timestamps,
    open: u32,
    max_age: Duration,
}

/// What a history keeps of one step.
#[derive(Clone, Copy, Debug, Default)]
struct Sample {
    open: Option<(u32, u32)>,
    /// How much of the step answers cover.
    known_us: u64,
}

/// A history up to some moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Course {
    /// When it starts, in milliseconds since the epoch.
    pub start_ms: f64,
    /// What each stretch spans; the last one is not over yet.
    pub step: Duration,
    /// The oldest first.
    pub stretches: Vec<Stretch>,
}

/// One step of a course.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// Least and greatest open count; `None` where no answer that is believed covers any of it.
    pub open: Option<(u32, u32)>,
    /// How much of it no such answer covers.
    pub unknown: Duration,
}

impl History {
    /// Starts now, with nothing known.
    pub fn new(now: Timestamps) -> Self {
        Self {
            start_ms: now.wall_ms,
            at: now,
            step_us: FIRST_STEP_US,
            done: Vec::new(),
            current: Sample::default(),
            current_us: 0,
            last: None,
        }
    }

    /// Notes that `open` sessions were open at `at`, to be believed for `max_age`.
    pub fn note(&mut self, at: Timestamps, open: u64, max_age: Duration) {
        let wall = at.wall_since(self.at);
        if wall > at.monotonic_since(self.at) + LEAP {
            *self = Self::new(at);
        }
        self.advance(at);
        let open = u32::try_from(open).unwrap_or(u32::MAX);
        // An answer counts however short it holds.
        self.current.note(open);
        self.last = Some(Answer { at, open, max_age });
    }

    /// What is known up to `now`.
    pub fn until(&self, now: Timestamps) -> Course {
        let mut history = self.clone();
        history.advance(now);
        let stretch = |sample: &Sample, length_us: u64| Stretch {
            open: sample.open,
            unknown: Duration::from_micros(length_us.saturating_sub(sample.known_us)),
        };
        let done = history.done.iter();
        let mut stretches: Vec<_> = done.map(|done| stretch(done, history.step_us)).collect();
        if history.current_us > 0 || history.current.open.is_some() {
            stretches.push(stretch(&history.current, history.current_us));
        }
        Course {
            start_ms: history.start_ms,
            step: Duration::from_micros(history.step_us),
            stretches,
        }
    }

    /// Fills up to `now` with what the last answer said, and with nothing from where it grew too old.
    fn advance(&mut self, now: Timestamps) {
        let passed = micros(now.age_of(self.at));
        if passed == 0 {
            return;
        }
        let believed = self.last.map_or(0, |last| {
            let age = micros(self.at.age_of(last.at));
            micros(last.max_age).saturating_sub(age).min(passed)
        });
        self.fill(believed, self.last.map(|last| last.open));
        self.fill(passed - believed, None);
        self.at = now;
        let reach_us = self.step_us * self.done.len() as u64 + self.current_us;
        let start_ms = now.wall_ms - Duration::from_micros(reach_us).as_secs_f64() * 1000.0;
        if (start_ms - self.start_ms).abs() > START_SLACK_MS {
            self.start_ms = start_ms;
        }
    }

    fn fill(&mut self, mut left_us: u64, open: Option<u32>) {
        while left_us > 0 {
            let taken = left_us.min(self.step_us - self.current_us);
            if let Some(open) = open {
                self.current.note(open);
                self.current.known_us += taken;
            }
            self.current_us += taken;
            left_us -= taken;
            if self.current_us == self.step_us {
                self.next_sample();
            }
        }
    }

    fn next_sample(&mut self) {
        self.done.push(std::mem::take(&mut self.current));
        self.current_us = 0;
        if self.done.len() >= MOST_SAMPLES {
            self.done = self.done.chunks(2).map(Sample::both).collect();
            self.step_us *= 2;
        }
    }
}

impl Sample {
    fn note(&mut self, open: u32) {
        let (least, most) = self.open.unwrap_or((open, open));
        self.open = Some((least.min(open), most.max(open)));
    }

    fn both(samples: &[Self]) -> Self {
        let ranges = samples.iter().filter_map(|sample| sample.open);
        Self {
            open: ranges.reduce(|(least, most), (low, high)| (least.min(low), most.max(high))),
            known_us: samples.iter().map(|sample| sample.known_us).sum(),
        }
    }
}

/// A machine that runs for half a million years may be wrong about it.
fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX / 2)
}

#[cfg(test)]
mod tests;
