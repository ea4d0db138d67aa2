//! `hash-password` at a terminal, which Python's pseudo-terminal plays.

use serde_json::Value;

use crate::external::python;

/// Types each line once the terminal has a prompt and does not echo; prints what the terminal showed.
const TYPIST: &str = r#"
import json, os, pty, sys, termios, time
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
    os.write(terminal, line.encode() + b"\r")
while read():
    pass
code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print(json.dumps({"shown": shown.decode(), "code": code}))
"#;

/// What the terminal showed, line by line, and the exit code.
async fn type_lines(lines: [&str; 2]) -> (Vec<String>, Value) {
    let arguments = [env!("CARGO_BIN_EXE_tradernet-exporter"), lines[0], lines[1]];
    let printed = python(TYPIST, &arguments, b"").await;
    let result: Value = serde_json::from_str(&printed).unwrap();
    let shown = result["shown"].as_str().unwrap().lines().map(str::to_owned);
    (shown.collect(), result["code"].clone())
}

#[tokio::test]
async fn password_is_asked_twice_and_not_shown() {
    let (shown, code) = type_lines(["correct horse", "correct horse"]).await;
    assert_eq!(code, 0, "{shown:?}");
    assert_eq!(shown[..2], ["Password: ", "Again: "]);
    assert!(bcrypt::verify("correct horse", &shown[2]).unwrap());
    assert_eq!(shown.len(), 3, "{shown:?}");
}

#[tokio::test]
async fn passwords_that_differ_are_refused() {
    let (shown, code) = type_lines(["correct horse", "correct house"]).await;
    assert_eq!(code, 1, "{shown:?}");
    let error = "tradernet-exporter: the two passwords differ";
    assert_eq!(shown, ["Password: ", "Again: ", error]);
}
