//! The parser's events to a tree.

use std::collections::HashMap;

use saphyr_parser::{Event, ScalarStyle, Tag};

use super::{Content, Node, NodeId};

/// What an accounts file needs is four deep.
const DEEPEST: usize = 16;
#[derive(Default)]
pub(super) struct Builder {
    pub(super) nodes: Vec<Node>,
    open: Vec<Open>,
    anchors: HashMap<usize, NodeId>,
    pub(super) root: Option<NodeId>,
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
    pub(super) fn take(&mut self, event: Event<'_>, line: usize) -> Result<(), String> {
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
