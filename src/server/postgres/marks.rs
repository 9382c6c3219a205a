//! What changes in the catalog when a table changes, also where the stream says nothing of it.

use super::connect::server_error;
use crate::change::TableName;
use crate::error::Result;
use std::collections::BTreeMap;
use tokio_postgres::Client;

const MARKS: &str = include_str!("../../../sql/postgres/table_marks.sql");

/// A table's marks; two that are equal are of a table to which nothing has happened in between but changes of its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableMark {
    /// Its name.
    pub name: TableName,
    /// Another one after every change of its name, its columns or its keys.
    pub definition: String,
    /// Its own heap, or those of its partitions, by their ids.
    pub heaps: BTreeMap<u32, HeapMark>,
}

/// A heap's marks.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct HeapMark {
    /// `pg_class.relfilenode`: another one after everything that put its rows into a new file.
    pub file_node: u32,
    /// Another one after every ALTER of a column.
    pub attributes: String,
}

/// The marks of all tables, or of a single one, by their ids. Waits for no lock.
///
/// # Errors
/// As [`server_error`] sorts them.
pub async fn marks(client: &Client, relid: Option<u32>) -> Result<BTreeMap<u32, TableMark>> {
    let rows = client
        .query(MARKS, &[&relid])
        .await
        .map_err(|error| server_error("could not look for changed tables in Postgres' catalog", error))?;
    let mut found = BTreeMap::new();
    for row in &rows {
        let mark = found.entry(row.get("relid")).or_insert_with(|| TableMark {
            name: TableName::new(row.get::<_, String>("schema"), row.get::<_, String>("name")),
            definition: row.get("definition"),
            heaps: BTreeMap::new(),
        });
        if let Some(leaf) = row.get::<_, Option<u32>>("leaf") {
            let heap = HeapMark { file_node: row.get("file_node"), attributes: row.get("attributes") };
            mark.heaps.insert(leaf, heap);
        }
    }
    Ok(found)
}
