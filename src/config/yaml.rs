//! The YAML of a configuration file as a tree whose scalars stay as written: `0123` is a text.
//!
//! It knows no keys. Reading stops at the first error, which never quotes the file: a file may hold
//! secrets.

use std::collections::HashMap;
use std::path::Path;

use saphyr_parser::{Event, Parser, ScalarStyle, StrInput};
use secrecy::zeroize::Zeroizing;

use crate::secret::read_regular_file;

/// Ten thousand accounts are about 2 MiB.
const MAX_FILE_BYTES: u64 = 64 << 20;
/// An accounts file nests four deep.
const MAX_DEPTH: usize = 8;
const TOO_DEEP: &str = "nested more than 8 deep; check brackets and indentation";
const SEVERAL_LINES: &str = "a value over several lines; check for a missing colon or quote";
const CHECK: &str = "check indentation, quotes, brackets and the space after a colon, here and above; \
                     quote a value that starts with & * ! % @ or a backtick";
/// Size of the tree: the bytes of all texts and [`NODE_BYTES`] a value. An alias counts as a copy of
/// the value that it stands for, and at least as [`ALIAS_BYTES`].
const MAX_TREE_BYTES: usize = 128 << 20;
const NODE_BYTES: usize = 64;
const ALIAS_BYTES: usize = 1 << 10;

/// A value as written. It may be a secret, so it cannot be printed.
#[derive(Clone)]
pub(super) enum Value {
    /// Nothing is written.
    Empty,
    /// `null` or `~` without quotes.
    Null,
    /// Wiped when dropped.
    Text(Zeroizing<String>),
    List(Vec<Node>),
    /// In the order of the file.
    Map(Vec<Node>),
}

/// A value and its place.
#[derive(Clone)]
pub(super) struct Node {
    /// The line of the file, from 1, where it or its key begins; 0 for a flag or variable.
    pub(super) line: usize,
    /// The key in a mapping, empty where it is not a text; the flag or variable.
    pub(super) name: String,
    pub(super) value: Value,
}

/// The line, from 1, or 0 for the whole file, and why the file cannot be read.
type YamlError = (usize, String);

pub(super) type Result<T> = std::result::Result<T, YamlError>;

/// Reads a file that holds one document.
pub(super) fn read(path: &Path) -> Result<Node> {
    parse(&Zeroizing::new(read_text(path)?))
}

fn read_text(path: &Path) -> Result<String> {
    let bytes = read_regular_file(path, MAX_FILE_BYTES)
        .or_else(|error| fail(0, format!("cannot be read: {error}")))?;
    String::from_utf8(bytes).or_else(|error| {
        let before = error.utf8_error().valid_up_to();
        let before = error.as_bytes().iter().take(before);
        let line = 1 + before.filter(|byte| **byte == b'\n').count();
        fail(line, "is not valid UTF-8")
    })
}

/// Reads a text of one document.
pub(super) fn parse(text: &str) -> Result<Node> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader {
        events: Parser::new_from_str(text),
        anchors: HashMap::new(),
        bytes: 0,
    };
    let mut root = None;
    loop {
        match reader.next()? {
            (Event::StreamEnd, _) => break,
            (Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd, _) => {}
            (event, line) => {
                let node = reader.node(event, line, 0)?;
                // Nothing is after a `---` at the end.
                if root.is_some() && !node.value.is_empty() {
                    return fail(line, "a second document starts here; a file holds one");
                }
                root.get_or_insert(node);
            }
        }
    }
    // A text without a document is an empty one.
    Ok(root.unwrap_or(Node::new(1, "", Value::Map(Vec::new()))))
}

fn fail<T>(line: usize, message: impl Into<String>) -> Result<T> {
    Err((line, message.into()))
}

/// The parser's own words up to the first character of the file, which it quotes in backticks.
fn syntax_error(info: &str) -> String {
    if info.contains("recursion limit") {
        return TOO_DEEP.to_owned();
    }
    let words = info.split('`').next().unwrap_or_default();
    let words = words.trim_end_matches([':', ' ']);
    format!("invalid YAML: {words}; {CHECK}")
}

impl Node {
    pub(super) fn new(line: usize, name: impl Into<String>, value: Value) -> Self {
        let name = name.into();
        Self { line, name, value }
    }
}

