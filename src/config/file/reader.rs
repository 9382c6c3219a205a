//! Typed reading of the marked tree: every value that cannot be read becomes a problem with its line and path, and the reading
//! goes on.

use super::expand::expand;
use super::marked::{Key, Node, Value};
use super::units;
use crate::config::connections::Written;
use crate::config::problems::Problems;
use std::cell::RefCell;
use std::collections::BTreeMap;

/// What reading needs everywhere.
pub(super) struct Reader<'a> {
    pub(super) problems: &'a Problems,
    pub(super) variables: &'a BTreeMap<String, String>,
}

/// A map of the YAML whose keys are known by name.
pub(super) struct Section<'a> {
    pub(super) reader: &'a Reader<'a>,
    pub(super) path: String,
    pub(super) line: usize,
    pairs: &'a [(Key, Node)],
    known: RefCell<Vec<&'static str>>,
}

/// A value with its path.
#[derive(Clone)]
pub(super) struct Place<'a> {
    pub(super) path: String,
    pub(super) node: &'a Node,
}

impl<'a> Reader<'a> {
    /// The text of a scalar, variables filled in.
    pub(super) fn written(&self, place: &Place<'a>) -> Option<Written> {
        let line = place.node.line;
        let Value::Scalar(text) = &place.node.value else {
            self.problems.add(Some(line), &place.path, format!("must be one value, not {}", kind(place.node)));
            return None;
        };
        match expand(text, self.variables) {
            Ok(expanded) => Some(Written { text: expanded.text, literal: expanded.literal, line }),
            Err(problems) => {
                for what in problems {
                    self.problems.add(Some(line), &place.path, what);
                }
                None
            }
        }
    }

    /// The elements of a list.
    pub(super) fn list(&self, place: &Place<'a>) -> Option<Vec<Place<'a>>> {
        let Value::List(list) = &place.node.value else {
            let what = format!("must be a list, not {}", kind(place.node));
            self.problems.add(Some(place.node.line), &place.path, what);
            return None;
        };
        let element = |(index, node)| Place { path: format!("{}[{index}]", place.path), node };
        Some(list.iter().enumerate().map(element).collect())
    }

    /// The pairs of a map whose keys are the user's own names.
    pub(super) fn pairs(&self, place: &Place<'a>) -> Option<Vec<(&'a Key, Place<'a>)>> {
        let pairs = self.map(place)?;
        Some(pairs.iter().map(|(key, node)| (key, Place { path: join(&place.path, &key.text), node })).collect())
    }

    /// A map with known keys.
    pub(super) fn section(&'a self, place: &Place<'a>) -> Option<Section<'a>> {
        let pairs = self.map(place)?;
        let path = place.path.clone();
        Some(Section { reader: self, path, line: place.node.line, pairs, known: RefCell::default() })
    }

    fn map(&self, place: &Place<'a>) -> Option<&'a [(Key, Node)]> {
        let Value::Map(pairs) = &place.node.value else {
            let what = format!("must be a map of keys and values, not {}", kind(place.node));
            self.problems.add(Some(place.node.line), &place.path, what);
            return None;
        };
        let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
        for (key, _) in pairs {
            match seen.get(key.text.as_str()) {
                Some(first) => {
                    let what = format!("stands here a second time (first on line {first})");
                    self.problems.add(Some(key.line), &join(&place.path, &key.text), what);
                }
                None => _ = seen.insert(&key.text, key.line),
            }
        }
        Some(pairs)
    }
}

impl<'a> Section<'a> {
    /// The value of a key, if it has one.
    pub(super) fn get(&self, key: &'static str) -> Option<Place<'a>> {
        self.known.borrow_mut().push(key);
        let (_, node) = self.pairs.iter().find(|(name, _)| name.text == key)?;
        (!matches!(node.value, Value::Null)).then(|| Place { path: self.path_of(key), node })
    }

    /// The path of a key.
    pub(super) fn path_of(&self, key: &str) -> String {
        join(&self.path, key)
    }

    /// Adds a problem of a key: on the key's line, or the section's where it is missing.
    pub(super) fn problem(&self, key: &str, what: impl Into<String>) {
        let line = self.pairs.iter().find(|(name, _)| name.text == key).map_or(self.line, |(name, _)| name.line);
        self.reader.problems.add(Some(line), &self.path_of(key), what);
    }

    /// Whether a key stands there, read or not.
    pub(super) fn has(&self, key: &str) -> bool {
        self.pairs.iter().any(|(name, _)| name.text == key)
    }

    /// Whether a key has a value that could not be read as a text.
    pub(super) fn unreadable(&self, key: &'static str) -> bool {
        self.get(key).is_some_and(|place| self.reader.written(&place).is_none())
    }

    /// The text of a key; one that is empty after filling in its variables counts as left out.
    pub(super) fn written(&self, key: &'static str) -> Option<Written> {
        let written = self.reader.written(&self.get(key)?)?;
        (!written.text.is_empty()).then_some(written)
    }

    /// As [`Section::written`], the text alone.
    pub(super) fn text(&self, key: &'static str) -> Option<String> {
        self.written(key).map(|written| written.text)
    }

    /// A value that has to be read.
    pub(super) fn parse<T>(&self, key: &'static str, read: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let text = self.text(key)?;
        read(&text).map_err(|what| self.problem(key, what)).ok()
    }

    /// One of some words.
    pub(super) fn choice<T: Copy>(&self, key: &'static str, choices: &[(&str, T)]) -> Option<T> {
        self.parse(key, |text| {
            choices.iter().find(|(name, _)| *name == text).map(|(_, value)| *value).ok_or_else(|| {
                let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
                let meant = units::nearest(text, names.iter().copied());
                let meant = meant.map(|name| format!(" (did you mean {name}?)")).unwrap_or_default();
                format!("\"{text}\" must be {}{meant}", names.join(" or "))
            })
        })
    }

    /// A list of texts, none of them empty.
    pub(super) fn names(&self, key: &'static str) -> Option<Vec<String>> {
        let list = self.reader.list(&self.get(key)?)?;
        let mut names = Vec::new();
        for place in list {
            match self.reader.written(&place) {
                Some(written) if written.text.is_empty() => {
                    self.reader.problems.add(Some(place.node.line), &place.path, "is empty");
                }
                Some(written) => names.push(written.text),
                None => {}
            }
        }
        Some(names)
    }

    /// The section under a key.
    pub(super) fn section(&self, key: &'static str) -> Option<Section<'a>> {
        self.reader.section(&self.get(key)?)
    }

    /// Ends the reading: whatever was never asked for is unknown.
    pub(super) fn finish(self) {
        let known = self.known.borrow();
        for (key, _) in self.pairs {
            if !known.contains(&key.text.as_str()) {
                let meant = units::nearest(&key.text, known.iter().copied());
                let meant = meant.map(|name| format!(" (did you mean {name}?)")).unwrap_or_default();
                self.reader.problems.add(Some(key.line), &self.path_of(&key.text), format!("unknown key{meant}"));
            }
        }
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn kind(node: &Node) -> &'static str {
    match node.value {
        Value::Null => "nothing",
        Value::Scalar(_) => "one value",
        Value::List(_) => "a list",
        Value::Map(_) => "a map",
    }
}
