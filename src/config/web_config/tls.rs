//! `tls_server_config` to what rustls needs.

use std::io;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls::{
    InconsistentKeys, NamedGroup, RootCertStore, ServerConfig, SupportedCipherSuite,
    SupportedProtocolVersion,
};
use secrecy::zeroize::{Zeroize as _, Zeroizing};

use super::super::parse;
use super::client_certificates::ClientCertificates;
use super::content::WebConfig;
use super::section::{Section, boolean};

pub(super) const KEYS: &[&str] = &[
    "cert",
    "cert_file",
    "cipher_suites",
    "client_allowed_sans",
    "client_auth_type",
    "client_ca",
    "client_ca_file",
    "curve_preferences",
    "key",
    "key_file",
    "max_version",
    "min_version",
    "prefer_server_cipher_suites",
];

/// Suites that Go knows and rustls does not implement, as none of them is forward secret and
/// authenticated.
const UNSUPPORTED_SUITES: [&str; 13] = [
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
    "TLS_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA256",
    "TLS_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_RSA_WITH_AES_256_CBC_SHA",
    "TLS_RSA_WITH_AES_256_GCM_SHA384",
];

/// Go's names; none is what ring does not implement.
const CURVES: [(&str, Option<NamedGroup>); 4] = [
    ("CurveP256", Some(NamedGroup::secp256r1)),
    ("CurveP384", Some(NamedGroup::secp384r1)),
    ("CurveP521", None),
    ("X25519", Some(NamedGroup::X25519)),
];

const VERSIONS: [(&str, u8); 4] = [("TLS10", 10), ("TLS11", 11), ("TLS12", 12), ("TLS13", 13)];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Policy {
    None,
    Request,
    RequireAny,
    VerifyIfGiven,
    RequireAndVerify,
}

const POLICIES: [(&str, Policy); 6] = [
    ("NoClientCert", Policy::None),
    ("RequestClientCert", Policy::Request),
    ("RequireAnyClientCert", Policy::RequireAny),
    // The older name.
    ("RequireClientCert", Policy::RequireAny),
    ("VerifyClientCertIfGiven", Policy::VerifyIfGiven),
    ("RequireAndVerifyClientCert", Policy::RequireAndVerify),
];

type ReadFile<'a> = dyn FnMut(&str) -> io::Result<Vec<u8>> + 'a;

/// Sets TLS as the section configures it, where it is valid. An empty section configures no TLS.
pub(super) fn resolve(section: &Section<'_>, read: &mut ReadFile<'_>, config: &mut WebConfig) {
    if !KEYS.iter().any(|key| section.is_set(key)) {
        return;
    }
    let key = certified_key(section, read);
    let versions = versions(section, &mut config.warnings);
    let provider = provider(section, &mut config.warnings);
    let prefer_own = section.get("prefer_server_cipher_suites", boolean);
    let (Some(key), Some(versions), Some(provider)) = (key, versions, provider) else {
        // For its errors.
        client_certificates(section, read, &Arc::new(ring::default_provider()), config);
        return;
    };
    let provider = Arc::new(provider);
    let clients = client_certificates(section, read, &provider, config);
    let builder = ServerConfig::builder_with_provider(provider);
    let Ok(builder) = builder.with_protocol_versions(&versions) else {
        let message = "none of them can be used with min_version and max_version";
        return section.error("cipher_suites", message);
    };
    let builder = match clients {
        Some(clients) => {
            config.verifies_clients = clients.required && clients.verifier.is_some();
            builder.with_client_cert_verifier(Arc::new(clients))
        }
        None => builder.with_no_client_auth(),
    };
    let mut tls = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(key)));
    tls.ignore_client_order = prefer_own.unwrap_or(true);
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.tls = Some(Arc::new(tls));
}

