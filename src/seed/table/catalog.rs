//! What the catalog, and the rows that are there, say of a table that is to be filled.

use crate::change::TableName;
use crate::error::{Error, Kind, Result};
use crate::server::postgres::{Connection, quote_ident, quote_table, server_error};
use std::collections::HashSet;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

const TABLE: &str = include_str!("../../../sql/postgres/seed_table.sql");
const COLUMNS: &str = include_str!("../../../sql/postgres/seed_columns.sql");
const UNIQUE: &str = include_str!("../../../sql/postgres/seed_unique.sql");
const FOREIGN_KEYS: &str = include_str!("../../../sql/postgres/seed_foreign_keys.sql");
const ADVANCE_SEQUENCE: &str = include_str!("../../../sql/postgres/seed_advance_sequence.sql");

/// A column.
#[derive(Debug, Clone, Default)]
pub(super) struct ColumnFacts {
    pub(super) number: i16,
    pub(super) name: String,
    /// The type as it was declared, for messages.
    pub(super) declared: String,
    /// `pg_type.typname`, below domains and arrays.
    pub(super) type_name: String,
    pub(super) is_array: bool,
    /// `atttypmod` of the type or of the array.
    pub(super) modifier: i32,
    pub(super) not_null: bool,
    pub(super) filled: Filled,
    /// Of an enum.
    pub(super) labels: Vec<String>,
}

/// What stands in a column that an INSERT does not name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Filled {
    /// NULL.
    #[default]
    Not,
    /// A default.
    ByDefault,
    /// The next number of a sequence; its name, where the column owns it.
    BySequence(Option<String>),
    /// A value worked out from other columns; Postgres takes no other.
    Always,
}

impl ColumnFacts {
    /// Whether Postgres makes the values better than anybody else.
    pub(super) fn is_made_by_postgres(&self) -> bool {
        matches!(self.filled, Filled::BySequence(_) | Filled::Always)
    }

    /// Whether a row without a value for it is refused.
    pub(super) fn needs_value(&self) -> bool {
        self.not_null && self.filled == Filled::Not
    }
}

/// Columns that have to differ together.
#[derive(Debug, Clone)]
pub(super) struct UniqueSet {
    pub(super) name: String,
    pub(super) columns: Vec<i16>,
}

/// Columns that refer to another table's.
#[derive(Debug, Clone)]
pub(super) struct ForeignKey {
    pub(super) name: String,
    pub(super) columns: Vec<i16>,
    pub(super) parent: TableName,
    pub(super) parent_columns: Vec<String>,
    pub(super) to_itself: bool,
}

/// A table.
#[derive(Debug, Clone)]
pub(super) struct TableFacts {
    pub(super) name: TableName,
    pub(super) columns: Vec<ColumnFacts>,
    pub(super) unique: Vec<UniqueSet>,
    pub(super) foreign_keys: Vec<ForeignKey>,
}

impl TableFacts {
    /// The place of a column's number in `columns`.
    pub(super) fn place(&self, number: i16) -> Option<usize> {
        self.columns.iter().position(|column| column.number == number)
    }

    /// Reads a table.
    ///
    /// # Errors
    /// [`Kind::Source`] where there is no such table.
    pub(super) async fn read(connection: &Connection, name: &TableName) -> Result<Self> {
        let row = rows(connection, TABLE, &[&name.schema, &name.name]).await?.pop().ok_or_else(|| {
            Error::new(Kind::Source, format!("there is no table {name} in this database"))
                .hint("write it as schema.table, in the case in which Postgres stores it")
        })?;
        let (oid, kind): (u32, String) = (get(&row, 0)?, get(&row, 1)?);
        if !matches!(kind.as_str(), "r" | "p") {
            return Err(Error::new(Kind::Source, format!("{name} is no table that rows can be copied into"))
                .hint("views, foreign tables and sequences cannot be filled; name the table behind it"));
        }
        Ok(Self {
            name: name.clone(),
            columns: rows(connection, COLUMNS, &[&oid]).await?.iter().map(column).collect::<Result<_>>()?,
            unique: rows(connection, UNIQUE, &[&oid]).await?.iter().map(unique_set).collect::<Result<_>>()?,
            foreign_keys: rows(connection, FOREIGN_KEYS, &[&oid])
                .await?
                .iter()
                .map(foreign_key)
                .collect::<Result<_>>()?,
        })
    }
}