impl Value {
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::Empty | Self::Null)
    }

    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

fn scalar(text: &str, style: ScalarStyle) -> Value {
    match (style, text) {
        (ScalarStyle::Plain, "") => Value::Empty,
        (ScalarStyle::Plain, "~" | "null" | "Null" | "NULL") => Value::Null,
        // The line break at the end of a block is not part of the value.
        (ScalarStyle::Literal | ScalarStyle::Folded, text) => {
            Value::Text(text.trim_end_matches('\n').to_owned().into())
        }
        _ => Value::Text(text.to_owned().into()),
    }
}

struct Reader<'a> {
    events: Parser<'a, StrInput<'a>>,
    /// Copies of the values that aliases can stand for, and their sizes.
    anchors: HashMap<usize, (Value, usize)>,
    /// Of all values and copies so far.
    bytes: usize,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, usize)> {
        let Some(event) = self.events.next() else {
            return Ok((Event::StreamEnd, 0));
        };
        let (event, span) =
            event.or_else(|error| fail(error.marker().line(), syntax_error(error.info())))?;
        let line = span.start.line();
        spend(&mut self.bytes, NODE_BYTES, line)?;
        // A missing colon or quote makes one value of several lines, a secret among them. Only a
        // value after `|` or `>` may have several.
        let is_several = span.end.line() > line;
        match &event {
            Event::Scalar(_, ScalarStyle::Literal | ScalarStyle::Folded, ..) => {}
            Event::Scalar(..) if is_several => return fail(line, SEVERAL_LINES),
            _ => {}
        }
        Ok((event, line))
    }

    /// The value that begins with this event.
    fn node(&mut self, event: Event<'_>, line: usize, depth: usize) -> Result<Node> {
        let bytes_before = self.bytes;
        let (value, anchor) = match event {
            Event::SequenceStart(..) | Event::MappingStart(..) if depth >= MAX_DEPTH => {
                return fail(line, TOO_DEEP);
            }
            Event::SequenceStart(anchor, None) => {
                let mut items = Vec::new();
                while let Some(item) = self.child(depth + 1)? {
                    items.push(item);
                }
                (Value::List(items), anchor)
            }
            Event::MappingStart(anchor, None) => {
                let mut pairs = Vec::new();
                while let Some(key) = self.child(depth + 1)? {
                    let name = key.value.text().unwrap_or_default();
                    let value = self
                        .child(depth + 1)?
                        .map_or(Value::Empty, |node| node.value);
                    pairs.push(Node::new(key.line, name, value));
                }
                (Value::Map(pairs), anchor)
            }
            Event::Alias(anchor) => {
                // A collection is known from its end on: it cannot contain itself.
                let Some((value, bytes)) = self.anchors.get(&anchor) else {
                    return fail(line, "an alias within the value that it stands for");
                };
                spend(&mut self.bytes, ALIAS_BYTES.max(*bytes), line)?;
                (value.clone(), 0)
            }
            Event::Scalar(text, style, anchor, None) => {
                spend(&mut self.bytes, text.len(), line)?;
                (scalar(&text, style), anchor)
            }
            // A tag, which begins with `!`.
            _ => {
                return fail(
                    line,
                    "tags are not supported; quote a value that starts with !",
                );
            }
        };
        if anchor > 0 {
            let bytes = NODE_BYTES + self.bytes - bytes_before;
            spend(&mut self.bytes, bytes, line)?;
            self.anchors.insert(anchor, (value.clone(), bytes));
        }
        Ok(Node::new(line, "", value))
    }

    /// The next value of a collection; none at its end.
    fn child(&mut self, depth: usize) -> Result<Option<Node>> {
        match self.next()? {
            (Event::SequenceEnd | Event::MappingEnd | Event::StreamEnd, _) => Ok(None),
            (event, line) => self.node(event, line, depth).map(Some),
        }
    }
}

fn spend(spent: &mut usize, bytes: usize, line: usize) -> Result<()> {
    *spent = spent.saturating_add(bytes);
    if *spent > MAX_TREE_BYTES {
        let message = "more than 128 MiB of values, each alias counted as a copy of at least 1 KiB";
        return fail(line, message);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
