//! Records that could not be carried, in a table beside the data: `pipectl_dead_letters`.
//!
//! A record is told apart by topic, partition and offset: set aside again it is one row all the same. Its bytes are stored as they came, in RowBinary
//! (<https://clickhouse.com/docs/interfaces/formats/RowBinary>), which knows nothing of characters.

use crate::batch::push_leb128;
use crate::error::{Error, Kind, Result};
use crate::flow::DeadLetter;
use crate::server::clickhouse::{Server, server_error};
use bytes::Bytes;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::time::Duration;

const CREATE: &str = include_str!("../../../sql/clickhouse/create_dead_letters.sql");
const INSERT: &str = include_str!("../../../sql/clickhouse/write_dead_letters.sql");
const READ: &str = include_str!("../../../sql/clickhouse/read_dead_letters.sql");
const COUNT: &str = include_str!("../../../sql/clickhouse/count_dead_letters.sql");
const REMOVE: &str = include_str!("../../../sql/clickhouse/remove_dead_letters.sql");
const FORGET: &str = include_str!("../../../sql/clickhouse/forget_dead_letters.sql");
const DROP: &str = include_str!("../../../sql/clickhouse/drop_dead_letters.sql");
const EXISTS: &str = include_str!("../../../sql/clickhouse/table_exists.sql");
const TABLE: &str = "pipectl_dead_letters";

/// Bytes that are sent at once.
const FRAME: usize = 1 << 20;
/// Offsets that one statement names: a parameter may have 128 KiB (`http_max_field_value_size`).
const OFFSETS_A_STATEMENT: usize = 4_000;
const SEND_TIMEOUT: Duration = Duration::from_secs(60);
const END_TIMEOUT: Duration = Duration::from_secs(600);

/// The dead letters of a pipeline.
#[derive(Debug, Clone)]
pub struct DeadLetterTable {
    server: Server,
    database: String,
    pipeline: String,
}

/// Which of them are meant; all where nothing is said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LetterFilter {
    /// Of this topic.
    pub topic: Option<String>,
    /// Of this table, by its name in Postgres, with its schema or without.
    pub table: Option<String>,
    /// Set aside at this time or later, as ClickHouse's `parseDateTime64BestEffort` reads it, in UTC: also seconds since 1970.
    pub since: Option<String>,
}

/// A record that was set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredLetter {
    /// The record.
    pub letter: DeadLetter,
    /// When it was set aside, as ClickHouse writes a `DateTime64(3)` in UTC.
    pub time: String,
    /// Bytes of its value, also where the value itself was not read.
    pub value_bytes: u64,
}

impl DeadLetterTable {
    /// The table of a database; nothing is sent yet.
    pub fn new(server: Server, database: &str, pipeline: &str) -> Self {
        Self { server, database: database.to_owned(), pipeline: pipeline.to_owned() }
    }

    /// Stores records; the table is made where it is missing. Returns once they are acknowledged.
    ///
    /// # Errors
    /// What ClickHouse answers.
    pub async fn store(&self, letters: &[DeadLetter]) -> Result<()> {
        self.server
            .execute(CREATE, &[("database", &self.database)])
            .await
            .map_err(|error| error.during("could not create the table of dead letters"))?;
        let failed = |error| server_error("could not store dead letters", error);
        let mut insert = self
            .server
            .client()
            // The rows begin right behind the statement.
            .insert_formatted_with(INSERT.trim_end())
            .with_timeouts(Some(SEND_TIMEOUT), Some(END_TIMEOUT))
            .with_setting("param_database", &self.database)
            .with_setting("async_insert", "0")
            .with_setting("wait_end_of_query", "1")
            .with_setting("insert_deduplicate", "0");
        let mut frame = Vec::with_capacity(FRAME);
        for letter in letters {
            push_row(letter, &self.pipeline, &mut frame);
            if frame.len() >= FRAME {
                insert.send(Bytes::from(std::mem::take(&mut frame))).await.map_err(failed)?;
            }
        }
        if !frame.is_empty() {
            insert.send(Bytes::from(frame)).await.map_err(failed)?;
        }
        insert.end().await.map_err(failed)
    }

