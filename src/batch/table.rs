//! A table's rows on their way: a buffer a column, with version and deletion mark.

use super::column::{ColumnBuffer, Fault};
use super::log::{LogColumns, LogEntry, LogForm};
use super::{ColumnType, Ranges, Transform};
use crate::change::{Field, Lsn, SourceType, Version};
use crate::failpoint;
use std::sync::Arc;

/// What a batch of a table looks like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The source table's id.
    pub relation: u32,
    /// The table at the destination.
    pub target: String,
    /// Its columns, in the order of the buffers.
    pub columns: Vec<LayoutColumn>,
    /// Indexes into `columns` of the sorting key, which tells rows apart.
    pub key: Vec<usize>,
    /// Name of the version column.
    pub version_column: String,
    /// Name of the column that marks a deleted row; where absent, rows are kept each for itself, by version and ordinal.
    pub deleted_column: Option<String>,
    /// Name of the column with the time at which a row was deleted at the source; where present, such rows stay.
    pub source_deleted_column: Option<String>,
    /// What is kept where there is no such mark.
    pub log: Option<LogForm>,
    /// Indexes into `columns` of what an old row surely has; none where the source sends whole old rows.
    pub identity: Option<Vec<usize>>,
    /// What dates and times the destination can hold.
    pub ranges: Ranges,
    /// Commits before this one are part of the table's copy, see [`Layout::is_copied`].
    pub first_commit: Lsn,
}

impl Layout {
    /// Whether all changes are rows of their own.
    pub fn is_history(&self) -> bool {
        matches!(self.log, Some(LogForm::Changes | LogForm::Signed))
    }

    /// Whether the copy that the table was made of has a change already, by its place in the log. What it does not show may be gone without a word of the
    /// stream (a partition that was dropped), and must not come back. Where rows stay that were deleted, each of the stream counts.
    pub fn is_copied(&self, version: Version) -> bool {
        self.source_deleted_column.is_none() && version.transaction() < self.first_commit
    }
}

/// A column of a [`Layout`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayoutColumn {
    /// Its name.
    pub name: String,
    /// What it holds at the source; text where something stands in its values' place.
    pub source: SourceType,
    /// What it is stored as.
    pub column_type: ColumnType,
    /// What a row holds that is older than the column, as text.
    pub missing: Option<String>,
    /// What is stored in the place of its values.
    pub transform: Option<Transform>,
}

/// Where the fields of a row go: for each field the column's index, and the columns that no field fills.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RowMap {
    /// For each field of the row: the index of its column, or none where it is not stored.
    pub fields: Vec<Option<usize>>,
    /// Columns without a field: they get what older rows hold.
    pub absent: Vec<usize>,
}

impl RowMap {
    /// The map of rows whose fields have these names, in this order.
    pub fn by_name<'a>(layout: &Layout, names: impl Iterator<Item = &'a str>) -> Self {
        let fields: Vec<Option<usize>> =
            names.map(|name| layout.columns.iter().position(|column| column.name == name)).collect();
        let absent = (0..layout.columns.len()).filter(|index| !fields.contains(&Some(*index))).collect();
        Self { fields, absent }
    }
}

/// Which value could not be appended, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowFault {
    /// Index of the column in the layout.
    pub column: usize,
    /// Why.
    pub fault: Fault,
}

/// Rows of one table.
#[derive(Debug)]
pub struct TableBatch {
    pub(super) layout: Arc<Layout>,
    pub(super) columns: Vec<ColumnBuffer>,
    versions: Vec<u8>,
    deleted: Vec<u8>,
    ordinals: Vec<u8>,
    pub(super) log: LogColumns,
    last: Option<(Version, u64)>,
    rows: usize,
    bytes: usize,
}

impl TableBatch {
    /// An empty batch. `None` where the layout asks for a conversion that does not exist.
    pub fn new(layout: Arc<Layout>) -> Option<Self> {
        let columns =
            layout.columns.iter().map(|column| ColumnBuffer::of(column, layout.ranges)).collect::<Option<Vec<_>>>()?;
        Some(Self {
            layout,
            columns,
            versions: Vec::new(),
            deleted: Vec::new(),
            ordinals: Vec::new(),
            log: LogColumns::default(),
            last: None,
            rows: 0,
            bytes: 0,
        })
    }

    /// The version and ordinal of the last row: what the next batch of the table counts on from.
    pub fn last(&self) -> Option<(Version, u64)> {
        self.last
    }

