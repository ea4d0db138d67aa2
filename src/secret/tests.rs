#![allow(clippy::unwrap_used)]

use super::*;

async fn read(content: &[u8], kind: SecretKind) -> Result<String, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    std::fs::write(&path, content).unwrap();
    match SecretSource::file(path.clone(), kind).read().await {
        Ok(secret) => Ok(secret.expose_secret().to_owned()),
        Err(error) => {
            let text = error.to_string();
            let prefix = format!("secret file {}: ", path.display());
            Err(text.strip_prefix(&prefix).unwrap().to_owned())
        }
    }
}

#[tokio::test]
async fn a_file_holds_one_line_of_text() {
    for (content, expected) in [
        (&b"s3cret"[..], Ok("s3cret")),
        (b"s3cret\n", Ok("s3cret")),
        (b"\xef\xbb\xbfs3 cret \r\n", Ok("s3 cret ")),
        (b"'${QUOTED}'", Ok("'${QUOTED}'")),
        (b"", Err("is empty")),
        (b" \n", Err("is empty")),
        (b"s3cret\xff", Err("is not UTF-8")),
        (
            b"s3\ncret\n",
            Err("contains a line break or another control character"),
        ),
        (
            b"s3cret\n\n",
            Err("contains a line break or another control character"),
        ),
        (&[b'x'; 70_000], Err("cannot be read: larger than 64 KiB")),
    ] {
        let expected = expected.map(str::to_owned).map_err(str::to_owned);
        assert_eq!(read(content, SecretKind::Text).await, expected);
    }
}

#[tokio::test]
async fn an_sid_or_key_fits_into_a_header() {
    for content in [&b"s3 cret"[..], b"s3;cret", b"s3cret\xc3\xa4"] {
        let error = read(content, SecretKind::Token).await.unwrap_err();
        assert_eq!(
            error,
            "contains a space or another character that no SID or key has; check how it was copied"
        );
    }
    let error = read(&[b'x'; 4097], SecretKind::Token).await.unwrap_err();
    assert_eq!(error, "is longer than 4 KiB");
    let longest = read(&[b'x'; 4096], SecretKind::Token).await.unwrap();
    assert_eq!(longest.len(), 4096);
}

#[tokio::test]
async fn a_file_is_read_anew_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    let source = SecretSource::file(path.clone(), SecretKind::Text);
    assert_eq!(
        source.read().await.unwrap_err().to_string(),
        format!(
            "secret file {}: cannot be read: No such file or directory (os error 2)",
            path.display()
        )
    );
    for content in ["one", "two"] {
        std::fs::write(&path, content).unwrap();
        assert_eq!(source.read().await.unwrap().expose_secret(), content);
    }
}

#[tokio::test]
async fn a_fifo_without_a_writer_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fifo");
    let made = std::process::Command::new("mkfifo").arg(&path).status();
    assert!(made.unwrap().success());
    let error = SecretSource::file(path, SecretKind::Text).read().await;
    let error = error.unwrap_err().to_string();
    assert!(
        error.ends_with("cannot be read: not a regular file"),
        "{error}"
    );
}

/// A file system that hangs is played by a read that never gets its turn.
#[tokio::test(start_paused = true)]
async fn a_file_that_hangs_is_given_up_and_blocks_one_thread() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    std::fs::write(&path, "s3cret").unwrap();
    let source = SecretSource::file(path.clone(), SecretKind::Text);
    let SecretSource::File(file) = &source else {
        return;
    };
    let hanging = file.reader.hang().await;
    for _ in 0..3 {
        assert_eq!(
            source.clone().read().await.unwrap_err().to_string(),
            format!(
                "secret file {}: cannot be read: no answer from the file system within 5 s",
                path.display()
            )
        );
    }
    drop(hanging);
    assert_eq!(source.read().await.unwrap().expose_secret(), "s3cret");
}

#[test]
fn quotes_and_placeholders_are_refused_except_from_a_file() {
    for text in [
        "\"s3cret\"",
        "'s3cret'",
        "'${TN_PASSWORD}'",
        "${TN_PASSWORD}",
        "${anything-at-all}",
        "$TN_PASSWORD",
        "{{ .Values.password }}",
        "%(password)s",
    ] {
        assert!(check_unquoted_and_filled(text).is_err(), "{text}");
    }
    for text in [
        "s3cret",
        "\"",
        "'s3cret",
        "$s3cret",
        "$",
        "a$TN",
        "${",
        "pa{{ss}}",
        "%(s3cret)",
    ] {
        assert_eq!(check_unquoted_and_filled(text), Ok(()), "{text}");
    }
}
