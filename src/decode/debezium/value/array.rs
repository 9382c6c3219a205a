//! Arrays, written as Postgres does, and vectors of pgvector.

use super::super::json::{Array, Json, Object};
use super::{Decoder, Put, Work, float, push_quoted};
use crate::decode::{Malformed, number};

const VECTOR: Malformed = Malformed("a vector");

/// Appends an array: `{1,NULL,"a b"}`.
pub(super) fn read<'a>(
    array: Array<'_>,
    element: &Decoder,
    out: &mut Vec<u8>,
    work: &mut Work,
) -> Result<Put<'a>, Malformed> {
    // The buffer is lent out for the time of the walk, for the elements need the others.
    let mut buffer = std::mem::take(&mut work.element);
    let written = push(array, element, (out, &mut buffer), work);
    work.element = buffer;
    written.map(|()| Put::Text)
}

fn push(
    array: Array<'_>,
    element: &Decoder,
    (out, buffer): (&mut Vec<u8>, &mut Vec<u8>),
    work: &mut Work,
) -> Result<(), Malformed> {
    out.push(b'{');
    for (place, json) in array.elements().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        let json = json?;
        if let (Json::Array(inner), Decoder::Text) = (json, element) {
            push(inner, element, (out, buffer), work)?;
            continue;
        }
        buffer.clear();
        match element.read(json, buffer, work)? {
            Put::Null | Put::Unchanged => out.extend_from_slice(b"NULL"),
            Put::Borrowed(text) => push_element(text, out),
            Put::Text => push_element(buffer, out),
            Put::Binary => return Err(Malformed("an element's text")),
        }
    }
    out.push(b'}');
    Ok(())
}

/// Appends an element, in quotes where `array_out` puts it into some.
fn push_element(text: &[u8], out: &mut Vec<u8>) {
    let special = |byte: &u8| matches!(byte, b'{' | b'}' | b',' | b'"' | b'\\' | b' ' | b'\t'..=b'\r');
    if !text.is_empty() && !text.eq_ignore_ascii_case(b"null") && !text.iter().any(special) {
        out.extend_from_slice(text);
        return;
    }
    push_quoted(text, out);
}

/// Appends a vector: `[1,2.5]`.
pub(super) fn vector<'a>(array: Array<'_>, out: &mut Vec<u8>) -> Result<Put<'a>, Malformed> {
    out.push(b'[');
    for (place, json) in array.elements().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        float::push_single(float::double(json?)? as f32, out);
    }
    out.push(b']');
    Ok(Put::Text)
}

/// Appends a sparse vector: `{1:1.5,3:2}/5`. Its map has numbers for keys, so that JSON has it as a list of pairs.
pub(super) fn sparse_vector<'a>(object: Object<'_>, out: &mut Vec<u8>) -> Result<Put<'a>, Malformed> {
    let (mut dimensions, mut pairs) = (None, None);
    for member in object.members() {
        match member? {
            (name, Json::Number(token)) if name.is(b"dimensions") => dimensions = Some(token),
            (name, value) if name.is(b"vector") => pairs = Some(value),
            _ => {}
        }
    }
    out.push(b'{');
    match pairs {
        Some(Json::Object(pairs)) => {
            for (place, member) in pairs.members().enumerate() {
                let (index, value) = member?;
                push_sparse(place, index.plain().ok_or(VECTOR)?, value, out)?;
            }
        }
        Some(Json::Array(pairs)) => {
            for (place, pair) in pairs.elements().enumerate() {
                let Json::Array(pair) = pair? else { return Err(VECTOR) };
                let mut pair = pair.elements();
                let (Some(Ok(Json::Number(index))), Some(Ok(value)), None) = (pair.next(), pair.next(), pair.next())
                else {
                    return Err(VECTOR);
                };
                push_sparse(place, index, value, out)?;
            }
        }
        _ => return Err(VECTOR),
    }
    out.extend_from_slice(b"}/");
    out.extend_from_slice(dimensions.ok_or(VECTOR)?);
    Ok(Put::Text)
}

fn push_sparse(place: usize, index: &[u8], value: Json<'_>, out: &mut Vec<u8>) -> Result<(), Malformed> {
    number::integer(index).map_err(|_| VECTOR)?;
    if place > 0 {
        out.push(b',');
    }
    out.extend_from_slice(index);
    out.push(b':');
    float::push_single(float::double(value)? as f32, out);
    Ok(())
}