    /// Whether there is a table at all.
    async fn exists(&self) -> Result<bool> {
        let rows = self.server.rows(EXISTS, &[("database", &self.database), ("table", TABLE)]).await?;
        Ok(rows.first().and_then(|row| text(row, "found")) == Some("1"))
    }

    /// How many are waiting.
    ///
    /// # Errors
    /// What ClickHouse answers.
    pub async fn count(&self, filter: &LetterFilter) -> Result<u64> {
        if !self.exists().await? {
            return Ok(0);
        }
        let rows = self.server.rows(COUNT, &self.parameters(filter)).await.map_err(|error| unread(error, filter))?;
        rows.first().and_then(|row| text(row, "waiting")?.parse().ok()).ok_or_else(unreadable)
    }

    /// Reads those behind a place, in the order of topic, partition and offset; values and headers only where they are asked for.
    ///
    /// # Errors
    /// What ClickHouse answers.
    pub async fn read(
        &self,
        filter: &LetterFilter,
        after: Option<&DeadLetter>,
        limit: usize,
        whole: bool,
    ) -> Result<Vec<StoredLetter>> {
        if !self.exists().await? {
            return Ok(Vec::new());
        }
        let (partition, offset, limit) = (
            after.map_or(-1, |letter| letter.partition).to_string(),
            after.map_or(-1, |letter| letter.offset).to_string(),
            limit.to_string(),
        );
        let mut parameters = self.parameters(filter);
        parameters.extend([
            ("after_topic", after.map_or("", |letter| letter.topic.as_str())),
            ("after_partition", &partition),
            ("after_offset", &offset),
            ("limit", &limit),
            ("whole", if whole { "1" } else { "0" }),
        ]);
        let rows = self.server.rows(READ, &parameters).await.map_err(|error| unread(error, filter))?;
        rows.iter().map(|row| stored(row).ok_or_else(unreadable)).collect()
    }

    /// Removes these, by their places.
    ///
    /// # Errors
    /// What ClickHouse answers.
    pub async fn remove(&self, letters: &[StoredLetter]) -> Result<()> {
        let mut places: BTreeMap<(&str, i32), Vec<String>> = BTreeMap::new();
        for StoredLetter { letter, .. } in letters {
            places.entry((&letter.topic, letter.partition)).or_default().push(letter.offset.to_string());
        }
        for ((topic, partition), offsets) in places {
            for offsets in offsets.chunks(OFFSETS_A_STATEMENT) {
                let (partition, offsets) = (partition.to_string(), format!("[{}]", offsets.join(",")));
                let parameters = [
                    ("database", self.database.as_str()),
                    ("pipeline", &self.pipeline),
                    ("topic", topic),
                    ("partition", &partition),
                    ("offsets", &offsets),
                ];
                self.server
                    .execute(REMOVE, &parameters)
                    .await
                    .map_err(|error| error.during("could not remove dead letters"))?;
            }
        }
        Ok(())
    }

    /// Removes all of the pipeline, and the table with them unless it holds those of another one. How many there were.
    ///
    /// # Errors
    /// What ClickHouse answers.
    pub async fn forget(&self) -> Result<u64> {
        if !self.exists().await? {
            return Ok(0);
        }
        let waiting = self.count(&LetterFilter::default()).await?;
        let parameters = [("database", self.database.as_str()), ("pipeline", &self.pipeline)];
        let removed = self.server.execute(FORGET, &parameters).await;
        removed.map_err(|error| error.during("could not remove the pipeline's dead letters"))?;
        match self.server.execute(DROP, &[("database", &self.database)]).await {
            // TABLE_NOT_EMPTY
            Err(error) if error.with_causes().contains("Code: 705.") => {}
            dropped => dropped.map_err(|error| error.during("could not drop the table of dead letters"))?,
        }
        Ok(waiting)
    }

    fn parameters<'a>(&'a self, filter: &'a LetterFilter) -> Vec<(&'static str, &'a str)> {
        vec![
            ("database", self.database.as_str()),
            ("pipeline", self.pipeline.as_str()),
            ("topic", filter.topic.as_deref().unwrap_or_default()),
            ("table", filter.table.as_deref().unwrap_or_default()),
            ("since", filter.since.as_deref().unwrap_or("1970-01-01")),
        ]
    }
}

