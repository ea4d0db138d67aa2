//! The vendor's own Python client in three versions, unmodified except for its host, reads the simulator: what
//! the exporter is tested against cannot drift from the real API unnoticed.

use std::time::Duration;

use serde_json::Value;
use tradernet_exporter::simulator::{AccountSpec, Disconnect, SessionSpec, Simulator};

use crate::external::python_with;
use crate::support::{Ca, LOGIN, SimulatedApi};

/// Loads a version of the SDK: that of `scripts/requirements.txt`, or an older one from a folder beside it.
/// The vendor's hosts are names of loopback.
const LOAD: &str = r#"
import asyncio, contextlib, importlib.metadata, json, os, socket, sys

version, api_port, stream_port, *credential = sys.argv[1:]
if version != "2.2.0":
    sys.path.insert(0, os.path.join(sys.prefix, "sdk", version))
assert importlib.metadata.version("tradernet-sdk") == version

resolve = socket.getaddrinfo
def loopback(host, *rest, **named):
    return resolve("127.0.0.1" if str(host).endswith("tradernet.test") else host, *rest, **named)
socket.getaddrinfo = loopback

if version == "2.2.0":
    from tradernet import Core, Tradernet as Client, TradernetWebsocket as Websocket
else:
    from tradernet import TraderNetCore as Core, TraderNetAPI as Client, TraderNetWSAPI as Websocket
Core.DOMAIN = f"tradernet.test:{api_port}"
client = Client(*credential)
"#;

const LIST: &str = "print(json.dumps(client.list_security_sessions()))";

/// The list over the WebSocket, each frame unpacked as the SDK does it; then one of the SDK's own channels, until
/// the server closes.
const WEBSOCKET: &str = r#"
Core.DOMAIN = f"tradernet.test:{stream_port}"

async def main():
    async with Websocket(client) as ws:
        stream = ws.get_stream(ws.stringify(["sessions"]), client.websocket_url, client.websocket_auth())
        async with contextlib.aclosing(stream):
            async for message in stream:
                event, data, _ = json.loads(message)
                if event == "sessions":
                    print(json.dumps(data))
                    break
        async for _ in ws.portfolio():
            pass

asyncio.run(main())
"#;

const KEY: &str = "3fae61b9c7aa4c0f8e52";
const SECRET: &str = "b2c4d6e8f0a1b3c5d7e9";
const PASSWORD: &str = "correct horse";

struct Sdk {
    upstream: SimulatedApi,
    ca_file: std::path::PathBuf,
    _folder: tempfile::TempDir,
}

impl Sdk {
    /// A simulator with two sessions, on the system's clock, by which the SDK signs.
    async fn new() -> Self {
        let ca = Ca::new();
        let folder = tempfile::tempdir().unwrap();
        let ca_file = folder.path().join("ca.pem");
        ca.write(&ca_file);
        let spec = AccountSpec::new(LOGIN).key(KEY, SECRET).password(PASSWORD);
        let upstream = SimulatedApi::start_for_process(spec, Some(&ca)).await;
        for (safety_type, hours) in [(4, 24), (2, 8)] {
            let lifetime = Duration::from_secs(3600 * hours);
            let session = SessionSpec::new(safety_type, lifetime);
            upstream.account().open_session(session);
        }
        Self {
            upstream,
            ca_file,
            _folder: folder,
        }
    }

    /// The output of a script, with this version and these arguments of its client.
    async fn run(&self, version: &str, script: &str, credential: &[&str]) -> Value {
        let port = |origin: &str| origin.rsplit_once(':').unwrap().1.to_owned();
        let api_port = port(&self.upstream.origin);
        let stream_port = port(&self.upstream.stream_origin);
        let arguments = [&[version, &api_port, &stream_port], credential].concat();
        let ca_file = self.ca_file.to_str().unwrap();
        let trusting = [("REQUESTS_CA_BUNDLE", ca_file), ("SSL_CERT_FILE", ca_file)];
        let script = [LOAD, script].concat();
        let printed = python_with(&trusting, &script, &arguments, b"").await;
        serde_json::from_str(&printed).unwrap()
    }

    /// Whether this is the account's list, some time ago.
    fn assert_is_list(&self, mut listed: Value) {
        let list = self.upstream.account().list_body();
        let mut expected: Value = serde_json::from_slice(&list).unwrap();
        let take_expire = |list: &mut Value| -> Vec<f64> {
            let sessions = list.as_array_mut().unwrap().iter_mut();
            let expires = sessions.map(|it| it.as_object_mut().unwrap().remove("expire").unwrap());
            expires.map(|expire| expire.as_f64().unwrap()).collect()
        };
        let (then, now) = (take_expire(&mut listed), take_expire(&mut expected));
        assert_eq!(listed, expected);
        assert_eq!(then.len(), 2);
        for (then, now) in then.iter().zip(now) {
            assert!((0.0..60_000.0).contains(&(then - now)), "{then} {now}");
        }
    }
}

/// V3 with signed headers.
#[tokio::test]
async fn sdk_2_2_reads_the_list() {
    let sdk = Sdk::new().await;
    let listed = sdk.run("2.2.0", LIST, &[KEY, SECRET]).await;
    sdk.assert_is_list(listed);
    let refused = sdk.run("2.2.0", LIST, &[KEY, "wrong"]).await;
    assert_eq!(refused["code"], 4);
    assert!(refused["errMsg"].is_string());
}

/// A key pair in the query of the handshake; frames of three elements.
#[tokio::test]
async fn sdk_2_2_reads_the_list_over_its_websocket() {
    let sdk = Sdk::new().await;
    let account = sdk.upstream.account();
    let disconnect = async {
        let world = &sdk.upstream.world;
        let is_second = |it: &Simulator| it.account(LOGIN).counters().handshakes == 2;
        world.wait_until(is_second).await;
        world.wait_until(|it| it.open_stream_count() == 1).await;
        account.disconnect(Disconnect::Close(1001));
    };
    let (listed, ()) = tokio::join!(sdk.run("2.2.0", WEBSOCKET, &[KEY, SECRET]), disconnect);
    sdk.assert_is_list(listed);
}

/// V2 without a nonce, on the path of V2 and of V3.
#[tokio::test]
async fn sdk_1_3_reads_the_list() {
    let sdk = Sdk::new().await;
    let listed = sdk.run("1.3.0", LIST, &[KEY, SECRET]).await;
    sdk.assert_is_list(listed);
    let v3 = "print(json.dumps(client.authorized_request('getSecuritySessions', version=3)))";
    let listed = sdk.run("1.3.0", v3, &[KEY, SECRET]).await;
    sdk.assert_is_list(listed);
    let requests = sdk.upstream.world.requests();
    let paths = requests.iter().map(|request| request.target.as_str());
    assert_eq!(
        paths.collect::<Vec<_>>(),
        [
            "/api/v2/cmd/getSecuritySessions",
            "/api/v3/cmd/getSecuritySessions"
        ]
    );
}

/// A login by query parameters, then V1 with the SID.
#[tokio::test]
async fn sdk_0_4_logs_in_and_reads_the_list() {
    let sdk = Sdk::new().await;
    let credential = [KEY, SECRET, LOGIN, PASSWORD];
    let listed = sdk.run("0.4.4", LIST, &credential).await;
    sdk.assert_is_list(listed);
    let counters = sdk.upstream.account().counters();
    assert_eq!(counters.logins_accepted, 1);
}
