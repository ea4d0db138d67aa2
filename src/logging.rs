//! The log on standard error: one line an event, as logfmt or JSON, with `ts`, `level` and `msg` first.
//!
//! A thread of its own writes the lines. A reader that does not read therefore delays nothing else:
//! lines that do not fit into the queue are dropped and counted.

use std::fmt::{self, Write as _};
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

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
const QUEUE_LINES: usize = 16_384;

static QUEUE: OnceLock<Queue> = OnceLock::new();
static LEVEL: OnceLock<LevelSwitch> = OnceLock::new();

/// The level of the log, which may change while it is written.
struct LevelSwitch {
    configured: Level,
    current: Mutex<Level>,
    filter: reload::Handle<Targets, Registry>,
}

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
    LEVEL.get_or_init(|| LevelSwitch {
        configured: log.level,
        current: Mutex::new(log.level),
        filter: handle,
    });
    std::panic::set_hook(Box::new(|panic| {
        let location = panic
            .location()
            .map(ToString::to_string)
            .unwrap_or_default();
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
    let switch = LEVEL.get()?;
    Some(
        *switch
            .current
            .lock()
            .unwrap_or_else(PoisonError::into_inner),
    )
}

/// Changes the level.
pub fn set_level(level: Level) {
    let Some(switch) = LEVEL.get() else {
        return;
    };
    let mut current = switch
        .current
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    // Fails only after the subscriber is gone, which is never before the process.
    let _ = switch.filter.reload(targets(level));
    *current = level;
    drop(current);
    info!(to = level.as_str().to_lowercase(), "log level changed");
}

/// Changes the level to `debug`, or from `debug` to the configured one.
pub fn toggle_debug() {
    let configured = LEVEL.get().map_or(Level::INFO, |switch| switch.configured);
    match level() {
        Some(Level::DEBUG) => set_level(configured),
        _ => set_level(Level::DEBUG),
    }
}

/// Waits until all lines are written, at most for `timeout`.
pub fn flush(timeout: Duration) {
    if let Some(queue) = QUEUE.get() {
        queue.flush(timeout);
    }
}

/// Lines dropped so far because the queue was full.
pub fn dropped_lines() -> u64 {
    QUEUE
        .get()
        .map_or(0, |queue| queue.dropped.load(Ordering::Relaxed))
}

enum Entry {
    Line(String),
    /// Written lines are confirmed by dropping the sender.
    Flush(SyncSender<()>),
}

/// A bounded queue of lines and the thread that writes them.
struct Queue {
    entries: SyncSender<Entry>,
    dropped: AtomicU64,
}

impl Queue {
    fn start(lines: usize, mut to: impl Write + Send + 'static) -> Self {
        let (entries, queued): (_, Receiver<Entry>) = sync_channel(lines);
        std::thread::spawn(move || {
            for entry in queued {
                match entry {
                    // A closed stderr does not end the program.
                    Entry::Line(line) => drop(to.write_all(line.as_bytes())),
                    Entry::Flush(done) => drop(done),
                }
            }
        });
        Self {
            entries,
            dropped: AtomicU64::new(0),
        }
    }

    fn push(&self, line: String) {
        if self.entries.try_send(Entry::Line(line)).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn flush(&self, timeout: Duration) {
        let (done, written) = sync_channel(0);
        let mut entry = Entry::Flush(done);
        for _ in 0..timeout.as_millis() {
            match self.entries.try_send(entry) {
                Ok(()) => break,
                Err(TrySendError::Full(again)) => entry = again,
                Err(TrySendError::Disconnected(_)) => return,
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        let _ = written.recv_timeout(timeout);
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
    let mut fields = Fields::default();
    event.record(&mut fields);
    let level = match *event.metadata().level() {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    };
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a date beyond i64 is not shown"
    )]
    let ts = jiff::Timestamp::from_millisecond(now.wall_ms as i64)
        .map(|ts| format!("{ts:.3}"))
        .unwrap_or_default();
    let start = [
        ("ts", Value::Text(ts)),
        ("level", Value::Text(level.to_owned())),
        ("msg", Value::Text(fields.message)),
    ];
    let mut line = String::with_capacity(256);
    for (number, (name, value)) in start.iter().chain(&fields.others).enumerate() {
        match format {
            LogFormat::Logfmt => {
                let separator = if number == 0 { "" } else { " " };
                let _ = write!(line, "{separator}{name}=");
            }
            LogFormat::Json => {
                let separator = if number == 0 { '{' } else { ',' };
                let _ = write!(line, "{separator}\"{name}\":");
            }
        }
        match value {
            Value::Literal(literal) => line.push_str(literal),
            Value::Text(text) if format == LogFormat::Logfmt && is_plain(text) => {
                line.push_str(text);
            }
            Value::Text(text) => quote(&mut line, text),
        }
    }
    if format == LogFormat::Json {
        line.push('}');
    }
    line.push('\n');
    line
}

/// Whether logfmt needs no quotes around it.
fn is_plain(text: &str) -> bool {
    let needs_quotes = |c: char| c <= ' ' || c == '"' || c == '=' || c == '\\' || !is_printable(c);
    !text.is_empty() && !text.contains(needs_quotes)
}

/// Writes a JSON string, which is a quoted logfmt value as well, with escapes for what may not be shown.
fn quote(to: &mut String, text: &str) {
    to.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => to.extend(['\\', c]),
            '\n' => to.push_str("\\n"),
            c if is_printable(c) => to.push(c),
            c => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(to, "\\u{unit:04x}");
                }
            }
        }
    }
    to.push('"');
}

enum Value {
    /// A number or a boolean.
    Literal(String),
    Text(String),
}

/// An event's message and other fields, in their order.
#[derive(Default)]
struct Fields {
    message: String,
    others: Vec<(&'static str, Value)>,
}

impl Fields {
    fn add(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::Text(message)) => self.message = message,
            (name, value) => self.others.push((name, value)),
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, Value::Text(format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, Value::Text(value.to_owned()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, Value::Literal(value.to_string()));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, Value::Literal(value.to_string()));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, Value::Literal(value.to_string()));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        let text = value.to_string();
        // JSON has no infinity.
        let value = if value.is_finite() {
            Value::Literal(text)
        } else {
            Value::Text(text)
        };
        self.add(field, value);
    }
}

#[cfg(test)]
mod tests;
