//! Stores batches in ClickHouse.
//!
//! `async_insert` is off, since an acknowledgement that comes before the data is stored is worth nothing (it is on by default in 26.x);
//! `wait_end_of_query` keeps an error from coming after the status line; blocks of many partitions are allowed; and no block is taken for a
//! repetition of another one, since a row's version alone decides that.

use super::documents::{ANSWERED, PARSED, has_documents, keeps_digits};
use super::encode::{encode, insert_statement};
use crate::batch::{ColumnBuffer, Deletions, Layout, LayoutColumn, TableBatch};
use crate::change::Version;
use crate::error::{Error, Kind, Result};
use crate::flow::{Newest, Sink, Truncation};
use crate::server::clickhouse::{Server, quote_ident, server_error};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OnceCell;

const SETTINGS: [(&str, &str); 6] = [
    ("async_insert", "0"),
    ("wait_end_of_query", "1"),
    ("insert_deduplicate", "0"),
    ("throw_on_max_partitions_per_insert_block", "0"),
    ("input_format_null_as_default", "0"),
    ("insert_null_as_default", "0"),
];
/// The same of an `INSERT … SELECT`.
const UNCHANGED: &str =
    "SETTINGS async_insert = 0, throw_on_max_partitions_per_insert_block = 0, insert_deduplicate = 0";
const SEND_TIMEOUT: Duration = Duration::from_secs(60);
const END_TIMEOUT: Duration = Duration::from_secs(600);
/// Hexadecimal digits of keys that one query carries: a parameter may have 128 KiB (`http_max_field_value_size`), and one more key may follow.
const KEYS_A_QUERY: usize = 100_000;

/// ClickHouse as a [`Sink`].
#[derive(Debug, Clone)]
pub struct ClickHouseSink {
    server: Server,
    database: String,
    /// The table that everything goes into, whatever layouts say.
    only: Option<String>,
    /// Whether the server was asked how it parses documents.
    documents: Arc<OnceCell<()>>,
}

impl ClickHouseSink {
    /// A sink into a database.
    pub fn new(server: Server, database: impl Into<String>) -> Self {
        Self { server, database: database.into(), only: None, documents: Arc::default() }
    }

    /// The same sink, with this table in the place of the one that layouts name, such as its shadow.
    #[must_use]
    pub fn into_table(&self, table: &str) -> Self {
        Self { only: Some(table.to_owned()), ..self.clone() }
    }

    fn table(&self, layout: &Layout) -> String {
        format!("{}.{}", quote_ident(&self.database), quote_ident(self.only.as_deref().unwrap_or(&layout.target)))
    }
}

impl Sink for ClickHouseSink {
    async fn insert(&self, batch: &TableBatch) -> Result<()> {
        if batch.rows() == 0 {
            return Ok(());
        }
        let target = &batch.layout().target;
        let failed = |error| server_error(&format!("could not insert into \"{target}\""), error);
        let mut insert = self
            .server
            .client()
            .insert_formatted_with(insert_statement(&self.table(batch.layout()), batch.layout()))
            .with_timeouts(Some(SEND_TIMEOUT), Some(END_TIMEOUT));
        let documents = if has_documents(batch.layout()) {
            self.documents.get_or_try_init(|| keeps_digits(&self.server)).await?;
            PARSED.as_slice()
        } else {
            &[]
        };
        for (name, value) in SETTINGS.iter().chain(documents).copied() {
            insert = insert.with_setting(name, value);
        }
        // Compression takes milliseconds a megabyte; other tasks of this thread go on elsewhere meanwhile.
        let frames = tokio::task::block_in_place(|| encode(batch)).map_err(failed)?;
        for frame in frames {
            insert.send_compressed(frame).await.map_err(failed)?;
        }
        insert.end().await.map_err(failed)
    }

    async fn mark_deleted(&self, deletions: &Deletions) -> Result<()> {
        let Some(keys) = Keys::of(deletions.layout()) else { return Ok(()) };
        for rows in in_hex(deletions)? {
            self.mark(&keys, GIVEN, &keys.given(&rows)).await?;
        }
        Ok(())
    }

    async fn truncate(&self, Truncation { layout, version, at }: &Truncation) -> Result<()> {
        let Some(deleted) = &layout.deleted_column else {
            // Rows without a key are a log of inserts: what was inserted stays.
            return Ok(());
        };
        let columns: Vec<String> = layout.columns.iter().map(|column| quote_ident(&column.name)).collect();
        let (columns, table) = (columns.join(", "), self.table(layout));
        let (version_column, deleted) = (quote_ident(&layout.version_column), quote_ident(deleted));
        // Where rows stay, those that went before keep the time at which they did.
        let (column, value, condition) = match layout.source_deleted_column.as_deref().map(quote_ident) {
            Some(column) => {
                let condition = format!(" AND {column} IS NULL");
                (column, "fromUnixTimestamp64Micro({at:Int64}, 'UTC')", condition)
            }
            None => (deleted, "1", String::new()),
        };
        let sql = format!(
            "INSERT INTO {table} ({columns}, {version_column}, {column}) \
             SELECT {columns}, {{version:UInt128}}, {value} FROM {table} FINAL \
             WHERE {version_column} < {{version:UInt128}}{condition} {UNCHANGED}"
        );
        self.server
            .execute(&sql, &[("version", &version.0.to_string()), ("at", &at.to_string())])
            .await
            .map_err(|error| error.during(format!("could not empty \"{}\"", layout.target)))
    }