fn unread(error: Error, filter: &LetterFilter) -> Error {
    let (unread, cause) = ("could not read the dead letters", error.with_causes());
    match &filter.since {
        // CANNOT_PARSE_TEXT, CANNOT_PARSE_DATETIME and its kin
        Some(since) if ["Code: 6.", "Code: 38.", "Code: 41."].iter().any(|code| cause.contains(code)) => {
            Error::new(Kind::Usage, format!("\"{since}\" is no time"))
                .hint("write it like 2026-11-22 or 2026-11-22T10:00, in UTC, or as a length of time before now: 2h")
        }
        _ => error.during(unread),
    }
}

fn unreadable() -> Error {
    Error::new(Kind::Destination, "could not read what ClickHouse says of the dead letters")
        .hint("was `pipectl_dead_letters` changed, or made by a later version of pipectl?")
}

fn text<'a>(row: &'a Map<String, Value>, column: &str) -> Option<&'a str> {
    row.get(column)?.as_str()
}

/// A row as [`READ`] answers it: 64-bit numbers come as texts, bytes in hexadecimal.
fn stored(row: &Map<String, Value>) -> Option<StoredLetter> {
    let bytes = |value: &Value| match value {
        Value::Null => Some(None),
        value => Some(Some(Bytes::from(unhex(value.as_str()?)?))),
    };
    let header = |header: &Value| {
        let pair = header.as_array()?;
        Some((pair.first()?.as_str()?.to_owned(), bytes(pair.get(1)?)?))
    };
    Some(StoredLetter {
        letter: DeadLetter {
            topic: text(row, "topic")?.to_owned(),
            partition: i32::try_from(row.get("partition")?.as_i64()?).ok()?,
            offset: text(row, "offset")?.parse().ok()?,
            timestamp_ms: text(row, "timestamp").and_then(|time| time.parse().ok()),
            key: bytes(row.get("key")?)?,
            value: bytes(row.get("value")?)?,
            headers: row.get("headers")?.as_array()?.iter().map(header).collect::<Option<_>>()?,
            table: text(row, "table").map(str::to_owned),
            error: text(row, "error")?.to_owned(),
        },
        time: text(row, "time")?.to_owned(),
        value_bytes: text(row, "bytes").and_then(|bytes| bytes.parse().ok()).unwrap_or(0),
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let pair = |pair: &[u8]| match pair {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    };
    text.as_bytes().chunks(2).map(pair).collect()
}

/// A row in RowBinary, in the order of [`INSERT`].
fn push_row(letter: &DeadLetter, pipeline: &str, data: &mut Vec<u8>) {
    push_bytes(pipeline.as_bytes(), data);
    push_bytes(letter.topic.as_bytes(), data);
    data.extend_from_slice(&letter.partition.to_le_bytes());
    data.extend_from_slice(&letter.offset.to_le_bytes());
    push_bytes(letter.error.as_bytes(), data);
    push_nullable(letter.table.as_ref().map(String::as_bytes), data);
    data.push(u8::from(letter.timestamp_ms.is_none()));
    if let Some(time) = letter.timestamp_ms {
        data.extend_from_slice(&time.to_le_bytes());
    }
    push_nullable(letter.key.as_deref(), data);
    push_nullable(letter.value.as_deref(), data);
    push_leb128(letter.headers.len(), data);
    for (name, value) in &letter.headers {
        push_bytes(name.as_bytes(), data);
        push_nullable(value.as_deref(), data);
    }
}

fn push_nullable(bytes: Option<&[u8]>, data: &mut Vec<u8>) {
    data.push(u8::from(bytes.is_none()));
    if let Some(bytes) = bytes {
        push_bytes(bytes, data);
    }
}

fn push_bytes(bytes: &[u8], data: &mut Vec<u8>) {
    push_leb128(bytes.len(), data);
    data.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_is_read_and_rubbish_is_not() {
        assert_eq!(unhex("00FF7a"), Some(vec![0, 255, 122]));
        assert_eq!(unhex(""), Some(Vec::new()));
        assert_eq!((unhex("0"), unhex("zz"), unhex("é")), (None, None, None));
    }
}