    /// Counts on behind the last row of the batch before: rows of one COPY share an LSN, and may be cut into several batches.
    #[must_use]
    pub fn counting_from(mut self, last: Option<(Version, u64)>) -> Self {
        self.last = last;
        self
    }

    /// The next row of this version gets the ordinal behind this one: where the source itself counts rows.
    pub fn count_behind(&mut self, version: Version, ordinal: u64) {
        self.last = Some((version, ordinal));
    }

    /// What it looks like.
    pub fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    /// Rows so far, tombstones included.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes that wait in it.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The buffers, in the layout's order.
    pub fn columns(&self) -> &[ColumnBuffer] {
        &self.columns
    }

    /// The version column's bytes.
    pub fn versions(&self) -> &[u8] {
        &self.versions
    }

    /// The deletion marks' bytes.
    pub fn deleted(&self) -> &[u8] {
        &self.deleted
    }

    /// The ordinals' bytes: places among the rows that share a version.
    pub fn ordinals(&self) -> &[u8] {
        &self.ordinals
    }

    /// What rows of a log say beside their values.
    pub fn log(&self) -> &LogColumns {
        &self.log
    }

    /// Appends a row.
    ///
    /// # Errors
    /// [`RowFault`]; the batch is then as it was.
    #[inline]
    pub fn push<'a>(
        &mut self,
        map: &RowMap,
        fields: impl Iterator<Item = Field<'a>>,
        version: Version,
    ) -> Result<(), RowFault> {
        if failpoint::once("encode.row") {
            return Ok(());
        }
        match self.append_fields(map, fields) {
            Ok(bytes) => {
                self.finish_row(version, 0, bytes);
                Ok(())
            }
            Err(fault) => {
                self.undo_columns();
                Err(fault)
            }
        }
    }

    /// Appends a tombstone: the key of an old row, defaults in the other columns.
    ///
    /// # Errors
    /// [`RowFault`] where the key is not in the fields; the batch is then as it was.
    pub fn push_tombstone<'a>(
        &mut self,
        map: &RowMap,
        fields: impl Iterator<Item = Field<'a>>,
        version: Version,
    ) -> Result<(), RowFault> {
        let mut bytes = 0;
        let layout = Arc::clone(&self.layout);
        for (place, field) in map.fields.iter().zip(fields) {
            let Some(index) = *place else { continue };
            if !layout.key.contains(&index) {
                continue;
            }
            let Some(column) = self.columns.get_mut(index) else { continue };
            if let Err(fault) = column.append(field) {
                self.undo_columns();
                return Err(RowFault { column: index, fault });
            }
            bytes += width(field);
        }
        if let Some(&missing) =
            layout.key.iter().find(|&&index| self.columns.get(index).is_some_and(|column| column.rows() == self.rows))
        {
            self.undo_columns();
            return Err(RowFault { column: missing, fault: Fault::Unchanged });
        }
        for column in self.columns.iter_mut().filter(|column| column.rows() == self.rows) {
            column.append_default();
        }
        self.finish_row(version, 1, bytes);
        Ok(())
    }

    /// Appends a tombstone of a row that the destination holds: its sorting key as the destination sent it, in RowBinary.
    ///
    /// # Errors
    /// [`RowFault`] where the key ends early; the batch is then as it was.
    pub fn push_tombstone_of(&mut self, mut key: &[u8], version: Version) -> Result<(), RowFault> {
        let (layout, bytes) = (Arc::clone(&self.layout), key.len());
        for &index in &layout.key {
            let Some(column) = self.columns.get_mut(index) else { continue };
            if let Err(fault) = column.append_row_binary(&mut key) {
                self.undo_columns();
                return Err(RowFault { column: index, fault });
            }
        }
        for column in self.columns.iter_mut().filter(|column| column.rows() == self.rows) {
            column.append_default();
        }
        self.finish_row(version, 1, bytes);
        Ok(())
    }

    /// Appends a row whose gaps are filled from `fills`: RowBinary values of the named columns, in their order.
    ///
    /// # Errors
    /// [`RowFault`]; the batch is then as it was.
    pub fn push_filled<'a>(
        &mut self,
        map: &RowMap,
        fields: impl Iterator<Item = Field<'a>>,
        fills: &mut dyn FnMut(usize, &mut ColumnBuffer) -> Result<(), Fault>,
        version: Version,
    ) -> Result<(), RowFault> {
        let mut bytes = 0;
        for (place, field) in map.fields.iter().zip(fields) {
            let Some(index) = *place else { continue };
            let Some(column) = self.columns.get_mut(index) else { continue };
            let appended = if field == Field::Unchanged { fills(index, column) } else { column.append(field) };
            if let Err(fault) = appended {
                self.undo_columns();
                return Err(RowFault { column: index, fault });
            }
            bytes += width(field);
        }
        if let Err(fault) = self.append_absent(map) {
            self.undo_columns();
            return Err(fault);
        }
        self.finish_row(version, 0, bytes);
        Ok(())
    }

    #[inline]
    fn append_fields<'a>(&mut self, map: &RowMap, fields: impl Iterator<Item = Field<'a>>) -> Result<usize, RowFault> {
        let mut bytes = 0;
        for (place, field) in map.fields.iter().zip(fields) {
            let Some(index) = *place else { continue };
            if let Some(column) = self.columns.get_mut(index) {
                column.append(field).map_err(|fault| RowFault { column: index, fault })?;
                bytes += width(field);
            }
        }
        if !map.absent.is_empty() {
            self.append_absent(map)?;
        }
        Ok(bytes)
    }

    /// Rows older than a column hold what Postgres answers for them, always written out.
    pub(super) fn append_absent(&mut self, map: &RowMap) -> Result<(), RowFault> {
        for &index in &map.absent {
            let missing = self.layout.columns.get(index).and_then(|column| column.missing.as_deref());
            let field = missing.map_or(Field::Null, |text| Field::Text(text.as_bytes()));
            if let Some(column) = self.columns.get_mut(index) {
                column.append(field).map_err(|fault| RowFault { column: index, fault })?;
            }
        }
        Ok(())
    }

    pub(super) fn undo_columns(&mut self) {
        for column in self.columns.iter_mut().filter(|column| column.rows() > self.rows) {
            column.undo();
        }
    }

    /// Takes the last whole row back, for a change that is only whole with another one; `before` it: the version and ordinal of the row before, and the bytes.
    pub(super) fn take_back(&mut self, (last, bytes): (Option<(Version, u64)>, usize)) {
        self.rows -= 1;
        for column in &mut self.columns {
            column.undo_earlier();
        }
        self.versions.truncate(self.rows * size_of::<Version>());
        self.deleted.truncate(self.rows);
        self.ordinals.truncate(self.ordinals.len().min(self.rows * size_of::<u64>()));
        (self.last, self.bytes) = (last, bytes);
    }

    #[inline]
    fn finish_row(&mut self, version: Version, deleted: u8, bytes: usize) {
        self.finish(version, (deleted, LogEntry::READ), bytes);
    }

    pub(super) fn finish_entry(&mut self, version: Version, entry: LogEntry, bytes: usize) {
        self.finish(version, (0, entry), bytes + 16);
    }

    #[inline]
    fn finish(&mut self, version: Version, (deleted, entry): (u8, LogEntry), bytes: usize) {
        if let Some(form) = self.layout.log {
            self.log.push(form, entry);
        }
        self.versions.extend_from_slice(&version.0.to_le_bytes());
        self.deleted.push(deleted);
        if self.layout.deleted_column.is_none() {
            let ordinal = match self.last {
                Some((before, ordinal)) if before == version => ordinal + 1,
                _ => 0,
            };
            self.last = Some((version, ordinal));
            self.ordinals.extend_from_slice(&ordinal.to_le_bytes());
        }
        self.rows += 1;
        self.bytes += bytes + 17;
    }

    /// Values stored as NULL because ClickHouse can't hold them, by column name.
    pub fn policy_nulls(&self) -> impl Iterator<Item = (&str, u64)> {
        self.layout
            .columns
            .iter()
            .zip(&self.columns)
            .map(|(column, buffer)| (column.name.as_str(), buffer.policy_nulls()))
            .filter(|(_, count)| *count > 0)
    }
}

