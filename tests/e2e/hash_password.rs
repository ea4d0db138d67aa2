//! `hash-password` at a terminal, which Python's pseudo-terminal plays.

use serde_json::Value;

use crate::external::python;

/// Types each line, or sends the signal of that name, once the terminal has a prompt and does not echo; prints
/// what the terminal showed, and whether it echoes again.
const TYPIST: &str = r#"
import json, os, pty, signal, sys, termios, time
program, *lines = sys.argv[1:]
child, terminal = pty.fork()
if child == 0:
    os.execv(program, [program, "hash-password"])
def echoes():
    return termios.tcgetattr(terminal)[3] & termios.ECHO
shown, hidden = b"", 0
def read():
    global shown
    try:
        part = os.read(terminal, 1024)
    except OSError:
        part = b""
    shown += part
    return part
for number, line in enumerate(lines, 1):
    while shown.count(b": ") < number and read():
        pass
    limit = time.monotonic() + 10
    while echoes() and time.monotonic() < limit:
        time.sleep(0.001)
    if line.startswith("SIG"):
        os.kill(child, getattr(signal, line))
    else:
        os.write(terminal, line.encode() + b"\r")
while read():
    pass
code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print(json.dumps({"shown": shown.decode(), "code": code, "echoes": bool(echoes())}))
"#;

/// The output of the terminal, line by line, and the exit code.
async fn type_lines(lines: &[&str]) -> (Vec<String>, Value) {
    let arguments = [&[env!("CARGO_BIN_EXE_tradernet-exporter")], lines].concat();
    let printed = python(TYPIST, &arguments, b"").await;
    let result: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(result["echoes"], true);
    let shown = result["shown"].as_str().unwrap().lines().map(str::to_owned);
    (shown.collect(), result["code"].clone())
}

#[tokio::test]
async fn password_is_asked_twice_and_not_shown() {
    let (shown, code) = type_lines(&["correct horse", "correct horse"]).await;
    assert_eq!(code, 0, "{shown:?}");
    assert_eq!(shown[..2], ["Password: ", "Again: "]);
    assert!(bcrypt::verify("correct horse", &shown[2]).unwrap());
    assert_eq!(shown.len(), 3, "{shown:?}");
}

#[tokio::test]
async fn passwords_that_differ_are_refused() {
    let (shown, code) = type_lines(&["correct horse", "correct house"]).await;
    assert_eq!(code, 1, "{shown:?}");
    let error = "tradernet-exporter: the two passwords differ";
    assert_eq!(shown, ["Password: ", "Again: ", error]);
}

#[tokio::test]
async fn interrupted_prompt_leaves_a_terminal_that_echoes() {
    for (signal, code) in [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)] {
        let (shown, exit) = type_lines(&[signal]).await;
        assert_eq!((exit, shown), (code.into(), vec!["Password: ".to_owned()]));
    }
    let (_, exit) = type_lines(&["hun\u{3}"]).await;
    assert_ne!(exit, 0);
}
