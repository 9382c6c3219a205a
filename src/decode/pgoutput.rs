//! Messages of the `pgoutput` plug-in, protocol version 1.
//!
//! The formats are those of <https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html>. Facts that matter here:
//! under `REPLICA IDENTITY FULL` a Relation flags every column as key; in a key image (`K`) a column that is no key is sent as NULL;
//! an unknown message type is skipped, not an error, since later versions add some.

use super::wire::{Malformed, Reader};
use crate::change::Field;

/// A message, borrowing its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message<'a> {
    /// What the rows of a relation look like from here on.
    Relation(Relation),
    /// A new row.
    Insert {
        /// The relation's id.
        relation: u32,
        /// The row.
        new: Tuple<'a>,
    },
    /// A changed row.
    Update {
        /// The relation's id.
        relation: u32,
        /// The old row, where Postgres sends one.
        old: Option<Old<'a>>,
        /// The new row.
        new: Tuple<'a>,
    },
    /// A deleted row.
    Delete {
        /// The relation's id.
        relation: u32,
        /// What Postgres sends of it.
        old: Old<'a>,
    },
    /// Emptied tables.
    Truncate {
        /// Their ids.
        relations: Vec<u32>,
    },
    /// A type, an origin, or a message of a later version.
    Other,
}

/// An old row: whole, or only its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Old<'a> {
    /// Only the columns of the replica identity hold values (`K`).
    Key(Tuple<'a>),
    /// The whole row (`O`).
    Full(Tuple<'a>),
}

impl<'a> Old<'a> {
    /// Its fields.
    pub fn tuple(self) -> Tuple<'a> {
        match self {
            Self::Key(tuple) | Self::Full(tuple) => tuple,
        }
    }
}

/// A table as the stream describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// `pg_class.oid`.
    pub id: u32,
    /// Its schema; `pg_catalog` is sent as an empty text.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Its columns, in the order of the rows' fields.
    pub columns: Vec<RelationColumn>,
}

/// A column as the stream describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelationColumn {
    /// Its name.
    pub name: String,
    /// OID of its type.
    pub type_oid: u32,
    /// Its type modifier.
    pub type_modifier: i32,
}

/// A row's fields; an iterator that borrows from the message. Checked when parsed: walking it cannot fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tuple<'a> {
    left: u16,
    bytes: &'a [u8],
}

impl<'a> Tuple<'a> {
    fn parse(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let columns = reader.u16()?;
        let bytes = reader.rest();
        for _ in 0..columns {
            match reader.u8()? {
                b'n' | b'u' => {}
                b't' | b'b' => {
                    let len = reader.u32()?;
                    reader.take(len as usize)?;
                }
                _ => return Err(Malformed("a field of a known kind")),
            }
        }
        Ok(Self { left: columns, bytes })
    }
}

impl<'a> Iterator for Tuple<'a> {
    type Item = Field<'a>;

    #[inline]
    fn next(&mut self) -> Option<Field<'a>> {
        self.left = self.left.checked_sub(1)?;
        let mut reader = Reader::new(self.bytes);
        let field = match reader.u8().ok()? {
            b'n' => Field::Null,
            b'u' => Field::Unchanged,
            kind => {
                let len = reader.u32().ok()?;
                let value = reader.take(len as usize).ok()?;
                if kind == b'b' { Field::Binary(value) } else { Field::Text(value) }
            }
        };
        self.bytes = reader.rest();
        Some(field)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (usize::from(self.left), Some(usize::from(self.left)))
    }
}

impl ExactSizeIterator for Tuple<'_> {}

/// Reads one message.
///
/// # Errors
/// [`Malformed`] where the bytes end early or hold an unknown tuple kind.
#[inline]
pub fn parse(bytes: &[u8]) -> Result<Message<'_>, Malformed> {
    let mut reader = Reader::new(bytes);
    match reader.u8()? {
        b'I' => {
            let relation = reader.u32()?;
            expect(&mut reader, b'N')?;
            Ok(Message::Insert { relation, new: Tuple::parse(&mut reader)? })
        }
        b'U' => update(&mut reader),
        b'D' => {
            let relation = reader.u32()?;
            let kind = reader.u8()?;
            Ok(Message::Delete { relation, old: old(kind, &mut reader)? })
        }
        b'R' => relation(&mut reader).map(Message::Relation),
        b'T' => {
            let count = reader.u32()?;
            reader.u8()?;
            let mut relations = Vec::new();
            for _ in 0..count {
                relations.push(reader.u32()?);
            }
            Ok(Message::Truncate { relations })
        }
        _ => Ok(Message::Other),
    }
}