#[inline]
pub(super) fn width(field: Field<'_>) -> usize {
    match field {
        Field::Null | Field::Unchanged => 1,
        Field::Text(bytes) | Field::Binary(bytes) => bytes.len() + 1,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::batch::ValueType;

    pub(in crate::batch) fn layout() -> Arc<Layout> {
        let column = |name: &str, source, column_type, missing: Option<&str>| LayoutColumn {
            name: name.into(),
            source,
            column_type,
            missing: missing.map(str::to_owned),
            transform: None,
        };
        Arc::new(Layout {
            relation: 1,
            target: "t".into(),
            columns: vec![
                column("id", SourceType::Int4, ColumnType::required(ValueType::Int32), None),
                column("name", SourceType::String, ColumnType::required(ValueType::String), None),
                column("late", SourceType::Int4, ColumnType::nullable(ValueType::Int32), Some("7")),
            ],
            key: vec![0],
            version_column: "_version".into(),
            deleted_column: Some("_deleted".into()),
            source_deleted_column: None,
            log: None,
            identity: None,
            ranges: Ranges::default(),
            first_commit: Lsn::ZERO,
        })
    }

    #[test]
    fn rows_tombstones_and_columns_that_came_later() {
        let layout = layout();
        let mut batch = TableBatch::new(Arc::clone(&layout)).unwrap();
        let map = RowMap::by_name(&layout, ["id", "other", "name"].into_iter());
        let version = Version::new(Lsn(2), Lsn(1));
        batch.push(&map, [Field::Text(b"1"), Field::Null, Field::Text(b"x")].into_iter(), version).unwrap();
        batch.push_tombstone(&map, [Field::Text(b"1"), Field::Null, Field::Null].into_iter(), version).unwrap();
        assert_eq!((batch.rows(), batch.deleted()), (2, &[0, 1][..]));
        assert_eq!(batch.columns()[1].parts(), [&[1, b'x', 0][..]]);
        assert_eq!(batch.columns()[2].parts(), [&[0, 0][..], &[7, 0, 0, 0, 0, 0, 0, 0]]);
    }

    #[test]
    fn a_bad_row_leaves_no_trace() {
        let layout = layout();
        let mut batch = TableBatch::new(Arc::clone(&layout)).unwrap();
        let map = RowMap::by_name(&layout, ["id", "name", "late"].into_iter());
        let row = [Field::Text(b"1"), Field::Unchanged, Field::Null];
        let fault = batch.push(&map, row.into_iter(), Version::SNAPSHOT).unwrap_err();
        assert_eq!(fault, RowFault { column: 1, fault: Fault::Unchanged });
        let fault = batch.push_tombstone(&map, [Field::Null].into_iter(), Version::SNAPSHOT).unwrap_err();
        assert_eq!(fault.column, 0);
        assert!(batch.rows() == 0 && batch.columns().iter().all(|column| column.rows() == 0));
    }

    #[test]
    fn keys_of_deleted_rows_are_rows_of_their_own() {
        let layout = layout();
        let mut deletions = crate::batch::Deletions::new(Arc::clone(&layout)).unwrap();
        let map = RowMap::by_name(&layout, ["name", "id"].into_iter());
        let version = Version::new(Lsn(2), Lsn(1));
        assert!(deletions.push(&map, [Field::Null, Field::Null].into_iter(), (version, 5)).is_err());
        deletions.push(&map, [Field::Null, Field::Text(b"7")].into_iter(), (version, 5)).unwrap();
        let mut row = vec![7, 0, 0, 0];
        row.extend_from_slice(&version.0.to_le_bytes());
        row.extend_from_slice(&5i64.to_le_bytes());
        assert_eq!(deletions.each().collect::<Vec<_>>(), [row.as_slice()]);
    }

    #[test]
    fn rows_that_share_a_version_are_counted_over_batches() {
        let keyless = Layout { deleted_column: None, log: Some(LogForm::Inserts), ..Layout::clone(&layout()) };
        let keyless = Arc::new(keyless);
        let map = RowMap::by_name(&keyless, ["id", "name"].into_iter());
        let row = || [Field::Text(b"1"), Field::Text(b"x")].into_iter();
        let version = Version::new(Lsn(2), Lsn(1));
        let mut first = TableBatch::new(Arc::clone(&keyless)).unwrap();
        first.push(&map, row(), version).unwrap();
        let mut second = TableBatch::new(keyless).unwrap().counting_from(first.last());
        second.push(&map, row(), version).unwrap();
        second.push(&map, row(), Version::new(Lsn(2), Lsn(9))).unwrap();
        let ordinals: Vec<u8> = [1u64, 0].iter().flat_map(|ordinal| ordinal.to_le_bytes()).collect();
        assert_eq!(second.ordinals(), ordinals);
    }
}
