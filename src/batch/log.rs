//! Tables whose rows are kept each for itself: what a row says beside its values.

use super::column::Fault;
use super::leb128::push_leb128;
use super::table::{RowFault, RowMap, TableBatch, width};
use crate::change::{Field, Version};
use std::sync::Arc;

/// What is kept of a table whose rows are not told apart by a key, but by version and ordinal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogForm {
    /// Its inserts alone.
    Inserts,
    /// Every change, with its kind, its time and what was not sent.
    Changes,
    /// Rows that come and rows that go, with a sign: a row is there as often as its signs sum up to.
    Signed,
}

/// What happened to a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogOp {
    /// It was copied.
    Read,
    /// It was inserted.
    Insert,
    /// The old row of the update that follows.
    Before,
    /// The new row of an update.
    Update,
    /// It was deleted.
    Delete,
    /// No row: the table was emptied.
    Truncate,
}

impl LogOp {
    /// As it is stored.
    fn letter(self) -> u8 {
        match self {
            Self::Read => b'r',
            Self::Insert => b'c',
            Self::Before => b'b',
            Self::Update => b'u',
            Self::Delete => b'd',
            Self::Truncate => b't',
        }
    }

    /// How often the row is there more than before.
    fn sign(self) -> i8 {
        match self {
            Self::Read | Self::Insert | Self::Update => 1,
            Self::Before | Self::Delete => -1,
            Self::Truncate => 0,
        }
    }
}

/// A row of a log, beside its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogEntry {
    /// What happened.
    pub op: LogOp,
    /// When that was committed, in microseconds since 1970; not known of a copied row.
    pub at: Option<i64>,
    /// Whether it is an old row of which only the columns of the replica identity were sent.
    pub key_only: bool,
}

impl LogEntry {
    /// A row that was copied.
    pub const READ: Self = Self { op: LogOp::Read, at: None, key_only: false };
}

/// What happened to a row, with the row before and after it; rows are iterators of fields, in the order of a [`RowMap`].
#[derive(Debug, Clone, Copy)]
pub struct LogChange<R> {
    /// Read, inserted, updated or deleted.
    pub op: LogOp,
    /// The old row, as far as it was sent.
    pub old: Option<R>,
    /// The new row; none where it was deleted.
    pub new: Option<R>,
    /// Whether of the old row only the columns of the replica identity were sent.
    pub key_only: bool,
    /// When it was committed, in microseconds since 1970; not known of a copied row.
    pub at: Option<i64>,
}

/// The new row, with the old one's value wherever it was left out and the old one has it.
pub fn filled<'a>(
    new: impl Iterator<Item = Field<'a>>,
    mut old: Option<impl Iterator<Item = Field<'a>>>,
) -> impl Iterator<Item = Field<'a>> {
    new.map(move |field| {
        let before = old.as_mut().and_then(Iterator::next);
        match (field, before) {
            (Field::Unchanged, Some(value @ (Field::Text(_) | Field::Binary(_)))) => value,
            (field, _) => field,
        }
    })
}

/// The further columns of a log, in the layout of ClickHouse's Native format.
#[derive(Debug, Default)]
pub struct LogColumns {
    ops: Vec<u8>,
    signs: Vec<u8>,
    at_nulls: Vec<u8>,
    at: Vec<u8>,
    unsent_ends: Vec<u8>,
    unsent: Vec<u8>,
    unsent_count: u64,
}

impl LogColumns {
    /// What happened, a `String` of one letter a row.
    pub fn ops(&self) -> &[u8] {
        &self.ops
    }

    /// How often the row is there more than before, an `Int8` a row.
    pub fn signs(&self) -> &[u8] {
        &self.signs
    }

    /// The times of the commits, a `Nullable(DateTime64(6, 'UTC'))` a row: which are NULL, and the values.
    pub fn committed_at(&self) -> [&[u8]; 2] {
        [&self.at_nulls, &self.at]
    }

