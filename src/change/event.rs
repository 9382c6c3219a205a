//! Fields of rows, as borrowed slices of the message that brought them.

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

/// How far a stream of changes has been taken in: always the end of a whole transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position {
    /// LSN of the transaction's commit record.
    pub commit: Lsn,
    /// First byte after it: what may be acknowledged once everything before is durable.
    pub end: Lsn,
    /// Its transaction id, without the epoch; 0 where the position is not a transaction's.
    pub xid: u32,
}
