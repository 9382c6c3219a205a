//! Documents of JSON: whether ClickHouse's type `JSON` gives one back as it was.
//!
//! The type takes a document apart into paths, and each path's values into columns of their types. What comes back differs from what was stored, or the
//! whole insert is refused, where a document is no object, has a key twice or one with a dot, a number that neither 64 bits nor a `Float64` hold digit by
//! digit, an integer beyond 2^53 in an array (whose type may be an array of floats, also for the sake of another row), NULL beside an array in an
//! array (where it would be an empty one), half of a surrogate pair, or more levels than the server's parser takes. Nor can a float from 2^63 to 10^21 be
//! stored again as the server writes it, with nothing but digits. `tests/it/values/documents.rs` asks the server for all of it.

use super::wire::Malformed;
use std::io::Write as _;

const BAD: Malformed = Malformed("a document of JSON");
/// Levels of objects and arrays. The server's parser takes some thousand; no document that people write comes near this.
const MAX_DEPTH: usize = 64;
/// Integers up to here are floats without a loss, each written as itself.
const MAX_EXACT: u64 = 1 << 53;
/// Floats that are written as integers of more than 64 bits.
const MISREAD: std::ops::Range<f64> = 9_223_372_036_854_775_808.0..1e21;
/// Digits that every float of the usual range gives back, and the most that one is ever written with.
const SAFE_DIGITS: usize = 15;
const MOST_DIGITS: usize = 17;

/// Reads documents, one after the other; its buffers are used again.
#[derive(Debug, Clone, Default)]
pub struct Documents {
    /// What is open, the document itself first.
    open: Vec<Open>,
    /// Keys of the objects that are open.
    keys: Vec<Key>,
    /// Those among them that were written with escapes.
    unescaped: Vec<u8>,
}

/// What is open.
#[derive(Debug, Clone, Copy)]
enum Open {
    /// An object, and how many keys and unescaped bytes there were before it.
    Object { keys: usize, unescaped: usize },
    /// An array.
    Array {
        /// Place of the outermost of the arrays that lie in each other directly, and how many of them lie around this one.
        outermost: usize,
        level: u32,
        /// In the outermost one: at which levels an element is NULL, and at which one is an array.
        nulls: u64,
        arrays: u64,
    },
}

#[derive(Debug, Clone, Copy)]
struct Key {
    hash: u64,
    start: usize,
    end: usize,
    /// Whether it lies among the unescaped ones.
    escaped: bool,
}

/// Why a document is not read to its end.
enum Stop {
    /// It would not come back as it was.
    Lost,
    Malformed,
}

impl Documents {
    /// Whether a document comes back as it was.
    ///
    /// # Errors
    /// [`Malformed`] where it is none, as far as it was read.
    pub fn holds(&mut self, text: &[u8]) -> Result<bool, Malformed> {
        self.open.clear();
        self.keys.clear();
        self.unescaped.clear();
        // A database without an encoding may have any bytes.
        if std::str::from_utf8(text).is_err() {
            return Ok(false);
        }
        match self.document(&mut Cursor { text, at: 0 }) {
            Ok(()) => Ok(true),
            Err(Stop::Lost) => Ok(false),
            Err(Stop::Malformed) => Err(BAD),
        }
    }

