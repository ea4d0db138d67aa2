//! Passes the commit and the compiler's version to `tradernet_exporter_build_info`, and the hashes of the
//! status page's style and script for its content security policy.

// A build script's input is its environment.
#![allow(clippy::disallowed_methods, clippy::expect_used)]

use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

fn main() {
    println!("cargo::rerun-if-env-changed=TRADERNET_EXPORTER_REVISION");
    // `HEAD` changes with a check-out, its log with every commit.
    for path in [".git/HEAD", ".git/logs/HEAD"] {
        if std::path::Path::new(path).exists() {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    let revision = std::env::var("TRADERNET_EXPORTER_REVISION")
        .ok()
        .filter(|given| !given.is_empty())
        .or_else(|| first_line(Command::new("git").args(["rev-parse", "--short=12", "HEAD"])))
        .unwrap_or_else(|| "unknown".to_owned());
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = first_line(Command::new(rustc).arg("--version"))
        .and_then(|line| line.split_whitespace().nth(1).map(str::to_owned))
        .unwrap_or_else(|| "unknown".to_owned());
    println!("cargo::rustc-env=BUILD_REVISION={revision}");
    println!("cargo::rustc-env=BUILD_RUSTC_VERSION={version}");
    for (name, path) in [
        ("PAGE_STYLE_SHA256", "src/web/page/page.css"),
        ("PAGE_SCRIPT_SHA256", "src/web/page/page.js"),
    ] {
        println!("cargo::rerun-if-changed={path}");
        let text = std::fs::read(path).expect("the page's files are part of the source");
        let hash = STANDARD.encode(Sha256::digest(text));
        println!("cargo::rustc-env={name}={hash}");
    }
}

fn first_line(command: &mut Command) -> Option<String> {
    let output = command
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.lines()
        .next()
        .map(str::to_owned)
        .filter(|line| !line.is_empty())
}
