//! Rows: from a JSON object to fields, by the shape of the table's records.

use super::Form;
use super::json::{Json, Object, Text};
use super::value::{Put, Work};
use crate::change::Field;
use crate::decode::Malformed;
use std::borrow::Cow;
use std::fmt;

/// A field of a record's rows.
#[derive(Debug, Clone, PartialEq)]
pub struct ShapeField {
    /// Its name in the record: the column's, unless the connector adjusts names.
    pub name: String,
    /// How its value is spelled.
    pub form: Form,
}

/// The fields that a table's records have, all of them and no others. A table may need several: a generated column is in the rows of a
/// snapshot alone, and a changed table shows in its next record.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RecordShape {
    /// The fields, best in the order of the records.
    pub fields: Vec<ShapeField>,
}

impl RecordShape {
    /// The names of a row's fields in their order: what a shape for it is made of.
    ///
    /// # Errors
    /// [`Malformed`] where the row is not what JSON says.
    pub fn names(row: Object<'_>) -> Result<Vec<Cow<'_, str>>, Malformed> {
        row.members().map(|member| member?.0.string()).collect()
    }
}

/// Why a row could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowProblem {
    /// A field that the shape does not have: the table has changed, or the shape is for other records.
    UnknownField(String),
    /// A field of the shape that the row does not have; its index in the shape.
    Missing(usize),
    /// A value that is not what its form says.
    Malformed {
        /// The field's index in the shape.
        field: usize,
        /// What was expected.
        expected: &'static str,
    },
    /// The row itself is broken.
    Broken(Malformed),
}

impl fmt::Display for RowProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownField(name) => write!(f, "an unknown field {name:?}"),
            Self::Missing(field) => write!(f, "field {field} is missing"),
            Self::Malformed { field, expected } => write!(f, "field {field}: expected {expected}"),
            Self::Broken(malformed) => malformed.fmt(f),
        }
    }
}

impl std::error::Error for RowProblem {}

/// Where a field's value lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slot {
    /// The row had no such field so far.
    Absent,
    Null,
    Unchanged,
    /// Text in the message.
    Message(u32, u32),
    /// Text in the scratch.
    Text(u32, u32),
    /// A binary form in the scratch.
    Binary(u32, u32),
}

/// Reads rows; keeps its buffers from one to the next. An update's old and new row need one each.
#[derive(Debug, Default)]
pub struct RowReader {
    slots: Vec<Slot>,
    scratch: Vec<u8>,
    work: Work,
}

/// A row that was read: its fields lie in the message, or in the reader where they had to be spelled anew.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    slots: &'a [Slot],
    message: &'a [u8],
    scratch: &'a [u8],
}

/// A row's fields in the shape's order.
#[derive(Debug, Clone, Copy)]
pub struct RowFields<'a> {
    row: Row<'a>,
    next: usize,
}

impl RowReader {
    /// A reader.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads a row.
    ///
    /// # Errors
    /// [`RowProblem`].
    #[inline]
    pub fn read<'a>(&'a mut self, row: Object<'a>, shape: &RecordShape) -> Result<Row<'a>, RowProblem> {
        self.slots.clear();
        self.slots.resize(shape.fields.len(), Slot::Absent);
        self.scratch.clear();
        let mut cursor = row.open();
        let mut first = true;
        let mut expected = 0;
        loop {
            let next = shape.fields.get(expected).filter(|field| cursor.expects(&mut first, field.name.as_bytes()));
            let (index, field) = if let Some(field) = next {
                (expected, field)
            } else {
                let Some(name) = cursor.member(&mut first).map_err(RowProblem::Broken)? else { break };
                find(shape, name)?
            };
            expected = index + 1;
            let value = cursor.value().map_err(RowProblem::Broken)?;
            let malformed = |Malformed(expected)| RowProblem::Malformed { field: index, expected };
            let slot = self.slot(field, value, row.bytes()).map_err(malformed)?;
            match self.slots.get_mut(index) {
                Some(place) if *place == Slot::Absent => *place = slot,
                _ => return Err(RowProblem::Malformed { field: index, expected: "a name once only" }),
            }
        }
        match self.slots.iter().position(|slot| *slot == Slot::Absent) {
            Some(missing) => Err(RowProblem::Missing(missing)),
            None => Ok(Row { slots: &self.slots, message: row.bytes(), scratch: &self.scratch }),
        }
    }

    #[inline]
    fn slot(&mut self, field: &ShapeField, value: Json<'_>, message: &[u8]) -> Result<Slot, Malformed> {
        const LONG: Malformed = Malformed("a row of less than 4 GiB");
        let start = self.scratch.len();
        let put = field.form.read(value, &mut self.scratch, &mut self.work)?;
        let place = |from: usize, to: usize| Some((u32::try_from(from).ok()?, u32::try_from(to).ok()?));
        Ok(match put {
            Put::Null => Slot::Null,
            Put::Unchanged => Slot::Unchanged,
            Put::Borrowed(text) => {
                let from = text.as_ptr().addr().wrapping_sub(message.as_ptr().addr());
                let (from, to) = place(from, from.saturating_add(text.len())).ok_or(LONG)?;
                Slot::Message(from, to)
            }
            Put::Text | Put::Binary => {
                let (from, to) = place(start, self.scratch.len()).ok_or(LONG)?;
                if put == Put::Text { Slot::Text(from, to) } else { Slot::Binary(from, to) }
            }
        })
    }
}

