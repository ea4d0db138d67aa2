//! Hours of simulated chaos: sessions come and go, servers fail, streams are lost, SIDs are revoked. In the end
//! the counters are those that the served lists imply, and neither memory nor descriptors have grown.
//!
//! `scripts/release-checks.sh` runs the long form.

use std::fmt::Write as _;
use std::time::Duration;

use fastrand::Rng;
use tradernet_exporter::simulator::{
    Account, AccountSpec, BodyEnd, Disconnect, Fault, FaultTarget, Repeat, SessionSpec, StreamFault,
};

use crate::support::{Exposition, InProcessExporter, SimulatedApi, TestClock, advance_time};

/// The chaos changes something this often.
const STEP: Duration = Duration::from_secs(10);
/// In steps. An account that fails for two minutes is polled again at most 5.5 minutes later, so that each
/// session is in at least one list.
const MIN_LIFETIME: u32 = 50;
const MAX_OUTAGE: u32 = 12;
/// In steps, at least 15 minutes less one step.
const LOGIN_WINDOW: usize = 89;
const KINDS: [(&str, &str); 5] = [
    ("http", "sid"),
    ("http", "login"),
    ("http", "key"),
    ("websocket", "sid"),
    ("socketio", "login"),
];

struct Subject {
    account: Account,
    name: String,
    is_stream: bool,
    /// Its SIDs are revoked in each step: only its logins are checked.
    is_revoked: bool,
    /// The open sessions, each with the step in which it was opened.
    sessions: Vec<(i64, u32)>,
    opened: u64,
    heals_at: Option<u32>,
    next_revocation: u32,
    /// After each step.
    logins: Vec<u64>,
}

impl Subject {
    fn change(&mut self, rng: &mut Rng, step: u32) {
        if self.is_revoked {
            self.account.revoke_sids();
            self.logins.push(self.account.counters().logins);
            return;
        }
        if self.heals_at.is_some_and(|at| at <= step) {
            self.account.clear_faults();
            self.heals_at = None;
        }
        match rng.u8(..40) {
            0 if self.sessions.len() < 6 => {
                let lifetime = STEP * rng.u32(MIN_LIFETIME..200);
                let session = SessionSpec::new(rng.i64(2..5), lifetime);
                self.sessions
                    .push((self.account.open_session(session), step));
                self.opened += 1;
            }
            1 | 2 => {
                let is_old = |(_, opened): &(i64, u32)| opened + MIN_LIFETIME < step;
                if let Some(at) = self.sessions.iter().position(is_old) {
                    self.account.close_session(self.sessions.remove(at).0);
                }
            }
            3 => {
                if let Some((id, _)) = rng.choice(&self.sessions) {
                    self.account.extend_session(*id, STEP * MIN_LIFETIME);
                }
            }
            4 if self.heals_at.is_none() => {
                self.fail(rng);
                self.heals_at = Some(step + rng.u32(1..=MAX_OUTAGE));
            }
            5 if self.is_stream => {
                let ways = [Disconnect::Close(1001), Disconnect::Eof, Disconnect::Reset];
                self.account.disconnect(ways[rng.usize(..3)]);
            }
            6 if step > self.next_revocation && self.name.contains("login") => {
                self.account.revoke_sids();
                self.next_revocation = step + MIN_LIFETIME;
            }
            _ => {}
        }
        self.logins.push(self.account.counters().logins);
    }

    fn fail(&self, rng: &mut Rng) {
        if self.is_stream {
            let fault = StreamFault::RefuseHandshake(503);
            self.account.inject_stream_fault(Repeat::Forever, fault);
            self.account.disconnect(Disconnect::Reset);
            return;
        }
        let faults = [
            Fault::status(502),
            Fault::json(200, "{]not json"),
            Fault::Reset,
            Fault::NoResponse,
            Fault::json(200, "[").end(BodyEnd::BreaksOff),
            Fault::Slow(STEP / 5),
        ];
        let fault = faults[rng.usize(..faults.len())].clone();
        self.account
            .inject_fault(FaultTarget::SessionList, Repeat::Forever, fault);
    }

    fn assert_logins(&self) {
        for window in self.logins.windows(LOGIN_WINDOW) {
            let logins = window[LOGIN_WINDOW - 1] - window[0];
            assert!(logins <= 3, "{}: {logins} logins", self.name);
        }
        assert!(!self.is_revoked || self.logins.last() >= Some(&3));
    }

    /// Whether the page has the open sessions, and has counted each session once.
    fn is_counted(&self, page: &Exposition) -> bool {
        let account = [("account", self.name.as_str())];
        let open = self.account.open_sessions().len() as u64;
        let get = |name| page.find(&format!("tradernet_security_sessions_{name}"), &account);
        let closed = page.matching("tradernet_security_sessions_closed_total", &account);
        let closed: f64 = closed.map(|(_, count)| count).sum();
        get("open") == Some(open as f64)
            && get("opened_total") == Some(self.opened as f64)
            && closed == (self.opened - open) as f64
    }
}

