//! Lines of many accounts on a paused clock.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use tracing::subscriber::DefaultGuard;
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

use super::*;
use crate::session::tracker::TrackingConfig;
use crate::tradernet::{AuthError, Awaited, ResponseHead};

const INTERVAL: Duration = Duration::from_secs(30);

/// The events of this thread as text: level, message and fields.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        struct Text(String);
        impl tracing::field::Visit for Text {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                self.0 += &format!(" {}={value:?}", field.name());
            }
        }
        let mut text = Text(event.metadata().level().to_string());
        event.record(&mut text);
        self.0.lock().unwrap().push(text.0);
    }
}

impl Lines {
    fn start() -> (Self, DefaultGuard) {
        let lines = Self::default();
        let subscriber = tracing_subscriber::registry().with(lines.clone());
        (lines, tracing::subscriber::set_default(subscriber))
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// So many accounts, polled every [`INTERVAL`].
fn accounts(count: usize) -> impl Iterator<Item = (usize, AccountStatus)> {
    let status = |n| AccountStatus {
        account: format!("desk-{n:02}").into(),
        tracking: Arc::new(TrackingConfig {
            interval: INTERVAL,
            ..TrackingConfig::default()
        }),
        ..AccountStatus::default()
    };
    (0..count).map(move |n| (n, status(n)))
}

const ERROR: Error = Error::Timeout {
    after: Duration::from_secs(10),
    awaited: Awaited::Answer { received: None },
    address: String::new(),
};

/// Waits until changes are logged together.
async fn collect() {
    sleep(INTERVAL.mul_f64(1.2)).await;
}

#[tokio::test(start_paused = true)]
async fn a_few_accounts_are_logged_at_once() {
    let (lines, _guard) = Lines::start();
    let log = ChangeLog::default();
    log.set_accounts(MAX_ACCOUNTS);
    for (_, account) in accounts(1) {
        log.answered(&account, 2, None);
        log.failed(&account, &ERROR, true);
        log.answered(&account, 2, Some(3 * INTERVAL));
    }
    let lines = lines.take();
    assert_eq!(lines.len(), 3, "{lines:#?}");
    for (line, [start, field]) in lines.iter().zip([
        ["INFO message=first answer account=\"desk-00\"", "open=2"],
        ["WARN message=poll failed account=\"desk-00\"", "stale=true"],
        [
            "INFO message=answering again account=\"desk-00\"",
            "outage_s=90",
        ],
    ]) {
        assert!(line.starts_with(start) && line.contains(field), "{line}");
    }
}

#[tokio::test(start_paused = true)]
async fn more_than_20_accounts_within_an_interval_share_a_line() {
    let (lines, _guard) = Lines::start();
    let log = ChangeLog::default();
    log.set_accounts(200);
    for (_, account) in accounts(20) {
        log.answered(&account, 2, None);
    }
    assert_eq!(lines.take(), [""; 0]);
    collect().await;
    assert_eq!(lines.take().len(), 20);

    // The same account twice is one account.
    for (n, account) in accounts(21).chain(accounts(21)) {
        log.failed(&account, &ERROR, n < 3);
    }
    for (_, account) in accounts(1) {
        log.answered(&account, 2, None);
    }
    collect().await;
    let seen = lines.take();
    assert_eq!(seen.len(), 2, "{seen:#?}");
    assert_eq!(
        seen[0],
        "WARN message=polls failed accounts=21 reasons=\"timeout:21\" stale=3"
    );
    assert!(seen[1].contains("first answer"), "{seen:#?}");

    for (n, account) in accounts(40) {
        let outage = (n > 9).then_some(Duration::from_secs(n as u64));
        log.answered(&account, 2, outage);
    }
    log.flush();
    let together = "INFO message=accounts answer accounts=40 recovered=30 outage_s=39";
    assert_eq!(lines.take(), [together]);
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_many_accounts_has_one_line_and_its_end_another() {
    let (lines, _guard) = Lines::start();
    let log = ChangeLog::default();
    log.set_accounts(40);
    for (_, account) in accounts(40) {
        log.failed(&account, &ERROR, false);
    }
    collect().await;
    assert_eq!(lines.take().len(), 1);
    // The lists become stale one by one, and one password is wrong too.
    for (n, account) in accounts(40) {
        log.failed(&account, &ERROR, true);
        if n == 7 {
            let rejected = Error::Auth(AuthError::SecondFactor(ResponseHead::default()));
            log.failed(&account, &rejected, true);
        }
        sleep(INTERVAL / 10).await;
    }
    collect().await;
    let seen = lines.take();
    assert_eq!(seen.len(), 1, "{seen:#?}");
    assert!(seen[0].contains("desk-07") && seen[0].contains("reason=\"auth\""));

    // Accounts that are answered later join and leave the outage.
    let late: Vec<_> = accounts(44).skip(40).collect();
    for (_, account) in &late {
        log.failed(account, &ERROR, false);
    }
    collect().await;
    let joined = "WARN message=polls failed accounts=4 reasons=\"timeout:4\" stale=0";
    assert_eq!(lines.take(), [joined]);
    for (_, account) in &late {
        log.answered(account, 2, Some(INTERVAL));
    }
    collect().await;
    let left = "INFO message=accounts answer accounts=4 recovered=4 outage_s=30";
    assert_eq!(lines.take(), [left]);

    // A failure that is collected does not end the collection of answers early.
    for (n, account) in accounts(40) {
        log.answered(&account, 2, Some(10 * INTERVAL));
        if n == 0 {
            log.failed(&account, &ERROR, false);
            log.answered(&account, 2, Some(INTERVAL));
        }
        sleep(INTERVAL / 50).await;
    }
    collect().await;
    let seen = lines.take();
    let together = "INFO message=accounts answer accounts=40 recovered=40 outage_s=300";
    assert_eq!((seen.len(), seen[0].as_str()), (2, together), "{seen:#?}");

    for (_, account) in accounts(1) {
        log.failed(&account, &ERROR, false);
    }
    collect().await;
    assert_eq!(lines.take().len(), 1, "the next outage is another one");
}