fn certified_key(section: &Section<'_>, read: &mut ReadFile<'_>) -> Option<CertifiedKey> {
    let chain = certificates(section, read, "cert", "cert_file");
    let key = pem(section, read, "key", "key_file");
    let key = key.and_then(|(key, pem)| {
        let mut der = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| {
            let text = String::from_utf8_lossy(&pem);
            let message = match text.contains("ENCRYPTED") {
                true => "is encrypted; decrypt it, for example with openssl pkey",
                false => "contains no private key in PEM format",
            };
            section.error(key, message);
        });
        let signing = der
            .as_ref()
            .ok()
            .map(|der| ring::sign::any_supported_type(der));
        if let Ok(der) = &mut der {
            der.zeroize();
        }
        let signing = signing?.map_err(|_| {
            section.error(
                key,
                "is not a supported private key; use RSA, ECDSA P-256 or P-384, or Ed25519",
            );
        });
        Some((key, signing.ok()?))
    });
    for [text, file] in [["cert", "cert_file"], ["key", "key_file"]] {
        if !section.is_set(text) && !section.is_set(file) {
            section.error(
                file,
                format_args!("{file} or {text} is missing; TLS needs a certificate and its key"),
            );
        }
    }
    let ((_, chain), (key, signing)) = (chain?, key?);
    let certified = CertifiedKey::new(chain, signing);
    // An error other than this one means that a kind of key cannot be compared.
    match certified.keys_match() {
        Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            section.error(key, "does not belong to the certificate");
            None
        }
        Err(rustls::Error::InvalidCertificate(_)) => {
            section.error("cert_file", "the first certificate cannot be read");
            None
        }
        _ => Some(certified),
    }
}

/// The certificates of a text or a file, and the key that has set them.
fn certificates(
    section: &Section<'_>,
    read: &mut ReadFile<'_>,
    text: &'static str,
    file: &'static str,
) -> Option<(&'static str, Vec<CertificateDer<'static>>)> {
    let (key, pem) = pem(section, read, text, file)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Some((key, found)),
        _ => {
            section.error(
                key,
                "contains no certificate in PEM format, or a broken one",
            );
            None
        }
    }
}

/// The bytes of a text or a file, of which one may be set, and the key that has set them.
fn pem(
    section: &Section<'_>,
    read: &mut ReadFile<'_>,
    text: &'static str,
    file: &'static str,
) -> Option<(&'static str, Zeroizing<Vec<u8>>)> {
    if section.is_set(text) && section.is_set(file) {
        section.error(
            text,
            format_args!("conflicts with {file}; remove one of them"),
        );
        return None;
    }
    let from_text = section.get(text, |text| Ok(text.as_bytes().to_vec()));
    let from_file = section.get(file, |path| {
        read(path).map_err(|error| format!("cannot be read: {error}"))
    });
    let key = if from_text.is_some() { text } else { file };
    Some((key, Zeroizing::new(from_text.or(from_file)?)))
}

fn versions(
    section: &Section<'_>,
    warnings: &mut Vec<String>,
) -> Option<Vec<&'static SupportedProtocolVersion>> {
    let version = |key, default| match section.is_set(key) {
        true => section.get(key, parse::word(VERSIONS)),
        false => Some(default),
    };
    let (min, max) = (version("min_version", 12), version("max_version", 13));
    let (min, max) = (min?, max?);
    if max < 12 {
        section.error(
            "max_version",
            "must be TLS12 or TLS13; older versions are not secure",
        );
        return None;
    }
    if min > max {
        section.error("min_version", "is later than max_version");
        return None;
    }
    if min < 12 {
        warnings.push(
            "min_version of the web configuration is taken as TLS12: older versions are not secure"
                .to_owned(),
        );
    }
    let all = [(12, &TLS12), (13, &TLS13)].into_iter();
    let used = all.filter(|(version, _)| (min..=max).contains(version));
    Some(used.map(|(_, version)| version).collect())
}