fn expect(reader: &mut Reader<'_>, kind: u8) -> Result<(), Malformed> {
    if reader.u8()? == kind { Ok(()) } else { Err(Malformed("a new row")) }
}

fn old<'a>(kind: u8, reader: &mut Reader<'a>) -> Result<Old<'a>, Malformed> {
    match kind {
        b'K' => Tuple::parse(reader).map(Old::Key),
        b'O' => Tuple::parse(reader).map(Old::Full),
        _ => Err(Malformed("an old row")),
    }
}

fn update<'a>(reader: &mut Reader<'a>) -> Result<Message<'a>, Malformed> {
    let relation = reader.u32()?;
    let kind = reader.u8()?;
    if kind == b'N' {
        return Ok(Message::Update { relation, old: None, new: Tuple::parse(reader)? });
    }
    let old = old(kind, reader)?;
    expect(reader, b'N')?;
    Ok(Message::Update { relation, old: Some(old), new: Tuple::parse(reader)? })
}

fn relation(reader: &mut Reader<'_>) -> Result<Relation, Malformed> {
    let id = reader.u32()?;
    let schema = match reader.cstr()? {
        "" => "pg_catalog".to_owned(),
        schema => schema.to_owned(),
    };
    let name = reader.cstr()?.to_owned();
    // The replica identity is taken from the catalog: under FULL the flags here say nothing of the key.
    reader.u8()?;
    let count = reader.u16()?;
    let mut columns = Vec::new();
    for _ in 0..count {
        reader.u8()?;
        let name = reader.cstr()?.to_owned();
        columns.push(RelationColumn { name, type_oid: reader.u32()?, type_modifier: reader.i32()? });
    }
    Ok(Relation { id, schema, name, columns })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tuple(fields: &[Option<&[u8]>]) -> Vec<u8> {
        let mut bytes = (fields.len() as u16).to_be_bytes().to_vec();
        for field in fields {
            match field {
                None => bytes.push(b'n'),
                Some(value) => {
                    bytes.push(b't');
                    bytes.extend((value.len() as u32).to_be_bytes());
                    bytes.extend(*value);
                }
            }
        }
        bytes
    }

    #[test]
    fn reads_an_update_with_its_key() {
        let mut bytes = vec![b'U', 0, 0, 0, 7, b'K'];
        bytes.extend(tuple(&[Some(b"1"), None]));
        bytes.push(b'N');
        bytes.extend(tuple(&[Some(b"2"), Some(b"x")]));
        let Message::Update { relation: 7, old: Some(Old::Key(old)), new } = parse(&bytes).unwrap() else { panic!() };
        assert_eq!(old.collect::<Vec<_>>(), [Field::Text(b"1"), Field::Null]);
        assert_eq!(new.collect::<Vec<_>>(), [Field::Text(b"2"), Field::Text(b"x")]);
    }

    #[test]
    fn reads_a_relation() {
        let bytes = b"R\0\0\0\x09public\0t\0d\0\x01\x01id\0\0\0\0\x17\xff\xff\xff\xff";
        let Message::Relation(relation) = parse(bytes).unwrap() else { panic!() };
        assert_eq!((relation.id, relation.name.as_str()), (9, "t"));
        assert_eq!(relation.columns, [RelationColumn { name: "id".into(), type_oid: 23, type_modifier: -1 }]);
    }

    #[test]
    fn a_short_message_is_an_error_and_an_unknown_one_is_not() {
        assert!(parse(&[]).is_err());
        assert!(parse(b"I\0\0\0\x01N\0\x02t\0\0\0\x05ab").is_err());
        assert_eq!(parse(b"Zwhatever"), Ok(Message::Other));
    }

    proptest! {
        #[test]
        fn never_panics(kind in prop::sample::select(&b"RIUDTYOZ"[..]), rest in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut bytes = vec![kind];
            bytes.extend(rest);
            if let Ok(Message::Insert { new, .. }) = parse(&bytes) {
                prop_assert_eq!(new.len(), new.count());
            }
        }
    }
}
