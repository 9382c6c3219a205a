//! How a record names the schema of its value, where a registry holds it. In front of the bytes: a zero byte, then four bytes
//! (<https://docs.confluent.io/platform/current/schema-registry/fundamentals/serdes-develop/index.html#wire-format>), or eight as Apicurio
//! has it by default; or in headers, Apicurio's other way.

use super::entry::Record;
use crate::server::registry::SchemaId;

/// Bytes whose schema a registry holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Registered<'a> {
    /// How the schema is named.
    pub(super) id: SchemaId,
    /// The bytes without the name.
    pub(super) body: &'a [u8],
}

/// Finds the schema of a key or a value, in a header or before the bytes; none where they are plain.
pub(super) fn framed<'a>(record: &Record, bytes: &'a [u8], is_key: bool) -> Option<Registered<'a>> {
    let part = if is_key { "key" } else { "value" };
    let number = |name: &str| {
        let header = record.header(&format!("apicurio.{part}.{name}"))?;
        header.try_into().map(i64::from_be_bytes).ok()
    };
    if let Some(id) = number("globalId") {
        return Some(Registered { id: SchemaId::GlobalId(id), body: bytes });
    }
    if let Some(id) = number("contentId") {
        return Some(Registered { id: SchemaId::ContentId(id), body: bytes });
    }
    let (head, body) = bytes.split_at_checked(5)?;
    let [0, id @ ..] = head else { return None };
    let id = id.try_into().map(u32::from_be_bytes).ok()?;
    // Apicurio's own framing has eight bytes, and no registry counts from zero.
    if id == 0
        && let Some((low, body)) = body.split_at_checked(4)
    {
        return low
            .try_into()
            .map(i32::from_be_bytes)
            .ok()
            .map(|id| Registered { id: SchemaId::GlobalId(id.into()), body });
    }
    Some(Registered { id: SchemaId::Confluent(id), body })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_is_found_in_front_and_in_headers() {
        let mut record = Record::default();
        let confluent = [0, 0, 0, 1, 2, 9, 9];
        let found = framed(&record, &confluent, false).unwrap();
        assert_eq!((found.id, found.body), (SchemaId::Confluent(258), &[9, 9][..]));
        assert_eq!(framed(&record, b"{}", false), None);
        assert_eq!(framed(&record, b"\0ab", false), None);
        let eight = [0, 0, 0, 0, 0, 0, 0, 1, 2, 9];
        assert_eq!(framed(&record, &eight, false), Some(Registered { id: SchemaId::GlobalId(258), body: &[9] }));
        record.headers.push(("apicurio.value.globalId".into(), Some(7_i64.to_be_bytes().to_vec())));
        assert_eq!(
            framed(&record, &confluent, false).unwrap(),
            Registered { id: SchemaId::GlobalId(7), body: &confluent }
        );
        assert_eq!(framed(&record, &confluent, true).unwrap().id, SchemaId::Confluent(258));
    }
}
