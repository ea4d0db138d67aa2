//! The page at `/metrics`: names, help and rendering of every metric.
//!
//! A scrape is a function of what is published of the accounts, of the exporter's own registry
//! and of the time. How data arrived, and how a page is sent, is not known here.

mod accounts;
mod exporter;
mod exposition;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Buf, Bytes};

use self::exporter::Own;
pub use self::exposition::Format;
use self::exposition::Page;
use crate::clock::{Clock, Timestamps};
use crate::session::safety_type::SafetyNames;
use crate::status::{AccountStatus, StatusStore, Transport};

/// How long the process's own numbers are shown before `/proc` is read again.
const OWN_KEPT_FOR: Duration = Duration::from_millis(250);
/// Larger account segments are not kept: a fleet's board changes between any two scrapes, and a
/// copy of its page would be memory for nothing.
const LARGEST_KEPT: usize = 1 << 20;

/// Everything that `/metrics` shows.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    board: StatusStore,
    clock: Clock,
    own: Own,
    text004: Mutex<Kept>,
    openmetrics100: Mutex<Kept>,
    names: Mutex<Arc<SafetyNames>>,
    /// Length of the accounts' last segment, and so about that of the next.
    capacity: AtomicUsize,
}

/// A page in the segments that it was made of, in their order: some are shared between pages,
/// and none is copied to make one text of them.
#[derive(Clone, Debug, Default)]
pub struct Exposition([Bytes; 3]);

/// Rendered segments of one format.
#[derive(Debug, Default)]
struct Kept {
    accounts: Option<KeptAccounts>,
    own: Option<(Timestamps, Bytes)>,
}

#[derive(Clone, Debug)]
struct KeptAccounts {
    generation: u64,
    names: Arc<SafetyNames>,
    rendered_at: Timestamps,
    until: Deadline,
    text: Bytes,
}

impl Exposition {
    /// Bytes in all.
    pub fn len(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }

    /// Whether there is nothing on the page.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The segments.
    pub fn into_parts(self) -> [Bytes; 3] {
        self.0
    }

    /// The page as one text.
    pub fn to_bytes(&self) -> Bytes {
        let [accounts, served, rest] = self.0.clone();
        let len = self.len();
        accounts.chain(served).chain(rest).copy_to_bytes(len)
    }
}

impl Metrics {
    /// The metrics of the accounts on that board, with display names for safety types.
    pub fn new(board: StatusStore, clock: Clock, names: SafetyNames) -> Self {
        #[expect(
            clippy::expect_used,
            reason = "names and labels are constants, which every test of this type checks"
        )]
        let own = Own::new().expect("the exporter's own metrics have valid, distinct names");
        Self(Arc::new(Inner {
            board,
            clock,
            own,
            text004: Mutex::default(),
            openmetrics100: Mutex::default(),
            names: Mutex::new(Arc::new(names)),
            capacity: AtomicUsize::new(0),
        }))
    }

    /// Renames safety types from the next scrape on.
    pub fn set_names(&self, names: SafetyNames) {
        *lock(&self.0.names) = Arc::new(names);
    }

    /// Counts an answered request. `handler` is a known route or `other`.
    pub fn count_request(&self, handler: &'static str, code: u16) {
        self.0.own.count_request(handler, code);
    }

    /// Takes in how long one request to Tradernet took.
    pub fn observe_api_request(&self, transport: Transport, took: Duration) {
        self.0.own.observe_api_request(transport, took);
    }

    /// Notes that the configuration was read, the first time included, and whether it was good.
    pub fn set_reload(&self, successful: bool, at: Timestamps) {
        self.0.own.set_reload(successful, at);
        for kept in [&self.0.text004, &self.0.openmetrics100] {
            lock(kept).own = None;
        }
    }

    /// The page as of now.
    ///
    /// It takes no longer than writing it, does not wait for any account, and grows with their
    /// number: some tens of milliseconds for ten thousand.
    pub fn exposition(&self, format: Format) -> Exposition {
        let now = self.0.clock.now();
        // Before the accounts: a page that tells of a reload shows what has come of it.
        let rest = self.0.rest(format, now);
        let served = self.0.own.served_segment(format);
        let accounts = self.0.accounts(format, now);
        Exposition([accounts, served.into(), rest])
    }
}

impl Inner {
    fn kept(&self, format: Format) -> MutexGuard<'_, Kept> {
        lock(match format {
            Format::Text004 => &self.text004,
            Format::OpenMetrics100 => &self.openmetrics100,
        })
    }

    fn accounts(&self, format: Format, now: Timestamps) -> Bytes {
        // Read before the accounts: what changes in between is rendered once more, never lost.
        let generation = self.board.generation();
        let names = Arc::clone(&lock(&self.names));
        match &self.kept(format).accounts {
            Some(kept) if kept.holds(generation, &names, now) => return kept.text.clone(),
            _ => {}
        }
        let statuses = self.board.accounts();
        // A tenth more than last time: numbers and sessions grow.
        let last = self.capacity.load(Ordering::Relaxed);
        let mut page = Page::new(format, last + last / 10);
        accounts::write(&mut page, &statuses, &names, now);
        let text = Bytes::from(page.text);
        self.capacity.store(text.len(), Ordering::Relaxed);
        self.kept(format).accounts = (text.len() <= LARGEST_KEPT).then(|| KeptAccounts {
            generation,
            names,
            rendered_at: now,
            until: Deadline::of(&statuses, now),
            text: text.clone(),
        });
        text
    }

    fn rest(&self, format: Format, now: Timestamps) -> Bytes {
        let mut kept = self.kept(format);
        match &kept.own {
            Some((at, text)) if now.age_of(*at) <= OWN_KEPT_FOR => text.clone(),
            _ => {
                let mut page = Page::new(format, 0);
                self.own.write_rest(&mut page);
                let text = Bytes::from(page.finish());
                kept.own = Some((now, text.clone()));
                text
            }
        }
    }
}

impl KeptAccounts {
    fn holds(&self, generation: u64, names: &Arc<SafetyNames>, now: Timestamps) -> bool {
        self.generation == generation
            && Arc::ptr_eq(&self.names, names)
            // A wall clock that was set back may make a view fresh again.
            && now.wall_ms >= self.rendered_at.wall_ms
            && self.until.is_ahead(now)
    }
}

/// When the first of the views that are fresh goes stale, by either clock.
#[derive(Clone, Copy, Debug)]
struct Deadline {
    wall_ms: f64,
    monotonic: Duration,
}

impl Deadline {
    fn of(statuses: &[Arc<AccountStatus>], now: Timestamps) -> Self {
        let never = Self {
            wall_ms: f64::INFINITY,
            monotonic: Duration::MAX,
        };
        statuses.iter().fold(never, |soonest, status| {
            let Some(view) = status.fresh_view(now) else {
                return soonest;
            };
            let wall_ms = view.arrival.wall_ms + status.max_age.as_secs_f64() * 1000.0;
            let monotonic = view.arrival.monotonic.saturating_add(status.max_age);
            Self {
                wall_ms: soonest.wall_ms.min(wall_ms),
                monotonic: soonest.monotonic.min(monotonic),
            }
        })
    }

    fn is_ahead(self, now: Timestamps) -> bool {
        now.wall_ms <= self.wall_ms && now.monotonic <= self.monotonic
    }
}

/// What a panicking writer left behind is whole: every change is one assignment.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