/// How many rows a table has.
pub(super) async fn count(connection: &Connection, table: &TableName) -> Result<u64> {
    let sql = format!("SELECT count(*) FROM {}", quote_table(table));
    let rows = rows(connection, &sql, &[]).await?;
    rows.first().map_or(Ok(0), |row| get::<i64>(row, 0).map(i64::unsigned_abs))
}

/// The greatest value of a column, as text; ordered as bytes where it is a text, so that codes of one width go on after it.
pub(super) async fn greatest(
    connection: &Connection,
    table: &TableName,
    column: &str,
    text: bool,
) -> Result<Option<String>> {
    let column = quote_ident(column);
    let value = if text { format!("{column}::text COLLATE \"C\"") } else { column };
    let sql = format!("SELECT max({value})::text FROM {}", quote_table(table));
    let rows = rows(connection, &sql, &[]).await?;
    rows.first().map_or(Ok(None), |row| get(row, 0))
}

/// Rows of some columns, as text, at most so many.
pub(super) async fn tuples(
    connection: &Connection,
    table: &TableName,
    columns: &[String],
    limit: u64,
) -> Result<Vec<Vec<String>>> {
    let quoted: Vec<String> = columns.iter().map(|column| quote_ident(column)).collect();
    let list: Vec<String> = quoted.iter().map(|column| format!("{column}::text")).collect();
    let present: Vec<String> = quoted.iter().map(|column| format!("{column} IS NOT NULL")).collect();
    let sql = format!(
        "SELECT ARRAY[{}] FROM {} WHERE {} ORDER BY {} LIMIT {limit}",
        list.join(", "),
        quote_table(table),
        present.join(" AND "),
        quoted.join(", "),
    );
    rows(connection, &sql, &[]).await?.iter().map(|row| get(row, 0)).collect()
}

/// All different rows of some columns, as text.
pub(super) async fn taken(
    connection: &Connection,
    table: &TableName,
    columns: &[String],
) -> Result<HashSet<Vec<String>>> {
    Ok(tuples(connection, table, columns, i64::MAX.unsigned_abs()).await?.into_iter().collect())
}

/// Moves a sequence behind the greatest value of its column.
pub(super) async fn advance(connection: &Connection, sequence: &str, greatest: i64) -> Result<bool> {
    Ok(!rows(connection, ADVANCE_SEQUENCE, &[&sequence, &greatest]).await?.is_empty())
}

fn column(row: &Row) -> Result<ColumnFacts> {
    Ok(ColumnFacts {
        number: get(row, 0)?,
        name: get(row, 1)?,
        declared: get(row, 2)?,
        type_name: get(row, 3)?,
        is_array: get(row, 4)?,
        modifier: get(row, 5)?,
        not_null: get(row, 6)?,
        filled: match get(row, 7)? {
            "sequence" => Filled::BySequence(get(row, 8)?),
            "always" => Filled::Always,
            "default" => Filled::ByDefault,
            _ => Filled::Not,
        },
        labels: get(row, 9)?,
    })
}

fn unique_set(row: &Row) -> Result<UniqueSet> {
    Ok(UniqueSet { name: get(row, 0)?, columns: get(row, 1)? })
}

fn foreign_key(row: &Row) -> Result<ForeignKey> {
    Ok(ForeignKey {
        name: get(row, 0)?,
        columns: get(row, 1)?,
        parent: TableName::new(get::<String>(row, 2)?, get::<String>(row, 3)?),
        to_itself: get(row, 4)?,
        parent_columns: get(row, 5)?,
    })
}

async fn rows(connection: &Connection, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>> {
    connection
        .query(sql, values)
        .await
        .map_err(|error| server_error("could not read what the table to fill is like", error))
}

fn get<'a, T: tokio_postgres::types::FromSql<'a>>(row: &'a Row, index: usize) -> Result<T> {
    row.try_get(index).map_err(|error| {
        Error::new(Kind::Unexpected, "could not read an answer of Postgres about the table to fill").because(error)
    })
}
