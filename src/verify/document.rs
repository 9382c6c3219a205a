//! Documents of JSON in one canonical form: the one thing that verify compares in its own process, since neither server writes a document in a form that
//! the other has. It reads them by other means than what stores them, and states for itself which of them ClickHouse's type `JSON` holds.
//!
//! Two documents are equal if they have the same values under the same keys, whatever the order of the keys, the white space and how a number is
//! written. Keys whose value is null or an empty object are as if they were absent, unless that is asked about strictly.

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use std::fmt;

/// The hash of a canonical form.
pub(super) type Print = [u8; 32];

/// Levels that are stored.
const MAX_DEPTH: usize = 64;
/// The largest integer up to which every one is a float.
const MAX_EXACT: u64 = 1 << 53;

/// What a document of Postgres is to be equal to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    /// A document of this print.
    Document(Print),
    /// NULL, since ClickHouse cannot hold it.
    Null,
}

impl Expected {
    /// What has to be there, nothing for NULL. Strictly nothing that is there is like a document that cannot be held.
    pub(super) fn print(self, strict: bool) -> Option<Print> {
        match self {
            Self::Document(print) => Some(print),
            Self::Null if strict => Some([0; 32]),
            Self::Null => None,
        }
    }
}

/// What ClickHouse is to have of a document.
pub(super) fn expected(document: &[u8], strict: bool) -> Expected {
    let node = std::str::from_utf8(document).ok().and_then(|text| read(text, 0)).filter(|node| match node {
        Node::Object(_) => held(node),
        _ => false,
    });
    match node {
        Some(node) => Expected::Document(canonical(&node, strict)),
        None => Expected::Null,
    }
}

/// What ClickHouse has. What cannot be read is like nothing else.
pub(super) fn stored(document: &[u8], strict: bool) -> Print {
    match std::str::from_utf8(document).ok().and_then(|text| read(text, 0)) {
        Some(node) => canonical(&node, strict),
        None => Sha256::new().chain_update(b"?").chain_update(document).finalize().into(),
    }
}

/// The hash of a row: of its other values' hash and its documents.
pub(super) fn joined(rest: i64, documents: &[Option<Print>]) -> i64 {
    if documents.is_empty() {
        return rest;
    }
    let mut hash = Sha256::new().chain_update(rest.to_be_bytes());
    for document in documents {
        match document {
            Some(print) => hash.update([&[1], print.as_slice()].concat()),
            None => hash.update([0]),
        }
    }
    let hash: Print = hash.finalize().into();
    hash.first_chunk().map_or(0, |head| i64::from_be_bytes(*head))
}

