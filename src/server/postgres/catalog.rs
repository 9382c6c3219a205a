//! What Postgres' catalog says of its tables. Needs no right beyond connecting, and never looks at a row.

use super::connect::server_error;
use super::source_type::{TypeFacts, source_type};
use crate::change::{Column, ReplicaIdentity, TableName, TableSchema};
use crate::error::{Error, Kind, Result};
use std::collections::BTreeMap;
use tokio_postgres::types::FromSql;
use tokio_postgres::{Client, Row};

const TABLES: &str = include_str!("../../../sql/postgres/catalog_tables.sql");
const COLUMNS: &str = include_str!("../../../sql/postgres/catalog_columns.sql");
const OF_NAME: &str = include_str!("../../../sql/postgres/table_of_name.sql");
const LEAVES: &str = include_str!("../../../sql/postgres/catalog_leaves.sql");

/// A table that holds rows: an ordinary one, or a leaf of a partitioned one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// `pg_class.oid`.
    pub relid: u32,
    /// Its name.
    pub name: TableName,
    /// Pages of its main file now: the ctids that exist lie below.
    pub pages: u64,
    /// `pg_relation_filenode()`: another one after anything that moved its rows (VACUUM FULL, a rewriting ALTER, TRUNCATE).
    pub file_node: u32,
}

/// All ordinary tables and the roots of partitioned ones, of all schemas but the system's, in the order of their names.
///
/// # Errors
/// As [`server_error`] sorts them; [`Kind::SourceUnreachable`] where a table was altered in the very moment.
pub async fn tables(client: &Client) -> Result<Vec<TableSchema>> {
    read(client, None, true).await
}

/// The table of an OID, which may be a partition's; `None` where there is none, or only something that is no table. Waits for no
/// lock: its size is the planner's estimate.
///
/// # Errors
/// As for [`tables`].
pub async fn table(client: &Client, relid: u32) -> Result<Option<TableSchema>> {
    Ok(read(client, Some(relid), false).await?.pop())
}

/// The table of a name; of a partition the table that it is a part of.
///
/// # Errors
/// As for [`tables`].
pub async fn table_of_name(client: &Client, name: &TableName) -> Result<Option<TableSchema>> {
    let row = client
        .query_opt(OF_NAME, &[&name.schema, &name.name])
        .await
        .map_err(|error| failed("the table of a name", error))?;
    match row {
        Some(row) => table(client, get(&row, "relid")?).await,
        None => Ok(None),
    }
}

/// The tables that hold a table's rows: itself, or the leaves of a partitioned one. Foreign tables among them are left out.
///
/// # Errors
/// As [`server_error`] sorts them.
pub async fn leaves(client: &Client, relid: u32) -> Result<Vec<Leaf>> {
    let rows = client.query(LEAVES, &[&relid]).await.map_err(|error| failed("the partitions of a table", error))?;
    rows.iter().map(leaf).collect()
}

async fn read(client: &Client, relid: Option<u32>, measure: bool) -> Result<Vec<TableSchema>> {
    let tables = client.query(TABLES, &[&relid, &measure]).await.map_err(|error| failed("the tables", error))?;
    let columns = client.query(COLUMNS, &[&relid]).await.map_err(|error| failed("the columns", error))?;
    let mut columns_of: BTreeMap<u32, Vec<Column>> = BTreeMap::new();
    for row in &columns {
        columns_of.entry(get(row, "relid")?).or_default().push(column(row)?);
    }
    tables.iter().map(|row| schema(row, columns_of.remove(&get(row, "relid")?).unwrap_or_default())).collect()
}

fn schema(row: &Row, columns: Vec<Column>) -> Result<TableSchema> {
    let name = TableName::new(get::<String>(row, "schema")?, get::<String>(row, "name")?);
    let key_numbers: Vec<i16> = get(row, "key")?;
    let key = key_numbers
        .iter()
        .map(|number| columns.iter().position(|column| column.number == *number))
        .collect::<Option<Vec<usize>>>()
        // Tables and columns are read by two statements: a column of the key may have gone in between.
        .ok_or_else(|| Error::new(Kind::SourceUnreachable, format!("table {name} was altered while it was read")))?;
    let identity_index: Option<String> = get(row, "identity_index")?;
    let identity = match (get::<&str>(row, "identity")?, identity_index) {
        ("d", _) => ReplicaIdentity::Default,
        ("f", _) => ReplicaIdentity::Full,
        ("i", Some(index)) => ReplicaIdentity::Index(index),
        _ => ReplicaIdentity::Nothing,
    };
    Ok(TableSchema {
        relid: get(row, "relid")?,
        name,
        columns,
        newest_column: get(row, "newest_column")?,
        key,
        identity,
        partitioned: get(row, "partitioned")?,
        unlogged: get(row, "unlogged")?,
        estimated_rows: get::<i64>(row, "estimated_rows")? as u64,
        bytes: get::<i64>(row, "bytes")? as u64,
    })
}

fn column(row: &Row) -> Result<Column> {
    let facts = TypeFacts {
        oid: get(row, "held_oid")?,
        name: get(row, "held_name")?,
        extension: get(row, "held_extension")?,
        is_enum: get(row, "held_is_enum")?,
        modifier: get(row, "held_modifier")?,
        arrays: get(row, "arrays")?,
        dimensions: get(row, "dimensions")?,
    };
    Ok(Column {
        name: get(row, "name")?,
        number: get(row, "number")?,
        type_oid: get(row, "type_oid")?,
        type_modifier: get(row, "type_modifier")?,
        type_name: get(row, "type_name")?,
        source_type: source_type(&facts),
        output_function: get(row, "output_function")?,
        not_null: get(row, "not_null")?,
        generated: get(row, "generated")?,
        toastable: get(row, "toastable")?,
        missing_value: get(row, "missing_value")?,
    })
}

fn leaf(row: &Row) -> Result<Leaf> {
    Ok(Leaf {
        relid: get(row, "relid")?,
        name: TableName::new(get::<String>(row, "schema")?, get::<String>(row, "name")?),
        pages: get::<i64>(row, "pages")? as u64,
        file_node: get(row, "file_node")?,
    })
}

fn get<'a, T: FromSql<'a>>(row: &'a Row, column: &str) -> Result<T> {
    row.try_get(column).map_err(|error| {
        Error::new(Kind::Unexpected, format!("could not read \"{column}\" of Postgres' catalog")).because(error)
    })
}

fn failed(what: &str, error: tokio_postgres::Error) -> Error {
    server_error(&format!("could not read {what} from Postgres' catalog"), error)
}
