//! From Avro's bytes to JSON.

use super::schema::{Schema, Shape, Type};
use crate::decode::Malformed;
use crate::decode::debezium::value::push_base64;
use std::io::Write as _;

const SHORT: Malformed = Malformed("more bytes of Avro");
const BAD: Malformed = Malformed("a value of its Avro schema");
/// How deep values may lie in each other: less than a reader of JSON bears.
const DEEPEST: u8 = 48;

/// Writes a value as JSON. All of the bytes have to be the value.
///
/// # Errors
/// [`Malformed`] where the bytes are not what the schema says.
pub fn to_json(schema: &Schema, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
    let mut writer = Writer { schema, rest: bytes, out, depth: 0 };
    writer.write(&schema.root)?;
    if writer.rest.is_empty() { Ok(()) } else { Err(Malformed("one value of Avro")) }
}

struct Writer<'a> {
    schema: &'a Schema,
    rest: &'a [u8],
    out: &'a mut Vec<u8>,
    depth: u8,
}

impl<'a> Writer<'a> {
    fn write(&mut self, held: &'a Type) -> Result<(), Malformed> {
        match &held.shape {
            Shape::Null => self.out.extend_from_slice(b"null"),
            Shape::Boolean => match self.take(1)? {
                [0] => self.out.extend_from_slice(b"false"),
                [1] => self.out.extend_from_slice(b"true"),
                _ => return Err(BAD),
            },
            Shape::Int | Shape::Long => {
                let number = self.long()?;
                // Writing to a buffer cannot fail.
                write!(self.out, "{number}").ok();
            }
            Shape::Float => {
                let value = f32::from_le_bytes(*self.rest.first_chunk().ok_or(SHORT)?);
                self.take(4)?;
                self.float(f64::from(value), |out| write!(out, "{value:?}"));
            }
            Shape::Double => {
                let value = f64::from_le_bytes(*self.rest.first_chunk().ok_or(SHORT)?);
                self.take(8)?;
                self.float(value, |out| write!(out, "{value:?}"));
            }
            Shape::Bytes => {
                let bytes = self.bytes()?;
                self.base64(bytes);
            }
            Shape::Fixed(size) => {
                let bytes = self.take(*size)?;
                self.base64(bytes);
            }
            Shape::String => self.string()?,
            Shape::Enum(symbols) => {
                let index = usize::try_from(self.long()?).map_err(|_| BAD)?;
                quote(symbols.get(index).ok_or(BAD)?.as_bytes(), self.out);
            }
            Shape::Union(branches) => {
                let index = usize::try_from(self.long()?).map_err(|_| BAD)?;
                self.write(branches.get(index).ok_or(BAD)?)?;
            }
            Shape::Record(_) | Shape::Array(_) | Shape::Map(_) | Shape::Named(_) => self.nested(held)?,
        }
        Ok(())
    }

    fn nested(&mut self, held: &'a Type) -> Result<(), Malformed> {
        if self.depth > DEEPEST {
            return Err(Malformed("Avro that is less deep"));
        }
        self.depth += 1;
        match &held.shape {
            Shape::Record(members) => {
                self.out.push(b'{');
                for (place, member) in members.iter().enumerate() {
                    if place > 0 {
                        self.out.push(b',');
                    }
                    quote(member.name.as_bytes(), self.out);
                    self.out.push(b':');
                    self.write(&member.held)?;
                }
                self.out.push(b'}');
            }
            Shape::Array(element) => self.blocks(b"[", element, b"]", false)?,
            Shape::Map(element) => self.blocks(b"{", element, b"}", true)?,
            _ => {
                let named = self.schema.resolve(held);
                if matches!(named.shape, Shape::Named(_)) {
                    return Err(BAD);
                }
                self.write(named)?;
            }
        }
        self.depth -= 1;
        Ok(())
    }

    /// The elements of an array or a map: blocks with their counts, the last one empty.
    fn blocks(&mut self, open: &[u8], element: &'a Type, close: &[u8], keys: bool) -> Result<(), Malformed> {
        self.out.extend_from_slice(open);
        let mut first = true;
        loop {
            let mut count = self.long()?;
            if count == 0 {
                break;
            }
            if count < 0 {
                // A negative count is followed by the block's length.
                self.long()?;
                count = count.checked_neg().ok_or(BAD)?;
            }
            for _ in 0..count {
                if !first {
                    self.out.push(b',');
                }
                first = false;
                let before = self.rest.len();
                if keys {
                    self.string()?;
                    self.out.push(b':');
                }
                self.write(element)?;
                // Elements of no bytes would let a short message ask for a long answer.
                if self.rest.len() == before && self.out.len() > MOST_EMPTY {
                    return Err(BAD);
                }
            }
        }
        self.out.extend_from_slice(close);
        Ok(())
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (head, rest) = self.rest.split_at_checked(len).ok_or(SHORT)?;
        self.rest = rest;
        Ok(head)
    }

    /// A number of seven bits a byte, the least significant first, its sign in the lowest bit.
    fn long(&mut self) -> Result<i64, Malformed> {
        let mut number: u64 = 0;
        for shift in (0..64).step_by(7) {
            let [byte] = *self.take(1)? else { return Err(SHORT) };
            number |= u64::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return Ok((number >> 1) as i64 ^ -((number & 1) as i64));
            }
        }
        Err(BAD)
    }

    fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let len = usize::try_from(self.long()?).map_err(|_| BAD)?;
        self.take(len)
    }

    fn string(&mut self) -> Result<(), Malformed> {
        let text = self.bytes()?;
        quote(text, self.out);
        Ok(())
    }

    fn base64(&mut self, bytes: &[u8]) {
        self.out.push(b'"');
        push_base64(bytes, self.out);
        self.out.push(b'"');
    }

    /// JSON has no spelling for what is no number; Connect's converter writes its name.
    fn float(&mut self, value: f64, write: impl FnOnce(&mut Vec<u8>) -> std::io::Result<()>) {
        if value.is_finite() {
            write(self.out).ok();
        } else {
            let name: &[u8] = match value {
                f64::INFINITY => b"\"Infinity\"",
                f64::NEG_INFINITY => b"\"-Infinity\"",
                _ => b"\"NaN\"",
            };
            self.out.extend_from_slice(name);
        }
    }
}

/// Output that elements without a byte of their own may add up to.
const MOST_EMPTY: usize = 1 << 20;

/// Appends a text in quotes.
fn quote(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            0..0x20 => {
                write!(out, "\\u{byte:04x}").ok();
            }
            _ => out.push(*byte),
        }
    }
    out.push(b'"');
}
