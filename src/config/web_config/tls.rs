//! `tls_server_config` to what rustls needs.
//!
//! An invalid value adds an error, with which the file is refused, and is replaced by a default.

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls::{
    CipherSuite, InconsistentKeys, NamedGroup, RootCertStore, ServerConfig,
    SupportedProtocolVersion,
};
use secrecy::zeroize::{Zeroize as _, Zeroizing};

use super::super::keys::{Key, keys};
use super::super::parse::{self, Parsed};
use super::super::settings::Settings;
use super::super::yaml::{Node, Value};
use super::client_certificates::ClientCertificates;
use super::content::WebConfig;
use super::files::Files;

pub(super) const KEYS: &[Key] = keys! {
    cert, cert_file, key, key_file,
    client_ca, client_ca_file, client_auth_type, client_allowed_sans,
    min_version, max_version, cipher_suites, curve_preferences, prefer_server_cipher_suites,
};

/// Keys that a blank value leaves unset.
pub(super) const TEXTS: &str =
    "cert cert_file key key_file client_ca client_ca_file client_auth_type";

/// Go's names; none is what ring does not implement.
const CURVES: [(&str, Option<NamedGroup>); 4] = [
    ("CurveP256", Some(NamedGroup::secp256r1)),
    ("CurveP384", Some(NamedGroup::secp384r1)),
    ("CurveP521", None),
    ("X25519", Some(NamedGroup::X25519)),
];

const VERSIONS: [(&str, u8); 4] = [("TLS10", 10), ("TLS11", 11), ("TLS12", 12), ("TLS13", 13)];

/// Whether a client must have a certificate, and whether a CA must have signed it; none is a server
/// that requests none.
const POLICIES: [(&str, Option<(bool, bool)>); 6] = [
    ("NoClientCert", None),
    ("RequestClientCert", Some((false, false))),
    ("RequireAnyClientCert", Some((true, false))),
    // The older name.
    ("RequireClientCert", Some((true, false))),
    ("VerifyClientCertIfGiven", Some((false, true))),
    ("RequireAndVerifyClientCert", Some((true, true))),
];

/// Which of two keys is set.
fn set_key(settings: &Settings<'_>, text: &'static str, file: &'static str) -> &'static str {
    if settings.is_set(text) { text } else { file }
}

/// Sets TLS as the section configures it, where it is valid.
pub(super) fn resolve(settings: &Settings<'_>, files: &mut Files, config: &mut WebConfig) {
    let mut reader = Reader {
        settings,
        files,
        config,
    };
    let key = reader.certified_key();
    let versions = reader.versions();
    let provider = Arc::new(reader.provider());
    let prefer_own = settings.get("prefer_server_cipher_suites", parse::boolean);
    let clients = reader.client_certificates(&provider);
    let builder = ServerConfig::builder_with_provider(provider);
    let Ok(builder) = builder.with_protocol_versions(&versions) else {
        let message = "none of them can be used with min_version and max_version";
        return settings.error("cipher_suites", message);
    };
    let builder = match clients {
        Some(clients) => {
            config.verifies_clients = clients.required && clients.verifier.is_some();
            builder.with_client_cert_verifier(Arc::new(clients))
        }
        None => builder.with_no_client_auth(),
    };
    config.tls = key.map(|key| {
        let mut tls = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(key)));
        tls.ignore_client_order = prefer_own.unwrap_or(true);
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Arc::new(tls)
    });
}

struct Reader<'a> {
    settings: &'a Settings<'a>,
    files: &'a mut Files,
    config: &'a mut WebConfig,
}