    async fn newest(&self, layout: &Layout, columns: &[usize], keys: &[Vec<u8>]) -> Result<HashMap<Vec<u8>, Newest>> {
        let mut found = HashMap::new();
        let mut hex = String::new();
        for (index, key) in keys.iter().enumerate() {
            push_hex(&mut hex, key)?;
            if hex.len() >= KEYS_A_QUERY || index + 1 == keys.len() {
                self.newest_of(layout, columns, &hex, &mut found).await?;
                hex.clear();
            }
        }
        Ok(found)
    }
}

fn push_hex(hex: &mut String, bytes: &[u8]) -> Result<()> {
    bytes.iter().try_for_each(|byte| {
        write!(hex, "{byte:02x}").map_err(|error| Error::new(Kind::Unexpected, "could not write").because(error))
    })
}

/// The rows of [`Deletions`], as parameters of one statement hold them.
const GIVEN: &str = "format(RowBinary, {structure:String}, unhex({rows:String}))";

/// The key of a table whose rows stay when they are deleted, in statements that mark them: `k0`, `k1` … of the rows that are gone.
struct Keys<'a> {
    layout: &'a Layout,
    marked: String,
    columns: Vec<&'a LayoutColumn>,
}

impl<'a> Keys<'a> {
    /// Nothing where no row of the table stays.
    fn of(layout: &'a Layout) -> Option<Self> {
        let marked = layout.source_deleted_column.as_deref().map(quote_ident)?;
        let columns = layout.key.iter().filter_map(|index| layout.columns.get(*index)).collect();
        Some(Self { layout, marked, columns })
    }

    fn each(&self, render: impl Fn(usize, &str) -> String, between: &str) -> String {
        let names = self.columns.iter().map(|column| quote_ident(&column.name)).enumerate();
        names.map(|(place, name)| render(place, &name)).collect::<Vec<_>>().join(between)
    }

    fn names(&self) -> String {
        self.each(|_, name| name.to_owned(), ", ")
    }

    fn numbers(&self) -> String {
        self.each(|place, _| format!("k{place}"), ", ")
    }

    /// The parameters of [`GIVEN`].
    fn given(&self, rows: &str) -> [(&'static str, String); 2] {
        let keys = self.columns.iter().enumerate().map(|(place, column)| format!("k{place} {}", column.column_type));
        let structure: Vec<String> = keys.chain(["version UInt128".to_owned(), "at Int64".to_owned()]).collect();
        [("structure", structure.join(", ")), ("rows", rows.to_owned())]
    }
}

/// Rows in hexadecimal digits, as many at once as a parameter may have.
fn in_hex(deletions: &Deletions) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let mut hex = String::new();
    for row in deletions.each() {
        push_hex(&mut hex, row)?;
        if hex.len() >= KEYS_A_QUERY {
            found.push(std::mem::take(&mut hex));
        }
    }
    found.extend((!hex.is_empty()).then_some(hex));
    Ok(found)
}

impl ClickHouseSink {
    /// Each row as ClickHouse has it, once more with the time of its deletion: under the deletion's version, so that the same again changes nothing and a
    /// row that came later stays live. `gone` is what tells them: key, version and time.
    async fn mark(&self, keys: &Keys<'_>, gone: &str, parameters: &[(&str, String)]) -> Result<()> {
        let (layout, marked) = (keys.layout, &keys.marked);
        let columns: Vec<String> = layout.columns.iter().map(|column| quote_ident(&column.name)).collect();
        let (table, version) = (self.table(layout), quote_ident(&layout.version_column));
        let sql = format!(
            "INSERT INTO {table} ({all}, {version}, {marked}) \
             SELECT {values}, gone.version, fromUnixTimestamp64Micro(gone.at, 'UTC') \
             FROM (SELECT {all}, {version} FROM {table} FINAL WHERE ({key}) IN (SELECT {numbers} FROM {gone})) AS stored \
             INNER JOIN {gone} AS gone ON {joined} WHERE stored.{version} < gone.version {UNCHANGED}",
            all = columns.join(", "),
            values = columns.iter().map(|name| format!("stored.{name}")).collect::<Vec<_>>().join(", "),
            key = keys.names(),
            numbers = keys.numbers(),
            joined = keys.each(|place, name| format!("stored.{name} = gone.k{place}"), " AND "),
        );
        let parameters: Vec<(&str, &str)> = parameters.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.server
            .execute(&sql, &parameters)
            .await
            .map_err(|error| error.during(format!("could not mark rows of \"{}\" as deleted", layout.target)))
    }

