//! A simulated Tradernet on a free port of loopback, plain or with TLS by a private CA.

use std::path::Path;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    IsCa, KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::net::TcpListener;
use tradernet_exporter::simulator::{
    self, Account, AccountSpec, Fault, FaultTarget, Repeat, Simulator,
};

use super::clock::TestClock;

/// The account that [`SimulatedApi::start`] makes.
pub(crate) const LOGIN: &str = "desk-1@example.com";
/// Its SID, from the start.
pub(crate) const SID: &str = "5f1d0c2ba9e84736ab01c2d3e4f50617";

/// A running simulation; it ends with the test's runtime.
pub(crate) struct SimulatedApi {
    pub(crate) world: Simulator,
    pub(crate) clock: TestClock,
    /// Scheme, host and port, for `TRADERNET_URL`.
    pub(crate) origin: String,
    /// The same of the streams, for `TRADERNET_WS_URL` and `TRADERNET_SOCKETIO_URL`.
    pub(crate) stream_origin: String,
    pub(crate) port: u16,
}

impl SimulatedApi {
    /// With one account, [`LOGIN`], that accepts [`SID`] and has no session.
    pub(crate) async fn start() -> Self {
        Self::start_with(AccountSpec::new(LOGIN).sid(SID)).await
    }

    /// With this account only, on a clock that the test advances.
    pub(crate) async fn start_with(account: AccountSpec) -> Self {
        Self::start_on(TestClock::new(), account).await
    }

    /// On a clock that runs with tokio's, paused or not.
    pub(crate) async fn start_running(account: AccountSpec) -> Self {
        Self::start_on(TestClock::with_tokio(), account).await
    }

    async fn start_on(clock: TestClock, account: AccountSpec) -> Self {
        let world = clock.world();
        world.add_account(account);
        Self::serve_simulator(world, clock, None).await
    }

    /// On the system's clock, as the built binary is, and over TLS where there is a CA.
    pub(crate) async fn start_for_process(account: AccountSpec, ca: Option<&Ca>) -> Self {
        let world = Simulator::new();
        world.add_account(account);
        Self::serve_simulator(world, TestClock::new(), ca).await
    }

    /// Serves a world of the test's own making.
    pub(crate) async fn serve_simulator(
        world: Simulator,
        clock: TestClock,
        ca: Option<&Ca>,
    ) -> Self {
        let http = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let streams = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = http.local_addr().unwrap().port();
        let stream_port = streams.local_addr().unwrap().port();
        let tls = ca.map(Ca::server);
        let s = if ca.is_some() { "s" } else { "" };
        let (simulator, tls_too) = (world.clone(), tls.clone());
        tokio::spawn(simulator::serve(http, simulator.clone(), tls));
        tokio::spawn(simulator::serve_streams(streams, simulator, tls_too));
        Self {
            world,
            clock,
            origin: format!("http{s}://127.0.0.1:{port}"),
            stream_origin: format!("ws{s}://127.0.0.1:{stream_port}"),
            port,
        }
    }

    /// These variables, and the addresses of this server where they name no others.
    pub(crate) fn variables<'a>(&'a self, given: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let is_free = |name: &str| given.iter().all(|(other, _)| *other != name);
        let mut variables = given.to_vec();
        variables.extend(
            [
                ("TRADERNET_URL", self.origin.as_str()),
                ("TRADERNET_WS_URL", &self.stream_origin),
                ("TRADERNET_SOCKETIO_URL", &self.stream_origin),
            ]
            .into_iter()
            .filter(|(name, _)| is_free(name)),
        );
        variables
    }

    /// [`LOGIN`]'s account.
    pub(crate) fn account(&self) -> Account {
        self.world.account(LOGIN)
    }

    /// Waits until this many requests for [`LOGIN`]'s list have come.
    pub(crate) async fn wait_for_list_requests(&self, count: u64) {
        let account = self.account();
        self.world
            .wait_until(|_| account.counters().lists >= count)
            .await;
    }

    /// Every request for [`LOGIN`]'s list fails like this until it is healed.
    pub(crate) fn fail(&self, fault: Fault) {
        let account = self.account();
        account.clear_faults();
        account.inject_fault(FaultTarget::SessionList, Repeat::Forever, fault);
    }

    /// The next request for [`LOGIN`]'s list fails like this.
    pub(crate) fn fail_once(&self, fault: Fault) {
        self.account()
            .inject_fault(FaultTarget::SessionList, Repeat::Once, fault);
    }

    /// [`LOGIN`]'s list is served well again.
    pub(crate) fn heal(&self) {
        self.account().clear_faults();
    }

    /// These bytes are [`LOGIN`]'s list from now on.
    pub(crate) fn answer(&self, body: impl Into<bytes::Bytes>) {
        let body = body.into();
        self.account()
            .change_spec(|spec| spec.raw_answer = Some(body));
    }
}

/// So many blanks, compressed.
pub(crate) fn gzip(blanks: usize) -> Vec<u8> {
    use flate2::{Compression, write::GzEncoder};
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    std::io::Write::write_all(&mut encoder, &vec![b' '; blanks]).unwrap();
    encoder.finish().unwrap()
}

/// A private certificate authority, made for one test.
pub(crate) struct Ca {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Ca {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // OpenSSL, by which Python trusts, takes one of its server's name for the server itself, and
        // wants the usages said.
        params.distinguished_name = DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::CommonName, "a private CA");
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { issuer }
    }

    /// The CA's own certificate.
    pub(crate) fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// Writes the CA's certificate, for `SSL_CERT_FILE`.
    pub(crate) fn write(&self, path: &Path) {
        std::fs::write(path, self.pem()).unwrap();
    }

    /// A server for the addresses and names that tests use.
    pub(crate) fn server(&self) -> Arc<rustls::ServerConfig> {
        let names = [
            "127.0.0.1",
            "::1",
            "localhost",
            "tradernet.test",
            "*.tradernet.test",
        ];
        self.server_for(&names)
    }

    /// A server that shows the CA's own certificate, as `openssl req -x509` makes one.
    pub(crate) fn server_as_itself() -> (String, Arc<rustls::ServerConfig>) {
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        (certificate.pem(), server(&certificate, &key))
    }

    /// A server for these names alone.
    pub(crate) fn server_for(&self, names: &[&str]) -> Arc<rustls::ServerConfig> {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(names).unwrap();
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        server(&certificate, &key)
    }
}

fn server(certificate: &Certificate, key: &KeyPair) -> Arc<rustls::ServerConfig> {
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    Arc::new(config)
}
