//! The accounts file: valid files, and the errors of invalid ones.
//!
//! `config/*.good.yml` and `config/*.bad.yml` carry their verdict in their names; beside each bad
//! file is the exact text of its errors.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tradernet_exporter::Config;
use tradernet_exporter::config::Flags;
use tradernet_exporter::config::{AccountConfig, CredentialSource};
use tradernet_exporter::secret::SecretSource;
use tradernet_exporter::session::safety_type::SafetyType;
use tradernet_exporter::session::summary::SessionDetails;

fn load_with(path: &Path, variables: &[(&str, &str)]) -> Result<Config, String> {
    let flags = Flags::new(&[("config.file", path.to_str().unwrap())]);
    let variables = variables
        .iter()
        .map(|(name, value)| (OsString::from(name), OsString::from(value)));
    Config::load(&flags, variables).map_err(|problems| problems.to_string())
}

fn load(path: &Path) -> Result<Config, String> {
    load_with(path, &[])
}

/// Relative, so that the expected texts hold on every machine: tests run in the package's folder.
fn fixtures(verdict: &str) -> Vec<PathBuf> {
    let mut paths: Vec<_> = std::fs::read_dir("tests/fixtures/config")
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_str().unwrap().ends_with(verdict))
        .collect();
    paths.sort();
    assert!(!paths.is_empty());
    paths
}

fn good(name: &str) -> BTreeMap<String, AccountConfig> {
    let path = PathBuf::from(format!("tests/fixtures/config/{name}.good.yml"));
    let accounts = load(&path).unwrap().accounts.into_iter();
    accounts
        .map(|account| (account.name.to_string(), account))
        .collect()
}

/// A secret in words that a test may compare.
fn secret(account: &AccountConfig) -> String {
    use secrecy::ExposeSecret as _;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let text = |source: &SecretSource| {
        let secret = runtime.block_on(source.read()).unwrap();
        secret.expose_secret().to_owned()
    };
    match &account.credential {
        CredentialSource::Sid(sid) => format!("sid {}", text(sid)),
        CredentialSource::Login {
            login, password, ..
        } => format!("{login} {}", text(password)),
        CredentialSource::KeyPair { key, secret, .. } => format!("{} {}", text(key), text(secret)),
    }
}

#[test]
fn good_files_are_accepted() {
    for path in fixtures(".good.yml") {
        load(&path).unwrap_or_else(|problems| panic!("{}: {problems}", path.display()));
    }
}

#[test]
fn bad_files_are_refused_with_these_errors() {
    for path in fixtures(".bad.yml") {
        let expected = std::fs::read_to_string(path.with_extension("txt"))
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let problems = load(&path).expect_err(path.to_str().unwrap());
        assert_eq!(format!("{problems}\n"), expected, "{}", path.display());
        assert!(!problems.contains("hunter"), "a secret: {problems}");
    }
}

#[test]
fn values_are_taken_as_written() {
    let accounts = good("whole");
    let (one, two, three) = (
        &accounts["desk-1"],
        &accounts["desk-2"],
        &accounts["Ünïcode 😀"],
    );
    assert_eq!(secret(one), "desk1@example.com 0123");
    assert_eq!(secret(two), "sid 4815162342");
    assert_eq!(secret(three), "abc yes");

    assert_eq!(one.tracking.interval, Duration::from_secs(60));
    assert_eq!(one.target.timeout, Duration::from_secs(5));
    assert_eq!(two.tracking.interval, Duration::from_secs(90));
    // `null` removes the default of the file; the program's own applies.
    assert_eq!(two.target.timeout, Duration::from_secs(10));
    assert_eq!(two.tracking.details, SessionDetails::Full);

    let policy = &two.tracking.policy;
    assert_eq!(policy.client_ips.as_ref().map(Vec::len), Some(2));
    assert_eq!(policy.safety_types, Some([2, 17].into()));
    let labels = [("desk", "fx"), ("owner", "night-shift")];
    let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(two.info.labels, labels.into());
    assert_eq!(one.info.labels, Default::default());
    assert_eq!(one.info.credential, "login");
    assert_eq!(policy.logins.as_ref().map(|logins| logins.len()), Some(2));
}

#[test]
fn a_variable_overrides_the_files_names_of_safety_types() {
    let path = Path::new("tests/fixtures/config/whole.good.yml");
    let names = |variables| {
        let names = load_with(path, variables).unwrap().safety_names;
        [2, 3, 17].map(|id| names.name(SafetyType::Id(id)).to_owned())
    };
    assert_eq!(names(&[]), ["hardware token", "sms", "carrier pigeon"]);
    let variable = [("TRADERNET_SAFETY_TYPES", "2=dongle")];
    assert_eq!(names(&variable), ["dongle", "sms", "carrier pigeon"]);
}

#[test]
fn account_credential_overrides_default() {
    let accounts = good("credential_of_its_own");
    assert_eq!(
        secret(&accounts["shares"]),
        "shared@example.com from-a-file"
    );
    assert_eq!(
        secret(&accounts["own-password"]),
        "shared@example.com its own"
    );
    assert_eq!(secret(&accounts["own-sid"]), "sid 0123456789");
    assert_eq!(secret(&accounts["own-keys"]), "abc api-secret-from-a-file");
}

#[test]
fn a_missing_file_is_refused() {
    let error = load(Path::new("tests/fixtures/config/nowhere.yml")).unwrap_err();
    assert_eq!(
        error,
        "tests/fixtures/config/nowhere.yml: cannot be read: No such file or directory (os error 2)"
    );
}

