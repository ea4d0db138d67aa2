//! `tradernet-exporter hash-password`: a bcrypt hash for `basic_auth_users` of the web configuration.

use std::io::{self, IsTerminal as _, Read as _, stdin};

use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use secrecy::zeroize::Zeroizing;
use tokio::signal::unix::{SignalKind, signal};

use crate::secret::{SecretKind, check_secret};

/// As the exporter-toolkit recommends: about 0.1 s a check.
const COST: u32 = 10;
const MAX_INPUT_BYTES: u64 = 64 * 1024;
/// Bcrypt ignores the rest.
const MAX_BYTES: usize = 72;

/// Reads a password and returns its hash. On a terminal the input is hidden and prompted for twice;
/// other input is read to its end.
///
/// # Errors
///
/// The password cannot be read, or is not suitable.
pub fn run() -> Result<String, String> {
    let unreadable = |error| format!("the password cannot be read: {error}");
    if !stdin().is_terminal() {
        let mut text = Zeroizing::new(String::new());
        let mut limited = stdin().take(MAX_INPUT_BYTES);
        limited.read_to_string(&mut text).map_err(unreadable)?;
        return hash(&text);
    }
    restore_echo_at_signals().map_err(unreadable)?;
    let ask = |prompt| rpassword::prompt_password(prompt).map(Zeroizing::new);
    let text = ask("Password: ").map_err(unreadable)?;
    if *text != *ask("Again: ").map_err(unreadable)? {
        return Err("the two passwords differ".to_owned());
    }
    hash(&text)
}

/// A signal at the prompt ends the program, and the terminal shows its input again.
fn restore_echo_at_signals() -> io::Result<()> {
    let before = tcgetattr(stdin())?;
    for kind in [
        SignalKind::interrupt(),
        SignalKind::terminate(),
        SignalKind::hangup(),
    ] {
        let (mut signals, before) = (signal(kind)?, before.clone());
        tokio::spawn(async move {
            signals.recv().await;
            let _ = tcsetattr(stdin(), OptionalActions::Now, &before);
            std::process::exit(128 + kind.as_raw_value());
        });
    }
    Ok(())
}

fn hash(text: &str) -> Result<String, String> {
    let refused = |cause| format!("the password {cause}");
    let password = check_secret(text, SecretKind::Text).map_err(refused)?;
    if password.len() > MAX_BYTES {
        let cause = format!("is longer than {MAX_BYTES} bytes, of which bcrypt ignores the rest");
        return Err(refused(&cause));
    }
    bcrypt::hash(password, COST).map_err(|error| format!("the password cannot be hashed: {error}"))
}