    fn document(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Stop> {
        if cursor.peek()? != b'{' {
            return Err(Stop::Lost);
        }
        loop {
            match cursor.peek()? {
                b'{' => {
                    self.enter(Open::Object { keys: self.keys.len(), unescaped: self.unescaped.len() })?;
                    cursor.at += 1;
                    if cursor.peek()? != b'}' {
                        self.key(cursor)?;
                        continue;
                    }
                }
                b'[' => {
                    self.enter_array()?;
                    cursor.at += 1;
                    if cursor.peek()? != b']' {
                        continue;
                    }
                }
                b'"' => {
                    cursor.string()?;
                }
                b't' => cursor.word(b"true")?,
                b'f' => cursor.word(b"false")?,
                b'n' => {
                    cursor.word(b"null")?;
                    self.mark(false);
                }
                _ => Number::read(cursor)?.held(matches!(self.open.last(), Some(Open::Array { .. })))?,
            }
            if !self.after_value(cursor)? {
                return cursor.ended();
            }
        }
    }

    fn enter(&mut self, open: Open) -> Result<(), Stop> {
        if self.open.len() == MAX_DEPTH {
            return Err(Stop::Lost);
        }
        self.open.push(open);
        Ok(())
    }

    fn enter_array(&mut self) -> Result<(), Stop> {
        self.mark(true);
        let (outermost, level) = match self.open.last() {
            Some(Open::Array { outermost, level, .. }) => (*outermost, level + 1),
            _ => (self.open.len(), 0),
        };
        self.enter(Open::Array { outermost, level, nulls: 0, arrays: 0 })
    }

    /// Notes that an element of the innermost array, if an array is innermost, is NULL or an array.
    fn mark(&mut self, is_array: bool) {
        let Some(&Open::Array { outermost, level, .. }) = self.open.last() else { return };
        if let Some(Open::Array { nulls, arrays, .. }) = self.open.get_mut(outermost) {
            *(if is_array { arrays } else { nulls }) |= 1 << level;
        }
    }

    /// Reads on to the next value, and past the next key. `false` where the document is closed.
    fn after_value(&mut self, cursor: &mut Cursor<'_>) -> Result<bool, Stop> {
        while let Some(&open) = self.open.last() {
            let byte = cursor.peek()?;
            cursor.at += 1;
            match (open, byte) {
                (Open::Object { .. }, b',') => return self.key(cursor).map(|()| true),
                (Open::Array { .. }, b',') => return Ok(true),
                (Open::Object { keys, unescaped }, b'}') => self.leave_object(cursor.text, keys, unescaped)?,
                (Open::Array { nulls, arrays, .. }, b']') if nulls & arrays == 0 => {}
                (Open::Array { .. }, b']') => return Err(Stop::Lost),
                _ => return Err(Stop::Malformed),
            }
            self.open.pop();
        }
        Ok(false)
    }

    /// Reads a key and its colon.
    fn key(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Stop> {
        if cursor.peek()? != b'"' {
            return Err(Stop::Malformed);
        }
        let written = cursor.string()?;
        let mut key = Key { hash: 0, start: written.start, end: written.end, escaped: written.escaped };
        if written.escaped {
            key.start = self.unescaped.len();
            unescape(cursor.text.get(written.start..written.end).unwrap_or_default(), &mut self.unescaped)?;
            key.end = self.unescaped.len();
        }
        let bytes = key.bytes(cursor.text, &self.unescaped);
        if memchr::memchr(b'.', bytes).is_some() {
            return Err(Stop::Lost);
        }
        key.hash = hash(bytes);
        self.keys.push(key);
        if cursor.peek()? != b':' {
            return Err(Stop::Malformed);
        }
        cursor.at += 1;
        Ok(())
    }

    /// Sees to it that no key was there twice.
    fn leave_object(&mut self, text: &[u8], keys: usize, unescaped: usize) -> Result<(), Stop> {
        let own = self.keys.get_mut(keys..).unwrap_or_default();
        let bytes = |key: &Key| key.bytes(text, &self.unescaped);
        own.sort_unstable_by(|one, other| one.hash.cmp(&other.hash).then_with(|| bytes(one).cmp(bytes(other))));
        if own
            .windows(2)
            .any(|pair| matches!(pair, [one, other] if one.hash == other.hash && bytes(one) == bytes(other)))
        {
            return Err(Stop::Lost);
        }
        self.keys.truncate(keys);
        self.unescaped.truncate(unescaped);
        Ok(())
    }
}

impl Key {
    fn bytes<'a>(&self, text: &'a [u8], unescaped: &'a [u8]) -> &'a [u8] {
        let from = if self.escaped { unescaped } else { text };
        from.get(self.start..self.end).unwrap_or_default()
    }
}

/// FNV-1a.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
}

/// Where a string lies between its quotes, and whether it has escapes.
struct Written {
    start: usize,
    end: usize,
    escaped: bool,
}

impl<'a> Cursor<'a> {
    fn rest(&self) -> &'a [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// The next byte that is no white space.
    fn peek(&mut self) -> Result<u8, Stop> {
        while let Some(&byte) = self.text.get(self.at) {
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Ok(byte);
            }
            self.at += 1;
        }
        Err(Stop::Malformed)
    }

