//! Arrays of one dimension, from text and from Postgres' binary form.
//!
//! Text as <https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO> has it, with an optional prefix of bounds (`[0:2]={…}`), which says
//! nothing that is stored. Postgres does not hold a column to its declared dimensions: a nested value is [`Nested`](ArrayFault::Nested).

use super::wire::{Malformed, Reader};
use crate::change::Field;

/// Why an array could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArrayFault {
    /// It has more than one dimension.
    Nested,
    /// It is no array, or an element was refused.
    Malformed(Malformed),
}

impl From<Malformed> for ArrayFault {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

/// Hands each element of an array's text to `element`; `scratch` holds an element whose quoting had to be undone.
///
/// # Errors
/// [`ArrayFault`], or what `element` returns.
pub fn text<E: From<ArrayFault>>(
    bytes: &[u8],
    scratch: &mut Vec<u8>,
    mut element: impl FnMut(Field<'_>) -> Result<(), E>,
) -> Result<usize, E> {
    let malformed = || E::from(ArrayFault::Malformed(Malformed("an array")));
    let mut rest = strip_bounds(bytes).and_then(|rest| rest.strip_prefix(b"{")).ok_or_else(malformed)?;
    let mut count = 0;
    if rest == b"}" {
        return Ok(0);
    }
    loop {
        match rest.first() {
            Some(b'{') => return Err(ArrayFault::Nested.into()),
            Some(b'"') => {
                rest = quoted(rest, scratch).ok_or_else(malformed)?;
                element(Field::Text(scratch))?;
            }
            _ => {
                let (value, tail) = bare(rest, scratch).ok_or_else(malformed)?;
                rest = tail;
                match value {
                    Bare::Plain(b"NULL") => element(Field::Null)?,
                    Bare::Plain(value) => element(Field::Text(value))?,
                    Bare::Escaped => element(Field::Text(scratch))?,
                }
            }
        }
        count += 1;
        match rest {
            [b',', tail @ ..] => rest = tail,
            [b'}'] => return Ok(count),
            _ => return Err(malformed()),
        }
    }
}

/// Hands each element of an array's binary form to `element`, and says how many there were.
///
/// # Errors
/// [`ArrayFault`], or what `element` returns.
pub fn binary<E: From<ArrayFault>>(
    bytes: &[u8],
    mut element: impl FnMut(Field<'_>) -> Result<(), E>,
) -> Result<usize, E> {
    let wrap = |malformed| E::from(ArrayFault::Malformed(malformed));
    let mut reader = Reader::new(bytes);
    let dimensions = reader.u32().map_err(wrap)?;
    reader.take(8).map_err(wrap)?;
    if dimensions == 0 {
        return Ok(0);
    }
    if dimensions > 1 {
        return Err(ArrayFault::Nested.into());
    }
    let count = reader.u32().map_err(wrap)?;
    reader.take(4).map_err(wrap)?;
    for _ in 0..count {
        match usize::try_from(reader.i32().map_err(wrap)?) {
            Ok(len) => element(Field::Binary(reader.take(len).map_err(wrap)?))?,
            Err(_) => element(Field::Null)?,
        }
    }
    Ok(count as usize)
}

/// Hands each number of pgvector's text, `[1,2.5,3]`, to `element`.
///
/// # Errors
/// [`ArrayFault`], or what `element` returns.
pub fn vector<E: From<ArrayFault>>(bytes: &[u8], mut element: impl FnMut(&[u8]) -> Result<(), E>) -> Result<usize, E> {
    let inner = bytes
        .strip_prefix(b"[")
        .and_then(|rest| rest.strip_suffix(b"]"))
        .ok_or_else(|| E::from(ArrayFault::Malformed(Malformed("a vector"))))?;
    let mut count = 0;
    for part in inner.split(|&byte| byte == b',').filter(|part| !part.is_empty()) {
        element(part)?;
        count += 1;
    }
    Ok(count)
}

fn strip_bounds(bytes: &[u8]) -> Option<&[u8]> {
    if bytes.first() != Some(&b'[') {
        return Some(bytes);
    }
    let equals = bytes.iter().position(|&byte| byte == b'=')?;
    bytes.get(equals + 1..)
}

/// Undoes the quoting of the element at the head and returns what follows it.
fn quoted<'a>(rest: &'a [u8], scratch: &mut Vec<u8>) -> Option<&'a [u8]> {
    scratch.clear();
    let mut bytes = rest.get(1..)?;
    loop {
        match bytes {
            [b'"', tail @ ..] => return Some(tail),
            [b'\\', escaped, tail @ ..] => {
                scratch.push(*escaped);
                bytes = tail;
            }
            [b'\\'] | [] => return None,
            [byte, tail @ ..] => {
                scratch.push(*byte);
                bytes = tail;
            }
        }
    }
}

enum Bare<'a> {
    Plain(&'a [u8]),
    Escaped,
}

/// The unquoted element at the head, and what follows it.
fn bare<'a>(rest: &'a [u8], scratch: &mut Vec<u8>) -> Option<(Bare<'a>, &'a [u8])> {
    let end = rest.iter().position(|byte| matches!(byte, b',' | b'}'))?;
    let (value, tail) = rest.split_at(end);
    if value.is_empty() {
        return None;
    }
    if !value.contains(&b'\\') {
        return Some((Bare::Plain(value), tail));
    }
    // Postgres quotes what needs escapes; a bare escape is legal input all the same.
    scratch.clear();
    let mut bytes = value.iter();
    while let Some(&byte) = bytes.next() {
        scratch.push(if byte == b'\\' { *bytes.next()? } else { byte });
    }
    Some((Bare::Escaped, tail))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(bytes: &[u8]) -> Result<Vec<Option<String>>, ArrayFault> {
        let mut elements = Vec::new();
        text(bytes, &mut Vec::new(), |field| {
            elements.push(match field {
                Field::Text(value) => Some(String::from_utf8_lossy(value).into_owned()),
                _ => None,
            });
            Ok::<(), ArrayFault>(())
        })?;
        Ok(elements)
    }

    #[test]
    fn reads_quotes_nulls_and_bounds() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(read(b"{}"), Ok(vec![]));
        assert_eq!(read(b"{1,NULL,3}"), Ok(vec![some("1"), None, some("3")]));
        assert_eq!(read(b"[0:2]={1,NULL,3}"), Ok(vec![some("1"), None, some("3")]));
        assert_eq!(
            read(br#"{"a\"b","NULL","","x,y}","c\\d"}"#),
            Ok(vec![some("a\"b"), some("NULL"), some(""), some("x,y}"), some("c\\d")])
        );
        assert_eq!(read(b"{{1},{2}}"), Err(ArrayFault::Nested));
        for bad in [&b""[..], b"{", b"{1", b"{1,}", b"{\"a}", b"1,2", b"{1}x"] {
            assert!(matches!(read(bad), Err(ArrayFault::Malformed(_))), "{bad:?}");
        }
    }

    #[test]
    fn reads_the_binary_form() {
        let mut bytes = vec![0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 23, 0, 0, 0, 2, 0, 0, 0, 1];
        bytes.extend([0, 0, 0, 1, 7, 0xff, 0xff, 0xff, 0xff]);
        let mut elements = Vec::new();
        let count = binary(&bytes, |field| {
            elements.push(format!("{field:?}"));
            Ok::<(), ArrayFault>(())
        });
        assert_eq!((count, elements), (Ok(2), vec!["Binary([7])".to_owned(), "Null".to_owned()]));
    }

    #[test]
    fn reads_vectors() {
        let mut elements = Vec::new();
        let count = vector(b"[1,2.5]", |part| {
            elements.push(part.to_vec());
            Ok::<(), ArrayFault>(())
        });
        assert_eq!((count, elements), (Ok(2), vec![b"1".to_vec(), b"2.5".to_vec()]));
    }

    proptest! {
        #[test]
        fn never_panics(bytes in prop::collection::vec(prop::sample::select(&b"{}[]\\\",=1aN"[..]), 0..40)) {
            std::hint::black_box(read(&bytes)).ok();
            std::hint::black_box(binary(&bytes, |_| Ok::<(), ArrayFault>(()))).ok();
        }
    }
}
