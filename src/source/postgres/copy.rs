//! Copies of tables: ranges of a heap, read under an exported snapshot by binary COPY.
//!
//! Every value comes in binary where pipectl reads the type's binary form, and otherwise as the text of the type's own output function, asked for in the
//! SELECT (`textin(inet_out(column))`): so that one format serves all, and a copied value equals the streamed one to the letter. A cast to `text` would not:
//! it trims `char(n)` and adds the mask to an `inet`.

use crate::batch::{Layout, needs_text};
use crate::change::{TableName, TableSchema};
use crate::config::PostgresSettings;
use crate::decode::copy::{CopyMessage, CopyRow, parse};
use crate::error::{Error, Kind, Result};
use crate::server::postgres::{Connection, connect, leaves, quote_ident, quote_table, server_error};
use futures_util::{StreamExt, TryStreamExt};
use std::pin::pin;

const CURRENT_SNAPSHOT: &str = include_str!("../../../sql/postgres/current_snapshot.sql");

/// Blocks of 8 kB that one range holds: 64 MiB, small enough to resume at, large enough for one COPY.
const BLOCKS_A_RANGE: u64 = 8192;

/// A part of a table: blocks of one heap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeapRange {
    /// The heap's id.
    pub heap: u32,
    /// The heap's name: the table itself, or one of its partitions.
    pub name: TableName,
    /// `pg_relation_filenode` when the range was planned: another one means other rows.
    pub filenode: u32,
    /// First block.
    pub first: u32,
    /// Block after the last one; absent for the last range, which takes all that came since.
    pub end: Option<u32>,
}

/// Cuts a table into ranges.
///
/// # Errors
/// What Postgres answers.
pub async fn plan_ranges(client: &tokio_postgres::Client, schema: &TableSchema) -> Result<Vec<HeapRange>> {
    let mut ranges = Vec::new();
    for leaf in leaves(client, schema.relid).await? {
        let count = (leaf.pages / BLOCKS_A_RANGE).max(1);
        for index in 0..count {
            ranges.push(HeapRange {
                heap: leaf.relid,
                name: leaf.name.clone(),
                filenode: leaf.file_node,
                first: (index * BLOCKS_A_RANGE) as u32,
                end: (index + 1 < count).then_some(((index + 1) * BLOCKS_A_RANGE) as u32),
            });
        }
    }
    Ok(ranges)
}

/// A session that reads ranges under a snapshot.
#[derive(Debug)]
pub struct CopySession {
    client: Connection,
}

impl CopySession {
    /// Opens a session and takes the snapshot.
    ///
    /// # Errors
    /// [`Kind::Source`] where the snapshot is gone, or lies on another server.
    pub async fn open(settings: &PostgresSettings, snapshot: &str) -> Result<Self> {
        let client = connect(settings).await?;
        let failed = |error| server_error("could not take the snapshot", error);
        client.batch_execute("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY").await.map_err(failed)?;
        // SET TRANSACTION SNAPSHOT takes no parameter; the name is the server's own, of hexadecimal digits and dashes.
        if !snapshot.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-') {
            return Err(Error::new(Kind::Source, "the server gave the snapshot a name of an unknown form"));
        }
        client.batch_execute(&format!("SET TRANSACTION SNAPSHOT '{snapshot}'")).await.map_err(failed)?;
        Ok(Self { client })
    }

    /// Exports a snapshot of its own: the name, and the session that holds it.
    ///
    /// # Errors
    /// What Postgres answers.
    pub async fn export(settings: &PostgresSettings) -> Result<(Self, String)> {
        let client = connect(settings).await?;
        let failed = |error| server_error("could not export a snapshot", error);
        client.batch_execute("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY").await.map_err(failed)?;
        let row = client.query_one("SELECT pg_catalog.pg_export_snapshot()", &[]).await.map_err(failed)?;
        let name = row.get(0);
        Ok((Self { client }, name))
    }

    /// Which transactions the snapshot shows, as Postgres writes it (`pg_snapshot`).
    ///
    /// # Errors
    /// What Postgres answers.
    pub async fn shown(&self) -> Result<String> {
        let failed = |error| server_error("could not ask what the snapshot shows", error);
        Ok(self.client.query_one(CURRENT_SNAPSHOT, &[]).await.map_err(failed)?.get("snapshot"))
    }

    /// The session itself.
    pub fn client(&self) -> &Connection {
        &self.client
    }

    /// Keeps a table as it is until the session ends: no TRUNCATE, no ALTER TABLE, nothing that moves its rows.
    ///
    /// # Errors
    /// What Postgres answers.
    pub async fn hold(&self, name: &TableName) -> Result<()> {
        let sql = format!("LOCK TABLE {} IN ACCESS SHARE MODE", quote_table(name));
        self.client
            .batch_execute(&sql)
            .await
            .map_err(|error| server_error(&format!("could not keep {name} from being altered"), error))
    }

    /// Whether a heap is still the one that the range was planned on.
    ///
    /// # Errors
    /// What Postgres answers.
    pub async fn unchanged(&self, range: &HeapRange) -> Result<bool> {
        let row = self
            .client
            .query_one("SELECT pg_catalog.pg_relation_filenode($1::oid::regclass)", &[&range.heap])
            .await
            .map_err(|error| server_error(&format!("could not look at {}", range.name), error))?;
        Ok(row.get::<_, Option<u32>>(0) == Some(range.filenode))
    }

    /// Begins to read a range.
    ///
    /// # Errors
    /// What Postgres answers.
    pub async fn read(
        &self,
        layout: &Layout,
        schema: &TableSchema,
        filter: Option<&str>,
        range: &HeapRange,
    ) -> Result<CopyReader> {
        let sql = copy_statement(&select_list(layout, schema), filter, range);
        let stream = self
            .client
            .copy_out(&sql)
            .await
            .map_err(|error| server_error(&format!("could not copy {}", range.name), error))?;
        Ok(CopyReader { stream: Box::pin(stream), first: true, name: range.name.clone() })
    }
}

