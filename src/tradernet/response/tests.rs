//! Every answer in `tests/fixtures/answers` is read as its name says: `open-N`, `error-CODE` or
//! `decode`, then its oddity. `verdicts.txt` beside them lists what was read.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used)]

use std::fmt::Write as _;
use std::path::PathBuf;

use super::*;
use crate::session::Session;

fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/answers")
}

/// Name without ending, and content, by name.
fn answers() -> Vec<(String, Vec<u8>)> {
    let mut answers: Vec<_> = std::fs::read_dir(fixtures())
        .unwrap()
        .map(|file| file.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "json")
        })
        .map(|path| {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read(&path).unwrap())
        })
        .collect();
    answers.sort();
    assert!(answers.len() > 80, "fixtures are missing");
    answers
}

fn describe(answer: &Result<Answer, DecodeError>) -> String {
    let mut text = String::new();
    match answer {
        Ok(Answer::Sessions(list)) => {
            writeln!(text, "  {} undecodable", list.undecodable()).unwrap();
            for session in list.sessions() {
                let Session {
                    id,
                    safety_type,
                    user_login,
                    client,
                    time_left,
                    expire_datetime_hash,
                    expire_datetime_ms,
                    lifetime_ms,
                } = session;
                let marked = expire_datetime_hash.is_some();
                writeln!(
                    text,
                    "  session {id}: type {safety_type:?}, login {user_login:?}, client {client:?}, \
                     left {time_left:?}, lifetime {lifetime_ms:?}, closes {expire_datetime_ms:?}, marked {marked}"
                )
                .unwrap();
            }
        }
        Ok(Answer::Error(ApiErrorBody { code, message })) => {
            writeln!(text, "  error {code:?}: {message:?}").unwrap();
        }
        Err(DecodeError(message)) => writeln!(text, "  unreadable: {message}").unwrap(),
    }
    text
}

/// `UPDATE_GOLDEN=1 cargo test` writes the file again; read the difference before you commit it.
#[test]
#[allow(clippy::disallowed_methods)]
fn every_fixture_matches_its_name_and_verdicts_txt() {
    let mut verdicts = String::new();
    for (name, content) in answers() {
        let answer = read(&content);
        let verdict = match &answer {
            Ok(Answer::Sessions(list)) => format!("open-{}", list.sessions().len()),
            Ok(Answer::Error(said)) => said
                .code
                .map_or("error-none".to_owned(), |code| format!("error-{code}")),
            Err(_) => "decode".to_owned(),
        };
        assert_eq!(name.split('.').next().unwrap(), verdict, "{name}");
        write!(verdicts, "{name}\n{}", describe(&answer)).unwrap();
    }
    let golden = fixtures().join("verdicts.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&golden, &verdicts).unwrap();
    }
    assert_eq!(verdicts, std::fs::read_to_string(golden).unwrap());
}

#[test]
fn a_hundred_thousand_brackets_do_not_overflow_the_stack() {
    let list = "[".repeat(100_000);
    let object = r#"{"a":"#.repeat(100_000);
    let closed = format!("{list}{}", "]".repeat(100_000));
    let in_a_session = format!(r#"[{{"id": 1, "ip": {closed}, "expire": {closed}}}]"#);
    for answer in [&list, &object, &closed] {
        assert!(read(answer.as_bytes()).is_err());
    }
    let Ok(Answer::Sessions(read)) = read(in_a_session.as_bytes()) else {
        panic!("not read")
    };
    assert_eq!(read.sessions().len(), 1);
}

#[test]
fn decode_error_does_not_quote_the_answer() {
    for secret in [
        r#""secret""#,
        r#"{"secret": 1}"#,
        r#"[{"secret": "secret"}]"#,
        "secret",
        r#"{"response": "secret"}"#,
    ] {
        let DecodeError(message) = read(secret.as_bytes()).unwrap_err();
        assert!(!message.contains("secret"), "{message}");
    }
}

#[test]
fn more_than_ten_thousand_entries_are_not_read() {
    let answer = |sessions: usize| {
        let list: Vec<_> = (0..sessions)
            .map(|id| format!(r#"{{"id":{id}}}"#))
            .collect();
        read(format!("[{}]", list.join(",")).as_bytes())
    };
    assert!(answer(MAX_ENTRIES).is_ok());
    let DecodeError(message) = answer(MAX_ENTRIES + 1).unwrap_err();
    assert_eq!(message, "it has more than 10000 entries");
    let object: Vec<_> = (0..30_000)
        .map(|id| format!(r#""{id}":{{"id":{id}}}"#))
        .collect();
    let object = format!(r#"{{"response":{{"res":{{{}}}}}}}"#, object.join(","));
    let DecodeError(message) = read(object.as_bytes()).unwrap_err();
    assert_eq!(message, "it has more than 10000 entries");
}
