//! What ClickHouse's catalog says of a database's tables.

use super::client::Server;
use crate::error::{Error, Kind, Result};
use std::collections::BTreeMap;

const TABLES: &str = include_str!("../../../sql/clickhouse/catalog_tables.sql");
const COLUMNS: &str = include_str!("../../../sql/clickhouse/catalog_columns.sql");
const DATABASE: &str = include_str!("../../../sql/clickhouse/catalog_database.sql");
const TYPE_NAME: &str = include_str!("../../../sql/clickhouse/type_name.sql");

/// A database as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StoredDatabase {
    /// Whether there is one.
    pub exists: bool,
    /// Its tables and views, by name.
    pub tables: BTreeMap<String, StoredTable>,
}

/// A table or view as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StoredTable {
    /// Its engine, such as `ReplacingMergeTree`.
    pub engine: String,
    /// What the engine was told, in order: columns without their quotes, texts with them.
    pub engine_arguments: Vec<String>,
    /// What sorts it, in order: columns without their quotes.
    pub sorting_key: Vec<String>,
    /// Its partition key as ClickHouse writes it; empty for none.
    pub partition_key: String,
    /// A view's query; empty for a table.
    pub query: String,
    /// Its rows, deleted and outdated ones included; `None` where the engine does not know.
    pub rows: Option<u64>,
    /// Its columns in order.
    pub columns: Vec<StoredColumn>,
}

/// A column as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StoredColumn {
    /// Its name.
    pub name: String,
    /// Its type as ClickHouse writes it.
    pub column_type: String,
    /// `DEFAULT`, `MATERIALIZED`, `ALIAS`, `EPHEMERAL` or nothing.
    pub default_kind: String,
    /// Its default's expression as ClickHouse writes it.
    pub default_expression: String,
    /// Its comment.
    pub comment: String,
}

impl StoredTable {
    /// The column of a name.
    pub fn column(&self, name: &str) -> Option<&StoredColumn> {
        self.columns.iter().find(|column| column.name == name)
    }
}

/// Reads the tables of a database.
///
/// # Errors
/// As [`super::server_error`] sorts them.
pub async fn database(server: &Server, name: &str) -> Result<StoredDatabase> {
    let exists = !server.rows(DATABASE, &[("database", name)]).await?.is_empty();
    Ok(StoredDatabase { exists, tables: tables(server, name, "").await? })
}

/// Reads one table of a database that exists, and its current view, where they are there.
///
/// # Errors
/// As [`super::server_error`] sorts them.
pub async fn table(server: &Server, database: &str, name: &str) -> Result<StoredDatabase> {
    Ok(StoredDatabase { exists: true, tables: tables(server, database, name).await? })
}

/// All tables of a database, or the one of a name with its view.
async fn tables(server: &Server, database: &str, name: &str) -> Result<BTreeMap<String, StoredTable>> {
    let parameters = [("database", database), ("table", name)];
    let mut tables = BTreeMap::new();
    for row in server.rows(TABLES, &parameters).await? {
        let table = StoredTable {
            engine: text(&row, "engine")?,
            engine_arguments: arguments(&text(&row, "engine_full")?),
            sorting_key: sorting_key(&text(&row, "sorting_key")?),
            partition_key: text(&row, "partition_key")?,
            query: text(&row, "as_select")?,
            // 64-bit numbers come as texts.
            rows: row.get("total_rows").and_then(|rows| rows.as_str()?.parse().ok()),
            columns: Vec::new(),
        };
        tables.insert(text(&row, "name")?, table);
    }
    for row in server.rows(COLUMNS, &parameters).await? {
        let column = StoredColumn {
            name: text(&row, "name")?,
            column_type: text(&row, "type")?,
            default_kind: text(&row, "default_kind")?,
            default_expression: text(&row, "default_expression")?,
            comment: text(&row, "comment")?,
        };
        if let Some(table) = tables.get_mut(&text(&row, "table")?) {
            table.columns.push(column);
        }
    }
    Ok(tables)
}

