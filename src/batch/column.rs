//! A column's buffer: values appended from the wire straight into the layout of ClickHouse's Native format.
//!
//! Native holds a nullable column as a byte a row (1 for NULL) and then all values, an array as 64-bit ends and then all elements, a map as an array
//! whose elements are first all keys and then all values, a string as its
//! length in LEB128 and its bytes, a document as a string, everything else as fixed-width little-endian values:
//! <https://clickhouse.com/docs/interfaces/formats/Native>. A value that ClickHouse can't hold becomes NULL and is counted.

use super::codec::{Codec, Stored, push_bytes};
use super::leb128::push_leb128;
use super::table::LayoutColumn;
use super::transform::Stand;
use super::{ColumnType, Ranges, ValueType};
use crate::change::{Field, SourceType};
use crate::decode::Malformed;
use crate::decode::array::ArrayFault;
use crate::decode::document::Documents;
use std::fmt;

/// Why a value could not be appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// NULL, and the column has no place for it.
    Null,
    /// The value is not in the message, and has to be found elsewhere first.
    Unchanged,
    /// An array of more than one dimension, where the column is declared with one.
    Nested,
    /// Out of the range of a column that has no NULL to say so.
    OutOfRange,
    /// The bytes are not what the type says.
    Malformed(Malformed),
}

impl From<ArrayFault> for Fault {
    fn from(fault: ArrayFault) -> Self {
        match fault {
            ArrayFault::Nested => Self::Nested,
            ArrayFault::Malformed(malformed) => Self::Malformed(malformed),
        }
    }
}

impl From<Malformed> for Fault {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("NULL in a column that has no place for it"),
            Self::Unchanged => f.write_str("a value that was not sent"),
            Self::Nested => f.write_str("an array of more than one dimension in a column declared with one"),
            Self::OutOfRange => f.write_str("a value out of the range of a column that cannot be NULL"),
            Self::Malformed(malformed) => malformed.fmt(f),
        }
    }
}

/// A column's buffer.
#[derive(Debug, Clone)]
pub struct ColumnBuffer {
    codec: Codec,
    nullable: bool,
    /// One byte a row where the column is nullable.
    nulls: Vec<u8>,
    /// The values; the ends of arrays.
    data: Vec<u8>,
    /// The elements of an array column, the keys of a map.
    elements: Option<Box<ColumnBuffer>>,
    /// The values of a map.
    values: Option<Box<ColumnBuffer>>,
    /// What is stored in the place of each value.
    stand: Option<Stand>,
    /// What tells which documents come back as they are.
    documents: Option<Box<Documents>>,
    rows: usize,
    /// Length of `data` before the last row, so that it can be taken back.
    last: usize,
    policy_nulls: u64,
    scratch: Vec<u8>,
    second: Vec<u8>,
}

impl ColumnBuffer {
    /// A buffer for a column of a layout. `None` where pipectl has no such conversion.
    pub fn of(column: &LayoutColumn, ranges: Ranges) -> Option<Self> {
        let mut buffer = Self::new(&column.source, &column.column_type, ranges)?;
        if let Some(transform) = &column.transform {
            if buffer.codec != Codec::Bytes {
                return None;
            }
            buffer.codec = Codec::Stand;
            buffer.stand = Some(Stand::new(transform));
        }
        Some(buffer)
    }

    /// A buffer for values of a source type, stored as a column type. `None` where pipectl has no such conversion.
    pub fn new(source: &SourceType, column_type: &ColumnType, ranges: Ranges) -> Option<Self> {
        let codec = Codec::new(source, &column_type.value, ranges)?;
        let elements = match (&column_type.value, source) {
            (ValueType::Array(element), SourceType::Array(source)) => {
                Some(Box::new(Self::new(source, element, ranges)?))
            }
            (ValueType::Array(element), SourceType::Vector) => {
                Some(Box::new(Self::new(&SourceType::Float4, element, ranges)?))
            }
            (ValueType::Map, _) => Some(text_buffer(&ColumnType::required(ValueType::String), ranges)?),
            _ => None,
        };
        let values = match &column_type.value {
            ValueType::Map => Some(text_buffer(&ColumnType::nullable(ValueType::String), ranges)?),
            _ => None,
        };
        Some(Self {
            codec,
            nullable: column_type.nullable,
            nulls: Vec::new(),
            data: Vec::new(),
            elements,
            values,
            stand: None,
            documents: (codec == Codec::Json).then(Box::default),
            rows: 0,
            last: 0,
            policy_nulls: 0,
            scratch: Vec::new(),
            second: Vec::new(),
        })
    }

