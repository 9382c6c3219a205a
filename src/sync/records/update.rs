//! An update of which values were left out, as `pgoutput` writes it: gaps are filled from that form, whatever brought them.
//!
//! <https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html>

use crate::change::Field;
use bytes::Bytes;

/// Writes an `Update` with a new row alone.
pub(super) fn write<'a>(relation: u32, fields: impl Iterator<Item = Field<'a>>) -> Bytes {
    let mut out = Vec::with_capacity(256);
    out.push(b'U');
    out.extend_from_slice(&relation.to_be_bytes());
    out.push(b'N');
    let count_at = out.len();
    out.extend_from_slice(&[0, 0]);
    let mut count: u16 = 0;
    for field in fields {
        count = count.saturating_add(1);
        match field {
            Field::Null => out.push(b'n'),
            Field::Unchanged => out.push(b'u'),
            Field::Text(value) => push(&mut out, b't', value),
            Field::Binary(value) => push(&mut out, b'b', value),
        }
    }
    if let Some(place) = out.get_mut(count_at..count_at + 2) {
        place.copy_from_slice(&count.to_be_bytes());
    }
    out.into()
}

fn push(out: &mut Vec<u8>, kind: u8, value: &[u8]) {
    out.push(kind);
    out.extend_from_slice(&(value.len() as u32).to_be_bytes());
    out.extend_from_slice(value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::pgoutput::{Message, parse};

    #[test]
    fn is_read_as_it_was_written() {
        let fields = [Field::Text(b"1"), Field::Null, Field::Unchanged, Field::Binary(&[1, 2])];
        let bytes = write(7, fields.into_iter());
        let Ok(Message::Update { relation: 7, old: None, new }) = parse(&bytes) else { panic!("{bytes:?}") };
        assert_eq!(new.collect::<Vec<_>>(), fields);
    }
}
