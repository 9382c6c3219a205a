//! Rows of `COPY … TO STDOUT (FORMAT binary)`.
//!
//! The format is that of <https://www.postgresql.org/docs/current/sql-copy.html#id-1.9.3.55.9.4>: a signature with flags and an
//! extension, then a row as a count of fields and, for each, its length and bytes, then -1. Postgres sends the signature at the head of
//! the first row's message.

use super::wire::{Malformed, Reader};
use crate::change::Field;

const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";

/// What a message of the COPY holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyMessage<'a> {
    /// A row.
    Row(CopyRow<'a>),
    /// The end.
    End,
}

/// A row's fields; an iterator that borrows from the message. Checked when parsed: walking it cannot fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CopyRow<'a> {
    left: u16,
    bytes: &'a [u8],
}

impl<'a> Iterator for CopyRow<'a> {
    type Item = Field<'a>;

    #[inline]
    fn next(&mut self) -> Option<Field<'a>> {
        self.left = self.left.checked_sub(1)?;
        let mut reader = Reader::new(self.bytes);
        let len = reader.i32().ok()?;
        let field = match usize::try_from(len) {
            Ok(len) => Field::Binary(reader.take(len).ok()?),
            Err(_) => Field::Null,
        };
        self.bytes = reader.rest();
        Some(field)
    }
}

/// Reads one message. `first` is whether it is the COPY's first, which the signature precedes.
///
/// # Errors
/// [`Malformed`] where it is not what the format says.
#[inline]
pub fn parse(bytes: &[u8], first: bool) -> Result<CopyMessage<'_>, Malformed> {
    let mut reader = Reader::new(bytes);
    if first {
        if reader.take(SIGNATURE.len())? != SIGNATURE {
            return Err(Malformed("the signature of a binary COPY"));
        }
        reader.u32()?;
        let extension = reader.u32()?;
        reader.take(extension as usize)?;
    }
    let count = reader.i16()?;
    let Ok(left) = u16::try_from(count) else { return Ok(CopyMessage::End) };
    let row = CopyRow { left, bytes: reader.rest() };
    for _ in 0..left {
        if let Ok(len) = usize::try_from(reader.i32()?) {
            reader.take(len)?;
        }
    }
    Ok(CopyMessage::Row(row))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_rows_and_the_end() {
        let row = b"\0\x02\0\0\0\x01a\xff\xff\xff\xff";
        let mut first = SIGNATURE.to_vec();
        first.extend([0; 8]);
        first.extend(row);
        for message in [parse(&first, true), parse(row, false)] {
            let Ok(CopyMessage::Row(row)) = message else { panic!("{message:?}") };
            assert_eq!(row.collect::<Vec<_>>(), [Field::Binary(b"a"), Field::Null]);
        }
        assert_eq!(parse(b"\xff\xff", false), Ok(CopyMessage::End));
        assert!(parse(b"\0\x01\0\0\0\x09a", false).is_err());
        assert!(parse(row, true).is_err());
    }
}