    /// Values so far.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Values stored as NULL because ClickHouse can't hold them.
    pub fn policy_nulls(&self) -> u64 {
        self.policy_nulls + self.elements.as_ref().map_or(0, |elements| elements.policy_nulls())
    }

    /// The parts of the column in Native's order.
    pub fn parts(&self) -> Vec<&[u8]> {
        let mut parts = Vec::with_capacity(4);
        if self.nullable {
            parts.push(self.nulls.as_slice());
        }
        parts.push(self.data.as_slice());
        for inner in [&self.elements, &self.values].into_iter().flatten() {
            parts.extend(inner.parts());
        }
        parts
    }

    /// Appends a value.
    ///
    /// # Errors
    /// [`Fault`]; the buffer is then as it was.
    #[inline]
    pub fn append(&mut self, field: Field<'_>) -> Result<(), Fault> {
        self.last = self.data.len();
        let stored = match field {
            Field::Null => return self.append_null(),
            Field::Unchanged => return Err(Fault::Unchanged),
            Field::Text(bytes) => match (&self.codec, &mut self.elements) {
                (Codec::Array, Some(_)) => return self.append_array(bytes, true),
                (Codec::Vector, Some(_)) => return self.append_vector(bytes),
                (Codec::Map, Some(_)) => return self.append_map(bytes),
                (Codec::Stand, _) => self.push_stand(bytes),
                (Codec::Json, _) => self.push_document(bytes),
                (codec, _) => codec.text(bytes, &mut self.data),
            },
            Field::Binary(bytes) => match (&self.codec, &mut self.elements) {
                (Codec::Array, Some(_)) => return self.append_array(bytes, false),
                (codec, _) => codec.binary(bytes, &mut self.data),
            },
        };
        match stored {
            Ok(Stored::Value) => {
                if self.nullable {
                    self.nulls.push(0);
                }
                self.rows += 1;
                Ok(())
            }
            Ok(Stored::OutOfRange) if self.nullable => {
                self.data.truncate(self.last);
                self.policy_nulls += 1;
                self.append_null()
            }
            Ok(Stored::OutOfRange) => {
                self.data.truncate(self.last);
                Err(Fault::OutOfRange)
            }
            Err(malformed) => {
                self.data.truncate(self.last);
                Err(Fault::Malformed(malformed))
            }
        }
    }

    fn push_stand(&mut self, value: &[u8]) -> Result<Stored, Malformed> {
        let stand = self.stand.as_ref().ok_or(Malformed("a value that is stored as it is"))?;
        stand.push(value, &mut self.data);
        Ok(Stored::Value)
    }

    fn push_document(&mut self, text: &[u8]) -> Result<Stored, Malformed> {
        let documents = self.documents.as_mut().ok_or(Malformed("a value that is no document"))?;
        if !documents.holds(text)? {
            return Ok(Stored::OutOfRange);
        }
        push_bytes(text, &mut self.data);
        Ok(Stored::Value)
    }

    /// Appends NULL; an array or map column, which has none, stores the empty one.
    fn append_null(&mut self) -> Result<(), Fault> {
        if !self.nullable && self.elements.is_none() {
            return Err(Fault::Null);
        }
        self.append_default();
        if self.nullable
            && let Some(last) = self.nulls.last_mut()
        {
            *last = 1;
        }
        Ok(())
    }

    /// Appends the type's default: what a deleted row's other columns hold.
    pub fn append_default(&mut self) {
        self.last = self.data.len();
        if self.elements.is_some() {
            self.push_end();
        } else {
            self.codec.push_default(&mut self.data);
        }
        if self.nullable {
            self.nulls.push(0);
        }
        self.rows += 1;
    }

    /// Takes the last value back.
    pub fn undo(&mut self) {
        self.data.truncate(self.last);
        self.nulls.truncate(self.rows.saturating_sub(1));
        self.rows = self.rows.saturating_sub(1);
        self.cut_elements(self.last_end());
    }

    /// Takes a value back that is not the last one that was appended: where it begins has to be found.
    pub(super) fn undo_earlier(&mut self) {
        self.undo_element();
        self.cut_elements(self.last_end());
    }

    /// Takes back the elements from `end` on.
    fn cut_elements(&mut self, end: usize) {
        for inner in [&mut self.elements, &mut self.values].into_iter().flatten() {
            while inner.rows > end {
                inner.undo_element();
            }
        }
    }

    /// Elements are only ever taken back one row after another, so their starts have to be found again.
    fn undo_element(&mut self) {
        let width = self.codec.fixed_width();
        self.rows -= 1;
        self.nulls.truncate(self.rows);
        match width {
            Some(width) => self.data.truncate(self.rows * width),
            None => self.data.truncate(string_end(&self.data, self.rows)),
        }
    }