    /// The names of the columns that were not sent, an `Array(String)` a row: where each ends, and the names.
    pub fn unsent(&self) -> [&[u8]; 2] {
        [&self.unsent_ends, &self.unsent]
    }

    /// Where the names of the next row's columns begin, to take them back.
    pub(super) fn mark(&self) -> (usize, u64) {
        (self.unsent.len(), self.unsent_count)
    }

    pub(super) fn rewind(&mut self, (bytes, count): (usize, u64)) {
        self.unsent.truncate(bytes);
        self.unsent_count = count;
    }

    /// Takes the last row back, whose names began at the mark.
    fn take_back(&mut self, mark: (usize, u64)) {
        self.rewind(mark);
        for (bytes, width) in [
            (&mut self.ops, 2),
            (&mut self.signs, 1),
            (&mut self.at_nulls, 1),
            (&mut self.at, size_of::<i64>()),
            (&mut self.unsent_ends, size_of::<u64>()),
        ] {
            bytes.truncate(bytes.len().saturating_sub(width));
        }
    }

    /// A column of the next row was not sent.
    pub(super) fn push_unsent(&mut self, name: &str) {
        push_leb128(name.len(), &mut self.unsent);
        self.unsent.extend_from_slice(name.as_bytes());
        self.unsent_count += 1;
    }

    pub(super) fn push(&mut self, form: LogForm, entry: LogEntry) {
        match form {
            LogForm::Inserts => {}
            LogForm::Signed => self.signs.extend_from_slice(&entry.op.sign().to_le_bytes()),
            LogForm::Changes => {
                self.ops.extend_from_slice(&[1, entry.op.letter()]);
                self.at_nulls.push(u8::from(entry.at.is_none()));
                self.at.extend_from_slice(&entry.at.unwrap_or_default().to_le_bytes());
                self.unsent_ends.extend_from_slice(&self.unsent_count.to_le_bytes());
            }
        }
    }
}

impl TableBatch {
    /// Appends what a change is in a log: a row each for the old and the new one. A signed log needs the whole old row of an update.
    ///
    /// # Errors
    /// [`RowFault`]; the batch is then as it was: the change may come again, and an old row that is there twice would count twice.
    pub fn push_change<'a, R: Iterator<Item = Field<'a>> + Clone>(
        &mut self,
        map: &RowMap,
        version: Version,
        change: LogChange<R>,
    ) -> Result<(), RowFault> {
        let LogChange { op, old, new, key_only, at } = change;
        let signed = self.layout.log == Some(LogForm::Signed);
        if op == LogOp::Update && old.is_none() && signed {
            return Err(RowFault { column: 0, fault: Fault::Unchanged });
        }
        let (mark, before) = (self.log.mark(), (self.last(), self.bytes()));
        if let Some(old) = old.clone() {
            let op = if op == LogOp::Update { LogOp::Before } else { op };
            self.push_logged(map, old, version, LogEntry { op, at, key_only })?;
        }
        let Some(new) = new else { return Ok(()) };
        let has_old = old.is_some();
        let pushed = self.push_logged(map, filled(new, old), version, LogEntry { op, at, key_only: false });
        if pushed.is_err() && has_old {
            self.log.take_back(mark);
            self.take_back(before);
        }
        pushed
    }