/// ring, restricted to the listed suites and curves. As in Go, suites are those of TLS 1.2: all of
/// TLS 1.3 stay.
fn provider(section: &Section<'_>, warnings: &mut Vec<String>) -> Option<CryptoProvider> {
    let mut provider = ring::default_provider();
    let all = provider.cipher_suites.clone();
    let name = |suite: &SupportedCipherSuite| {
        let name = suite.suite().as_str().unwrap_or_default();
        name.replace("TLS13_", "TLS_")
    };
    let suites = section.list("cipher_suites", |text| {
        let found = all.iter().find(|suite| name(suite) == text).copied();
        let is_known = found.is_some() || UNSUPPORTED_SUITES.contains(&text);
        let unknown = || "is not a cipher suite; use a name of Go's crypto/tls".to_owned();
        is_known
            .then(|| (text.to_owned(), found))
            .ok_or_else(unknown)
    });
    if let Some(suites) = suites.filter(|_| !section.is_empty_list("cipher_suites")) {
        let suites = supported(section, "cipher_suites", suites, warnings)?;
        let tls13 = all.into_iter().filter(|suite| suite.tls13().is_some());
        let listed = suites.into_iter().filter(|suite| suite.tls13().is_none());
        provider.cipher_suites = tls13.chain(listed).collect();
    }
    let curves = section.list("curve_preferences", |text| {
        let group = parse::word(CURVES)(text)?;
        Ok((text.to_owned(), group))
    });
    if let Some(curves) = curves.filter(|_| !section.is_empty_list("curve_preferences")) {
        let curves = supported(section, "curve_preferences", curves, warnings)?;
        let all = provider.kx_groups;
        let group = |name: &NamedGroup| all.iter().copied().find(|group| group.name() == *name);
        provider.kx_groups = curves.iter().filter_map(group).collect();
    }
    Some(provider)
}

/// Those of a list that are supported; the others are named in a warning.
fn supported<T>(
    section: &Section<'_>,
    key: &str,
    list: Vec<(String, Option<T>)>,
    warnings: &mut Vec<String>,
) -> Option<Vec<T>> {
    let missing = list.iter().filter(|(_, found)| found.is_none());
    let missing: Vec<_> = missing.map(|(name, _)| name.as_str()).collect();
    if !missing.is_empty() {
        let missing = missing.join(", ");
        warnings.push(format!(
            "{key} of the web configuration: not supported and left out: {missing}"
        ));
    }
    let found: Vec<T> = list.into_iter().filter_map(|(_, found)| found).collect();
    if found.is_empty() {
        section.error(
            key,
            "contains nothing that is supported; remove the key for the defaults",
        );
        return None;
    }
    Some(found)
}

/// What clients have to show; none where they are not asked, or where there is an error.
fn client_certificates(
    section: &Section<'_>,
    read: &mut ReadFile<'_>,
    provider: &Arc<CryptoProvider>,
    config: &mut WebConfig,
) -> Option<ClientCertificates> {
    const VERIFY: &str = "use RequireAndVerifyClientCert";
    let policy = match section.is_set("client_auth_type") {
        true => section.get("client_auth_type", parse::word(POLICIES))?,
        false => Policy::None,
    };
    let verifies = matches!(policy, Policy::VerifyIfGiven | Policy::RequireAndVerify);
    let ca = certificates(section, read, "client_ca", "client_ca_file");
    let is_ca_set = section.is_set("client_ca") || section.is_set("client_ca_file");
    if verifies && !is_ca_set {
        let message = "needs client_ca_file or client_ca, by which certificates are verified";
        section.error("client_auth_type", message);
        return None;
    }
    let verifier = match ca {
        Some((key, _)) if !verifies => {
            let message = format!("is not used by this client_auth_type; {VERIFY}, or remove it");
            section.error(key, message);
            return None;
        }
        Some((key, certificates)) => {
            let mut roots = RootCertStore::empty();
            if certificates.into_iter().any(|der| roots.add(der).is_err()) {
                section.error(key, "contains a certificate that cannot be read");
                return None;
            }
            let builder =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
            Some(
                builder
                    .build()
                    .map_err(|error| section.error(key, error))
                    .ok()?,
            )
        }
        None => None,
    };
    let allowed_names = section.list("client_allowed_sans", |name| Ok(name.to_owned()));
    if allowed_names.is_some() {
        match policy {
            Policy::None => {
                let message = format!("is not used without a client_auth_type; {VERIFY}");
                section.error("client_allowed_sans", message);
            }
            Policy::Request | Policy::RequireAny => config.warnings.push(format!(
                "client_allowed_sans of the web configuration does not protect: this client_auth_type does not verify certificates; {VERIFY}"
            )),
            Policy::VerifyIfGiven | Policy::RequireAndVerify => {}
        }
    }
    (policy != Policy::None).then(|| ClientCertificates {
        verifier,
        required: matches!(policy, Policy::RequireAny | Policy::RequireAndVerify)
            || allowed_names.is_some(),
        allowed_names,
        algorithms: provider.signature_verification_algorithms,
    })
}