/// The simulator, and the accounts file's text.
async fn subjects(count: u32) -> (SimulatedApi, Vec<Subject>, String) {
    let clock = TestClock::with_tokio();
    let world = clock.world();
    world.set_request_log_capacity(64);
    let upstream = SimulatedApi::serve_simulator(world, clock, None).await;
    let mut text = format!(
        "defaults: {{url: \"{}\", ws_url: \"{}\", socketio_url: \"{}\", poll_interval: 10s, timeout: 3s, \
         expire_unit: ms}}\naccounts:\n",
        upstream.origin, upstream.stream_origin, upstream.stream_origin
    );
    let subjects = (0..count).map(|n| {
        let (transport, credential) = KINDS[n as usize % KINDS.len()];
        let name = format!("{transport}-{credential}-{n}");
        let spec = AccountSpec::new(&name)
            .password("right")
            .sid(format!("sid-{n}"));
        let account = upstream
            .world
            .add_account(spec.key(format!("key-{n}"), "secret"));
        let credential = match credential {
            "sid" => format!("sid: sid-{n}"),
            "login" => format!("login: {name}, password: right"),
            _ => format!("api_key: key-{n}, api_secret: secret"),
        };
        writeln!(
            text,
            "  - {{account: {name}, transport: {transport}, {credential}}}"
        )
        .unwrap();
        Subject {
            account,
            name,
            is_stream: transport != "http",
            is_revoked: n == 1,
            sessions: Vec::new(),
            opened: 0,
            heals_at: None,
            next_revocation: MIN_LIFETIME,
            logins: Vec::new(),
        }
    });
    let subjects = subjects.collect();
    (upstream, subjects, text)
}

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[expect(clippy::print_stdout, reason = "figures of the long form")]
async fn soak(accounts: u32, steps: u32, seed: u64) {
    let (upstream, mut subjects, text) = subjects(accounts).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("accounts.yml");
    std::fs::write(&file, text).unwrap();
    let variables = [
        ("TRADERNET_CONFIG_FILE", file.to_str().unwrap()),
        ("TRADERNET_POLL_INTERVAL", ""),
    ];
    let exporter = InProcessExporter::start_on(upstream.clock.clock(), &variables).await;
    // The first logins are spread over minutes.
    advance_time(Duration::from_secs(60) * (accounts / 20 + 2)).await;
    let page = exporter.metrics().await;
    assert!(
        page.matching("tradernet_up", &[]).all(|(_, up)| up == 1.0),
        "{}",
        page.text
    );

    let mut rng = Rng::with_seed(seed);
    let mut half_way = (0, 0);
    for step in 0..steps {
        if step == steps / 2 {
            half_way = (resident_bytes(), open_descriptors());
        }
        for subject in &mut subjects {
            subject.change(&mut rng, step);
        }
        advance_time(STEP).await;
        let open = |subject: &Subject| -> Vec<i64> {
            let sessions = subject.account.open_sessions();
            sessions.iter().map(|session| session.id).collect()
        };
        for subject in &mut subjects {
            let open = open(subject);
            subject.sessions.retain(|(id, _)| open.contains(id));
        }
    }
    for subject in &mut subjects {
        subject.account.clear_faults();
    }
    // Longer than the longest back-off.
    advance_time(Duration::from_secs(420)).await;
    // Before hundreds of pages are read, which this process holds too.
    let grown = resident_bytes().saturating_sub(half_way.0);

    let opened: u64 = subjects.iter().map(|subject| subject.opened).sum();
    assert!(opened > u64::from(accounts));
    for subject in &subjects {
        subject.assert_logins();
        if !subject.is_revoked {
            let what = format!("{} has opened {}", subject.name, subject.opened);
            let counted = |page: &Exposition| subject.is_counted(page);
            exporter.wait_for(&what, counted).await;
        }
    }
    assert!(grown < 8 << 20, "{grown} bytes more than half-way");
    let descriptors = open_descriptors();
    assert!(
        descriptors <= half_way.1 + accounts as usize / 4 + 8,
        "{descriptors} after {half_way:?}"
    );
    println!(
        "{accounts} accounts, {steps} steps: {grown} bytes more than half-way, {descriptors} descriptors"
    );
    exporter.stop().await;
}

#[tokio::test(start_paused = true)]
async fn chaos_leaves_counters_right_and_resources_flat() {
    soak(10, 130, 1).await;
}

/// Two hours of 200 accounts take minutes.
#[cfg(feature = "soak")]
#[tokio::test(start_paused = true)]
async fn two_hours_of_chaos_with_200_accounts() {
    soak(200, 720, 2).await;
}
