//! The parser's events to a tree.

use std::collections::HashMap;

use saphyr_parser::{Event, ScalarStyle, Tag};

use super::{Content, Document, Flaw, Node, NodeId, words};

/// What an accounts file needs is four deep.
const DEEPEST: usize = 16;
/// Deeper than this nothing is read to its end: the parser keeps each level in memory, and a level
/// costs two bytes of the file.
const HOPELESS: usize = 255;

pub(super) struct Builder<'t> {
    tell: &'t mut dyn FnMut(Flaw<'_>),
    nodes: Vec<Node>,
    open: Vec<Open>,
    anchors: HashMap<usize, NodeId>,
    root: Option<NodeId>,
    documents: usize,
    /// Open collections that are too deep, of which nothing is kept.
    skipped: usize,
}

/// A list or mapping whose end has not come yet.
struct Open {
    line: usize,
    anchor: usize,
    is_map: bool,
    children: Vec<NodeId>,
}

impl<'t> Builder<'t> {
    pub(super) fn new(tell: &'t mut dyn FnMut(Flaw<'_>)) -> Self {
        Self {
            tell,
            nodes: Vec::new(),
            open: Vec::new(),
            anchors: HashMap::new(),
            root: None,
            documents: 0,
            skipped: 0,
        }
    }

    /// Takes the next event; false where reading ends before the text does.
    pub(super) fn take(&mut self, event: Event<'_>, line: usize) -> bool {
        if self.skipped > 0 {
            return self.skip(&event);
        }
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    self.tell(line, "starts a second document, and a file holds one");
                    return false;
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                let content = self.scalar(&text, style, line, anchor, tag.as_deref());
                self.add(Node { line, content }, anchor);
            }
            Event::SequenceStart(anchor, tag) => {
                self.check_tag(line, tag.as_deref(), &["seq"]);
                self.open(line, anchor, false);
            }
            Event::MappingStart(anchor, tag) => {
                self.check_tag(line, tag.as_deref(), &["map"]);
                self.open(line, anchor, true);
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(anchor) => match self.anchors.get(&anchor) {
                Some(id) => self.attach(*id),
                None => {
                    self.tell(
                        line,
                        "has an alias within what it stands for: write out what is meant",
                    );
                    self.add_unread(line, 0);
                }
            },
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
        true
    }

    /// Takes an error of the parser; false where it is the end of the reading.
    pub(super) fn take_error(&mut self, line: usize, info: &str) -> bool {
        if info == words::UNKNOWN_ANCHOR {
            // The parser has passed over the alias, and goes on behind it.
            self.tell(
                line,
                "has an alias to nothing: quote a value that starts with \"*\"",
            );
            if self.skipped == 0 {
                self.add_unread(line, 0);
            }
            return true;
        }
        if info == words::TOO_DEEP {
            if self.skipped == 0 {
                self.tell_too_deep(line);
            }
            return false;
        }
        let text = words::not_yaml(info, self.open.last().map(|open| open.line));
        let key = None;
        (self.tell)(Flaw { line, key, text });
        false
    }

    /// What was read; what is still open ends where the reading does.
    pub(super) fn finish(mut self, is_cut: bool) -> Option<Document> {
        if is_cut && self.open.is_empty() && self.root.is_none() {
            self.add_unread(1, 0);
        }
        let whole = self.nodes.len();
        while !self.open.is_empty() {
            self.close();
        }
        Some(Document {
            root: self.root?,
            nodes: self.nodes,
            whole,
            is_cut,
        })
    }

    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        line: usize,
        anchor: usize,
        tag: Option<&Tag>,
    ) -> Content {
        if !self.check_tag(line, tag, &["str", "int", "float", "bool", "null"]) {
            return Content::Unread;
        }
        match (style, text) {
            // A password that starts with "&" is read as an anchor, which is not shown.
            (ScalarStyle::Plain, "") if anchor > 0 => {
                self.tell(
                    line,
                    "has an anchor and no value: quote a value that starts with \"&\"",
                );
                Content::Unread
            }
            (ScalarStyle::Plain, "") => Content::Missing,
            (ScalarStyle::Plain, "~" | "null" | "Null" | "NULL") => Content::Null,
            // A block ends in a line break that nobody means.
            (ScalarStyle::Literal | ScalarStyle::Folded, text) => {
                Content::Text(text.trim_end_matches('\n').to_owned())
            }
            (_, text) => Content::Text(text.to_owned()),
        }
    }

    fn open(&mut self, line: usize, anchor: usize, is_map: bool) {
        if self.open.len() >= DEEPEST {
            self.tell_too_deep(line);
            self.add_unread(line, anchor);
            self.skipped = 1;
            return;
        }
        self.open.push(Open {
            line,
            anchor,
            is_map,
            children: Vec::new(),
        });
    }

    /// Passes over what is too deep, to its end.
    fn skip(&mut self, event: &Event<'_>) -> bool {
        let anchor = match event {
            Event::SequenceStart(anchor, _) | Event::MappingStart(anchor, _) => {
                self.skipped += 1;
                *anchor
            }
            Event::SequenceEnd | Event::MappingEnd => {
                self.skipped -= 1;
                0
            }
            Event::Scalar(_, _, anchor, _) => *anchor,
            _ => 0,
        };
        if anchor > 0 {
            // The hole in the place of it all is the last node.
            self.anchors
                .insert(anchor, NodeId(self.nodes.len().saturating_sub(1)));
        }
        self.open.len() + self.skipped < HOPELESS
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

    fn add_unread(&mut self, line: usize, anchor: usize) {
        let content = Content::Unread;
        self.add(Node { line, content }, anchor);
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

    /// A tag of YAML's own that fits changes nothing; any other asks for something that is not done.
    fn check_tag(&mut self, line: usize, tag: Option<&Tag>, fitting: &[&str]) -> bool {
        let fits = tag
            .is_none_or(|tag| tag.is_yaml_core_schema() && fitting.contains(&tag.suffix.as_str()));
        if !fits {
            // The tag is not shown: a password that starts with "!" is read as one.
            self.tell(
                line,
                "has a value that starts with \"!\", which makes it a tag: quote it",
            );
        }
        fits
    }

    fn tell_too_deep(&mut self, line: usize) {
        let text = format!("is nested more than {DEEPEST} deep, and four is all that is needed");
        self.tell(line, &text);
    }

    fn tell(&mut self, line: usize, text: &str) {
        let key = next_key(&self.open, &self.nodes);
        let text = text.to_owned();
        (self.tell)(Flaw { line, key, text });
    }
}

/// The key whose value comes next, or of the list that is open.
fn next_key<'n>(open: &[Open], nodes: &'n [Node]) -> Option<&'n str> {
    let mut open = open.iter().rev();
    let innermost = open.next()?;
    let map = if innermost.is_map {
        innermost
    } else {
        open.next().filter(|outer| outer.is_map)?
    };
    // After an even number of children comes a key.
    let is_value = map.children.len() % 2 == 1;
    let last = map.children.last().filter(|_| is_value)?;
    match &nodes.get(last.0)?.content {
        Content::Text(text) => Some(text),
        _ => None,
    }
}
