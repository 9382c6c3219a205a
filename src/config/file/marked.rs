//! YAML as a tree in which every value knows its line.
//!
//! The reading into types is done from this tree rather than by serde: serde stops at the first error and knows no lines, and a
//! configuration with six errors is to be told all six.

use saphyr_parser::{Event, Parser, ScalarStyle};
use std::collections::HashMap;

/// Values that a document may hold once its aliases are filled in: keeps a small file from growing without end.
const MAX_NODES: usize = 200_000;
const MAX_DEPTH: usize = 64;

/// A value and the line it begins on.
#[derive(Debug, Clone)]
pub(super) struct Node {
    /// Counted from 1.
    pub(super) line: usize,
    /// The value.
    pub(super) value: Value,
}

/// What a value is.
#[derive(Debug, Clone)]
pub(super) enum Value {
    /// Nothing, `~` or `null`.
    Null,
    /// A text, number or boolean, as it is written.
    Scalar(String),
    /// A list.
    List(Vec<Node>),
    /// A map, in the order of the file, repeated keys included.
    Map(Vec<(Key, Node)>),
}

/// A key and the line it stands on.
#[derive(Debug, Clone)]
pub(super) struct Key {
    pub(super) text: String,
    pub(super) line: usize,
}

/// What keeps a text from being YAML, and where.
#[derive(Debug)]
pub(super) struct NotYaml {
    pub(super) line: usize,
    pub(super) what: String,
}

/// Reads the one document of a text; an empty text is null.
pub(super) fn parse(text: &str) -> Result<Node, NotYaml> {
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text) {
        let (event, span) =
            event.map_err(|error| NotYaml { line: error.marker().line(), what: error.info().to_owned() })?;
        let line = span.start.line();
        builder.take(event, line).map_err(|what| NotYaml { line, what: what.to_owned() })?;
    }
    Ok(builder.root.unwrap_or(Node { line: 1, value: Value::Null }))
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    root: Option<Node>,
}

/// A list or map whose end has not been seen.
struct Open {
    line: usize,
    anchor: usize,
    inside: Inside,
}

enum Inside {
    List(Vec<Node>),
    Map { pairs: Vec<(Key, Node)>, key: Option<Key> },
}

impl Builder {
    fn take(&mut self, event: Event<'_>, line: usize) -> Result<(), &'static str> {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) if self.root.is_some() => Err("a second document begins here; only one is read"),
            Event::DocumentStart(_) => Ok(()),
            Event::Alias(anchor) => {
                let mut node = self.anchors.get(&anchor).ok_or("the alias names no anchor before it")?.clone();
                node.line = line;
                self.nodes += count(&node);
                self.put(node, 0)
            }
            Event::Scalar(text, style, anchor, _) => {
                let null = style == ScalarStyle::Plain && matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
                let value = if null { Value::Null } else { Value::Scalar(text.into_owned()) };
                self.put(Node { line, value }, anchor)
            }
            Event::SequenceStart(anchor, _) => self.begin(line, anchor, Inside::List(Vec::new())),
            Event::MappingStart(anchor, _) => self.begin(line, anchor, Inside::Map { pairs: Vec::new(), key: None }),
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(Open { line, anchor, inside }) = self.open.pop() else { return Ok(()) };
                let value = match inside {
                    Inside::List(list) => Value::List(list),
                    Inside::Map { pairs, .. } => Value::Map(pairs),
                };
                self.put(Node { line, value }, anchor)
            }
        }
    }

    fn begin(&mut self, line: usize, anchor: usize, inside: Inside) -> Result<(), &'static str> {
        if self.open.len() >= MAX_DEPTH {
            return Err("values are nested too deeply");
        }
        self.open.push(Open { line, anchor, inside });
        Ok(())
    }

    fn put(&mut self, node: Node, anchor: usize) -> Result<(), &'static str> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err("the document is too large");
        }
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut().map(|open| &mut open.inside) {
            None => self.root = Some(node),
            Some(Inside::List(list)) => list.push(node),
            Some(Inside::Map { pairs, key }) => match (key.take(), node) {
                (Some(key), node) => pairs.push((key, node)),
                (None, Node { line, value: Value::Scalar(text) }) => *key = Some(Key { text, line }),
                (None, Node { line, value: Value::Null }) => *key = Some(Key { text: "null".to_owned(), line }),
                (None, _) => return Err("a list or a map cannot be a key"),
            },
        }
        Ok(())
    }
}

fn count(node: &Node) -> usize {
    match &node.value {
        Value::Null | Value::Scalar(_) => 1,
        Value::List(list) => 1 + list.iter().map(count).sum::<usize>(),
        Value::Map(pairs) => 1 + pairs.iter().map(|(_, node)| count(node)).sum::<usize>(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_kept_and_aliases_filled_in() {
        let root = parse("a: &x [1, 2]\nb:\n  c: *x\n").unwrap();
        let Value::Map(pairs) = root.value else { panic!("not a map") };
        assert_eq!((pairs[0].0.line, pairs[1].0.line), (1, 2));
        let Value::Map(inner) = &pairs[1].1.value else { panic!("not a map") };
        assert!(matches!(&inner[0].1, Node { line: 3, value: Value::List(list) } if list.len() == 2));
    }

    #[test]
    fn what_is_no_yaml_is_told_with_its_line() {
        assert_eq!(parse("a: 1\nb: [1,\n").unwrap_err().line, 3);
        assert_eq!(parse("a: 1\n---\nb: 2\n").unwrap_err().line, 2);
        let deep = "[".repeat(100);
        assert!(parse(&deep).is_err());
        let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned();
        for n in 1..12 {
            let list = vec![format!("*a{}", n - 1); 9].join(",");
            bomb = format!("{bomb}a{n}: &a{n} [{list}]\n");
        }
        assert_eq!(parse(&bomb).unwrap_err().what, "the document is too large");
    }
}
