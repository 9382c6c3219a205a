//! A table in ClickHouse's own words: what its DDL says, and what an existing table is compared with.

use super::plan::{ORDINAL_COLUMN, SOURCE_DELETED_COLUMN, TablePlan, log_columns, target_name};
use crate::change::TableName;
use crate::config::{ClickHouseSettings, Deletes, TableRule};
use crate::error::{Error, Kind, Result};

/// A table as it is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableShape {
    /// Its name, in the settings' database.
    pub name: String,
    /// The source's columns.
    pub columns: Vec<ColumnShape>,
    /// The columns that pipectl adds: version, mark of deleted rows or ordinal, and the time at which a row was deleted at the source where such rows stay.
    pub added: Vec<ColumnShape>,
    /// Columns that the engine is told of: the version, and the mark of deleted rows where there is one.
    pub engine_columns: Vec<String>,
    /// Names of the columns that sort it.
    pub sorting_key: Vec<String>,
    /// Its partition key, as the configuration has it.
    pub partition_by: Option<String>,
    /// Whether there is a view of its live rows.
    pub current_view: bool,
    /// The view's name where the table is a signed log, whose rows the view counts.
    pub counted_in: Option<String>,
}

/// A column as it is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnShape {
    /// Its name.
    pub name: String,
    /// Its type, as ClickHouse writes it.
    pub column_type: String,
    /// Its comment, where it holds something else than the source's values; otherwise a comment is its owner's.
    pub comment: Option<String>,
}

impl ColumnShape {
    fn new(name: impl Into<String>, column_type: impl Into<String>) -> Self {
        Self { name: name.into(), column_type: column_type.into(), comment: None }
    }
}

impl TableShape {
    /// The same table under another name, such as a shadow table's.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Whether rows stay that are deleted at the source.
    pub fn keeps_deleted(&self) -> bool {
        self.added.iter().any(|column| column.name == SOURCE_DELETED_COLUMN)
    }

    /// Name of the view of its live rows.
    pub fn current_view_name(&self) -> String {
        self.counted_in.clone().unwrap_or_else(|| format!("{}_current", self.name))
    }
}

impl TablePlan {
    /// The table in ClickHouse's words.
    pub fn shape(&self) -> TableShape {
        let column = |column: &super::ColumnPlan| ColumnShape {
            comment: column.transform.as_ref().map(crate::batch::Transform::described),
            ..ColumnShape::new(&column.name, column.column_type.to_string())
        };
        let columns = self.columns.iter().map(column).collect();
        let version = ColumnShape::new(&self.version_column, "UInt128");
        let (second, engine_columns, sorting_key) = if self.log.is_some() {
            let sorting_key = vec![self.version_column.clone(), ORDINAL_COLUMN.to_owned()];
            (ColumnShape::new(ORDINAL_COLUMN, "UInt64"), vec![self.version_column.clone()], sorting_key)
        } else {
            let sorting_key =
                self.sorting_key.iter().filter_map(|&index| self.columns.get(index)).map(|column| column.name.clone());
            let engine_columns = vec![self.version_column.clone(), self.deleted_column.clone()];
            (ColumnShape::new(&self.deleted_column, "UInt8"), engine_columns, sorting_key.collect())
        };
        let further = self.log.into_iter().flat_map(log_columns);
        let further = further.map(|(name, column_type)| ColumnShape::new(*name, *column_type));
        TableShape {
            name: self.target.clone(),
            columns,
            added: [version, second]
                .into_iter()
                .chain(further)
                .chain(self.keeps_deleted.then(source_deleted))
                .collect(),
            engine_columns,
            sorting_key,
            partition_by: self.partition_by.clone(),
            current_view: self.current_view || self.view.is_some(),
            counted_in: self.view.clone(),
        }
    }
}

fn source_deleted() -> ColumnShape {
    ColumnShape::new(SOURCE_DELETED_COLUMN, "Nullable(DateTime64(6, 'UTC'))")
}

/// The table that a rule writes out; nothing is asked of Postgres. `None` where it writes none out.
///
/// # Errors
/// [`Kind::Config`] where the sorting key is missing or names no column, or a column has the name of one that pipectl adds.
pub fn written_out(rule: &TableRule, settings: &ClickHouseSettings) -> Result<Option<TableShape>> {
    let Some(written) = &rule.written_out else { return Ok(None) };
    let source = match rule.source.split_once('.') {
        Some((schema, name)) => TableName::new(schema, name),
        None => TableName::new("public", &rule.source),
    };
    let refused = |why: String| Error::new(Kind::Config, format!("could not plan table {source}: {why}"));
    let added = [(&settings.version_column, "UInt128"), (&settings.deleted_column, "UInt8")];
    if let Some((name, _)) = added.iter().find(|(name, _)| written.iter().any(|column| column.name == **name)) {
        return Err(refused(format!("its column \"{name}\" has the name of a column that pipectl adds")).hint(
            "leave it out of `columns`, or rename pipectl's: `clickhouse.version_column`, `clickhouse.deleted_column`",
        ));
    }
    let Some(sorting_key) = rule.order_by.clone().filter(|columns| !columns.is_empty()) else {
        return Err(refused("a table that is written out needs `order_by`".to_owned())
            .hint("name the columns that make up its key"));
    };
    if let Some(name) = sorting_key.iter().find(|name| !written.iter().any(|column| column.name == **name)) {
        return Err(refused(format!("`order_by` names \"{name}\", which is not among its columns")));
    }
    Ok(Some(TableShape {
        name: target_name(&source, rule),
        columns: written.iter().map(|column| ColumnShape::new(&column.name, column.column_type.trim())).collect(),
        added: added
            .iter()
            .map(|(name, column_type)| ColumnShape::new(*name, *column_type))
            .chain((rule.deletes == Deletes::Keep).then(source_deleted))
            .collect(),
        engine_columns: added.iter().map(|(name, _)| (*name).clone()).collect(),
        sorting_key,
        partition_by: rule.partition_by.clone(),
        current_view: rule.current_view,
        counted_in: None,
    }))
}
