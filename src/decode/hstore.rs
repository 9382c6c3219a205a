//! hstore's text: `"a"=>"1", "b"=>NULL`, as its output function writes it.
//!
//! Keys and values stand in double quotes, with a backslash before a quote or a backslash: <https://www.postgresql.org/docs/current/hstore.html>.

use super::wire::Malformed;

const BAD: Malformed = Malformed("an hstore");

/// Hands each pair to `pair`, key first, in the text's order; a value that is NULL is none. The two buffers hold what was quoted.
///
/// # Errors
/// [`Malformed`] where it is no hstore, or what `pair` returns.
pub fn pairs<E: From<Malformed>>(
    text: &[u8],
    (key, value): (&mut Vec<u8>, &mut Vec<u8>),
    mut pair: impl FnMut(&[u8], Option<&[u8]>) -> Result<(), E>,
) -> Result<(), E> {
    let mut rest = text;
    while !rest.is_empty() {
        rest = quoted(rest, key)?.strip_prefix(b"=>").ok_or(BAD)?;
        if let Some(tail) = rest.strip_prefix(b"NULL") {
            pair(key, None)?;
            rest = tail;
        } else {
            rest = quoted(rest, value)?;
            pair(key, Some(value))?;
        }
        rest = match rest {
            [] => rest,
            [b',', b' ', tail @ ..] if !tail.is_empty() => tail,
            _ => return Err(BAD.into()),
        };
    }
    Ok(())
}

/// Undoes the quoting of what stands at the head, and returns what follows it.
fn quoted<'a>(text: &'a [u8], out: &mut Vec<u8>) -> Result<&'a [u8], Malformed> {
    out.clear();
    let mut rest = text.strip_prefix(b"\"").ok_or(BAD)?;
    loop {
        let end = rest.iter().position(|byte| matches!(byte, b'"' | b'\\')).ok_or(BAD)?;
        let (plain, tail) = rest.split_at(end);
        out.extend_from_slice(plain);
        match tail {
            [b'\\', escaped, tail @ ..] => {
                out.push(*escaped);
                rest = tail;
            }
            [b'"', tail @ ..] => return Ok(tail),
            _ => return Err(BAD),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<Vec<(String, Option<String>)>, Malformed> {
        let mut found = Vec::new();
        let owned = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        pairs(text.as_bytes(), (&mut Vec::new(), &mut Vec::new()), |key, value| {
            found.push((owned(key), value.map(owned)));
            Ok::<(), Malformed>(())
        })?;
        Ok(found)
    }

    #[test]
    fn undoes_the_quoting() {
        assert_eq!(read(""), Ok(Vec::new()));
        let found = read(r#""a"=>"1", "b"=>NULL, ""=>"", "q\"\\"=>"NULL""#).unwrap();
        let pair = |key: &str, value: Option<&str>| (key.to_owned(), value.map(str::to_owned));
        assert_eq!(found, [pair("a", Some("1")), pair("b", None), pair("", Some("")), pair(r#"q"\"#, Some("NULL"))]);
    }

    #[test]
    fn refuses_what_is_none() {
        for bad in ["a=>1", r#""a""#, r#""a"=>"#, r#""a"=>"1","#, r#""a"=>"1", "#, r#""a"=>"1" "b"=>"2""#, r#""a"=>"\"#]
        {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in r#"["a=>, NUL\\]{0,30}"#) {
            std::hint::black_box(read(&text)).ok();
        }
    }
}
