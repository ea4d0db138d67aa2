//! What is no YAML, in words that say what would be right, and hostile texts.

#![allow(clippy::unwrap_used)]

use super::*;

/// What is told of a text, a line each, and whether it was read to its end.
fn told(text: &str) -> (Vec<String>, bool) {
    let mut told = Vec::new();
    let document = Document::parse(text, &mut |Flaw { line, key, text }| {
        let key = key.map(|key| format!("{key}: ")).unwrap_or_default();
        told.push(format!("{line}: {key}{text}"));
    });
    (told, document.is_none_or(|document| !document.is_cut()))
}

#[test]
fn the_parsers_words_come_with_what_would_be_right() {
    for (text, line, wanted) in [
        (
            "a: @hunter2",
            1,
            "no value starts with \"%\", \"@\" or \"`\": quote it",
        ),
        (
            "a: %hunter2",
            1,
            "no value starts with \"%\", \"@\" or \"`\": quote it",
        ),
        (
            "a:\n  b: c\n  password:hunter2\n",
            4,
            "simple key expect ':': write KEY: VALUE, with a blank after the colon",
        ),
        (
            "a: b: c",
            1,
            "mapping values are not allowed in this context: quote a value that has a colon and a \
             blank in it, and check the indentation",
        ),
        (
            "a:\n  - b: c\n  d: e\n",
            3,
            "while parsing a block collection, did not find expected '-' indicator: check the \
             indentation of this line and of those above",
        ),
        (
            "a:\n  b: c\n - d\n",
            3,
            "while parsing a block mapping, did not find expected key: check the indentation of \
             this line and of those above",
        ),
        (
            "a: - hunter2",
            1,
            "block sequence entries are not allowed in this context: quote a value that starts \
             with \"-\", and check the indentation",
        ),
        (
            "a: ? hunter2",
            1,
            "mapping keys are not allowed in this context: quote a value that starts with \"?\", \
             and check the indentation",
        ),
        (
            "a: \"hunter2\n",
            1,
            "while scanning a quoted scalar, found unexpected end of stream: close the quote",
        ),
        (
            "a:\n  b: 'hunter2\n  c: d\n",
            2,
            "invalid indentation in quoted scalar: close the quote",
        ),
        (
            "a: 'hunt'er2'",
            1,
            "invalid trailing content after double-quoted scalar: write a quote twice in single \
             quotes, and with \\ before it in double quotes",
        ),
        (
            "a: \"hunt\\er\\q2\"",
            1,
            "while parsing a quoted scalar, found unknown escape character: write \\\\ in double \
             quotes, or use single quotes",
        ),
        (
            "a: |hunter2",
            1,
            "while scanning a block scalar, did not find expected comment or line break: quote a \
             value that starts with \"|\" or \">\"",
        ),
        (
            "a: & hunter2",
            1,
            "while scanning an anchor or alias, did not find expected alphabetic or numeric \
             character: quote a value that starts with \"&\" or \"*\"",
        ),
        (
            "a: !hun!ter2",
            1,
            "the handle wasn't declared: quote a value that starts with \"!\"",
        ),
        (
            "a: !hun{ter2",
            1,
            "while scanning a tag, did not find expected whitespace or line break: quote a value \
             that starts with \"!\"",
        ),
        (
            "a: !<hunter2",
            1,
            "while scanning a verbatim tag, did not find the expected '>': quote a value that \
             starts with \"!\"",
        ),
        (
            "a: [hunter2\n\n\n",
            4,
            "while parsing a flow sequence, expected ',' or ']': close the \"[\" of line 1, or \
             quote a value that starts with it",
        ),
        (
            "a: {hunter2\n",
            2,
            "while parsing a flow mapping, did not find expected ',' or '}': close the \"{\" of \
             line 1, or quote a value that starts with it",
        ),
        (
            "a: ,hunter2",
            1,
            "while parsing a node, did not find expected node content: quote a value that starts \
             with \",\", or remove the comma",
        ),
        (
            "a: ]hunter2",
            1,
            "misplaced bracket: quote a value that starts with \"]\" or \"}\"",
        ),
        (
            "a:\tb\n",
            1,
            "':' must be followed by a valid YAML whitespace: write a blank after the colon",
        ),
        (
            "a:\n\t- b\n",
            2,
            "tabs disallowed within this context (block indentation): use blanks",
        ),
    ] {
        let wanted = format!("{line}: is not YAML: {wanted}");
        assert_eq!(told(text), (vec![wanted], false), "{text}");
    }
}

#[test]
fn what_is_not_understood_is_told_and_read_past() {
    let tag = "has a value that starts with \"!\", which makes it a tag: quote it";
    let nothing = "has an alias to nothing: quote a value that starts with \"*\"";
    let text = "a: !x b\nc: [*d, !y [e], !z {f: *g}]\nh: !!str i\n? *j\n: *k\n*l : m\n--- \n";
    let wanted = [
        format!("1: a: {tag}"),
        format!("2: c: {nothing}"),
        format!("2: c: {tag}"),
        format!("2: c: {tag}"),
        format!("2: f: {nothing}"),
        format!("4: {nothing}"),
        format!("5: {nothing}"),
        format!("6: {nothing}"),
        "7: starts a second document, and a file holds one".to_owned(),
    ];
    assert_eq!(told(text), (wanted.to_vec(), false));
    for root in ["*a", "!a b", "&a"] {
        let (flaws, is_whole) = told(root);
        assert_eq!((flaws.len(), is_whole), (1, true), "{root}");
    }
}

#[test]
fn the_holes_that_remain_are_no_values() {
    let deep = format!("{}&i j{}", "[".repeat(18), "]".repeat(18));
    let text = format!("a: !x b\nc: *d\ne: &f\ng: &h {deep}\nk: *i\nl: m\n");
    let document = Document::parse(&text, &mut |_| {}).unwrap();
    let Shape::Map(map) = document.root().unwrap().shape() else {
        unreachable!()
    };
    let kinds: Vec<_> = map
        .iter()
        .map(|(_, value)| match value.shape() {
            Shape::Unread => "unread",
            Shape::List(_) => "list",
            Shape::Text(_) => "text",
            _ => "else",
        })
        .collect();
    let wanted = ["unread", "unread", "unread", "list", "unread", "text"];
    assert_eq!(kinds, wanted);
    assert!(!document.is_cut());
}

#[test]
fn depth_is_bounded() {
    let too_deep = "1: is nested more than 16 deep, and four is all that is needed".to_owned();
    let nested = |open: &str, close: &str, depth| {
        told(&format!("{}1{}\n", open.repeat(depth), close.repeat(depth)))
    };
    assert_eq!(nested("[", "]", 16), (Vec::new(), true));
    assert_eq!(nested("[", "]", 17), (vec![too_deep.clone()], true));
    assert_eq!(nested("[", "]", 200), (vec![too_deep.clone()], true));
    // Beyond what the parser takes, and what costs it memory, the rest is left unread.
    for (open, close, depth) in [("[", "]", 300), ("- ", "", 300), ("- ", "", 1 << 20)] {
        assert_eq!(nested(open, close, depth), (vec![too_deep.clone()], false));
    }
}
