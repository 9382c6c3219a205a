//! A batch as a block of ClickHouse's Native format, compressed piece by piece.
//!
//! A block is the number of columns and rows, then each column's name, type and values:
//! <https://clickhouse.com/docs/interfaces/formats/Native>. A `LowCardinality` column is sent as its plain type: the server converts, and a
//! dictionary for one block would save nothing. Documents are sent as strings.

use super::documents::AS_STRINGS;
use crate::batch::{ColumnType, Layout, LogForm, TableBatch, ValueType, push_leb128};
use clickhouse::Compression;
use clickhouse::insert_formatted::CompressedData;

/// Bytes that are compressed at once: the most that ClickHouse's own client sends in a frame.
const FRAME: usize = 1 << 20;

/// The statement that takes a batch of this layout into a table, which is quoted already.
pub(super) fn insert_statement(table: &str, layout: &Layout) -> String {
    use crate::server::clickhouse::quote_ident;
    let mut names: Vec<String> = layout.columns.iter().map(|column| quote_ident(&column.name)).collect();
    names.push(quote_ident(&layout.version_column));
    names.push(quote_ident(layout.deleted_column.as_deref().unwrap_or(super::ORDINAL_COLUMN)));
    let further = layout.log.into_iter().flat_map(super::log_columns);
    names.extend(further.map(|(name, _)| quote_ident(name)));
    format!("INSERT INTO {table} ({}) FORMAT Native", names.join(", "))
}

/// The batch as compressed frames.
///
/// # Errors
/// What the compression returns.
pub(super) fn encode(batch: &TableBatch) -> clickhouse::error::Result<Vec<CompressedData>> {
    let layout = batch.layout();
    let mut frames = Frames { pending: Vec::with_capacity(FRAME), done: Vec::new() };
    let further = layout.log.map_or(0, |form| super::log_columns(form).len());
    push_leb128(layout.columns.len() + 2 + further, &mut frames.pending);
    push_leb128(batch.rows(), &mut frames.pending);
    for (column, buffer) in layout.columns.iter().zip(batch.columns()) {
        frames.header(&column.name, &sent_type(&column.column_type).to_string())?;
        if column.column_type.value == ValueType::Json {
            frames.push(&AS_STRINGS)?;
        }
        for part in buffer.parts() {
            frames.push(part)?;
        }
    }
    frames.header(&layout.version_column, "UInt128")?;
    frames.push(batch.versions())?;
    if let Some(deleted) = &layout.deleted_column {
        frames.header(deleted, "UInt8")?;
        frames.push(batch.deleted())?;
    } else {
        frames.header(super::ORDINAL_COLUMN, "UInt64")?;
        frames.push(batch.ordinals())?;
        push_log(&mut frames, batch)?;
    }
    frames.finish()
}

/// The further columns of a log, in the order of [`super::log_columns`].
fn push_log(frames: &mut Frames, batch: &TableBatch) -> clickhouse::error::Result<()> {
    let log = batch.log();
    match batch.layout().log {
        None | Some(LogForm::Inserts) => Ok(()),
        Some(LogForm::Signed) => {
            frames.header("_sign", "Int8")?;
            frames.push(log.signs())
        }
        Some(LogForm::Changes) => {
            frames.header("_op", "String")?;
            frames.push(log.ops())?;
            frames.header("_committed_at", "Nullable(DateTime64(6, 'UTC'))")?;
            log.committed_at().iter().try_for_each(|part| frames.push(part))?;
            frames.header("_unsent", "Array(String)")?;
            log.unsent().iter().try_for_each(|part| frames.push(part))
        }
    }
}

fn sent_type(column_type: &ColumnType) -> ColumnType {
    let value = match &column_type.value {
        ValueType::LowCardinality => ValueType::String,
        ValueType::Array(element) => ValueType::Array(Box::new(sent_type(element))),
        value => value.clone(),
    };
    ColumnType { value, nullable: column_type.nullable }
}

struct Frames {
    pending: Vec<u8>,
    done: Vec<CompressedData>,
}

impl Frames {
    fn header(&mut self, name: &str, type_name: &str) -> clickhouse::error::Result<()> {
        let mut header = Vec::with_capacity(name.len() + type_name.len() + 4);
        for text in [name, type_name] {
            push_leb128(text.len(), &mut header);
            header.extend_from_slice(text.as_bytes());
        }
        self.push(&header)
    }

    /// Large parts are compressed where they lie; only what is left over is copied.
    fn push(&mut self, mut bytes: &[u8]) -> clickhouse::error::Result<()> {
        while !bytes.is_empty() {
            if self.pending.is_empty() && bytes.len() >= FRAME {
                let (frame, rest) = bytes.split_at(FRAME);
                self.done.push(CompressedData::new(frame, Compression::Lz4)?);
                bytes = rest;
                continue;
            }
            let (head, rest) = bytes.split_at(bytes.len().min(FRAME - self.pending.len()));
            self.pending.extend_from_slice(head);
            bytes = rest;
            if self.pending.len() == FRAME {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> clickhouse::error::Result<()> {
        if !self.pending.is_empty() {
            self.done.push(CompressedData::new(&self.pending, Compression::Lz4)?);
            self.pending.clear();
        }
        Ok(())
    }

    fn finish(mut self) -> clickhouse::error::Result<Vec<CompressedData>> {
        self.flush()?;
        Ok(self.done)
    }
}
