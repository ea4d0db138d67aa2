//! The parser's words to those of somebody who writes an accounts file.

pub(super) const UNKNOWN_ANCHOR: &str = "while parsing node, found unknown anchor";
pub(super) const TOO_DEEP: &str = "recursion limit exceeded";

/// A part of the parser's words, and what would be right.
const MENDS: [(&str, &str); 21] = [
    (
        "simple key expect",
        "write KEY: VALUE, with a blank after the colon",
    ),
    (
        "mapping values are not allowed",
        "quote a value that has a colon and a blank in it, and check the indentation",
    ),
    (
        "mapping keys are not allowed",
        "quote a value that starts with \"?\", and check the indentation",
    ),
    ("':' must be followed", "write a blank after the colon"),
    (
        "expected node content",
        "quote a value that starts with \",\", or remove the comma",
    ),
    ("unprintable", "remove the character"),
    ("tab", "use blanks"),
    ("expected '-' indicator", INDENTATION),
    ("did not find expected key", INDENTATION),
    (
        "sequence entries are not allowed",
        "quote a value that starts with \"-\", and check the indentation",
    ),
    ("unexpected end of stream", QUOTE),
    ("invalid indentation in quoted scalar", QUOTE),
    (
        "invalid trailing content",
        "write a quote twice in single quotes, and with \\ before it in double quotes",
    ),
    (
        "unknown escape character",
        "write \\\\ in double quotes, or use single quotes",
    ),
    (
        "block scalar",
        "quote a value that starts with \"|\" or \">\"",
    ),
    ("tag", TAG),
    ("handle", TAG),
    (
        "anchor or alias",
        "quote a value that starts with \"&\" or \"*\"",
    ),
    ("bracket", "quote a value that starts with \"]\" or \"}\""),
    (
        "flow construct",
        "close the \"[\" or \"{\" above, or quote a value that starts with it",
    ),
    ("invalid indentation", INDENTATION),
];
const INDENTATION: &str = "check the indentation of this line and of those above";
const QUOTE: &str = "close the quote";
const TAG: &str = "quote a value that starts with \"!\"";

/// What is said of an error of the parser; the innermost list or mapping began in line `open`.
pub(super) fn not_yaml(info: &str, open: Option<usize>) -> String {
    // It quotes the character, which may be a password's first.
    if info.starts_with("unexpected character") {
        return "is not YAML: no value starts with \"%\", \"@\" or \"`\": quote it".to_owned();
    }
    let mend = MENDS.iter().find(|(part, _)| info.contains(part));
    if let Some((_, mend)) = mend {
        return format!("is not YAML: {info}: {mend}");
    }
    // Noticed at the end of the file, perhaps.
    let brackets = [("or ']'", '['), ("or '}'", '{')];
    let bracket = brackets.iter().find(|(part, _)| info.contains(part));
    match (bracket, open) {
        (Some((_, bracket)), Some(line)) => format!(
            "is not YAML: {info}: close the \"{bracket}\" of line {line}, or quote a value that \
             starts with it"
        ),
        _ => format!("is not YAML: {info}"),
    }
}
