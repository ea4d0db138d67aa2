//! The YAML of the accounts file as a tree whose scalars stay as written: `0123` is a text.
//!
//! It knows nothing of accounts. Reading stops at the first error, which never quotes the file: a
//! file may hold secrets.

use std::collections::HashMap;
use std::rc::Rc;

use saphyr_parser::{Event, Parser, ScalarStyle};

/// Ten thousand accounts are about 2 MiB.
pub(super) const MAX_FILE_BYTES: u64 = 64 << 20;
/// An accounts file nests four deep.
const MAX_DEPTH: usize = 8;
const TOO_DEEP: &str = "nested more than 8 deep; an accounts file needs four";
/// Reading an alias costs the same as reading what it stands for.
const MAX_ALIASES: usize = 100_000;
/// Size of the tree, each alias counted as a copy: the bytes of all texts and [`NODE_BYTES`] a node.
const MAX_TREE_BYTES: usize = 128 << 20;
const NODE_BYTES: usize = 64;

/// A value and the line, from 1, where it begins. It may be a secret, so it cannot be printed.
pub(super) struct Node {
    pub(super) line: usize,
    pub(super) content: Content,
    bytes: usize,
}

pub(super) enum Content {
    /// Nothing is written.
    Empty,
    /// `null` or `~` without quotes.
    Null,
    Text(String),
    List(Vec<Rc<Node>>),
    Map(Vec<(Rc<Node>, Rc<Node>)>),
}

/// Why the text cannot be read.
pub(super) struct YamlError {
    pub(super) line: usize,
    pub(super) message: String,
}

/// Reads a text that holds one document.
pub(super) fn parse(text: &str) -> Result<Rc<Node>, YamlError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| YamlError {
            line: error.marker().line(),
            message: syntax_error(error.info()),
        })?;
        let line = span.start.line();
        // A missing colon or quote makes one value of several lines, a secret among them.
        let is_several_lines = span.end.line() > line;
        if is_several_lines && matches!(&event, Event::Scalar(_, style, _, _) if !is_block(*style))
        {
            let message =
                "a value over several lines; check for a missing colon or quote".to_owned();
            return Err(YamlError { line, message });
        }
        builder.take(event, line).map_err(|message| YamlError {
            line,
            message: message.to_owned(),
        })?;
    }
    // A text without a document is an empty one.
    Ok(builder
        .root
        .unwrap_or_else(|| Rc::new(Node::new(1, Content::Empty))))
}

/// A value after `|` or `>`.
fn is_block(style: ScalarStyle) -> bool {
    matches!(style, ScalarStyle::Literal | ScalarStyle::Folded)
}

/// The parser's own words, except where they quote a character of the file.
fn syntax_error(info: &str) -> String {
    if info.contains("recursion limit") {
        TOO_DEEP.to_owned()
    } else if info.contains("unknown anchor") {
        "an alias to nothing; quote a value that starts with \"*\"".to_owned()
    } else if info.contains('`') {
        "invalid YAML: quote a value that starts with %, @ or a backtick".to_owned()
    } else {
        format!(
            "invalid YAML: {info}; check indentation, quotes, brackets and the space after a colon, \
             here and above"
        )
    }
}

impl Node {
    pub(super) fn is_empty(&self) -> bool {
        matches!(self.content, Content::Empty | Content::Null)
    }

    pub(super) fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn new(line: usize, content: Content) -> Self {
        let children = match &content {
            Content::Empty | Content::Null => 0,
            Content::Text(text) => text.len(),
            Content::List(items) => items.iter().map(|item| item.bytes).sum(),
            Content::Map(pairs) => pairs.iter().map(|(k, v)| k.bytes + v.bytes).sum(),
        };
        Self {
            line,
            content,
            bytes: NODE_BYTES + children,
        }
    }
}

#[derive(Default)]
struct Builder {
    open: Vec<OpenCollection>,
    anchors: HashMap<usize, Rc<Node>>,
    root: Option<Rc<Node>>,
    aliases: usize,
    /// Of the whole tree so far.
    bytes: usize,
}

/// A list or mapping whose end has not come yet.
struct OpenCollection {
    line: usize,
    anchor: usize,
    is_map: bool,
    children: Vec<Rc<Node>>,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, line: usize) -> Result<(), &'static str> {
        match event {
            Event::DocumentStart(_) if self.root.is_some() => {
                return Err("a second document starts here; a file holds one");
            }
            Event::Scalar(_, _, _, Some(_))
            | Event::SequenceStart(_, Some(_))
            | Event::MappingStart(_, Some(_)) => {
                return Err("tags are not supported; quote a value that starts with \"!\"");
            }
            Event::Scalar(text, style, anchor, None) => {
                let content = match (style, &*text) {
                    (ScalarStyle::Plain, "") => Content::Empty,
                    (ScalarStyle::Plain, "~" | "null" | "Null" | "NULL") => Content::Null,
                    // A block ends in a line break that is not meant.
                    (style, text) if is_block(style) => {
                        Content::Text(text.trim_end_matches('\n').to_owned())
                    }
                    _ => Content::Text(text.into_owned()),
                };
                let node = Node::new(line, content);
                self.bytes += node.bytes;
                self.add(node, anchor);
            }
            Event::SequenceStart(anchor, None) => self.open(line, anchor, false)?,
            Event::MappingStart(anchor, None) => self.open(line, anchor, true)?,
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(anchor) => {
                self.aliases += 1;
                if self.aliases > MAX_ALIASES {
                    return Err("more than 100000 aliases; write shared keys under defaults");
                }
                // A collection is known from its end on: it cannot contain itself.
                let node = self.anchors.get(&anchor).map(Rc::clone);
                let node = node.ok_or("an alias within the value that it stands for")?;
                self.bytes = self.bytes.saturating_add(node.bytes);
                self.attach(node);
            }
            _ => {}
        }
        if self.bytes > MAX_TREE_BYTES {
            return Err("more than 128 MiB of values, each alias counted as a copy");
        }
        Ok(())
    }

    fn open(&mut self, line: usize, anchor: usize, is_map: bool) -> Result<(), &'static str> {
        if self.open.len() >= MAX_DEPTH {
            return Err(TOO_DEEP);
        }
        self.bytes += NODE_BYTES;
        self.open.push(OpenCollection {
            line,
            anchor,
            is_map,
            children: Vec::new(),
        });
        Ok(())
    }

    fn close(&mut self) {
        let Some(open) = self.open.pop() else {
            return;
        };
        let content = if open.is_map {
            let mut children = open.children.into_iter();
            let pairs = std::iter::from_fn(|| children.next().zip(children.next()));
            Content::Map(pairs.collect())
        } else {
            Content::List(open.children)
        };
        self.add(Node::new(open.line, content), open.anchor);
    }

    /// Anchors count from 1; 0 is none.
    fn add(&mut self, node: Node, anchor: usize) {
        let node = Rc::new(node);
        if anchor > 0 {
            self.anchors.insert(anchor, Rc::clone(&node));
        }
        self.attach(node);
    }

    fn attach(&mut self, node: Rc<Node>) {
        match self.open.last_mut() {
            Some(open) => open.children.push(node),
            None => self.root = Some(node),
        }
    }
}

#[cfg(test)]
mod tests;
