//! JSON, read where it lies: values are slices of the message, and a string's escapes stay until somebody wants the text.

use crate::decode::Malformed;
use std::borrow::Cow;

/// How deep values may lie in each other; Debezium's lie six deep at most.
const DEEPEST: u8 = 64;

/// The text of a JSON string, between its quotes and with its escapes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Text<'a> {
    raw: &'a [u8],
    escaped: bool,
}

/// The text of a JSON object, braces included; known to be well-formed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Object<'a> {
    bytes: &'a [u8],
}

/// The text of a JSON array, brackets included; known to be well-formed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Array<'a> {
    bytes: &'a [u8],
}

/// A value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Json<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number, as it is spelled.
    Number(&'a [u8]),
    /// A string.
    String(Text<'a>),
    /// An object.
    Object(Object<'a>),
    /// An array.
    Array(Array<'a>),
}

impl<'a> Text<'a> {
    /// The text where nothing in it is escaped.
    #[inline]
    pub fn plain(self) -> Option<&'a [u8]> {
        (!self.escaped).then_some(self.raw)
    }

    /// The text as it lies in the message, with its escapes.
    pub(super) fn raw(self) -> &'a [u8] {
        self.raw
    }

    /// Whether the text is this one.
    #[inline]
    pub fn is(self, other: &[u8]) -> bool {
        if self.escaped { matches!(self.unescaped(), Ok(text) if *text == *other) } else { self.raw == other }
    }

    /// The text with its escapes undone.
    ///
    /// # Errors
    /// [`Malformed`] where an escape is none of JSON's.
    pub fn unescaped(self) -> Result<Cow<'a, [u8]>, Malformed> {
        if let Some(text) = self.plain() {
            return Ok(Cow::Borrowed(text));
        }
        let mut text = Vec::with_capacity(self.raw.len());
        self.unescape_into(&mut text)?;
        Ok(Cow::Owned(text))
    }

    /// The text as UTF-8, its escapes undone.
    ///
    /// # Errors
    /// [`Malformed`] where an escape is none of JSON's, or the bytes are no UTF-8.
    pub fn string(self) -> Result<Cow<'a, str>, Malformed> {
        const BAD: Malformed = Malformed("UTF-8");
        match self.unescaped()? {
            Cow::Borrowed(text) => std::str::from_utf8(text).map(Cow::Borrowed).map_err(|_| BAD),
            Cow::Owned(text) => String::from_utf8(text).map(Cow::Owned).map_err(|_| BAD),
        }
    }

    /// Appends the text with its escapes undone.
    ///
    /// # Errors
    /// [`Malformed`] where an escape is none of JSON's.
    pub fn unescape_into(self, out: &mut Vec<u8>) -> Result<(), Malformed> {
        let mut rest = self.raw;
        while let Some(at) = memchr::memchr(b'\\', rest) {
            let (head, tail) = rest.split_at_checked(at).ok_or(ESCAPE)?;
            out.extend_from_slice(head);
            rest = match tail {
                [_, b'u', tail @ ..] => unicode(tail, out)?,
                [_, letter, tail @ ..] => {
                    out.push(escape(*letter).ok_or(ESCAPE)?);
                    tail
                }
                _ => return Err(ESCAPE),
            };
        }
        out.extend_from_slice(rest);
        Ok(())
    }
}

const ESCAPE: Malformed = Malformed("an escape of JSON");

fn escape(letter: u8) -> Option<u8> {
    Some(match letter {
        b'"' | b'\\' | b'/' => letter,
        b'n' => b'\n',
        b't' => b'\t',
        b'r' => b'\r',
        b'b' => 8,
        b'f' => 12,
        _ => return None,
    })
}

/// Appends the character of a `\u` whose four digits come next, two of them for a pair of surrogates; returns what follows.
fn unicode<'a>(digits: &'a [u8], out: &mut Vec<u8>) -> Result<&'a [u8], Malformed> {
    let (high, mut rest) = code_unit(digits).ok_or(ESCAPE)?;
    let mut code = u32::from(high);
    if (0xD800..0xDC00).contains(&code) {
        let [b'\\', b'u', tail @ ..] = rest else { return Err(ESCAPE) };
        let (low, tail) = code_unit(tail).ok_or(ESCAPE)?;
        let low = u32::from(low).checked_sub(0xDC00).filter(|low| *low < 0x400).ok_or(ESCAPE)?;
        code = 0x10000 + (code - 0xD800) * 0x400 + low;
        rest = tail;
    }
    let character = char::from_u32(code).ok_or(ESCAPE)?;
    out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    Ok(rest)
}

fn code_unit(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let (digits, rest) = bytes.split_first_chunk::<4>()?;
    let mut unit = 0;
    for digit in digits {
        unit = unit << 4 | char::from(*digit).to_digit(16)? as u16;
    }
    Some((unit, rest))
}