/// The field of a name.
fn find<'s>(shape: &'s RecordShape, name: Text<'_>) -> Result<(usize, &'s ShapeField), RowProblem> {
    shape.fields.iter().enumerate().find(|(_, field)| name.is(field.name.as_bytes())).ok_or_else(|| {
        let name = name.unescaped().unwrap_or_default();
        RowProblem::UnknownField(String::from_utf8_lossy(&name).into_owned())
    })
}

impl<'a> Row<'a> {
    /// The fields, in the shape's order.
    pub fn fields(self) -> RowFields<'a> {
        RowFields { row: self, next: 0 }
    }

    /// One field, by its index in the shape.
    #[inline]
    pub fn field(self, index: usize) -> Option<Field<'a>> {
        let cut = |bytes: &'a [u8], from: u32, to: u32| bytes.get(from as usize..to as usize).unwrap_or_default();
        Some(match *self.slots.get(index)? {
            Slot::Null | Slot::Absent => Field::Null,
            Slot::Unchanged => Field::Unchanged,
            Slot::Message(from, to) => Field::Text(cut(self.message, from, to)),
            Slot::Text(from, to) => Field::Text(cut(self.scratch, from, to)),
            Slot::Binary(from, to) => Field::Binary(cut(self.scratch, from, to)),
        })
    }
}

impl<'a> Iterator for RowFields<'a> {
    type Item = Field<'a>;

    #[inline]
    fn next(&mut self) -> Option<Field<'a>> {
        let field = self.row.field(self.next)?;
        self.next += 1;
        Some(field)
    }
}

#[cfg(test)]
mod tests {
    use super::super::json::Cursor;
    use super::super::{Forms, column, form};
    use super::*;
    use crate::decode::debezium::{ConnectField, ConnectType, Kind};

    fn shape(names: &[&str]) -> RecordShape {
        let fields = names.iter().map(|name| {
            let connect_type = ConnectType::plain(Kind::String);
            let field = ConnectField { name: (*name).to_owned(), optional: true, connect_type, default: None };
            let form = form(&column(&field), Some(&field.connect_type), &Forms::default(), true).unwrap();
            ShapeField { name: field.name, form }
        });
        RecordShape { fields: fields.collect() }
    }

    fn read(text: &str, names: &[&str]) -> Result<Vec<String>, RowProblem> {
        let Ok(Json::Object(row)) = Cursor::new(text.as_bytes()).value() else { panic!("{text}") };
        let mut reader = RowReader::new();
        let row = reader.read(row, &shape(names))?;
        Ok(row.fields().map(|field| format!("{field:?}")).collect())
    }

    #[test]
    fn fields_come_in_the_shapes_order_whatever_the_records() {
        let ordered = read(r#"{"a":"1","b":"é\n","c":null}"#, &["a", "b", "c"]).unwrap();
        assert_eq!(ordered[0], format!("{:?}", Field::Text(b"1")));
        assert_eq!(ordered[1], format!("{:?}", Field::Text("é\n".as_bytes())));
        assert_eq!(ordered[2], format!("{:?}", Field::Null));
        for other in [r#"{"c":null,"a":"1","b":"é\n"}"#, r#"{ "b" : "é\n" , "c" : null , "a" : "1" }"#] {
            assert_eq!(read(other, &["a", "b", "c"]).as_ref(), Ok(&ordered), "{other}");
        }
    }

    #[test]
    fn other_fields_than_the_shapes_are_told() {
        assert_eq!(read(r#"{"a":"1","x\"y":"2"}"#, &["a"]), Err(RowProblem::UnknownField("x\"y".to_owned())));
        assert_eq!(read(r#"{"b":"1"}"#, &["a", "b"]), Err(RowProblem::Missing(0)));
        assert_eq!(read("{}", &["a"]), Err(RowProblem::Missing(0)));
        let twice = RowProblem::Malformed { field: 0, expected: "a name once only" };
        assert_eq!(read(r#"{"a":"1","a":"2"}"#, &["a"]), Err(twice));
        assert_eq!(read(r#"{"a":{}}"#, &["a"]), Err(RowProblem::Malformed { field: 0, expected: "a string" }));
    }

    #[test]
    fn names_are_compared_without_their_escapes() {
        assert!(read(r#"{"a\\b":"1","q\"":"2"}"#, &["a\\b", "q\""]).is_ok());
        // A line feed in the record, a backslash and a letter in the column's name.
        assert_eq!(read(r#"{"a\nb":"1"}"#, &["a\\nb"]), Err(RowProblem::UnknownField("a\nb".to_owned())));
    }
}
