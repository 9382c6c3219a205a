//! The statements that make and alter tables. Pure: from a [`TableShape`] to SQL.

use super::plan::SOURCE_DELETED_COLUMN;
use super::shape::{ColumnShape, TableShape};
use crate::config::ClickHouseSettings;
use crate::server::clickhouse::{quote_ident, quote_text};

/// Where a replicated table's parts are agreed upon: the path that ClickHouse itself proposes, with its macros.
const REPLICA: &str = "'/clickhouse/tables/{shard}/{database}/{table}', '{replica}'";

/// Makes the database where it is missing.
pub fn create_database(settings: &ClickHouseSettings) -> String {
    format!("CREATE DATABASE IF NOT EXISTS {}{}", quote_ident(&settings.database), on_cluster(settings))
}

/// Makes the table where it is missing.
pub fn create_table(shape: &TableShape, settings: &ClickHouseSettings) -> String {
    let columns: Vec<String> = shape
        .columns
        .iter()
        .chain(&shape.added)
        .map(|column| format!("{} {}{}", quote_ident(&column.name), column.column_type, comment(column)))
        .collect();
    let (partition_by, table_settings) = match &shape.partition_by {
        // What partitions may be NULL: a date has values that ClickHouse cannot hold.
        Some(expression) => (format!("\nPARTITION BY {expression}"), "\nSETTINGS allow_nullable_key = 1"),
        None => (String::new(), ""),
    };
    format!(
        "CREATE TABLE IF NOT EXISTS {}{}\n(\n    {}\n)\nENGINE = {}{}\nORDER BY ({}){}",
        qualified(&shape.name, settings),
        on_cluster(settings),
        columns.join(",\n    "),
        engine(shape, settings),
        partition_by,
        names(&shape.sorting_key),
        table_settings,
    )
}

fn comment(column: &ColumnShape) -> String {
    column.comment.as_deref().map(|comment| format!(" COMMENT {}", quote_text(comment))).unwrap_or_default()
}

fn engine(shape: &TableShape, settings: &ClickHouseSettings) -> String {
    let columns = names(&shape.engine_columns);
    match settings.cluster {
        Some(_) => format!("ReplicatedReplacingMergeTree({REPLICA}, {columns})"),
        None => format!("ReplacingMergeTree({columns})"),
    }
}

/// Makes the view that shows the table as it is at the source: its live rows, and the source's columns alone.
pub fn create_current_view(shape: &TableShape, settings: &ClickHouseSettings) -> String {
    let columns: Vec<&str> = shape.columns.iter().map(|column| column.name.as_str()).collect();
    if shape.counted_in.is_some() {
        return counting_view(shape, &names(&columns), settings);
    }
    let live = if shape.keeps_deleted() {
        format!("\nWHERE {} IS NULL", quote_ident(SOURCE_DELETED_COLUMN))
    } else {
        String::new()
    };
    format!(
        "CREATE OR REPLACE VIEW {}{} AS\nSELECT {}\nFROM {} FINAL{live}",
        qualified(&shape.current_view_name(), settings),
        on_cluster(settings),
        names(&columns),
        qualified(&shape.name, settings),
    )
}

/// The view of a signed log: each row as often as its signs sum up to, of those behind the last truncation, which has the sign 0.
fn counting_view(shape: &TableShape, columns: &str, settings: &ClickHouseSettings) -> String {
    let version = names(&shape.engine_columns);
    format!(
        "CREATE OR REPLACE VIEW {view}{cluster} AS\nSELECT {columns}\nFROM\n(\n    SELECT {columns}, sum(`_sign`) AS `_copies`\n    FROM {log} FINAL\n    \
         WHERE (`_sign` != 0) AND ({version} >= (SELECT max({version}) FROM {log} WHERE `_sign` = 0))\n    GROUP BY {columns}\n    HAVING `_copies` > 0\n)\n\
         ARRAY JOIN range(toUInt64(`_copies`)) AS `_copy`",
        view = qualified(&shape.current_view_name(), settings),
        cluster = on_cluster(settings),
        log = qualified(&shape.name, settings),
    )
}

/// Drops a table where it is there, and waits until it is gone.
pub fn drop_table(table: &str, settings: &ClickHouseSettings) -> String {
    format!("DROP TABLE IF EXISTS {}{} SYNC", qualified(table, settings), on_cluster(settings))
}

/// Adds a column.
pub fn add_column(table: &str, column: &ColumnShape, settings: &ClickHouseSettings) -> String {
    add(table, column, "", settings)
}

fn add(table: &str, column: &ColumnShape, default: &str, settings: &ClickHouseSettings) -> String {
    let (alter, name) = (alter(table, settings), quote_ident(&column.name));
    format!("{alter} ADD COLUMN IF NOT EXISTS {name} {}{default}{}", column.column_type, comment(column))
}

/// Says in the catalog what a column holds.
pub fn describe_column(table: &str, column: &ColumnShape, settings: &ClickHouseSettings) -> String {
    let text = quote_text(column.comment.as_deref().unwrap_or_default());
    format!("{} COMMENT COLUMN {} {text}", alter(table, settings), quote_ident(&column.name))
}

/// Adds a column whose value in the rows that are there already is `value`, an SQL expression. Three statements: the value has to be
/// written into those rows, since a default that stayed would change them again whenever it is altered.
pub fn add_filled_column(table: &str, column: &ColumnShape, value: &str, settings: &ClickHouseSettings) -> Vec<String> {
    let mut statements = vec![add(table, column, &format!(" DEFAULT {value}"), settings)];
    statements.extend(fill_column(table, &column.name, settings));
    statements
}

/// The second and third step of [`add_filled_column`], for when it was interrupted after the first.
pub fn fill_column(table: &str, name: &str, settings: &ClickHouseSettings) -> Vec<String> {
    let (alter, column) = (alter(table, settings), quote_ident(name));
    vec![
        format!("{alter} MATERIALIZE COLUMN {column} SETTINGS mutations_sync = 2"),
        format!("{alter} MODIFY COLUMN {column} REMOVE DEFAULT"),
    ]
}

/// Gives a column a wider type.
pub fn widen_column(table: &str, name: &str, column_type: &str, settings: &ClickHouseSettings) -> String {
    format!("{} MODIFY COLUMN {} {column_type} SETTINGS mutations_sync = 2", alter(table, settings), quote_ident(name))
}

/// Gives a column another name.
pub fn rename_column(table: &str, name: &str, new_name: &str, settings: &ClickHouseSettings) -> String {
    format!(
        "{} RENAME COLUMN {} TO {} SETTINGS mutations_sync = 2",
        alter(table, settings),
        quote_ident(name),
        quote_ident(new_name)
    )
}

/// The beginning of a statement that alters a table.
pub fn alter(table: &str, settings: &ClickHouseSettings) -> String {
    format!("ALTER TABLE {}{}", qualified(table, settings), on_cluster(settings))
}

/// A table's name with the settings' database, quoted.
pub fn qualified(table: &str, settings: &ClickHouseSettings) -> String {
    format!("{}.{}", quote_ident(&settings.database), quote_ident(table))
}

fn names<T: AsRef<str>>(names: &[T]) -> String {
    names.iter().map(|name| quote_ident(name.as_ref())).collect::<Vec<_>>().join(", ")
}

fn on_cluster(settings: &ClickHouseSettings) -> String {
    settings.cluster.as_deref().map(|cluster| format!(" ON CLUSTER {}", quote_ident(cluster))).unwrap_or_default()
}