enum Node<'a> {
    /// `null`, `true` or `false`.
    Word(&'a str),
    Number(&'a str),
    Text(String),
    Array(Vec<Node<'a>>),
    Object(Vec<(String, Node<'a>)>),
}

/// An object's members in their order, each as often as it is there.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        from.deserialize_map(Each)
    }
}

/// Nothing where it is no JSON, has half of a surrogate pair, or has too many levels.
fn read(text: &str, depth: usize) -> Option<Node<'_>> {
    let text = text.trim_ascii();
    Some(match text.as_bytes().first()? {
        b'{' if depth < MAX_DEPTH => {
            let Members(members) = serde_json::from_str(text).ok()?;
            let members = members.into_iter().map(|(key, value)| Some((key, read(value.get(), depth + 1)?)));
            Node::Object(members.collect::<Option<_>>()?)
        }
        b'[' if depth < MAX_DEPTH => {
            let elements: Vec<&RawValue> = serde_json::from_str(text).ok()?;
            Node::Array(elements.iter().map(|value| read(value.get(), depth + 1)).collect::<Option<_>>()?)
        }
        b'"' => Node::Text(serde_json::from_str(text).ok()?),
        b'-' | b'0'..=b'9' => Node::Number(text),
        b't' | b'f' | b'n' => Node::Word(text),
        _ => return None,
    })
}

/// Whether ClickHouse's type holds a value that does not lie in an array.
fn held(node: &Node<'_>) -> bool {
    match node {
        Node::Word(_) | Node::Text(_) => true,
        Node::Number(text) => number_held(text, u64::MAX),
        Node::Array(elements) => elements_held(elements, 0, &mut Vec::new()),
        Node::Object(members) => {
            let mut keys: Vec<&str> = members.iter().map(|(key, _)| key.as_str()).collect();
            keys.sort_unstable();
            keys.dedup();
            let apart = keys.len() == members.len() && !keys.iter().any(|key| key.contains('.'));
            apart && members.iter().all(|(_, value)| held(value))
        }
    }
}

/// The same of an array's elements; what was seen at each level of arrays in arrays: NULL, and an array.
fn elements_held(elements: &[Node<'_>], level: usize, seen: &mut Vec<(bool, bool)>) -> bool {
    if seen.len() <= level {
        seen.push((false, false));
    }
    elements.iter().all(|element| {
        let (null, array) = (matches!(element, Node::Word("null")), matches!(element, Node::Array(_)));
        let mixed = seen.get_mut(level).is_some_and(|seen| {
            *seen = (seen.0 || null, seen.1 || array);
            seen.0 && seen.1
        });
        !mixed
            && match element {
                Node::Array(inner) => elements_held(inner, level + 1, seen),
                Node::Number(text) => number_held(text, MAX_EXACT),
                other => held(other),
            }
    })
}

/// Whether a number is one of 64 bits, up to `most`, or has the digits of a 64-bit float's shortest text.
fn number_held(text: &str, most: u64) -> bool {
    if !text.contains(['.', 'e', 'E']) {
        return match text.strip_prefix('-') {
            Some(size) => size.parse().is_ok_and(|size: u64| size <= most.min(1 << 63)),
            None => text.parse().is_ok_and(|size: u64| size <= most),
        };
    }
    // From 2^63 to 10^21 ClickHouse writes floats as integers that it cannot read.
    let readable = |float: &f64| float.abs() < 9_223_372_036_854_775_808.0 || float.abs() >= 1e21;
    let float = text.parse::<f64>().ok().filter(|float| float.is_finite() && readable(float));
    float.is_some_and(|float| Decimal::of(&float.to_string()) == Decimal::of(text))
}

/// A number: `digits` times ten to the power of `power`.
#[derive(PartialEq, Eq)]
struct Decimal {
    negative: bool,
    /// Without zeros at either end.
    digits: String,
    power: i64,
}

impl Decimal {
    fn of(text: &str) -> Self {
        let (number, power) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let negative = whole.starts_with('-');
        let digits = [whole.trim_start_matches('-'), fraction].concat();
        let kept = digits.trim_end_matches('0');
        // A power beyond these is that of no number that is stored.
        let power = power.parse::<i64>().unwrap_or(i64::from(i32::MAX)).clamp(i32::MIN.into(), i32::MAX.into());
        let power = power - fraction.len() as i64 + (digits.len() - kept.len()) as i64;
        let kept = kept.trim_start_matches('0').to_owned();
        let zero = kept.is_empty();
        Self { negative: negative && !zero, digits: kept, power: if zero { 0 } else { power } }
    }
}

fn canonical(node: &Node<'_>, strict: bool) -> Print {
    let mut text = String::new();
    write(node, strict, &mut text);
    Sha256::digest(text.as_bytes()).into()
}

/// Values begin with a letter of their kind, and texts with their length, so that no two documents are written alike.
fn write(node: &Node<'_>, strict: bool, out: &mut String) {
    match node {
        Node::Word(word) => out.push_str(word),
        Node::Number(text) => {
            let Decimal { negative, digits, power } = Decimal::of(text);
            out.extend([if negative { "-" } else { "+" }, &digits, "e", &power.to_string(), ";"]);
        }
        Node::Text(text) => out.extend(["s", &text.len().to_string(), ":", text]),
        Node::Array(elements) => {
            out.push('[');
            for element in elements {
                write(element, strict, out);
            }
            out.push(']');
        }
        Node::Object(members) => {
            let mut members: Vec<&(String, Node<'_>)> =
                members.iter().filter(|(_, value)| strict || !is_nothing(value)).collect();
            members.sort_by(|(one, _), (other, _)| one.cmp(other));
            out.push('{');
            for (key, value) in members {
                out.extend([&key.len().to_string(), ":", key]);
                write(value, strict, out);
            }
            out.push('}');
        }
    }
}

/// What ClickHouse tells from an absent key by nothing.
fn is_nothing(node: &Node<'_>) -> bool {
    match node {
        Node::Word(word) => *word == "null",
        Node::Object(members) => members.iter().all(|(_, value)| is_nothing(value)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(source: &str, target: &str) -> bool {
        expected(source.as_bytes(), false) == Expected::Document(stored(target.as_bytes(), false))
    }

    #[test]
    fn equal_is_what_has_the_same_values() {
        let pairs = [
            (r#" {"b" : 1.10, "a": [1, "\u00e9", {"x": 1e2}]} "#, r#"{"a":[1,"é",{"x":100}],"b":1.1}"#),
            (r#"{"a": null, "b": {}, "c": {"d": {"e": null}}, "f": [{"g": {}}]}"#, r#"{"f":[{}]}"#),
            (r#"{"a": -0.0, "b": 1000, "c": 0.0010, "d": 1.5e300}"#, r#"{"a":0,"b":1e3,"c":1e-3,"d":1.5e300}"#),
            (r#"{"a": "\/\ud83c\udf88"}"#, r#"{"a":"/🎈"}"#),
        ];
        for (source, target) in pairs {
            assert!(same(source, target), "{source} {target}");
        }
        let others = [
            (r#"{"a": 1}"#, r#"{"a":"1"}"#),
            (r#"{"a": 1}"#, r#"{"a":true}"#),
            (r#"{"a": 9007199254740993}"#, r#"{"a":9007199254740992}"#),
            (r#"{"a": 1}"#, r#"{"a":-1}"#),
            (r#"{"a": 10}"#, r#"{"a":1}"#),
            (r#"{"a": [1, 2]}"#, r#"{"a":[2,1]}"#),
            (r#"{"a": [null]}"#, r#"{"a":[]}"#),
            (r#"{"a": [[]]}"#, r#"{"a":[]}"#),
            (r#"{"a": []}"#, "{}"),
            (r#"{"a": {"b": 1}}"#, r#"{"a":{},"b":1}"#),
            (r#"{"a": "x", "b": "y"}"#, r#"{"a":"y","b":"x"}"#),
            (r#"{"a": "2020-01-01 00:00:00"}"#, r#"{"a":"2020-01-01T00:00:00Z"}"#),
            ("{}", r#"{"a":"#),
        ];
        for (source, target) in others {
            assert!(!same(source, target), "{source} {target}");
        }
    }

    #[test]
    fn keys_without_a_value_count_strictly() {
        let (source, target) = (br#"{"a": 1, "b": null}"#, br#"{"a":1}"#);
        assert_eq!(expected(source, false), Expected::Document(stored(target, false)));
        assert_ne!(expected(source, true), Expected::Document(stored(target, true)));
    }

    /// What stores documents decides by another reading; here both have to say the same.
    #[test]
    fn what_is_held_is_what_is_stored() {
        let nested = |count: usize| format!("{{\"a\": {}1{}}}", "[".repeat(count), "]".repeat(count));
        let documents = [
            "{}",
            "[]",
            "1",
            "null",
            "{\"a\": 1, \"a\": 2}",
            "{\"a\": null, \"\\u0061\": 1}",
            "{\"a.b\": 1}",
            "{\"a\": {\"\\u002e\": 1}}",
            "{\"a\": 18446744073709551615}",
            "{\"a\": 18446744073709551616}",
            "{\"a\": -9223372036854775808}",
            "{\"a\": -9223372036854775809}",
            "{\"a\": [9007199254740992]}",
            "{\"a\": [9007199254740993]}",
            "{\"a\": [{\"b\": 9007199254740993}]}",
            "{\"a\": [null, [1]]}",
            "{\"a\": [[null], [1]]}",
            "{\"a\": [[null], [[1]]]}",
            "{\"a\": [null, {\"b\": [[1]]}]}",
            "{\"a\": \"\\ud800\"}",
            "{\"a\": \"\\u0000\"}",
            "{\"a\": 1e400}",
            "{\"a\": 1e-400}",
            "{\"a\": 0.1234567890123456789}",
            "{\"a\": 123456789012345678.0}",
            "{\"a\": 1e22}",
            "{\"a\": -0.0}",
            "{\"a\": 5e-324}",
            "{\"a\": 1e20}",
            "{\"a\": [-1e19]}",
            "{\"a\": 1e21}",
            "{\"a\": 9.2e18}",
            "{\"a\": 2.2250738585072011e-308}",
            &nested(63),
            &nested(64),
            &nested(100_000),
        ];
        for document in documents {
            let stored = crate::decode::document::Documents::default().holds(document.as_bytes()).unwrap();
            assert_eq!(matches!(expected(document.as_bytes(), false), Expected::Document(_)), stored, "{document}");
        }
        assert_eq!(expected(b"{\"a\": \"\xff\"}", false), Expected::Null);
    }

    #[test]
    fn a_row_is_another_one_by_each_of_its_documents() {
        let prints = [None, Some([1; 32]), Some([2; 32])];
        assert_eq!(joined(7, &[]), 7);
        let mut all: Vec<i64> =
            prints.iter().flat_map(|one| prints.iter().map(|other| joined(7, &[*one, *other]))).collect();
        all.extend([joined(8, &[None, None]), joined(7, &[None])]);
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 11);
    }
}
