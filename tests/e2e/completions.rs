//! The completion scripts in their shells.

use std::process::Command;

/// The output of a shell that has read the script from a file and then runs this.
fn offered(shell: &str, command: &str) -> String {
    let script = Command::new(env!("CARGO_BIN_EXE_tradernet-exporter"))
        .args(["completions", shell])
        .output();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("script");
    std::fs::write(&file, script.unwrap().stdout).unwrap();
    let file = file.display();
    let run = Command::new(shell)
        .args(["-c", &format!("source {file}; {command}")])
        .output()
        .unwrap_or_else(|error| panic!("{shell}: {error}; scripts/setup-tests.sh installs it"));
    String::from_utf8(run.stdout).unwrap()
}

#[test]
fn commands_and_their_flags_are_offered() {
    for (line, expected) in [
        (&["che"][..], "check"),
        (&["check", "--off"], "--offline"),
        (&["check", "--conf"], "--config.file"),
        (
            &["--log.level", "debug", "--web.tel"],
            "--web.telemetry-path",
        ),
        (&["--log.level", "debug", "dem"], "demo"),
    ] {
        let line = line.join(" ");
        let fish = offered("fish", &format!("complete -C 'tradernet-exporter {line}'"));
        let is_offered = fish
            .lines()
            .any(|line| line.split('\t').next() == Some(expected));
        assert!(is_offered, "fish: {line}: {fish}");
        if line.ends_with("dem") {
            // bash offers commands as the first word only.
            continue;
        }
        let bash = format!(
            "COMP_WORDS=(tradernet-exporter {line}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
             _tradernet__exporter tradernet-exporter \"${{COMP_WORDS[-1]}}\" \"${{COMP_WORDS[-2]}}\"
             echo \"${{COMPREPLY[@]}}\""
        );
        let bash = offered("bash", &bash);
        assert_eq!(bash.trim(), expected, "bash: {line}");
    }
}
