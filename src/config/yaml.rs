//! YAML to a tree of texts that know their lines.
//!
//! Scalars stay as they are written: what is a number and what is not, only the key can tell
//! (`password: 0123` is no 83). Aliases are references, never copies, so that nine lines of them
//! cannot become a billion values. It knows nothing of accounts.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Tag};

/// What an accounts file needs is four deep.
const DEEPEST: usize = 16;
/// A line of ten thousand accounts' YAML each: anything larger is another file.
pub(super) const LARGEST: u64 = 64 << 20;

/// A parsed file. It may hold secrets, so it cannot be printed.
pub(super) struct Document {
    nodes: Vec<Node>,
    root: NodeId,
}

struct Node {
    line: usize,
    content: Content,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct NodeId(usize);

enum Content {
    /// Nothing stands after the colon.
    Missing,
    /// `null` or `~`, written out.
    Null,
    Text(String),
    List(Vec<NodeId>),
    Map(Vec<(NodeId, NodeId)>),
}

/// Why a text is no YAML, or none that is understood here, and in which line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotYaml {
    pub(super) line: usize,
    pub(super) text: String,
}

/// A value in its place.
#[derive(Clone, Copy)]
pub(super) struct Value<'a> {
    document: &'a Document,
    node: &'a Node,
}

/// What a value is.
pub(super) enum Shape<'a> {
    Missing,
    Null,
    Text(&'a str),
    List(Vec<Value<'a>>),
    Map(Vec<(Value<'a>, Value<'a>)>),
}

impl<'a> Value<'a> {
    /// Its line, counting from 1.
    pub(super) fn line(self) -> usize {
        self.node.line
    }

    pub(super) fn shape(self) -> Shape<'a> {
        let value = |id: &NodeId| self.document.value(*id);
        match &self.node.content {
            Content::Missing => Shape::Missing,
            Content::Null => Shape::Null,
            Content::Text(text) => Shape::Text(text),
            Content::List(items) => Shape::List(items.iter().filter_map(value).collect()),
            Content::Map(pairs) => Shape::Map(
                pairs
                    .iter()
                    .filter_map(|(key, item)| value(key).zip(value(item)))
                    .collect(),
            ),
        }
    }
}

impl Document {
    /// Parses one document; `None` where there is nothing but comments.
    pub(super) fn parse(text: &str) -> Result<Option<Self>, NotYaml> {
        let mut builder = Builder::default();
        for event in Parser::new_from_str(text) {
            let (event, span) = event.map_err(|error| NotYaml {
                line: error.marker().line(),
                text: format!("is not YAML: {}", error.info()),
            })?;
            let line = span.start.line();
            builder
                .take(event, line)
                .map_err(|text| NotYaml { line, text })?;
        }
        let Some(root) = builder.root else {
            return Ok(None);
        };
        let document = Self {
            nodes: builder.nodes,
            root,
        };
        let empty = matches!(document.root().map(Value::shape), Some(Shape::Missing));
        Ok((!empty).then_some(document))
    }

    pub(super) fn root(&self) -> Option<Value<'_>> {
        self.value(self.root)
    }

    fn value(&self, id: NodeId) -> Option<Value<'_>> {
        let document = self;
        self.nodes.get(id.0).map(|node| Value { document, node })
    }
}

#[derive(Default)]
struct Builder {
    nodes: Vec<Node>,
    open: Vec<Open>,
    anchors: HashMap<usize, NodeId>,
    root: Option<NodeId>,
    documents: usize,
}

/// A list or mapping whose end has not come yet.
struct Open {
    line: usize,
    anchor: usize,
    is_map: bool,
    children: Vec<NodeId>,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, line: usize) -> Result<(), String> {
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err("starts a second document, and a file holds one".to_owned());
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                check_tag(tag.as_deref(), &["str", "int", "float", "bool", "null"])?;
                let content = match (style, text.as_ref()) {
                    (ScalarStyle::Plain, "") => Content::Missing,
                    (ScalarStyle::Plain, "~" | "null" | "Null" | "NULL") => Content::Null,
                    // A block ends in a line break that nobody means.
                    (ScalarStyle::Literal | ScalarStyle::Folded, text) => {
                        Content::Text(text.trim_end_matches('\n').to_owned())
                    }
                    (_, text) => Content::Text(text.to_owned()),
                };
                self.add(Node { line, content }, anchor);
            }
            Event::SequenceStart(anchor, tag) => {
                check_tag(tag.as_deref(), &["seq"])?;
                self.open(line, anchor, false)?;
            }
            Event::MappingStart(anchor, tag) => {
                check_tag(tag.as_deref(), &["map"])?;
                self.open(line, anchor, true)?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(anchor) => {
                let id = self.anchors.get(&anchor).copied();
                let id = id.ok_or("has an alias within what it stands for")?;
                self.attach(id);
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
        Ok(())
    }

    fn open(&mut self, line: usize, anchor: usize, is_map: bool) -> Result<(), String> {
        if self.open.len() >= DEEPEST {
            return Err(format!("is nested more than {DEEPEST} deep"));
        }
        self.open.push(Open {
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
        let line = open.line;
        self.add(Node { line, content }, open.anchor);
    }

    fn add(&mut self, node: Node, anchor: usize) {
        let id = NodeId(self.nodes.len());
        self.nodes.push(node);
        // 0 is no anchor. A collection's is known from its end on: it cannot hold itself.
        if anchor > 0 {
            self.anchors.insert(anchor, id);
        }
        self.attach(id);
    }

    fn attach(&mut self, id: NodeId) {
        match self.open.last_mut() {
            Some(open) => open.children.push(id),
            None => self.root = Some(id),
        }
    }
}

/// A tag of YAML's own that fits changes nothing; any other asks for something that is not done.
fn check_tag(tag: Option<&Tag>, fitting: &[&str]) -> Result<(), String> {
    match tag {
        None => Ok(()),
        Some(tag) if tag.is_yaml_core_schema() && fitting.contains(&tag.suffix.as_str()) => Ok(()),
        // The tag is not shown: a password that starts with "!" is read as one.
        Some(_) => {
            Err("has a value that starts with \"!\", which makes it a tag: quote it".to_owned())
        }
    }
}
