//! YAML to a tree of texts that know their lines.
//!
//! Scalars stay as they are written: what is a number and what is not, only the key can tell
//! (`password: 0123` is no 83). Aliases are references, never copies, so that nine lines of them
//! cannot become a billion values. It knows nothing of accounts.

mod builder;

use saphyr_parser::Parser;

use self::builder::Builder;

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
