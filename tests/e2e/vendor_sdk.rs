//! The vendor's own Python client, unmodified but for its host, reads the simulator: what the
//! exporter is tested against cannot drift from the real thing unseen.

use std::time::Duration;

use serde_json::Value;
use tradernet_exporter::simulator::{AccountSpec, ResponseOptions, SessionSpec, Simulator};

use crate::external::python_with;
use crate::support::{Ca, LOGIN, SimulatedApi, TestClock};

const SCRIPT: &str = r#"
import importlib.metadata, json, sys
from tradernet import Core, Tradernet

assert importlib.metadata.version("tradernet-sdk") == "2.2.0"
Core.DOMAIN = sys.argv[1]
client = Tradernet(sys.argv[2], sys.argv[3])
print(json.dumps(client.list_security_sessions()))
"#;

const KEY: &str = "3fae61b9c7aa4c0f8e52";
const SECRET: &str = "b2c4d6e8f0a1b3c5d7e9";

#[tokio::test]
async fn the_vendors_sdk_reads_the_simulator() {
    let ca = Ca::new();
    let folder = tempfile::tempdir().unwrap();
    let ca_file = folder.path().join("ca.pem");
    ca.write(&ca_file);
    // The SDK signs by the system's clock.
    let world = Simulator::new();
    world.add_account(AccountSpec::new(LOGIN).key(KEY, SECRET));
    for (safety_type, hours) in [(4, 24), (2, 8)] {
        let lifetime = Duration::from_secs(3600 * hours);
        world
            .account(LOGIN)
            .open_session(SessionSpec::new(safety_type, lifetime));
    }
    let upstream = SimulatedApi::serve_simulator(world, TestClock::new(), Some(&ca)).await;
    let domain = upstream.origin.strip_prefix("https://").unwrap();
    let trusting = [("REQUESTS_CA_BUNDLE", ca_file.to_str().unwrap())];
    let read = async |secret: &str| -> Value {
        let printed = python_with(&trusting, SCRIPT, &[domain, KEY, secret], b"").await;
        serde_json::from_str(&printed).unwrap()
    };

    let mut listed = read(SECRET).await;
    let mut wanted = Value::from(upstream.world.account(LOGIN).sessions_json());
    // Time has passed between the two.
    let lefts = |list: &mut Value| -> Vec<f64> {
        let sessions = list.as_array_mut().unwrap().iter_mut();
        let take = |session: &mut Value| session.as_object_mut().unwrap().remove("expire").unwrap();
        sessions
            .map(take)
            .map(|left| left.as_f64().unwrap())
            .collect()
    };
    let (then, now) = (lefts(&mut listed), lefts(&mut wanted));
    assert_eq!(listed, wanted);
    assert_eq!(then.len(), 2);
    for (then, now) in then.iter().zip(now) {
        assert!((0.0..60_000.0).contains(&(then - now)), "{then} {now}");
    }

    let refused = read("wrong").await;
    assert_eq!(refused["code"], 4);
    assert!(refused["errMsg"].is_string());

    // The same sessions in another envelope are nothing that the SDK minds.
    let quirks = |quirks: &mut ResponseOptions| quirks.numbers_as_strings = true;
    upstream.world.account(LOGIN).set_response_options(quirks);
    assert_eq!(read(SECRET).await.as_array().unwrap().len(), 2);
}