impl Reader<'_> {
    fn certified_key(&mut self) -> Option<CertifiedKey> {
        let chain = self.certificates("cert", "cert_file");
        let key = self.pem("key", "key_file")?;
        let settings = self.settings;
        let fail = |message| settings.fail(set_key(settings, "key", "key_file"), message);
        let Ok(mut der) = PrivateKeyDer::from_pem_slice(&key) else {
            return fail(match key.windows(9).any(|part| part == b"ENCRYPTED") {
                true => "is encrypted; decrypt it, for example with openssl pkey",
                false => "contains no private key in PEM format",
            });
        };
        let signing = ring::sign::any_supported_type(&der);
        der.zeroize();
        let Ok(signing) = signing else {
            return fail(
                "is not a supported private key; use RSA of 2048 to 4096 bits, ECDSA P-256 or P-384, or Ed25519",
            );
        };
        let certified = CertifiedKey::new(chain?, signing);
        // An error other than these means that a kind of key cannot be compared.
        match certified.keys_match() {
            Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
                fail("does not belong to the certificate")
            }
            Err(rustls::Error::InvalidCertificate(_)) => {
                let message = "the first certificate cannot be read";
                settings.fail("cert_file", message)
            }
            _ => Some(certified),
        }
    }

    /// The certificates of a text or a file.
    fn certificates(
        &mut self,
        text: &'static str,
        file: &'static str,
    ) -> Option<Vec<CertificateDer<'static>>> {
        let pem = self.pem(text, file)?;
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
        found.ok().filter(|found| !found.is_empty()).or_else(|| {
            let message = "contains no certificate in PEM format, or a broken one";
            self.settings
                .fail(set_key(self.settings, text, file), message)
        })
    }

    /// The bytes of a text or a file, of which one must be set.
    fn pem(&mut self, text: &'static str, file: &'static str) -> Option<Zeroizing<Vec<u8>>> {
        let settings = self.settings;
        let bytes = match (settings.is_set(text), settings.is_set(file)) {
            (false, false) => settings.fail(file, format!("{file} or {text} is missing")),
            (true, true) => {
                settings.fail(text, format!("conflicts with {file}; remove one of them"))
            }
            // Any text is valid here, so that no error quotes it.
            (true, false) => settings.get_unchecked(text, |text| Ok(text.as_bytes().to_vec())),
            (false, true) => settings.get(file, |path| {
                let bytes = self.files.read(&settings.folder.join(path));
                bytes.map_err(|error| format!("cannot be read: {error}"))
            }),
        };
        bytes.map(Zeroizing::new)
    }

    fn versions(&mut self) -> Vec<&'static SupportedProtocolVersion> {
        let version = |key| self.settings.get(key, parse::word(VERSIONS));
        let min = version("min_version").unwrap_or(12);
        let max = version("max_version").unwrap_or(13);
        if max < 12 {
            let message = "must be TLS12 or TLS13; older versions are not secure";
            self.settings.error("max_version", message);
        } else if min > max {
            self.settings
                .error("min_version", "is later than max_version");
        } else if min < 12 {
            let warning = "min_version of the web configuration is taken as TLS12: older versions are not secure";
            self.config.warnings.push(warning.to_owned());
        }
        match (min, max) {
            (13, 13) => vec![&TLS13],
            (_, 12) => vec![&TLS12],
            _ => vec![&TLS12, &TLS13],
        }
    }

    /// ring, restricted to the listed suites and curves. As in Go, suites are those of TLS 1.2: all of
    /// TLS 1.3 stay.
    fn provider(&mut self) -> CryptoProvider {
        let mut provider = ring::default_provider();
        let suites = provider.cipher_suites.clone();
        let listed = self.list("cipher_suites", |text| {
            // rustls knows the names of more suites than it implements.
            let name =
                |suite: &CipherSuite| suite.as_str().map(|name| name.replace("TLS13_", "TLS_"));
            let mut known = (0..=u16::MAX).map(CipherSuite::from);
            let id = known.find(|suite| name(suite).is_some_and(|name| name == text));
            let id = id.ok_or("is not a cipher suite; use a name of Go's crypto/tls")?;
            let found = suites.iter().find(|suite| suite.suite() == id).copied();
            Ok((text.to_owned(), found))
        });
        if let Some(listed) = self.supported("cipher_suites", listed) {
            let tls12 = listed.into_iter().filter(|suite| suite.tls13().is_none());
            let tls13 = suites.iter().copied();
            let tls13 = tls13.filter(|suite| suite.tls13().is_some());
            provider.cipher_suites = tls13.chain(tls12).collect();
        }
        let listed = self.list("curve_preferences", |text| {
            Ok((text.to_owned(), parse::word(CURVES)(text)?))
        });
        if let Some(listed) = self.supported("curve_preferences", listed) {
            let all = provider.kx_groups;
            let group = |name| all.iter().copied().find(|group| group.name() == name);
            provider.kx_groups = listed.into_iter().filter_map(group).collect();
        }
        provider
    }

    /// The items of a list; none where it is not set or one is invalid.
    fn list<T>(&self, key: &str, parse: impl Fn(&str) -> Parsed<T>) -> Option<Vec<T>> {
        let settings = self.settings;
        let node = settings.values.get(key)?;
        let Value::List(items) = &node.value else {
            return settings.fail(key, "must be a list");
        };
        let value = |item: &Node| {
            let item = Node::new(item.line, node.name.as_str(), item.value.clone());
            settings.check(key, &item, &parse)
        };
        let values: Vec<_> = items.iter().filter_map(value).collect();
        (values.len() == items.len()).then_some(values)
    }

    /// Those of a list that are supported; the others are named in a warning.
    fn supported<T>(
        &mut self,
        key: &str,
        list: Option<Vec<(String, Option<T>)>>,
    ) -> Option<Vec<T>> {
        // As in the toolkit, an empty list means the defaults.
        let list = list.filter(|list| !list.is_empty())?;
        let missing = list.iter().filter(|(_, found)| found.is_none());
        let missing: Vec<_> = missing.map(|(name, _)| name.as_str()).collect();
        if missing.len() == list.len() {
            let message = "contains nothing that is supported; remove the key for the defaults";
            return self.settings.fail(key, message);
        }
        if !missing.is_empty() {
            let missing = missing.join(", ");
            self.config.warnings.push(format!(
                "{key} of the web configuration: not supported and left out: {missing}"
            ));
        }
        Some(list.into_iter().filter_map(|(_, found)| found).collect())
    }

    /// The requirements for certificates of clients; none where none is requested.
    fn client_certificates(
        &mut self,
        provider: &Arc<CryptoProvider>,
    ) -> Option<ClientCertificates> {
        const VERIFY: &str = "use RequireAndVerifyClientCert";
        let settings = self.settings;
        let policy = settings.get_or("client_auth_type", None, parse::word(POLICIES))?;
        let verifies = policy.is_some_and(|(_, verifies)| verifies);
        let verifier = if verifies {
            let mut roots = RootCertStore::empty();
            let certificates = self.certificates("client_ca", "client_ca_file")?;
            let key = set_key(settings, "client_ca", "client_ca_file");
            if certificates.into_iter().any(|der| roots.add(der).is_err()) {
                return settings.fail(key, "contains a certificate that cannot be read");
            }
            let (roots, provider) = (Arc::new(roots), Arc::clone(provider));
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider).build();
            Some(verifier.map_err(|error| settings.error(key, error)).ok()?)
        } else {
            for key in ["client_ca", "client_ca_file"] {
                if settings.is_set(key) {
                    let message =
                        format!("is not used by this client_auth_type; {VERIFY}, or remove it");
                    settings.error(key, message);
                }
            }
            None
        };
        let allowed_names = self.list("client_allowed_sans", |name| Ok(name.to_owned()));
        let required = policy.is_some_and(|(required, _)| required);
        if allowed_names.is_some() && !required {
            let message = format!("needs a client_auth_type that requires certificates; {VERIFY}");
            settings.error("client_allowed_sans", message);
        } else if allowed_names.is_some() && !verifies {
            self.config.warnings.push(format!(
                "client_allowed_sans of the web configuration does not protect: this client_auth_type does not verify certificates; {VERIFY}"
            ));
        }
        policy.map(|_| ClientCertificates {
            verifier,
            required,
            allowed_names,
            algorithms: provider.signature_verification_algorithms,
        })
    }
}