    fn ended(&mut self) -> Result<(), Stop> {
        if self.peek().is_ok() { Err(Stop::Malformed) } else { Ok(()) }
    }

    fn word(&mut self, word: &[u8]) -> Result<(), Stop> {
        if !self.rest().starts_with(word) {
            return Err(Stop::Malformed);
        }
        self.at += word.len();
        Ok(())
    }

    /// Reads a string, at whose first quote the cursor stands.
    fn string(&mut self) -> Result<Written, Stop> {
        self.at += 1;
        let (start, mut escaped) = (self.at, false);
        loop {
            let plain = self.rest().iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20));
            self.at += plain.ok_or(Stop::Malformed)?;
            match self.rest() {
                [b'"', ..] => {
                    self.at += 1;
                    return Ok(Written { start, end: self.at - 1, escaped });
                }
                [b'\\', rest @ ..] => {
                    escaped = true;
                    self.at += 1 + escape(rest)?.1;
                }
                _ => return Err(Stop::Malformed),
            }
        }
    }
}

/// The character of an escape, and how many bytes it has behind the backslash.
fn escape(rest: &[u8]) -> Result<(char, usize), Stop> {
    let character = match rest {
        [byte @ (b'"' | b'\\' | b'/'), ..] => char::from(*byte),
        [b'b', ..] => '\u{8}',
        [b'f', ..] => '\u{c}',
        [b'n', ..] => '\n',
        [b'r', ..] => '\r',
        [b't', ..] => '\t',
        [b'u', rest @ ..] => return surrogates(unit(rest)?, rest.get(4..).unwrap_or_default()),
        _ => return Err(Stop::Malformed),
    };
    Ok((character, 1))
}

fn surrogates(first: u32, rest: &[u8]) -> Result<(char, usize), Stop> {
    if let Some(character) = char::from_u32(first) {
        return Ok((character, 5));
    }
    let second = rest.strip_prefix(b"\\u").map(unit).transpose()?.filter(|unit| (0xDC00..0xE000).contains(unit));
    let second = second.filter(|_| first < 0xDC00).ok_or(Stop::Lost)?;
    let character = char::from_u32(0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00));
    Ok((character.ok_or(Stop::Lost)?, 11))
}

/// Four hexadecimal digits.
fn unit(digits: &[u8]) -> Result<u32, Stop> {
    let digits = digits.get(..4).ok_or(Stop::Malformed)?;
    digits.iter().try_fold(0, |unit, digit| Ok(unit << 4 | char::from(*digit).to_digit(16).ok_or(Stop::Malformed)?))
}

fn unescape(text: &[u8], out: &mut Vec<u8>) -> Result<(), Stop> {
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        let (plain, tail) = rest.split_at(at);
        let (character, len) = escape(tail.get(1..).unwrap_or_default())?;
        out.extend_from_slice(plain);
        out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        rest = tail.get(1 + len..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    Ok(())
}

/// A number as it is written.
struct Number<'a> {
    text: &'a [u8],
    negative: bool,
    whole: &'a [u8],
    fraction: &'a [u8],
    /// Far beyond every float's where it has many digits; `None` where nothing makes a float of it.
    exponent: Option<i64>,
}

