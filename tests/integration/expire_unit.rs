//! The unit of `expire` on the metrics page, before and after evidence settles it.

use std::time::Duration;

use tradernet_exporter::simulator::{ExpireUnit, SessionSpec};

use crate::support::{Exposition, InProcessExporter, LOGIN, SID, SimulatedApi};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

/// An account with one session of a day.
struct Account {
    api: SimulatedApi,
    exporter: InProcessExporter,
}

impl Account {
    async fn start(expire_unit: ExpireUnit, variables: &[(&str, &str)]) -> Self {
        let api = SimulatedApi::start().await;
        let account = api.world.account(LOGIN);
        account.change_spec(|spec| spec.expire_unit = expire_unit);
        account.open_session(SessionSpec::new(4, DAY));
        let variables = [&[("TRADERNET_SID", SID)], variables].concat();
        let exporter = InProcessExporter::start(&api, &variables).await;
        Self { api, exporter }
    }

    async fn poll_after(&self, time: Duration) -> Exposition {
        self.api.clock.advance(time);
        self.exporter.poll().await
    }

    /// The page shows the real time left, to the second that `expire` is rounded to.
    fn assert_real_times(&self, page: &Exposition) {
        let session = &self.api.world.account(LOGIN).open_sessions()[0];
        let left = session.expires.duration_since(self.api.clock.wall());
        let left_ms = left.unwrap().as_secs_f64() * 1000.0;
        let expires = self.api.clock.wall_seconds() + left_ms / 1000.0;
        for bound in ["max", "min"] {
            let shown = |name: &str| page.get(&format!("tradernet_security_session_{name}"), &[]);
            let left = shown(&format!("expire_{bound}_milliseconds"));
            assert!((left - left_ms).abs() <= 1000.0, "{left} for {left_ms}");
            let expiry = shown(&format!("{bound}_expiry_timestamp_seconds"));
            assert!((expiry - expires).abs() <= 2.0, "{expiry} for {expires}");
        }
    }
}

/// The unit in force, and whether it is confirmed.
fn unit(page: &Exposition) -> (&'static str, bool) {
    let of = |unit| page.get("tradernet_expire_unit", &[("unit", unit)]);
    let unit = match (of("milliseconds"), of("seconds")) {
        (1.0, 0.0) => "ms",
        (0.0, 1.0) => "s",
        both => panic!("{both:?}"),
    };
    let confirmed = page.get("tradernet_expire_unit_confirmed", &[]);
    (unit, confirmed == 1.0)
}

#[tokio::test]
async fn two_pairs_of_answers_settle_seconds() {
    let account = Account::start(ExpireUnit::Seconds, &[]).await;
    let page = account.exporter.metrics().await;
    assert_eq!(unit(&page), ("ms", false), "as documented");
    let max = page.get("tradernet_security_session_expire_max_milliseconds", &[]);
    assert_eq!(max, 86_400.0);
    let page = account.poll_after(SECOND * 30).await;
    assert_eq!(unit(&page), ("ms", false), "one pair is not enough");
    for _ in 0..3 {
        let page = account.poll_after(SECOND * 30).await;
        assert_eq!(unit(&page), ("s", true));
        account.assert_real_times(&page);
    }
    account.exporter.stop().await;
}

#[tokio::test]
async fn configured_unit_is_confirmed_from_the_start() {
    for (setting, expire_unit) in [("ms", ExpireUnit::Milliseconds), ("s", ExpireUnit::Seconds)] {
        let variables = [("TRADERNET_EXPIRE_UNIT", setting)];
        let account = Account::start(expire_unit, &variables).await;
        for _ in 0..4 {
            let page = account.poll_after(SECOND * 30).await;
            assert_eq!(unit(&page), (setting, true));
            account.assert_real_times(&page);
        }
        account.exporter.stop().await;
    }
}
