//! YAML to a tree of texts that know their lines.
//!
//! Scalars stay as they are written: what is a number and what is not, only the key can tell
//! (`password: 0123` is no 83). Aliases are references, never copies, so that nine lines of them
//! cannot become a billion values. What is not understood leaves a hole in the tree, and the rest is
//! read. It knows nothing of accounts.

mod builder;
mod words;

use saphyr_parser::Parser;

use self::builder::Builder;

/// A line of ten thousand accounts' YAML each: anything larger is another file.
pub(super) const LARGEST: u64 = 64 << 20;

/// A parsed file. It may hold secrets, so it cannot be printed.
pub(super) struct Document {
    nodes: Vec<Node>,
    root: NodeId,
    /// How many nodes are whole; the collections behind them were open where reading had to stop.
    whole: usize,
    is_cut: bool,
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
    /// Not understood, which has been told.
    Unread,
    Text(String),
    List(Vec<NodeId>),
    Map(Vec<(NodeId, NodeId)>),
}

/// What is no YAML, or none that is understood here.
pub(super) struct Flaw<'a> {
    pub(super) line: usize,
    /// The key whose value it is in, if there is one.
    pub(super) key: Option<&'a str>,
    /// Quotes nothing of the file.
    pub(super) text: String,
}

/// A value in its place.
#[derive(Clone, Copy)]
pub(super) struct Value<'a> {
    document: &'a Document,
    id: NodeId,
    node: &'a Node,
}

/// What a value is.
pub(super) enum Shape<'a> {
    Missing,
    Null,
    /// Not understood, which has been told.
    Unread,
    Text(&'a str),
    List(List<'a>),
    Map(Map<'a>),
}

/// The values of a list. An alias may stand for millions of them: looking at one costs nothing.
#[derive(Clone, Copy)]
pub(super) struct List<'a> {
    document: &'a Document,
    items: &'a [NodeId],
}

impl<'a> List<'a> {
    pub(super) fn len(self) -> usize {
        self.items.len()
    }

    pub(super) fn iter(self) -> impl Iterator<Item = Value<'a>> {
        self.items
            .iter()
            .filter_map(move |id| self.document.value(*id))
    }
}

/// The keys and values of a mapping.
#[derive(Clone, Copy)]
pub(super) struct Map<'a> {
    document: &'a Document,
    pairs: &'a [(NodeId, NodeId)],
}

impl<'a> Map<'a> {
    pub(super) fn iter(self) -> impl Iterator<Item = (Value<'a>, Value<'a>)> {
        let value = move |id: &NodeId| self.document.value(*id);
        self.pairs
            .iter()
            .filter_map(move |(key, item)| value(key).zip(value(item)))
    }
}

impl<'a> Value<'a> {
    /// Its line, counting from 1.
    pub(super) fn line(self) -> usize {
        self.node.line
    }

    /// Whether its end was not reached.
    pub(super) fn is_cut(self) -> bool {
        self.id.0 >= self.document.whole
    }

    pub(super) fn shape(self) -> Shape<'a> {
        let document = self.document;
        match &self.node.content {
            Content::Missing => Shape::Missing,
            Content::Null => Shape::Null,
            Content::Unread => Shape::Unread,
            Content::Text(text) => Shape::Text(text),
            Content::List(items) => Shape::List(List { document, items }),
            Content::Map(pairs) => Shape::Map(Map { document, pairs }),
        }
    }
}

impl Document {
    /// Parses one document; `None` where there is nothing but comments. What is wrong is told one by
    /// one, in the order of the lines; what could be read is there nevertheless.
    pub(super) fn parse(text: &str, tell: &mut dyn FnMut(Flaw<'_>)) -> Option<Self> {
        let mut builder = Builder::new(tell);
        let mut is_cut = false;
        for event in Parser::new_from_str(text) {
            let goes_on = match event {
                Ok((event, span)) => builder.take(event, span.start.line()),
                Err(error) => builder.take_error(error.marker().line(), error.info()),
            };
            if !goes_on {
                is_cut = true;
                break;
            }
        }
        let document = builder.finish(is_cut)?;
        let empty = matches!(document.root().map(Value::shape), Some(Shape::Missing));
        (!empty || is_cut).then_some(document)
    }

    pub(super) fn root(&self) -> Option<Value<'_>> {
        self.value(self.root)
    }

    /// Whether the text went on where reading had to stop: nothing can be said to be missing.
    pub(super) fn is_cut(&self) -> bool {
        self.is_cut
    }

    fn value(&self, id: NodeId) -> Option<Value<'_>> {
        let document = self;
        let node = self.nodes.get(id.0)?;
        Some(Value { document, id, node })
    }
}

#[cfg(test)]
mod tests;
