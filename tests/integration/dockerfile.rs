//! The Dockerfile, as far as it can be tried without building an image.

use std::process::Command;

/// Dependencies are compiled with stand-ins for the sources. Where one is missing, as for a new
/// benchmark, Cargo refuses the manifest and there is no image.
#[test]
fn dockerfile_stub_sources_satisfy_cargo() {
    let dockerfile = include_str!("../../Dockerfile");
    let start = dockerfile.find("RUN mkdir -p src").unwrap();
    let (stand_ins, _) = dockerfile[start..].split_once("&& cargo build").unwrap();
    let stand_ins = stand_ins.trim_start_matches("RUN ").trim_end();
    let stand_ins = stand_ins.trim_end_matches('\\').replace("\\\n", " ");

    let folder = tempfile::tempdir().unwrap();
    for file in ["Cargo.toml", "Cargo.lock"] {
        let from = format!("{}/{file}", env!("CARGO_MANIFEST_DIR"));
        std::fs::copy(from, folder.path().join(file)).unwrap();
    }
    let run = |program: &str, arguments: &[&str]| {
        let output = Command::new(program)
            .args(arguments)
            .current_dir(folder.path())
            .output()
            .unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{error}");
        String::from_utf8(output.stdout).unwrap()
    };
    run("sh", &["-ec", &stand_ins]);
    let compiler = run("rustc", &["-vV"]);
    let host = compiler
        .lines()
        .find_map(|line| line.strip_prefix("host: "));
    // Reads the manifest as a build does; what it would fetch for this machine is there already.
    let fetch = ["fetch", "--locked", "--offline", "--target", host.unwrap()];
    run("cargo", &fetch);
}