impl<'a> Object<'a> {
    /// The object's text, braces included.
    pub fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// Its members in the message's order. An error ends the walk.
    pub fn members(self) -> impl Iterator<Item = Result<(Text<'a>, Json<'a>), Malformed>> {
        let mut cursor = self.open();
        let mut first = true;
        let mut failed = false;
        std::iter::from_fn(move || {
            if failed {
                return None;
            }
            let member = cursor.member(&mut first).and_then(|name| match name {
                Some(name) => cursor.value().map(|value| Some((name, value))),
                None => Ok(None),
            });
            failed = member.is_err();
            member.transpose()
        })
    }

    /// A cursor behind the opening brace.
    #[inline]
    pub(super) fn open(self) -> Cursor<'a> {
        Cursor { rest: self.bytes.get(1..).unwrap_or_default() }
    }

    /// The value of a name, the first of it; `None` where there is none.
    ///
    /// # Errors
    /// [`Malformed`] where the object is not what JSON says.
    pub fn get(self, name: &[u8]) -> Result<Option<Json<'a>>, Malformed> {
        for member in self.members() {
            let (found, value) = member?;
            if found.is(name) {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }
}

impl<'a> Array<'a> {
    /// The array's text, brackets included.
    pub fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// Its elements. An error ends the walk.
    pub fn elements(self) -> impl Iterator<Item = Result<Json<'a>, Malformed>> {
        let mut cursor = Cursor { rest: self.bytes.get(1..).unwrap_or_default() };
        let mut first = true;
        let mut failed = false;
        std::iter::from_fn(move || {
            if failed {
                return None;
            }
            let element =
                cursor.more(&mut first, b']').and_then(|more| if more { cursor.value().map(Some) } else { Ok(None) });
            failed = element.is_err();
            element.transpose()
        })
    }
}

