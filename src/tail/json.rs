//! JSON text taken apart without reading its numbers: what is shown is spelled as it was written.
//!
//! Everything here works on text that [`is_json`] has accepted; on other text it gives some answer, and never fails.

use serde::de::IgnoredAny;
use std::borrow::Cow;
use std::fmt::Write as _;

/// Whether a text is one JSON value, nested at most 128 deep.
pub(super) fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// Where a text stops being JSON, for people.
pub(super) fn mistake(text: &str) -> String {
    serde_json::from_str::<IgnoredAny>(text).err().map(|error| error.to_string()).unwrap_or_default()
}

/// The members of an object, in its order; none where the text is no object.
pub(super) fn members(text: &str) -> Vec<(Cow<'_, str>, &str)> {
    let mut found = Vec::new();
    let Some(mut rest) = inside(text, '{') else { return found };
    while let Some((name, after)) = take(rest) {
        let Some(after) = after.trim_start().strip_prefix(':') else { break };
        let Some((value, after)) = take(after) else { break };
        found.push((unquoted(name), value));
        rest = after.trim_start().strip_prefix(',').unwrap_or("");
    }
    found
}

/// The elements of an array; none where the text is no array.
pub(super) fn elements(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let Some(mut rest) = inside(text, '[') else { return found };
    while let Some((value, after)) = take(rest) {
        found.push(value);
        rest = after.trim_start().strip_prefix(',').unwrap_or("");
    }
    found
}

/// A member of an object by its name.
pub(super) fn member<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    members(text).into_iter().find(|(found, _)| found == name).map(|(_, value)| value)
}

/// A member that is not null.
pub(super) fn present<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    member(text, name).filter(|value| *value != "null")
}

/// A member that is a string, unquoted.
pub(super) fn string(text: &str, name: &str) -> Option<String> {
    present(text, name).filter(|value| value.starts_with('"')).map(|value| unquoted(value).into_owned())
}

/// A member that is a whole number, also where it was written as a string.
pub(super) fn integer(text: &str, name: &str) -> Option<i64> {
    unquoted(present(text, name)?).parse().ok()
}

/// The text of a string; other values as they are written.
pub(super) fn unquoted(value: &str) -> Cow<'_, str> {
    let Some(inner) = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return Cow::Borrowed(value);
    };
    if !inner.contains('\\') {
        return Cow::Borrowed(inner);
    }
    serde_json::from_str::<String>(value).map_or(Cow::Borrowed(inner), Cow::Owned)
}

/// A text as a JSON string. What some terminals take for commands (DEL, the C1 controls) is escaped too.
pub(super) fn quoted(text: &str) -> String {
    escaped(&serde_json::Value::from(text).to_string())
}

/// JSON on one line, the same value: line ends between its parts become spaces, and controls that JSON lets stand in a string
/// are escaped.
pub(super) fn one_line(json: &str) -> String {
    escaped(&json.replace(['\n', '\r', '\t'], " "))
}

fn escaped(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if ('\u{7f}'..='\u{9f}').contains(&c) {
            // Writing to a String cannot fail.
            write!(out, "\\u{:04x}", u32::from(c)).ok();
        } else {
            out.push(c);
        }
    }
    out
}

/// What stands behind the bracket that opens a value.
fn inside(text: &str, bracket: char) -> Option<&str> {
    text.trim().strip_prefix(bracket)
}

/// The first value of a text, and what stands behind it.
fn take(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start();
    let end = value_end(text.as_bytes())?;
    text.split_at_checked(end).map(|(value, rest)| (value.trim_end(), rest))
}

fn value_end(bytes: &[u8]) -> Option<usize> {
    match bytes.first()? {
        b'"' => string_end(bytes, 0),
        b'{' | b'[' => {
            let (mut depth, mut at) = (0_usize, 0);
            while let Some(byte) = bytes.get(at) {
                match byte {
                    b'"' => at = string_end(bytes, at)? - 1,
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' => depth -= 1,
                    _ => {}
                }
                at += 1;
                if depth == 0 {
                    return Some(at);
                }
            }
            None
        }
        b'}' | b']' => None,
        _ => Some(bytes.iter().position(|byte| matches!(byte, b',' | b':' | b'}' | b']')).unwrap_or(bytes.len())),
    }
}

/// The end of the string that begins at a place.
fn string_end(bytes: &[u8], begin: usize) -> Option<usize> {
    let mut at = begin + 1;
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_keep_their_spelling() {
        let text = r#" {"a": 1.50, "b" : [1e400, -0 ] , "c":{"d":"}\"]"},"e":"","f\u0041":null}"#;
        assert!(is_json(text));
        let found: Vec<(String, &str)> = members(text).into_iter().map(|(name, value)| (name.into(), value)).collect();
        let expected = [("a", "1.50"), ("b", "[1e400, -0 ]"), ("c", r#"{"d":"}\"]"}"#), ("e", "\"\""), ("fA", "null")];
        assert_eq!(found, expected.map(|(name, value)| (name.to_owned(), value)));
        assert_eq!(elements("[1e400, -0 ]"), ["1e400", "-0"]);
        assert_eq!(string(r#"{"d":"}\"]"}"#, "d").as_deref(), Some("}\"]"));
        assert_eq!((members("[]").len(), members("{}").len(), elements("[ ]").len()), (0, 0, 0));
    }

    #[test]
    fn controls_do_not_reach_a_terminal() {
        assert_eq!(quoted("a\u{9b}31m\u{1b}\n"), r#""a\u009b31m\u001b\n""#);
        assert_eq!(one_line("{\n  \"a\": 1\n}"), "{   \"a\": 1 }");
    }

    proptest! {
        #[test]
        fn takes_apart_what_serde_writes(pairs in prop::collection::vec((".{0,8}", ".{0,12}"), 0..6)) {
            let written: Vec<String> = pairs.iter().map(|(a, b)| format!("{}:{}", serde_json::json!(a), serde_json::json!([b, 1]))).collect();
            let text = format!("{{{}}}", written.join(" , "));
            let found: Vec<(String, String)> =
                members(&text).into_iter().map(|(name, value)| (name.into_owned(), unquoted(elements(value)[0]).into_owned())).collect();
            prop_assert_eq!(found, pairs);
        }

        #[test]
        fn never_panics(text in "[\\[\\]{}\",:\\\\a1é ]{0,40}") {
            for (_, value) in members(&text) {
                unquoted(value);
            }
            elements(&text);
        }
    }
}
