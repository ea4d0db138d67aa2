//! The log on standard error: one line an event, as logfmt or JSON, with `ts`, `level` and `msg` first.
//!
//! A thread of its own writes the lines. A blocked reader therefore delays nothing else:
//! lines that do not fit into the queue are dropped and counted.

use std::fmt;
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber, error, info};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};
use tracing_subscriber::{Layer, Registry, reload};

use crate::clock::{Clock, Timestamps};
use crate::config::{Log, LogFormat};
use crate::text::is_printable;

/// Lines that wait for the thread; a burst of as many accounts is not cut.
const QUEUE_LINES: u64 = 16_384;

static QUEUE: OnceLock<Queue> = OnceLock::new();
/// The last level other than `debug`, and the filter by which the level changes.
static FILTER: OnceLock<(Mutex<Level>, reload::Handle<Targets, Registry>)> = OnceLock::new();

/// Starts the log of this process.
///
/// Libraries log from warnings on: their lower levels may quote a request.
///
/// # Errors
///
/// Where the log was started before.
pub fn start(log: Log) -> Result<(), TryInitError> {
    let (filter, handle) = reload::Layer::new(targets(log.level));
    let lines = Lines {
        format: log.format,
        clock: Clock::system(),
        queue: QUEUE.get_or_init(|| Queue::start(QUEUE_LINES, std::io::stderr())),
    };
    tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        .try_init()?;
    FILTER.get_or_init(|| (Mutex::new(log.level), handle));
    std::panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(ToString::to_string);
        // Without the panic's text, which may hold any data.
        error!(location, "panic in the exporter: please report this line");
    }));
    Ok(())
}

fn targets(level: Level) -> Targets {
    Targets::new()
        .with_default(LevelFilter::from_level(level.min(Level::WARN)))
        .with_target(env!("CARGO_CRATE_NAME"), level)
}

/// The level in use; `None` before [`start`].
pub fn level() -> Option<Level> {
    LevelFilter::current().into_level()
}

/// Changes the level.
pub fn set_level(level: Level) {
    if let Some((last, filter)) = FILTER.get() {
        // Fails only after the subscriber is gone, which is never before the process.
        let apply = |level| drop(filter.reload(targets(level)));
        // The log shows the change at any level.
        apply(level.max(Level::INFO));
        info!(to = level.as_str().to_lowercase(), "log level changed");
        apply(level);
        if level != Level::DEBUG {
            *last.lock().unwrap_or_else(PoisonError::into_inner) = level;
        }
    }
}

/// Changes the level to `debug`, or from `debug` to the last other one.
pub fn toggle_debug() {
    let last = FILTER.get().filter(|_| level() == Some(Level::DEBUG));
    set_level(last.map_or(Level::DEBUG, |(last, _)| {
        *last.lock().unwrap_or_else(PoisonError::into_inner)
    }));
}

/// Waits until all lines are written, at most for `timeout`.
pub fn flush(timeout: Duration) {
    if let Some(queue) = QUEUE.get() {
        queue.flush(timeout);
    }
}

/// Lines dropped so far because the queue was full, or that could not be written.
pub fn dropped_lines() -> u64 {
    QUEUE
        .get()
        .map_or(0, |queue| queue.dropped.load(Ordering::Relaxed))
}

/// A bounded queue of lines and the thread that writes them.
struct Queue {
    /// Bounded by the count below: a bounded channel would allocate all of its room at once.
    lines: Sender<String>,
    /// Lines that are queued or being written.
    unwritten: Arc<AtomicU64>,
    capacity: u64,
    dropped: Arc<AtomicU64>,
}

impl Queue {
    fn start(capacity: u64, mut to: impl Write + Send + 'static) -> Self {
        let (lines, queued): (_, Receiver<String>) = channel();
        let unwritten = Arc::<AtomicU64>::default();
        let dropped = Arc::<AtomicU64>::default();
        let (count, lost) = (Arc::clone(&unwritten), Arc::clone(&dropped));
        std::thread::spawn(move || {
            for line in queued {
                // A closed stderr or a full disk does not end the program.
                if to.write_all(line.as_bytes()).is_err() {
                    lost.fetch_add(1, Ordering::Relaxed);
                }
                count.fetch_sub(1, Ordering::Release);
            }
        });
        Self {
            lines,
            unwritten,
            capacity,
            dropped,
        }
    }

    fn push(&self, line: String) {
        let unwritten = self.unwritten.fetch_add(1, Ordering::Relaxed);
        if unwritten >= self.capacity || self.lines.send(line).is_err() {
            self.unwritten.fetch_sub(1, Ordering::Relaxed);
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn flush(&self, timeout: Duration) {
        for _ in 0..timeout.as_millis() {
            if self.unwritten.load(Ordering::Acquire) == 0 {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Formats events and queues their lines.
struct Lines {
    format: LogFormat,
    clock: Clock,
    queue: &'static Queue,
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        self.queue.push(line(self.format, self.clock.now(), event));
    }
}

/// An event as a line with its end.
fn line(format: LogFormat, now: Timestamps, event: &Event<'_>) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a date beyond i64 is not shown"
    )]
    let ts = jiff::Timestamp::from_millisecond(now.wall_ms as i64)
        .map(|ts| format!("{ts:.3}"))
        .unwrap_or_default();
    let level = event.metadata().level().as_str().to_ascii_lowercase();
    let mut fields = Fields(vec![("ts", ts.into()), ("level", level.into())]);
    // The message is an event's first field.
    event.record(&mut fields);
    let fields = fields.0.into_iter().map(|(name, value)| {
        let value = match value {
            Value::String(text) if format == LogFormat::Logfmt && is_plain(&text) => text,
            Value::String(text) => quoted(&text),
            number => number.to_string(),
        };
        match format {
            LogFormat::Logfmt => format!("{name}={value}"),
            LogFormat::Json => format!("\"{name}\":{value}"),
        }
    });
    let fields = Vec::from_iter(fields);
    match format {
        LogFormat::Logfmt => fields.join(" ") + "\n",
        LogFormat::Json => format!("{{{}}}\n", fields.join(",")),
    }
}

/// Whether logfmt needs no quotes around it.
fn is_plain(text: &str) -> bool {
    let needs_quotes = |c: char| c <= ' ' || c == '"' || c == '=' || c == '\\' || !is_printable(c);
    !text.is_empty() && !text.contains(needs_quotes)
}

/// A JSON string, which is a quoted logfmt value as well.
fn quoted(text: &str) -> String {
    let is_shown = |c: char| c == '\n' || is_printable(c);
    Value::from(text.replace(|c| !is_shown(c), "\u{FFFD}")).to_string()
}

/// Names and values, in the order of the line.
struct Fields(Vec<(&'static str, Value)>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let name = match field.name() {
            "message" => "msg",
            name => name,
        };
        self.0.push((name, format!("{value:?}").into()));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.push((field.name(), value.into()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.push((field.name(), value.into()));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.push((field.name(), value.into()));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.push((field.name(), value.into()));
    }
}

#[cfg(test)]
mod tests;
