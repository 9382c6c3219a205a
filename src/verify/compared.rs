//! A table of both sides, with the form of each of its columns.

use super::form::{Form, Rendering};
use crate::batch::LogForm;
use crate::sink::clickhouse::TablePlan;

/// A table to compare.
#[derive(Debug, Clone)]
pub struct Table {
    /// Which column is stored where, and which columns tell rows apart.
    pub plan: TablePlan,
    /// Which rows are published, as a condition in Postgres' SQL.
    pub row_filter: Option<String>,
}

impl Table {
    /// Whether what is stored are changes, of which the rows are to be made first.
    pub(super) fn is_log(&self) -> bool {
        self.plan.log == Some(LogForm::Changes)
    }

    /// Indexes into the plan's columns of those that tell the source's rows apart; of a log they are no key in ClickHouse.
    pub(super) fn key(&self) -> &[usize] {
        if self.is_log() { &self.plan.identity } else { &self.plan.key }
    }
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

impl ComparedColumn {
    pub(super) fn is_document(&self) -> bool {
        self.rendering.form == Form::Document
    }
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
    /// Indexes of the columns whose values are documents, which no server hashes.
    pub(super) fn documents(&self) -> impl Iterator<Item = usize> {
        self.columns.iter().enumerate().filter(|(_, column)| column.is_document()).map(|(index, _)| index)
    }

    /// The columns that tell rows apart: the key's, or all.
    pub(super) fn key_columns(&self) -> impl Iterator<Item = &ComparedColumn> {
        let all = if self.key.is_empty() { self.columns.as_slice() } else { &[] };
        self.key.iter().filter_map(|&index| self.columns.get(index)).chain(all)
    }
}