    /// Appends a row of a log. What was not sent is NULL where the log says so, and a fault where it does not.
    ///
    /// # Errors
    /// [`RowFault`]; the batch is then as it was.
    pub fn push_logged<'a>(
        &mut self,
        map: &RowMap,
        fields: impl Iterator<Item = Field<'a>>,
        version: Version,
        entry: LogEntry,
    ) -> Result<(), RowFault> {
        let mark = self.log.mark();
        match self.append_logged(map, fields, entry.key_only) {
            Ok(bytes) => {
                self.finish_entry(version, entry, bytes);
                Ok(())
            }
            Err(fault) => {
                self.log.rewind(mark);
                self.undo_columns();
                Err(fault)
            }
        }
    }

    /// Appends the mark that the table was emptied; `at` in microseconds since 1970.
    pub fn push_emptied(&mut self, version: Version, at: i64) {
        for column in &mut self.columns {
            if column.append(Field::Null).is_err() {
                column.append_default();
            }
        }
        self.finish_entry(version, LogEntry { op: LogOp::Truncate, at: Some(at), key_only: false }, 0);
    }

    fn append_logged<'a>(
        &mut self,
        map: &RowMap,
        fields: impl Iterator<Item = Field<'a>>,
        key_only: bool,
    ) -> Result<usize, RowFault> {
        let mut bytes = 0;
        let layout = Arc::clone(&self.layout);
        for (place, field) in map.fields.iter().zip(fields) {
            let Some(index) = *place else { continue };
            let Some(column) = self.columns.get_mut(index) else { continue };
            // Columns of a replica identity are never NULL.
            let made_up =
                || field == Field::Null || layout.identity.as_ref().is_some_and(|identity| !identity.contains(&index));
            let unsent = field == Field::Unchanged || (key_only && made_up());
            let field = match (unsent, layout.log) {
                (false, _) => field,
                (true, Some(LogForm::Changes)) => {
                    self.log.push_unsent(layout.columns.get(index).map_or("", |column| &column.name));
                    Field::Null
                }
                (true, _) => Field::Unchanged,
            };
            column.append(field).map_err(|fault| RowFault { column: index, fault })?;
            bytes += width(field);
        }
        self.append_absent(map)?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::tests::layout;
    use super::super::{ColumnBuffer, ColumnType, Layout, LayoutColumn, ValueType};
    use super::*;
    use crate::change::{Lsn, SourceType};

    #[test]
    fn a_log_says_what_was_not_sent() {
        let log = |form| Layout {
            deleted_column: None,
            log: Some(form),
            identity: Some(vec![0]),
            ..Layout::clone(&layout())
        };
        let mut columns = log(LogForm::Changes);
        columns.columns[1].column_type = ColumnType::nullable(ValueType::String);
        let changes = Arc::new(columns);
        let map = RowMap::by_name(&changes, ["id", "name", "late"].into_iter());
        let entry = |op, key_only| LogEntry { op, at: Some(7), key_only };
        let version = Version::new(Lsn(2), Lsn(1));
        let row = |name| [Field::Text(b"1"), name, Field::Text(b"2")].into_iter();
        let mut batch = TableBatch::new(Arc::clone(&changes)).unwrap();
        batch.push_logged(&map, row(Field::Text(b"")), version, entry(LogOp::Delete, true)).unwrap();
        batch.push_logged(&map, row(Field::Unchanged), version, entry(LogOp::Update, false)).unwrap();
        batch.push_emptied(version, 8);
        let ends: Vec<u8> = [2u64, 3, 3].iter().flat_map(|end| end.to_le_bytes()).collect();
        assert_eq!(batch.log().unsent(), [&ends[..], b"\x04name\x04late\x04name"]);
        assert_eq!((batch.log().ops(), batch.rows()), (&b"\x01d\x01u\x01t"[..], 3));
        let mut signed = TableBatch::new(Arc::new(log(LogForm::Signed))).unwrap();
        let fault = signed.push_logged(&map, row(Field::Null), version, entry(LogOp::Delete, true)).unwrap_err();
        assert_eq!((fault.fault, signed.rows()), (Fault::Unchanged, 0));
    }

    #[test]
    fn a_change_is_a_row_for_what_was_and_one_for_what_is() {
        let form = |log| Layout { deleted_column: None, log: Some(log), ..Layout::clone(&layout()) };
        let signed = Arc::new(form(LogForm::Signed));
        let map = RowMap::by_name(&signed, ["id", "name", "late"].into_iter());
        let version = Version::new(Lsn(2), Lsn(1));
        let row = |name| [Field::Text(b"1"), name, Field::Text(b"2")].into_iter();
        let change = |op, old, new| LogChange { op, old, new, key_only: false, at: Some(7) };
        let mut batch = TableBatch::new(Arc::clone(&signed)).unwrap();
        let (old, new) = (row(Field::Text(b"a")), row(Field::Unchanged));
        batch.push_change(&map, version, change(LogOp::Insert, None, Some(old.clone()))).unwrap();
        batch.push_change(&map, version, change(LogOp::Update, Some(old.clone()), Some(new.clone()))).unwrap();
        batch.push_change(&map, version, change(LogOp::Delete, Some(old), None)).unwrap();
        assert_eq!(batch.log().signs(), [1, 0xFF, 1, 0xFF]);
        assert_eq!(batch.columns()[1].parts(), [b"\x01a\x01a\x01a\x01a"], "what was left out is the old row's");
        let fault = batch.push_change(&map, version, change(LogOp::Update, None, Some(new))).unwrap_err();
        assert_eq!((fault.fault, batch.rows()), (Fault::Unchanged, 4));
    }

    #[test]
    fn a_change_whose_new_row_is_refused_leaves_no_trace() {
        let column = |name: &str, source, column_type| LayoutColumn {
            name: name.into(),
            source,
            column_type,
            missing: None,
            transform: None,
        };
        let array = SourceType::Array(Box::new(SourceType::String));
        let strings = ColumnType::required(ValueType::Array(Box::new(ColumnType::nullable(ValueType::String))));
        for form in [LogForm::Changes, LogForm::Signed] {
            let mut layout = Layout { deleted_column: None, log: Some(form), ..Layout::clone(&layout()) };
            layout.columns.push(column("tags", array.clone(), strings.clone()));
            layout.columns.push(column("last", SourceType::Int4, ColumnType::required(ValueType::Int32)));
            let layout = Arc::new(layout);
            let map = RowMap::by_name(&layout, ["id", "name", "tags", "last"].into_iter());
            let row = |name, tags, last| [Field::Text(b"1"), name, Field::Text(tags), last].into_iter();
            let whole = |name, tags| row(Field::Text(name), tags, Field::Text(b"7"));
            let change = |new| LogChange {
                op: LogOp::Update,
                old: Some(whole(b"before", b"{x,NULL,y}")),
                new: Some(new),
                key_only: false,
                at: Some(7),
            };
            let stored = |batch: &TableBatch| {
                let columns: Vec<Vec<u8>> =
                    batch.columns().iter().flat_map(ColumnBuffer::parts).map(<[u8]>::to_vec).collect();
                let log = [
                    batch.log().ops(),
                    batch.log().signs(),
                    batch.log().unsent()[0],
                    batch.ordinals(),
                    batch.versions(),
                ];
                (columns, log.concat(), batch.rows(), batch.bytes(), batch.last())
            };
            let mut batch = TableBatch::new(Arc::clone(&layout)).unwrap();
            let (first, second) = (Version::new(Lsn(2), Lsn(1)), Version::new(Lsn(2), Lsn(2)));
            batch.push_change(&map, first, change(whole(b"first", b"{a}"))).unwrap();
            let before = stored(&batch);
            let fault =
                batch.push_change(&map, second, change(row(Field::Text(b"bad"), b"{b}", Field::Null))).unwrap_err();
            assert_eq!((fault.fault, stored(&batch)), (Fault::Null, before));
            batch.push_change(&map, second, change(whole(b"good", b"{c}"))).unwrap();
            let mut straight = TableBatch::new(layout).unwrap();
            straight.push_change(&map, first, change(whole(b"first", b"{a}"))).unwrap();
            straight.push_change(&map, second, change(whole(b"good", b"{c}"))).unwrap();
            assert_eq!(stored(&batch), stored(&straight));
        }
    }
}