impl<'a> Number<'a> {
    fn read(cursor: &mut Cursor<'a>) -> Result<Self, Stop> {
        let text = cursor.rest();
        let digits = |text: &'a [u8]| text.split_at(text.iter().take_while(|byte| byte.is_ascii_digit()).count());
        let negative = text.starts_with(b"-");
        let (whole, mut rest) = digits(text.strip_prefix(b"-").unwrap_or(text));
        let (mut fraction, mut exponent): (&[u8], Option<i64>) = (&[], None);
        if whole.is_empty() || (whole.len() > 1 && whole.starts_with(b"0")) {
            return Err(Stop::Malformed);
        }
        if let Some(tail) = rest.strip_prefix(b".") {
            (fraction, rest) = digits(tail);
            exponent = Some(0);
            if fraction.is_empty() {
                return Err(Stop::Malformed);
            }
        }
        if let [b'e' | b'E', tail @ ..] = rest {
            let (down, tail) = match tail {
                [sign @ (b'+' | b'-'), tail @ ..] => (*sign == b'-', tail),
                _ => (false, tail),
            };
            let (written, tail) = digits(tail);
            if written.is_empty() {
                return Err(Stop::Malformed);
            }
            let size = written.iter().fold(0_i64, |size, digit| (size * 10 + i64::from(digit - b'0')).min(1 << 40));
            exponent = Some(if down { -size } else { size });
            rest = tail;
        }
        let text = text.get(..text.len() - rest.len()).unwrap_or_default();
        cursor.at += text.len();
        Ok(Self { text, negative, whole, fraction, exponent })
    }

    /// Whether the number comes back as itself.
    fn held(&self, in_array: bool) -> Result<(), Stop> {
        let held = match self.exponent {
            None => self.integer_held(in_array),
            Some(exponent) => self.float_held(exponent),
        };
        if held { Ok(()) } else { Err(Stop::Lost) }
    }

    fn integer_held(&self, in_array: bool) -> bool {
        let size = self.whole.iter().try_fold(0_u64, |size, digit| {
            size.checked_mul(10).and_then(|size| size.checked_add(u64::from(digit - b'0')))
        });
        size.is_some_and(|size| {
            size <= if in_array {
                MAX_EXACT
            } else if self.negative {
                i64::MIN.unsigned_abs()
            } else {
                u64::MAX
            }
        })
    }

    /// Whether the shortest text of the nearest float has the same digits.
    fn float_held(&self, exponent: i64) -> bool {
        let all = || self.whole.iter().chain(self.fraction);
        let zeros = all().take_while(|digit| **digit == b'0').count();
        let behind = all().rev().take_while(|digit| **digit == b'0').count();
        let count = (self.whole.len() + self.fraction.len()).saturating_sub(zeros + behind);
        // The power of ten of the first digit that is not zero.
        let power = self.whole.len() as i64 - 1 - zeros as i64 + exponent;
        match count {
            0 => return true,
            1..=SAFE_DIGITS if (-300..18).contains(&power) => return true,
            1..=MOST_DIGITS => {}
            _ => return false,
        }
        let Some(float) = std::str::from_utf8(self.text).ok().and_then(|text| text.parse::<f64>().ok()) else {
            return false;
        };
        let mut written = [0_u8; 32];
        let mut room = written.as_mut_slice();
        if MISREAD.contains(&float.abs()) || write!(room, "{:e}", float.abs()).is_err() {
            return false;
        }
        let left = room.len();
        let written = written.get(..written.len() - left).unwrap_or_default();
        let Some(mark) = memchr::memchr(b'e', written) else { return false };
        let (digits, tail) = written.split_at(mark);
        let tail = std::str::from_utf8(tail.get(1..).unwrap_or_default()).ok();
        tail.and_then(|tail| tail.parse().ok()) == Some(power)
            && digits.iter().filter(|byte| **byte != b'.').eq(all().skip(zeros).take(count))
    }
}

#[cfg(test)]
#[path = "document_tests.rs"]
mod tests;