/// A type as ClickHouse itself writes it, and so as its catalog has it.
///
/// # Errors
/// [`Kind::Destination`] where there is no such type.
pub async fn type_name(server: &Server, written: &str) -> Result<String> {
    let rows = server.rows(TYPE_NAME, &[("type", written)]).await?;
    let row = rows.first().ok_or_else(|| Error::new(Kind::Destination, "ClickHouse did not answer"))?;
    text(row, "type")
}

fn text(row: &serde_json::Map<String, serde_json::Value>, column: &str) -> Result<String> {
    row.get(column)
        .and_then(|value| value.as_str())
        .map(str::to_owned)
        .ok_or_else(|| Error::new(Kind::Destination, format!("could not read \"{column}\" of ClickHouse's catalog")))
}

/// The columns of a sorting key: a single one stands in parentheses where it was written so.
fn sorting_key(text: &str) -> Vec<String> {
    match list(text).as_slice() {
        [only] if only.starts_with('(') => only.strip_prefix('(').map(list).unwrap_or_default(),
        columns => columns.to_vec(),
    }
}

/// The arguments of `Engine(a, 'b', …) ORDER BY …`.
fn arguments(engine_full: &str) -> Vec<String> {
    let after_name = engine_full.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_');
    match after_name.strip_prefix('(') {
        Some(inside) => list(inside),
        None => Vec::new(),
    }
}

/// The elements of a list in ClickHouse's SQL, up to its closing parenthesis: names without their back-quotes, everything else as it is
/// written.
fn list(text: &str) -> Vec<String> {
    let mut elements = Vec::new();
    let mut element = String::new();
    let (mut depth, mut quote) = (0_usize, None);
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match (quote, c) {
            (Some(_), '\\') => {
                element.push(c);
                element.extend(rest.next());
                continue;
            }
            (Some(open), _) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '`' | '\'' | '"') => quote = Some(c),
            (None, '(') => depth += 1,
            (None, ')') if depth == 0 => break,
            (None, ')') => depth -= 1,
            (None, ',') if depth == 0 => {
                elements.push(unquoted(&std::mem::take(&mut element)));
                continue;
            }
            _ => {}
        }
        element.push(c);
    }
    if !element.trim().is_empty() {
        elements.push(unquoted(&element));
    }
    elements
}

/// A name without its back-quotes and their escapes.
fn unquoted(element: &str) -> String {
    let element = element.trim();
    let Some(inside) = element.strip_prefix('`').and_then(|rest| rest.strip_suffix('`')) else {
        return element.to_owned();
    };
    let mut name = String::new();
    let mut rest = inside.chars();
    while let Some(c) = rest.next() {
        name.extend(if c == '\\' { rest.next() } else { Some(c) });
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_lists_outside_quotes_and_parentheses() {
        assert_eq!(list("`c\\`d`, e, `a, b\\\\`"), ["c`d", "e", "a, b\\"]);
        assert_eq!(list("toDate(a, 'x,y)'), b"), ["toDate(a, 'x,y)')", "b"]);
        assert_eq!(list(""), Vec::<String>::new());
    }

    #[test]
    fn a_sorting_key_may_stand_in_parentheses() {
        assert_eq!(sorting_key("(`a)b`)"), ["a)b"]);
        assert_eq!(sorting_key("a, b"), ["a", "b"]);
        assert_eq!(sorting_key(""), Vec::<String>::new());
    }

    #[test]
    fn reads_engine_arguments() {
        let replicated = "ReplicatedReplacingMergeTree('/a/{shard}', '{replica}', _version, `x y`) ORDER BY (a, b)";
        assert_eq!(arguments(replicated), ["'/a/{shard}'", "'{replica}'", "_version", "x y"]);
        assert_eq!(arguments("MergeTree ORDER BY (a, b)"), Vec::<String>::new());
        assert_eq!(arguments(""), Vec::<String>::new());
    }
}
