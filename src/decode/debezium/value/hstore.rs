//! hstore: an object of texts, as JSON or as JSON in a string.

use super::super::json::{Cursor, Json, Object};
use super::{Put, Work, push_quoted, unescaped};
use crate::decode::Malformed;
use std::borrow::Cow;

const BAD: Malformed = Malformed("an hstore");

pub(super) fn read<'a>(json: Json<'a>, out: &mut Vec<u8>, work: &mut Work) -> Result<Put<'a>, Malformed> {
    match json {
        Json::Object(object) => push(object, out)?,
        Json::String(text) => {
            let text = unescaped(text, &mut work.bytes)?;
            let mut cursor = Cursor::new(text);
            let Json::Object(object) = cursor.value()? else { return Err(BAD) };
            if !cursor.ends() {
                return Err(BAD);
            }
            push(object, out)?;
        }
        _ => return Err(BAD),
    }
    Ok(Put::Text)
}

/// Postgres keeps the pairs by the length of their keys and then by their bytes.
fn push(object: Object<'_>, out: &mut Vec<u8>) -> Result<(), Malformed> {
    let start = out.len();
    let mut last: Option<Cow<'_, [u8]>> = None;
    for member in object.members() {
        let (name, value) = member?;
        let name = name.unescaped()?;
        let ordered = last.as_ref().is_none_or(|last| (last.len(), last) < (name.len(), &name));
        if !ordered {
            out.truncate(start);
            return push_sorted(object, out);
        }
        push_pair(last.is_none(), &name, value, out)?;
        last = Some(name);
    }
    Ok(())
}

fn push_sorted(object: Object<'_>, out: &mut Vec<u8>) -> Result<(), Malformed> {
    let mut pairs = Vec::new();
    for member in object.members() {
        let (name, value) = member?;
        pairs.push((name.unescaped()?, value));
    }
    pairs.sort_by(|(left, _), (right, _)| (left.len(), left).cmp(&(right.len(), right)));
    for (number, (name, value)) in pairs.iter().enumerate() {
        push_pair(number == 0, name, *value, out)?;
    }
    Ok(())
}

fn push_pair(first: bool, name: &[u8], value: Json<'_>, out: &mut Vec<u8>) -> Result<(), Malformed> {
    if !first {
        out.extend_from_slice(b", ");
    }
    push_quoted(name, out);
    out.extend_from_slice(b"=>");
    match value {
        Json::Null => out.extend_from_slice(b"NULL"),
        Json::String(text) => push_quoted(&text.unescaped()?, out),
        _ => return Err(BAD),
    }
    Ok(())
}
