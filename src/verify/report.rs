//! What verify found.

use serde::Serialize;
use std::collections::BTreeMap;

/// The whole finding; as JSON it is the document of `--output json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Version of this document's form.
    pub version: u8,
    /// Whether nothing was found that makes the sides differ.
    pub equal: bool,
    /// Part of the rows that was compared, 0 to 1; all of them where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample: Option<f64>,
    /// The position in Postgres' log that the sides were compared at, or, where that took longer, from.
    pub fence: String,
    /// Bytes of the log before that position that nobody has confirmed, where no sync runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub behind_bytes: Option<u64>,
    /// The tables, in the order they were asked for.
    pub tables: Vec<TableReport>,
}

/// What was found of one table.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct TableReport {
    /// The table at the source.
    pub source: String,
    /// The table in ClickHouse.
    pub target: String,
    /// Why the table could not be compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Why sync has not brought the table up to date, where that is known and the sides differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What was mended; absent where nobody asked for it, or nothing differed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repaired: Option<Repaired>,
    /// Rows at the source.
    pub rows: u64,
    /// Of these, those whose every value is equal.
    pub equal: u64,
    /// Rows of the source that ClickHouse does not have.
    pub missing: u64,
    /// Rows of ClickHouse that the source does not have.
    pub extra: u64,
    /// Rows with another value.
    pub different: u64,
    /// Rows among `missing`, `extra` and `different` that changed whenever they were looked at.
    pub unsettled: u64,
    /// Values that are stored as NULL, or as an empty array, because ClickHouse cannot hold them: how many of which column.
    pub policy_nulls: BTreeMap<String, u64>,
    /// Columns that could not be compared, and why.
    pub not_compared: BTreeMap<String, String>,
    /// The first rows that differ.
    pub differences: Vec<RowReport>,
}

impl TableReport {
    /// Whether both sides are equal; strictly, a column that could not be compared is a difference too.
    pub fn is_equal(&self, strict: bool) -> bool {
        let differing = self.missing + self.different + self.extra;
        differing == 0 && self.problem.is_none() && (!strict || self.not_compared.is_empty())
    }
}

/// What was mended in a table. The numbers of its report are those of the comparison afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Repaired {
    /// Rows that were written again as the source has them.
    pub rows: u64,
    /// Rows that were marked deleted, since the source does not have them.
    pub tombstones: u64,
    /// Why no more was mended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// What is wrong with a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Fault {
    /// ClickHouse does not have it.
    Missing,
    /// Only ClickHouse has it.
    Extra,
    /// A value differs.
    Different,
}

/// A row that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RowReport {
    /// What is wrong with it.
    pub fault: Fault,
    /// Names and values of its key's columns.
    pub key: Vec<(String, Option<String>)>,
    /// The columns that differ.
    pub columns: Vec<ColumnReport>,
}

/// A value that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ColumnReport {
    /// The column's name at the source.
    pub name: String,
    /// The values of both sides, where they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub values: Option<Values>,
}

/// A value on both sides, as each server writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Values {
    /// Postgres' value.
    pub source: Option<String>,
    /// ClickHouse's value.
    pub target: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_nobody_could_compare_counts_only_strictly() {
        let mut table = TableReport::default();
        table.not_compared.insert("payload".to_owned(), "no form".to_owned());
        assert!(table.is_equal(false) && !table.is_equal(true));
    }
}
