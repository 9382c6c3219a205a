//! A table of both sides, with the form of each of its columns.

use super::form::Rendering;
use crate::sink::clickhouse::TablePlan;

/// A table to compare.
#[derive(Debug, Clone)]
pub struct Table {
    /// Which column is stored where, and which columns tell rows apart.
    pub plan: TablePlan,
    /// Which rows are published, as a condition in Postgres' SQL.
    pub row_filter: Option<String>,
}

/// A column of both sides.
#[derive(Debug, Clone)]
pub(super) struct ComparedColumn {
    pub(super) source: String,
    pub(super) target: String,
    pub(super) rendering: Rendering,
    /// NOT NULL at the source.
    pub(super) required: bool,
}

/// A table of both sides, ready to be compared.
#[derive(Debug, Clone)]
pub(super) struct ComparedTable {
    pub(super) columns: Vec<ComparedColumn>,
    /// Indexes into `columns`.
    pub(super) key: Vec<usize>,
    pub(super) row_filter: Option<String>,
}

impl ComparedTable {
    /// The columns that tell rows apart: the key's, or all.
    pub(super) fn key_columns(&self) -> impl Iterator<Item = &ComparedColumn> {
        let all = if self.key.is_empty() { self.columns.as_slice() } else { &[] };
        self.key.iter().filter_map(|&index| self.columns.get(index)).chain(all)
    }
}
