//! Lines of both formats, and a writer that does not read.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::sync::mpsc::channel;

use super::*;

/// The line of the event that `log` logs.
fn logged(format: LogFormat, log: impl FnOnce()) -> String {
    struct Capture(LogFormat, std::sync::mpsc::Sender<String>);
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
    error!(
        plain,
        login,
        polls = 3u64,
        up = false,
        took_s = 0.25,
        "poll failed"
    );
}

#[test]
fn logfmt_line() {
    assert_eq!(
        logged(LogFormat::Logfmt, hostile),
        "ts=2016-06-14T13:32:34.020Z level=error msg=\"poll failed\" plain=desk-1 \
         login=\"a \\\"b\\\"=\\\\c\\n\\u009b31m\\u202e\\udb40\\udc41\" polls=3 up=false took_s=0.25\n"
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
    let json: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(json["login"], "a \"b\"=\\c\n\u{9b}31m\u{202e}\u{e0041}");
    assert_eq!((&json["polls"], &json["up"]), (&3.into(), &false.into()));
}

#[test]
fn blocked_reader_drops_lines_and_delays_nothing() {
    struct Blocked(Receiver<()>, std::sync::mpsc::Sender<Vec<u8>>);
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
    // One line is in the writer and two are queued; the writer may not have taken the first one yet.
    let dropped = queue.dropped.load(Ordering::Relaxed);
    assert!(dropped == 7 || dropped == 8, "{dropped}");
    queue.flush(Duration::from_millis(1));

    drop(release);
    queue.flush(Duration::from_secs(60));
    let written: Vec<_> = written.try_iter().collect();
    assert_eq!(written.len() as u64, 10 - dropped);
    assert_eq!(written.first().unwrap(), b"0\n");
}
