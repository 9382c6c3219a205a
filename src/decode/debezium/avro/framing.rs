//! How a record says which schema wrote it.

/// The name of a schema at its registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SchemaId {
    /// The id of Confluent's API: `/schemas/ids/ID`.
    Confluent(u32),
    /// Apicurio's global id.
    Global(u64),
    /// Apicurio's content id.
    Content(u64),
}

/// Which schema wrote a message, and the message without what says so. `headers` are the record's; `part` is `key` or `value`. `None` where the
/// message names none: it is not Avro then, or its registry is told apart by nothing in it.
pub fn framed<'a>(
    message: &'a [u8],
    headers: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    part: &str,
) -> Option<(SchemaId, &'a [u8])> {
    let prefix = |name: &'a str| name.strip_prefix("apicurio.")?.strip_prefix(part)?.strip_prefix('.');
    for (name, value) in headers {
        let id = || value.try_into().ok().map(u64::from_be_bytes);
        let found = match prefix(name) {
            Some("globalId") => id().map(SchemaId::Global),
            Some("contentId") => id().map(SchemaId::Content),
            _ => None,
        };
        if let Some(found) = found {
            return Some((found, message));
        }
    }
    // <https://docs.confluent.io/platform/current/schema-registry/fundamentals/serdes-develop/index.html#wire-format>
    let (head, body) = message.split_first_chunk::<5>()?;
    let [0, id @ ..] = *head else { return None };
    let id = u32::from_be_bytes(id);
    // Apicurio's own framing has eight bytes, of a global id, and no registry counts from zero.
    if id == 0
        && let Some((low, body)) = body.split_first_chunk::<4>()
    {
        return Some((SchemaId::Global(u64::from(u32::from_be_bytes(*low))), body));
    }
    Some((SchemaId::Confluent(id), body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_schemas_id() {
        let none: [(&str, &[u8]); 0] = [];
        assert_eq!(framed(&[0, 0, 0, 1, 2, 9], none, "value"), Some((SchemaId::Confluent(258), &[9][..])));
        assert_eq!(framed(b"{\"a\":1}", none, "value"), None);
        assert_eq!(framed(&[0, 0], none, "value"), None);
        let eight = [0, 0, 0, 0, 0, 0, 0, 1, 2, 9];
        assert_eq!(framed(&eight, none, "value"), Some((SchemaId::Global(258), &[9][..])));
        let id: &[u8] = &[0, 0, 0, 0, 0, 0, 0, 57];
        let headers = [("apicurio.key.globalId", &[1][..]), ("apicurio.value.globalId", id)];
        assert_eq!(
            framed(&[0, 2, 2, 6, 7, 8], headers, "value"),
            Some((SchemaId::Global(57), &[0, 2, 2, 6, 7, 8][..]))
        );
        assert_eq!(framed(&[2], [("apicurio.key.contentId", id)], "key"), Some((SchemaId::Content(57), &[2][..])));
    }
}