#[test]
fn variables_of_an_account_conflict_with_a_file() {
    let path = Path::new("tests/fixtures/config/one_account_without_a_name.good.yml");
    let variables = [
        ("TRADERNET_SID", "hunter2"),
        ("TRADERNET_POLL_INTERVAL", "30s"),
        ("TRADERNET_LOG_LEVEL", "warn"),
    ];
    assert_eq!(
        load_with(path, &variables).unwrap_err(),
        "TRADERNET_POLL_INTERVAL: conflicts with --config.file, which lists the accounts; unset one of them\n\
         TRADERNET_SID: conflicts with --config.file, which lists the accounts; unset one of them"
    );
    let flags = Flags::default();
    let file = "tests/fixtures/config/one_account_without_a_name.good.yml";
    let variables = [
        ("TRADERNET_CONFIG_FILE", file),
        ("TRADERNET_ACCOUNT", "desk"),
    ];
    let variables = variables.map(|(name, value)| (name.into(), value.into()));
    assert_eq!(
        Config::load(&flags, variables).unwrap_err().to_string(),
        "TRADERNET_ACCOUNT: conflicts with TRADERNET_CONFIG_FILE, which lists the accounts; unset one of them"
    );
}

fn shard_of(flag: &str, variables: &[(&str, &str)]) -> Result<Vec<String>, String> {
    let flags = Flags::new(&[("shard", flag)]);
    let variables = variables
        .iter()
        .map(|(name, value)| (OsString::from(name), OsString::from(value)));
    let config = Config::load(&flags, variables).map_err(|problems| problems.to_string())?;
    let accounts = config.accounts.iter();
    Ok(accounts.map(|account| account.name.to_string()).collect())
}

#[test]
fn shards_partition_accounts() {
    let file = [(
        "TRADERNET_CONFIG_FILE",
        "tests/fixtures/config/credential_of_its_own.good.yml",
    )];
    let mut together = Vec::new();
    for index in 0..3 {
        together.extend(shard_of(&format!("{index}/3"), &file).unwrap());
    }
    together.sort();
    assert_eq!(together, ["own-keys", "own-password", "own-sid", "shares"]);

    // `desk-1` is the first shard's: see the known answers in src/shard.rs.
    let account = [("TRADERNET_ACCOUNT", "desk-1"), ("TRADERNET_SID", "abc")];
    assert_eq!(shard_of("1/3", &account).unwrap(), [""; 0]);
    assert_eq!(shard_of("0/3", &account).unwrap(), ["desk-1"]);
    let pod = [account[0], account[1], ("POD_NAME", "exporter-0")];
    assert_eq!(shard_of("auto/3", &pod).unwrap(), ["desk-1"]);
    let pod = [account[0], account[1], ("POD_NAME", "exporter-3")];
    assert_eq!(
        shard_of("auto/3", &pod).unwrap_err(),
        "--shard: \"auto/3\" names shard 3, but 3 shards are 0 to 2"
    );
}

#[test]
fn errors_of_ten_thousand_accounts_are_limited() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("accounts.yml");
    let accounts: String = (0..10_000)
        .map(|n| format!("  - account: desk-{n}\n    sid: abc\n"))
        .collect();
    let errors = |defaults: &str, accounts: &str| {
        let text = format!("defaults: {{{defaults}}}\naccounts:\n{accounts}");
        std::fs::write(&path, text).unwrap();
        load(&path).unwrap_err()
    };
    // A wrong default is one error.
    assert_eq!(
        errors("poll_interval: 0", &accounts),
        format!(
            "{}:1: defaults.poll_interval: \"0\" is too short; use at least 1s",
            path.display()
        )
    );
    let errors = errors("", &accounts.replace("sid", "url"));
    assert_eq!(errors.lines().count(), 51);
    let end = "\nthere are more errors; the first 50 are shown";
    assert!(errors.ends_with(end), "{errors}");
}

#[test]
fn a_file_of_ten_thousand_accounts_is_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("accounts.yml");
    let accounts: String = (0..10_000)
        .map(|n| format!("  - account: desk-{n}\n    sid: abc{n}\n    poll_interval: 60s\n"))
        .collect();
    std::fs::write(&path, format!("accounts:\n{accounts}")).unwrap();
    assert_eq!(load(&path).unwrap().accounts.len(), 10_000);
}

/// Nesting, aliases and size are tested with the YAML reader.
#[test]
fn hostile_files_have_short_errors() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("accounts.yml");
    let account = |keys: &str| format!("accounts:\n  - account: desk\n    sid: abc\n    {keys}\n");
    // Ten times what the errors may have, of which 50 list all keys.
    let items = "a,".repeat(125_000);
    let long = "n".repeat(250_000);
    for (text, expected) in [
        (
            account(&format!("allowed_client_ips: [{items}1]")),
            "the first 50 are shown",
        ),
        (account(&"? a\n    ".repeat(20_000)), "unknown key"),
        (account(&format!("? {long}\n    : 1")), "unknown key"),
        (
            account(&format!("timeout: {long}")),
            "timeout: the value is not a valid",
        ),
        (account(&format!("logn: {long}")), "did you mean login?"),
    ] {
        std::fs::write(&path, text).unwrap();
        let errors = load(&path).unwrap_err();
        let start: String = errors.chars().take(2000).collect();
        assert!(errors.contains(expected), "{start}");
        assert!(errors.len() < 25_000, "{}: {start}", errors.len());
    }
}
