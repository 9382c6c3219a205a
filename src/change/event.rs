//! Changes of rows, as borrowed slices of the message that brought them.

use super::Lsn;

/// A column's value on the wire, borrowed from the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field<'a> {
    /// SQL NULL, or, in the key image of an old row, a column that was not sent.
    Null,
    /// A value stored out of line that the change did not touch, and which Postgres therefore does not send.
    Unchanged,
    /// The type's text form.
    Text(&'a [u8]),
    /// The type's binary form.
    Binary(&'a [u8]),
}

/// The fields of a row in the order of its relation's columns. Kept in a buffer that is used again for each row.
pub type Tuple<'a> = Vec<Field<'a>>;

/// What a message of the stream says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A transaction begins; its commit lies at `commit`.
    Begin {
        /// LSN of the commit record: the transaction's place in commit order.
        commit: Lsn,
        /// Transaction id, without its epoch.
        xid: u32,
    },
    /// The transaction is whole.
    Commit {
        /// LSN of the commit record.
        commit: Lsn,
        /// First byte after the commit record: what may be acknowledged once all before it is durable.
        end: Lsn,
        /// Microseconds since 2000-01-01 UTC.
        at: i64,
    },
    /// Rows of a relation follow that are described by the decoder's relation of this id.
    Relation(u32),
    /// A row was inserted; its fields are the decoder's new tuple.
    Insert(u32),
    /// A row was updated: the new tuple, and the old one where Postgres sent it.
    Update(u32),
    /// A row was deleted; its fields are the decoder's old tuple.
    Delete(u32),
    /// Tables were emptied.
    Truncate(Vec<u32>),
    /// A message by `pg_logical_emit_message`.
    Message {
        /// Its prefix.
        prefix: String,
        /// Whether it belongs to a transaction.
        transactional: bool,
        /// Where it lies.
        lsn: Lsn,
    },
    /// Nothing that matters here: an origin, a type, an unknown message.
    Other,
}
