//! Tables as the source's catalog describes them.

use super::{SourceType, TableName};
use std::collections::BTreeMap;

/// Which columns Postgres sends of a row's old version (`pg_class.relreplident`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplicaIdentity {
    /// The primary key, or nothing where there is none.
    Default,
    /// The columns of an index of this name.
    Index(String),
    /// The whole old row.
    Full,
    /// Nothing.
    Nothing,
}

/// A column of a source table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// `pg_attribute.attnum`: what stays the same when the column is renamed.
    pub number: i16,
    /// OID of the declared type, a domain's own where it is one.
    pub type_oid: u32,
    /// `pg_attribute.atttypmod`.
    pub type_modifier: i32,
    /// The declared type as `format_type` writes it, for people.
    pub type_name: String,
    /// What the column holds, domains resolved.
    pub source_type: SourceType,
    /// The function that writes the type as text, quoted and schema-qualified, such as `pg_catalog.inet_out`.
    pub output_function: String,
    /// Declared NOT NULL, by the column or by its domain.
    pub not_null: bool,
    /// `GENERATED ALWAYS AS … STORED`: never sent by Postgres before 18.
    pub generated: bool,
    /// Whether long values may be stored out of line, so that an UPDATE may leave them out of its event.
    pub toastable: bool,
    /// What rows older than the column answer (`attmissingval`), as text.
    pub missing_value: Option<String>,
}

/// A source table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableSchema {
    /// `pg_class.oid`.
    pub relid: u32,
    /// Its name.
    pub name: TableName,
    /// Its columns in order, without dropped ones.
    pub columns: Vec<Column>,
    /// The highest number that a column of it ever had (`pg_class.relnatts`), dropped ones included; 0 where that is not known.
    pub newest_column: i16,
    /// Indexes into `columns` of the row's identity: the primary key or the replica identity's index, in key order. Empty
    /// where the table has none that can be relied on (a deferrable key is none).
    pub key: Vec<usize>,
    /// What Postgres sends of old rows.
    pub identity: ReplicaIdentity,
    /// `relkind = 'p'`: rows lie in its partitions.
    pub partitioned: bool,
    /// Unlogged or temporary: its changes never reach the write-ahead log.
    pub unlogged: bool,
    /// The planner's estimate of rows, partitions included; 0 where the table was never analysed.
    pub estimated_rows: u64,
    /// Size of the heap and its TOAST table in bytes, partitions included.
    pub bytes: u64,
}

impl TableSchema {
    /// The key's columns, in key order.
    pub fn key_columns(&self) -> impl Iterator<Item = &Column> {
        self.key.iter().filter_map(|&index| self.columns.get(index))
    }

    /// What rows older than a column answer in it, as text, by [`Column::number`].
    pub fn missing_values(&self) -> BTreeMap<i16, String> {
        self.columns.iter().filter_map(|column| Some((column.number, column.missing_value.clone()?))).collect()
    }

    /// What rows of it look like: equal for two readings of a table that was not altered in between.
    pub fn form(&self) -> String {
        let columns = self
            .columns
            .iter()
            .map(|column| format!("{}:{}:{}:{}", column.number, column.name, column.type_oid, column.type_modifier));
        let key = self.key_columns().map(|column| column.number.to_string());
        format!("{}/{}", columns.collect::<Vec<_>>().join(","), key.collect::<Vec<_>>().join(","))
    }

    /// The column of a name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }
}