/// Rows of a range on their way.
pub struct CopyReader {
    stream: std::pin::Pin<Box<tokio_postgres::CopyOutStream>>,
    first: bool,
    name: TableName,
}

impl std::fmt::Debug for CopyReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CopyReader").field("name", &self.name).finish_non_exhaustive()
    }
}

impl CopyReader {
    /// Hands rows to `row` until it says stop (`false`), or the range is at its end.
    ///
    /// # Errors
    /// What Postgres answers, or `row` returns.
    pub async fn rows(&mut self, mut row: impl FnMut(CopyRow<'_>) -> Result<bool>) -> Result<bool> {
        let failed = |error, name: &TableName| server_error(&format!("could not copy {name}"), error);
        let mut stream = pin!(self.stream.as_mut());
        while let Some(message) = stream.next().await {
            let message = message.map_err(|error| failed(error, &self.name))?;
            let parsed = parse(&message, self.first).map_err(|malformed| {
                Error::new(Kind::Source, format!("could not read the copy of {}", self.name)).because(malformed)
            })?;
            self.first = false;
            match parsed {
                CopyMessage::Row(fields) => {
                    if !row(fields)? {
                        return Ok(true);
                    }
                }
                CopyMessage::End => break,
            }
        }
        // The server's last word follows the end of the rows.
        stream.try_next().await.map_err(|error| failed(error, &self.name))?;
        Ok(false)
    }
}

/// The statement that reads a range; its columns are the layout's, in the layout's order.
fn copy_statement(selected: &[String], filter: Option<&str>, range: &HeapRange) -> String {
    let end = range.end.map_or(String::new(), |end| format!(" AND ctid < '({end},0)'::pg_catalog.tid"));
    let filter = filter.map_or(String::new(), |filter| format!(" AND ({filter})"));
    format!(
        "COPY (SELECT {} FROM ONLY {} WHERE ctid >= '({},0)'::pg_catalog.tid{end}{filter}) TO STDOUT (FORMAT binary)",
        selected.join(", "),
        quote_table(&range.name),
        range.first,
    )
}

/// The layout's columns as a SELECT names them; NULL for one that the source no longer has.
pub fn select_list(layout: &Layout, schema: &TableSchema) -> Vec<String> {
    let one = |column: &crate::batch::LayoutColumn| {
        let Some(source) = schema.column(&column.name) else { return "NULL::pg_catalog.text".to_owned() };
        let name = quote_ident(&source.name);
        if needs_text(&column.source, &column.column_type.value) {
            format!("pg_catalog.textin({}({name}))", source.output_function)
        } else {
            name
        }
    };
    layout.columns.iter().map(one).collect()
}
