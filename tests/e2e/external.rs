//! Programs not written here that judge what is served. A missing one fails the test: a skipped
//! test proves nothing.

use std::ffi::OsString;

use crate::support::{ProcessOutput, other};

/// Runs a script with the Python that has the vendor's SDK and Prometheus' client, and returns
/// what it printed. Fails where the script fails.
pub(crate) async fn python(script: &str, arguments: &[&str], input: &[u8]) -> String {
    python_with(&[], script, arguments, input).await
}

/// The same, with more variables.
pub(crate) async fn python_with(
    variables: &[(&str, &str)],
    script: &str,
    arguments: &[&str],
    input: &[u8],
) -> String {
    let arguments = [&["-I", "-c", script], arguments].concat();
    succeed(&arguments, variables, input).await
}

async fn succeed(arguments: &[&str], variables: &[(&str, &str)], input: &[u8]) -> String {
    let finished = other(interpreter(), arguments, variables, input).await;
    assert_eq!(
        finished.code,
        Some(0),
        "the script failed:\n{}{}",
        finished.stdout,
        finished.stderr
    );
    finished.stdout
}

#[expect(
    clippy::disallowed_methods,
    reason = "a setting of the test run, not of the exporter"
)]
pub(crate) fn interpreter() -> OsString {
    std::env::var_os("TEST_PYTHON").unwrap_or_else(|| {
        panic!(
            "TEST_PYTHON is not set: it names a Python with scripts/requirements.txt installed; \
             scripts/test.sh makes one and sets it"
        )
    })
}

/// `promtool check metrics` over a page.
pub(crate) async fn promtool_check(page: &str) -> ProcessOutput {
    other("promtool", &["check", "metrics"], &[], page.as_bytes()).await
}