    /// Notes keys of rows that are gone in a table of such keys, for [`ClickHouseSink::mark_noted`].
    ///
    /// # Errors
    /// What the server answers.
    pub async fn note_deleted(&self, deletions: &Deletions) -> Result<()> {
        let layout = deletions.layout();
        let Some(keys) = Keys::of(layout) else { return Ok(()) };
        let sql = format!(
            "INSERT INTO {} ({}, {}, {}) SELECT {}, version, fromUnixTimestamp64Micro(at, 'UTC') FROM {GIVEN} {UNCHANGED}",
            self.table(layout),
            keys.names(),
            quote_ident(&layout.version_column),
            keys.marked,
            keys.numbers(),
        );
        for rows in in_hex(deletions)? {
            let [structure, rows] = keys.given(&rows);
            let parameters = [(structure.0, structure.1.as_str()), (rows.0, rows.1.as_str())];
            let failed = |error: Error| error.during(format!("could not note deleted rows of \"{}\"", layout.target));
            self.server.execute(&sql, &parameters).await.map_err(failed)?;
        }
        Ok(())
    }

    /// Marks the rows whose keys were noted in another table as deleted, as [`Sink::mark_deleted`] does.
    ///
    /// # Errors
    /// What the server answers.
    pub async fn mark_noted(&self, layout: &Layout, noted: &str) -> Result<()> {
        let Some(keys) = Keys::of(layout) else { return Ok(()) };
        let gone = format!(
            "(SELECT {}, {} AS version, assumeNotNull(toUnixTimestamp64Micro({})) AS at FROM {} FINAL)",
            keys.each(|place, name| format!("{name} AS k{place}"), ", "),
            quote_ident(&layout.version_column),
            keys.marked,
            self.into_table(noted).table(layout),
        );
        self.mark(&keys, &gone, &[]).await
    }

    async fn newest_of(
        &self,
        layout: &Layout,
        columns: &[usize],
        keys: &str,
        found: &mut HashMap<Vec<u8>, Newest>,
    ) -> Result<()> {
        let named = |index: &usize| layout.columns.get(*index).map(|column| quote_ident(&column.name));
        let key_names: Vec<String> = layout.key.iter().filter_map(named).collect();
        let value_names: Vec<String> = columns.iter().filter_map(named).collect();
        let structure: Vec<String> = layout
            .key
            .iter()
            .filter_map(|index| layout.columns.get(*index))
            .enumerate()
            .map(|(place, column)| format!("k{place} {}", column.column_type))
            .collect();
        let (version, key_list) = (quote_ident(&layout.version_column), key_names.join(", "));
        let deleted = quote_ident(layout.deleted_column.as_deref().unwrap_or_default());
        // A row that stays although it is gone is none that an update was made to.
        let is_gone = match layout.source_deleted_column.as_deref().map(quote_ident) {
            Some(marked) => format!("if(isNull({marked}), {deleted}, 1)"),
            None => deleted,
        };
        let mut selected = key_names.clone();
        selected.extend([version.clone(), is_gone]);
        selected.extend(value_names);
        let sql = format!(
            "SELECT {} FROM {} WHERE ({key_list}) IN (SELECT * FROM format(RowBinary, {{structure:String}}, unhex({{keys:String}}))) \
             ORDER BY {version} DESC LIMIT 1 BY {key_list}{}",
            selected.join(", "),
            self.table(layout),
            if has_documents(layout) { ANSWERED } else { "" },
        );
        let parameters = [("structure", structure.join(", ")), ("keys", keys.to_owned())];
        let parameters: Vec<(&str, &str)> = parameters.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let bytes = self
            .server
            .bytes(&sql, &parameters, "RowBinary")
            .await
            .map_err(|error| error.during(format!("could not read rows of \"{}\" back", layout.target)))?;
        read_newest(layout, columns, &bytes, found)
            .ok_or_else(|| Error::new(Kind::Destination, format!("could not read rows of \"{}\" back", layout.target)))
    }
}

/// Splits rows of RowBinary by reading each value into a column of its type.
fn read_newest(layout: &Layout, columns: &[usize], bytes: &[u8], found: &mut HashMap<Vec<u8>, Newest>) -> Option<()> {
    let buffer = |index: &usize| {
        let column = layout.columns.get(*index)?;
        ColumnBuffer::of(column, layout.ranges)
    };
    let mut keys: Vec<ColumnBuffer> = layout.key.iter().map(buffer).collect::<Option<_>>()?;
    let mut values: Vec<ColumnBuffer> = columns.iter().map(buffer).collect::<Option<_>>()?;
    let mut rest = bytes;
    while !rest.is_empty() {
        let start = rest;
        for key in &mut keys {
            key.append_row_binary(&mut rest).ok()?;
        }
        let key = start.get(..start.len() - rest.len())?.to_vec();
        let (version, tail) = rest.split_first_chunk::<16>()?;
        let (deleted, tail) = tail.split_first()?;
        rest = tail;
        let start = rest;
        for value in &mut values {
            value.append_row_binary(&mut rest).ok()?;
        }
        let values = start.get(..start.len() - rest.len())?.to_vec();
        found.insert(key, Newest { version: Version(u128::from_le_bytes(*version)), deleted: *deleted == 1, values });
    }
    Some(())
}
