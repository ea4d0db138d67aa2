//! Lines of both formats, and a writer that does not read.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::mpsc::channel;

use super::*;

/// The line of the event that `log` logs.
fn logged(format: LogFormat, log: impl FnOnce()) -> String {
    struct Capture(LogFormat, Sender<String>);
    impl<S: Subscriber> Layer<S> for Capture {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            let now = Timestamps {
                wall_ms: 1_465_911_154_020.9,
                monotonic: Duration::ZERO,
            };
            self.1.send(line(self.0, now, event)).unwrap();
        }
    }
    let (sent, lines) = channel();
    let subscriber = tracing_subscriber::registry().with(Capture(format, sent));
    tracing::subscriber::with_default(subscriber, log);
    lines.recv().unwrap()
}

fn hostile() {
    let login = "a \"b\"=\\c\n\u{9b}31m\u{202e}\u{e0041}";
    let plain = "desk-1";
    error!(plain, login, polls = 3u64, up = false, "poll failed");
}

#[test]
fn logfmt_line() {
    assert_eq!(
        logged(LogFormat::Logfmt, hostile),
        "ts=2016-06-14T13:32:34.020Z level=error msg=\"poll failed\" plain=desk-1 \
         login=\"a \\\"b\\\"=\\\\c\\n\u{FFFD}31m\u{FFFD}\u{FFFD}\" polls=3 up=false\n"
    );
}

#[test]
fn json_line() {
    let line = logged(LogFormat::Json, hostile);
    assert!(
        line.starts_with(
            r#"{"ts":"2016-06-14T13:32:34.020Z","level":"error","msg":"poll failed","#
        )
    );
    let json: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(json["login"], "a \"b\"=\\c\n\u{FFFD}31m\u{FFFD}\u{FFFD}");
    assert_eq!((&json["polls"], &json["up"]), (&3.into(), &false.into()));
}

#[test]
fn blocked_reader_drops_lines_and_delays_nothing() {
    struct Blocked(Receiver<()>, Sender<Vec<u8>>);
    impl Write for Blocked {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let _ = self.0.recv();
            let _ = self.1.send(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let (release, blocked) = channel();
    let (sent, written) = channel();
    let queue = Queue::start(2, Blocked(blocked, sent));
    for number in 0..10 {
        queue.push(format!("{number}\n"));
    }
    assert_eq!(queue.dropped.load(Ordering::Relaxed), 8);
    queue.flush(Duration::from_millis(1));
    assert!(queue.unwritten.load(Ordering::Relaxed) > 0);

    drop(release);
    queue.flush(Duration::from_secs(60));
    let written: Vec<_> = written.try_iter().collect();
    assert_eq!(written.len(), 2);
    assert_eq!(written.first().unwrap(), b"0\n");
}

#[test]
fn lines_that_cannot_be_written_are_counted() {
    let full = std::fs::File::options().write(true).open("/dev/full");
    let queue = Queue::start(2, full.unwrap());
    queue.push("a line\n".to_owned());
    queue.flush(Duration::from_secs(60));
    assert_eq!(queue.dropped.load(Ordering::Relaxed), 1);
}

/// Level, message and fields of each event that a source file logs.
fn events(source: &str) -> Vec<(String, String, BTreeSet<String>)> {
    let mut events = Vec::new();
    for level in ["error", "warn", "info", "debug"] {
        for (start, name) in source.match_indices(&format!("{level}!(")) {
            let arguments = &source[start + name.len()..];
            // Commas and the end count outside of text and of inner parentheses.
            let (mut depth, mut in_text, mut parts) = (0, false, vec![String::new()]);
            for c in arguments.chars() {
                match c {
                    '"' => in_text = !in_text,
                    ')' if !in_text && depth == 0 => break,
                    ',' if !in_text && depth == 0 => {
                        parts.push(String::new());
                        continue;
                    }
                    '(' if !in_text => depth += 1,
                    ')' if !in_text => depth -= 1,
                    _ => {}
                }
                parts.last_mut().unwrap().push(c);
            }
            let parts: Vec<_> = parts.iter().map(|part| part.trim()).collect();
            let parts = parts.into_iter().filter(|part| !part.is_empty());
            let (texts, fields): (Vec<_>, Vec<_>) = parts.partition(|part| part.starts_with('"'));
            let field = |field: &&str| {
                let name = field.split('=').next().unwrap();
                name.trim().trim_start_matches(['%', '?']).to_owned()
            };
            let message = texts.concat().replace('"', "");
            events.push((
                level.to_owned(),
                message,
                fields.iter().map(field).collect(),
            ));
        }
    }
    events
}

/// The source files of the product.
fn sources(folder: &Path, files: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() {
            sources(&path, files);
        } else if name.ends_with(".rs") && name != "tests.rs" && name != "test_support.rs" {
            let source = std::fs::read_to_string(&path).unwrap();
            let product = source.split("#[cfg(test)]").next().unwrap();
            files.push(product.to_owned());
        }
    }
}

#[test]
fn every_event_is_documented_with_its_fields() {
    let mut files = Vec::new();
    sources(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut files,
    );
    let logged: BTreeSet<_> = files.iter().flat_map(|source| events(source)).collect();
    assert!(logged.len() > 30, "{logged:#?}");

    let fields = |cell: &str| {
        let names = cell
            .split(',')
            .map(|name| name.trim().trim_matches(['(', ')', '`']));
        names
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let documented: BTreeSet<_> = include_str!("../../docs/log.md")
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| {
            let cells: Vec<_> = line.split('|').map(str::trim).collect();
            let message = cells[1].trim_matches('`').to_owned();
            (cells[2].to_owned(), message, fields(cells[3]))
        })
        .collect();
    let difference: Vec<_> = logged.symmetric_difference(&documented).collect();
    assert!(difference.is_empty(), "{difference:#?}");
}