    fn push_end(&mut self) {
        let end = self.elements.as_ref().map_or(0, |elements| elements.rows) as u64;
        self.data.extend_from_slice(&end.to_le_bytes());
    }

    fn last_end(&self) -> usize {
        self.data.last_chunk::<8>().map_or(0, |end| u64::from_le_bytes(*end) as usize)
    }

    fn append_array(&mut self, bytes: &[u8], text: bool) -> Result<(), Fault> {
        let Some(elements) = &mut self.elements else { return Err(Fault::Nested) };
        let before = elements.rows;
        let read = if text {
            crate::decode::array::text(bytes, &mut self.scratch, |field| elements.append(field))
        } else {
            crate::decode::array::binary(bytes, |field| elements.append(field))
        };
        self.finish_array(before, read)
    }

    fn append_vector(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let Some(elements) = &mut self.elements else { return Err(Fault::Nested) };
        let before = elements.rows;
        let read = crate::decode::array::vector(bytes, |part| elements.append(Field::Text(part)));
        self.finish_array(before, read)
    }

    fn append_map(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let (Some(keys), Some(values)) = (&mut self.elements, &mut self.values) else { return Err(Fault::Nested) };
        let before = keys.rows;
        let read = crate::decode::hstore::pairs(bytes, (&mut self.scratch, &mut self.second), |key, value| {
            keys.append(Field::Text(key))?;
            values.append(value.map_or(Field::Null, Field::Text))
        });
        self.finish_array(before, read.map(|()| 0))
    }

    fn finish_array(&mut self, before: usize, read: Result<usize, Fault>) -> Result<(), Fault> {
        if let Err(fault) = read {
            self.cut_elements(before);
            return Err(fault);
        }
        self.push_end();
        self.rows += 1;
        Ok(())
    }

    /// Appends a value that ClickHouse itself sent as RowBinary, and moves past it.
    ///
    /// # Errors
    /// [`Fault::Malformed`] where the bytes end early.
    pub fn append_row_binary(&mut self, bytes: &mut &[u8]) -> Result<(), Fault> {
        self.last = self.data.len();
        if self.nullable && take(bytes, 1)? == [1] {
            return self.append_null();
        }
        if let Some(elements) = &mut self.elements {
            for _ in 0..leb128(bytes)? {
                elements.append_row_binary(bytes)?;
                if let Some(values) = &mut self.values {
                    values.append_row_binary(bytes)?;
                }
            }
            self.push_end();
            self.rows += 1;
            return Ok(());
        }
        let value = if let Some(width) = self.codec.fixed_width() {
            take(bytes, width)?
        } else {
            let len = leb128(bytes)?;
            push_leb128(len, &mut self.data);
            take(bytes, len)?
        };
        self.data.extend_from_slice(value);
        if self.nullable {
            self.nulls.push(0);
        }
        self.rows += 1;
        Ok(())
    }
}

/// The keys or values of a map.
fn text_buffer(column_type: &ColumnType, ranges: Ranges) -> Option<Box<ColumnBuffer>> {
    ColumnBuffer::new(&SourceType::String, column_type, ranges).map(Box::new)
}

fn take<'a>(bytes: &mut &'a [u8], len: usize) -> Result<&'a [u8], Fault> {
    let (head, rest) = bytes.split_at_checked(len).ok_or(Fault::Malformed(Malformed("more bytes")))?;
    *bytes = rest;
    Ok(head)
}