/// A place in a JSON text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    #[inline]
    fn blank(&mut self) {
        while let [b' ' | b'\n' | b'\r' | b'\t', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }

    /// Moves past the opening brace of an object, if the next value is one.
    #[inline]
    pub(super) fn opens(&mut self) -> bool {
        self.blank();
        let [b'{', rest @ ..] = self.rest else { return false };
        self.rest = rest;
        true
    }

    /// Whether another member or element follows; moves past the comma, or past what closes.
    #[inline]
    pub(super) fn more(&mut self, first: &mut bool, close: u8) -> Result<bool, Malformed> {
        self.blank();
        match self.rest {
            [byte, rest @ ..] if *byte == close => {
                self.rest = rest;
                Ok(false)
            }
            [b',', rest @ ..] if !*first => {
                self.rest = rest;
                Ok(true)
            }
            [_, ..] if *first => {
                *first = false;
                Ok(true)
            }
            _ => Err(Malformed("a comma or the end of a JSON value")),
        }
    }

    /// The name of the next member, the cursor then standing at its value; `None` at the object's end.
    #[inline]
    pub(super) fn member(&mut self, first: &mut bool) -> Result<Option<Text<'a>>, Malformed> {
        if !self.more(first, b'}')? {
            return Ok(None);
        }
        self.blank();
        let name = self.text()?;
        self.blank();
        let [b':', rest @ ..] = self.rest else { return Err(Malformed("a colon")) };
        self.rest = rest;
        Ok(Some(name))
    }

    /// Moves behind the name and the colon of the next member where it is the one that is expected, as it mostly is: records of one kind
    /// name the same members in the same order. Whatever else is there, it stays for [`member`](Self::member).
    #[inline]
    pub(super) fn expects(&mut self, first: &mut bool, name: &[u8]) -> bool {
        let rest = match self.rest {
            [b',', b'"', rest @ ..] if !*first => rest,
            [b'"', rest @ ..] if *first => rest,
            _ => return false,
        };
        match rest.strip_prefix(name) {
            // A backslash in the message is half of an escape.
            Some([b'"', b':', rest @ ..]) if !name.contains(&b'\\') => {
                self.rest = rest;
                *first = false;
                true
            }
            _ => false,
        }
    }

    /// The name of the next member, looked for first where the one before says it is: `names` in their usual order, `next` the place of the one
    /// that is expected.
    #[inline]
    pub(super) fn member_of(
        &mut self,
        first: &mut bool,
        names: &[&'a [u8]],
        next: &mut usize,
    ) -> Result<Option<&'a [u8]>, Malformed> {
        if let Some(name) = names.get(*next)
            && self.expects(first, name)
        {
            *next += 1;
            return Ok(Some(name));
        }
        let Some(name) = self.member(first)? else { return Ok(None) };
        let name = name.plain().unwrap_or_default();
        *next = names.iter().position(|known| *known == name).map_or(*next, |place| place + 1);
        Ok(Some(name))
    }

    /// The next value.
    #[inline]
    pub(super) fn value(&mut self) -> Result<Json<'a>, Malformed> {
        self.blank();
        let all = self.rest;
        match all.first() {
            Some(b'"') => self.text().map(Json::String),
            Some(b'{') => {
                self.skip(0)?;
                Ok(Json::Object(Object { bytes: self.since(all) }))
            }
            Some(b'[') => {
                self.skip(0)?;
                Ok(Json::Array(Array { bytes: self.since(all) }))
            }
            Some(b'n') => self.word(b"null").map(|()| Json::Null),
            Some(b't') => self.word(b"true").map(|()| Json::Bool(true)),
            Some(b'f') => self.word(b"false").map(|()| Json::Bool(false)),
            _ => self.number().map(Json::Number),
        }
    }

    /// Moves past the next value.
    ///
    /// # Errors
    /// [`Malformed`] where it is no value, or lies too deep.
    pub(super) fn skip(&mut self, depth: u8) -> Result<(), Malformed> {
        if depth > DEEPEST {
            return Err(Malformed("JSON that is less deep"));
        }
        self.blank();
        match self.rest.first() {
            Some(b'"') => self.text().map(drop),
            Some(b'{') => {
                self.rest = self.rest.get(1..).unwrap_or_default();
                let mut first = true;
                while self.member(&mut first)?.is_some() {
                    self.skip(depth + 1)?;
                }
                Ok(())
            }
            Some(b'[') => {
                self.rest = self.rest.get(1..).unwrap_or_default();
                let mut first = true;
                while self.more(&mut first, b']')? {
                    self.skip(depth + 1)?;
                }
                Ok(())
            }
            Some(b'n') => self.word(b"null"),
            Some(b't') => self.word(b"true"),
            Some(b'f') => self.word(b"false"),
            _ => self.number().map(drop),
        }
    }

    /// Whether nothing but blanks is left.
    pub(super) fn ends(mut self) -> bool {
        self.blank();
        self.rest.is_empty()
    }

    /// Moves past `prefix` where it comes next.
    #[inline]
    pub(super) fn eat(&mut self, prefix: &[u8]) -> bool {
        match self.rest.strip_prefix(prefix) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    #[inline]
    pub(super) fn since(self, start: &'a [u8]) -> &'a [u8] {
        start.get(..start.len() - self.rest.len()).unwrap_or_default()
    }

    #[inline]
    fn word(&mut self, word: &[u8]) -> Result<(), Malformed> {
        if self.eat(word) { Ok(()) } else { Err(Malformed("null, true or false")) }
    }

    #[inline]
    fn number(&mut self) -> Result<&'a [u8], Malformed> {
        const BAD: Malformed = Malformed("a JSON value");
        let len = self
            .rest
            .iter()
            .position(|byte| !matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E'))
            .unwrap_or(self.rest.len());
        let (token, rest) = self.rest.split_at_checked(len).ok_or(BAD)?;
        match token {
            [b'0'..=b'9', ..] | [b'-', b'0'..=b'9', ..] => {
                self.rest = rest;
                Ok(token)
            }
            _ => Err(BAD),
        }
    }

    /// The string that comes next.
    #[inline]
    pub(super) fn text(&mut self) -> Result<Text<'a>, Malformed> {
        const BAD: Malformed = Malformed("a JSON string");
        let [b'"', body @ ..] = self.rest else { return Err(BAD) };
        let mut at = 0;
        let mut escaped = false;
        loop {
            at += mark(body.get(at..).ok_or(BAD)?).ok_or(BAD)?;
            let (raw, tail) = body.split_at_checked(at).ok_or(BAD)?;
            if let [b'"', rest @ ..] = tail {
                self.rest = rest;
                return Ok(Text { raw, escaped });
            }
            escaped = true;
            at += 2;
        }
    }
}

/// Where the first quote or backslash is. Most strings are short, so that eight bytes at once beat a call into a search of long ones.
#[inline]
fn mark(bytes: &[u8]) -> Option<usize> {
    const NEAR: usize = 4;
    let (chunks, rest) = bytes.as_chunks::<8>();
    for (number, chunk) in chunks.iter().take(NEAR).enumerate() {
        let word = u64::from_le_bytes(*chunk);
        let found = zeros(word ^ splat(b'"')) | zeros(word ^ splat(b'\\'));
        if found != 0 {
            return Some(number * 8 + found.trailing_zeros() as usize / 8);
        }
    }
    if chunks.len() <= NEAR {
        let at = rest.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
        return Some(chunks.len() * 8 + at);
    }
    let seen = NEAR * 8;
    memchr::memchr2(b'"', b'\\', bytes.get(seen..)?).map(|at| at + seen)
}

const fn splat(byte: u8) -> u64 {
    0x0101_0101_0101_0101 * byte as u64
}

/// The high bit of the first zero byte, and perhaps of some behind it:
/// <https://graphics.stanford.edu/~seander/bithacks.html#ZeroInWord>.
#[inline]
const fn zeros(word: u64) -> u64 {
    word.wrapping_sub(splat(1)) & !word & splat(0x80)
}

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;
