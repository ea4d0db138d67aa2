#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;

use super::*;

/// A tree as text: each scalar in quotes, each item and key with its line.
fn dump(value: &Value, to: &mut String) {
    match value {
        Value::Empty => to.push_str("empty"),
        Value::Null => to.push_str("null"),
        Value::Text(text) => write!(to, "{:?}", text.as_str()).unwrap(),
        Value::List(items) => {
            to.push('[');
            for Node { line, value, .. } in items {
                write!(to, "{line}:").unwrap();
                dump(value, to);
                to.push(' ');
            }
            to.push(']');
        }
        Value::Map(pairs) => {
            to.push('{');
            for Node { line, name, value } in pairs {
                write!(to, "{line}:{name:?}=").unwrap();
                dump(value, to);
                to.push(' ');
            }
            to.push('}');
        }
    }
}

fn tree(text: &str) -> std::result::Result<String, String> {
    match parse(text) {
        Ok(root) => {
            let mut dumped = String::new();
            dump(&root.value, &mut dumped);
            Ok(dumped)
        }
        Err((line, message)) => Err(format!("{line}: {message}")),
    }
}

#[test]
fn scalars_stay_as_written() {
    for scalar in ["0123", "1e3", "yes", "0x1F", ".nan", "2026-01-01", "-1"] {
        assert_eq!(tree(scalar), Ok(format!("{scalar:?}")));
    }
    assert_eq!(tree("[~, null, '~', \"null\", '']").as_deref(), {
        Ok("[1:null 1:null 1:\"~\" 1:\"null\" 1:\"\" ]")
    });
    assert_eq!(
        tree("\u{feff}a:\r\nb: |\r\n  one\r\n  two\r\nc: *b\r\nd: 1").unwrap_err(),
        format!("5: invalid YAML: while parsing node, found unknown anchor; {CHECK}")
    );
    assert_eq!(
        tree("\u{feff}a:\r\nb: &b |\r\n  one\r\n  two\r\nc: *b").as_deref(),
        Ok("{1:\"a\"=empty 2:\"b\"=\"one\\ntwo\" 5:\"c\"=\"one\\ntwo\" }")
    );
    assert_eq!(tree("# nothing").as_deref(), Ok("{}"));
}

#[test]
fn depth_aliases_and_size_are_bounded() {
    let deep = |open: &str| format!("a: {}", open.repeat(100_000));
    let aliases = "*a,".repeat(1_000_000);
    let laughs: String = (1..30)
        .map(|n| format!("a{n}: &a{n} [{}]\n", format!("*a{},", n - 1).repeat(9)))
        .collect();
    for (text, error) in [
        (deep("["), "nested more than 8 deep"),
        (deep("{a: "), "nested more than 8 deep"),
        (
            format!("a: \n  {}1", "- ".repeat(100_000)),
            "nested more than 8 deep",
        ),
        (
            format!("a: &a b\nc: [{aliases}]"),
            "more than 128 MiB of values",
        ),
        (
            format!("a0: &a0 lol\n{laughs}"),
            "more than 128 MiB of values",
        ),
    ] {
        let result = tree(&text).unwrap_err();
        assert!(result.contains(error), "{result}");
    }
    assert!(tree("a: [[[[[[[1]]]]]]]").is_ok());
}