/// Reads a length in LEB128.
fn leb128(bytes: &mut &[u8]) -> Result<usize, Fault> {
    let mut value = 0;
    for shift in (0..63).step_by(7) {
        let byte = *take(bytes, 1)?.first().unwrap_or(&0);
        value |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(Fault::Malformed(Malformed("a length")))
}

/// Where the first `rows` strings end.
fn string_end(data: &[u8], rows: usize) -> usize {
    let mut rest = data;
    for _ in 0..rows {
        let Ok(len) = leb128(&mut rest) else { break };
        rest = rest.get(len..).unwrap_or_default();
    }
    data.len() - rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(
        source: impl std::borrow::Borrow<SourceType>,
        column_type: impl std::borrow::Borrow<ColumnType>,
    ) -> ColumnBuffer {
        ColumnBuffer::new(source.borrow(), column_type.borrow(), Ranges::default()).unwrap()
    }

    #[test]
    fn nullable_values_and_their_nulls() {
        let mut numbers = column(SourceType::Int4, ColumnType::nullable(ValueType::Int32));
        numbers.append(Field::Text(b"-2")).unwrap();
        numbers.append(Field::Null).unwrap();
        numbers.append(Field::Binary(&[0, 0, 1, 0])).unwrap();
        assert_eq!(numbers.parts(), [&[0, 1, 0][..], &[254, 255, 255, 255, 0, 0, 0, 0, 0, 1, 0, 0]]);
        numbers.undo();
        assert_eq!(numbers.rows(), 2);
    }

    #[test]
    fn a_fault_leaves_the_column_as_it_was() {
        let mut required = column(SourceType::Int4, ColumnType::required(ValueType::Int32));
        assert_eq!(required.append(Field::Null), Err(Fault::Null));
        assert!(matches!(required.append(Field::Text(b"x")), Err(Fault::Malformed(_))));
        assert_eq!(required.append(Field::Unchanged), Err(Fault::Unchanged));
        assert_eq!((required.rows(), required.parts()), (0, vec![&[][..]]));
    }

    #[test]
    fn arrays_of_strings_undo_their_elements() {
        let element = ColumnType::nullable(ValueType::String);
        let mut tags = column(
            SourceType::Array(Box::new(SourceType::String)),
            ColumnType::required(ValueType::Array(Box::new(element))),
        );
        tags.append(Field::Text(b"{a,NULL}")).unwrap();
        tags.append(Field::Null).unwrap();
        assert_eq!(tags.append(Field::Text(b"{b,{c}}")), Err(Fault::Nested));
        tags.append(Field::Text(b"{dd}")).unwrap();
        tags.undo();
        let ends: Vec<u8> = [2u64, 2].iter().flat_map(|end| end.to_le_bytes()).collect();
        assert_eq!(tags.parts(), [&ends[..], &[0, 1], &[1, b'a', 0]]);
    }

    #[test]
    fn maps_undo_their_pairs() {
        let mut pairs = column(SourceType::Hstore, ColumnType::required(ValueType::Map));
        pairs.append(Field::Text(br#""a"=>"x", "b"=>NULL"#)).unwrap();
        pairs.append(Field::Null).unwrap();
        assert!(pairs.append(Field::Text(br#""c"=>"y", "d""#)).is_err());
        pairs.append(Field::Text(br#""e"=>"z""#)).unwrap();
        pairs.undo();
        let ends: Vec<u8> = [2u64, 2].iter().flat_map(|end| end.to_le_bytes()).collect();
        assert_eq!(pairs.parts(), [&ends[..], &[1, b'a', 1, b'b'], &[0, 1], &[1, b'x', 0]]);
        let mut sent: &[u8] = &[2, 1, b'a', 0, 1, b'x', 1, b'b', 1];
        let mut back = column(SourceType::Hstore, ColumnType::required(ValueType::Map));
        back.append_row_binary(&mut sent).unwrap();
        assert_eq!((sent.len(), &back.parts()[1..]), (0, &pairs.parts()[1..]));
    }

    #[test]
    fn what_clickhouse_cannot_hold_is_null_and_counted() {
        let mut dates = column(SourceType::Date, ColumnType::nullable(ValueType::Date32));
        dates.append(Field::Text(b"infinity")).unwrap();
        dates.append(Field::Text(b"9999-12-31 BC")).unwrap();
        dates.append(Field::Text(b"2000-01-01")).unwrap();
        assert_eq!((dates.policy_nulls(), dates.parts()[0]), (2, &[1, 1, 0][..]));
    }

    #[test]
    fn documents_lie_as_strings_and_others_are_counted() {
        let mut documents = column(SourceType::Json, ColumnType::nullable(ValueType::Json));
        documents.append(Field::Text(b"{\"a\": 1}")).unwrap();
        documents.append(Field::Text(b"[]")).unwrap();
        documents.append(Field::Null).unwrap();
        assert!(documents.append(Field::Text(b"{")).is_err());
        documents.append(Field::Text(b"{}")).unwrap();
        documents.undo();
        assert_eq!(documents.parts(), [&[0, 1, 1][..], b"\x08{\"a\": 1}\x02{}\x02{}"]);
        assert_eq!((documents.rows(), documents.policy_nulls()), (3, 1));
        let mut sent: &[u8] = b"\0\x02{}\x01";
        documents.append_row_binary(&mut sent).unwrap();
        documents.append_row_binary(&mut sent).unwrap();
        assert_eq!((sent.len(), documents.rows()), (0, 5));
    }

    #[test]
    fn reads_back_what_clickhouse_sends() {
        let mut names = column(SourceType::String, ColumnType::nullable(ValueType::String));
        let mut bytes: &[u8] = &[0, 2, b'a', b'b', 1, 0, 0];
        for _ in 0..3 {
            names.append_row_binary(&mut bytes).unwrap();
        }
        assert_eq!((bytes.len(), names.parts()), (0, vec![&[0, 1, 0][..], &[2, b'a', b'b', 0, 0]]));
    }
}
