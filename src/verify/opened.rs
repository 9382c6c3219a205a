//! The second look: the rows of differing buckets, one by one.
//!
//! Both sides send key and hash of each row in the order of the keys' hashes, and are merged as they come: nothing but the rows that
//! differ is kept, and of those so many and no more.

use super::clickhouse_text::ClickHouseText;
use super::document::{self, Expected};
use super::hex;
use super::postgres_text::PostgresText;
use crate::change::{Lsn, Version};
use crate::error::{Error, Kind, Result};
use crate::server::clickhouse::{self, Server};
use crate::server::postgres::{Connection, server_error};
use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt;
use std::cmp::Ordering;
use std::pin::Pin;
use tokio_postgres::RowStream;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

/// Rows that are kept to be looked at again. More than that do not differ because of a change on its way.
const MAX_ROWS: usize = 100_000;
/// Buckets that are asked for by number; where more differ, the whole table is read.
pub(super) const MAX_BUCKETS: usize = 1000;

/// What tells rows apart: half of the hash of the key's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub(super) [u8; 16]);

impl Key {
    /// The number of the bucket that its row lies in.
    pub(super) fn bucket(&self, shift: u32) -> u16 {
        let [_, _, _, _, _, _, _, _, high, low, ..] = self.0;
        (u32::from(u16::from_be_bytes([high, low])) >> shift) as u16
    }
}

/// A row of ClickHouse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Stored {
    pub(super) hash: i64,
    /// Place of the transaction that wrote it; zero where the table does not say.
    pub(super) transaction: Lsn,
}

/// A row that differs: hash of its values on each side, nothing where the row is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Difference {
    pub(super) key: Key,
    pub(super) source: Option<i64>,
    pub(super) target: Option<Stored>,
}

/// How many rows differ, and which, as far as they were kept.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Differences {
    pub(super) missing: u64,
    pub(super) extra: u64,
    pub(super) different: u64,
    pub(super) rows: Vec<Difference>,
}

impl Differences {
    /// Of rows that are all known.
    pub(super) fn of(rows: Vec<Difference>) -> Self {
        let mut all = Self::default();
        for row in rows {
            all.add(row);
        }
        all
    }

    /// Whether all rows were kept.
    pub(super) fn complete(&self) -> bool {
        self.total() == self.rows.len() as u64
    }

    /// How many rows differ.
    pub(super) fn total(&self) -> u64 {
        self.missing + self.extra + self.different
    }

    fn add(&mut self, row: Difference) {
        match (row.source, row.target) {
            (Some(_), None) => self.missing += 1,
            (None, Some(_)) => self.extra += 1,
            _ => self.different += 1,
        }
        if self.rows.len() < MAX_ROWS {
            self.rows.push(row);
        }
    }
}

/// Which rows of a table are read.
pub(super) struct Selection<'a> {
    /// Numbers of the buckets.
    pub(super) buckets: &'a [u16],
    /// Upper bound of a sample's hashes.
    pub(super) sample: Option<&'a [u8]>,
}

impl Selection<'_> {
    fn by_bucket(&self) -> bool {
        self.buckets.len() <= MAX_BUCKETS
    }
}

/// Compares the rows of a table.
pub(super) async fn compare(
    session: &Connection,
    relation: &str,
    (source, target): (&PostgresText<'_>, &ClickHouseText<'_>),
    server: &Server,
    selection: &Selection<'_>,
) -> Result<Differences> {
    let texts = (source, target);
    let source = source_rows(session, relation, source, selection).await?;
    let mut source = std::pin::pin!(source);
    // ClickHouse ends an answer that nobody reads for 30 s, Postgres never does: it may sort first.
    let mut left = next_source(source.as_mut(), texts.0).await?;
    let mut target = TargetRows::sorted(server, texts, selection)?;
    let mut right = target.next().await?;
    let mut differences = Differences::default();
    loop {
        let order = match (&left, &right) {
            (None, None) => return Ok(differences),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((left, _)), Some((right, _))) => left.cmp(right),
        };
        let source_row = left.filter(|_| order.is_le());
        let target_row = right.filter(|_| order.is_ge());
        if let Some(row) = difference(source_row, target_row) {
            differences.add(row);
        }
        if order.is_le() {
            left = next_source(source.as_mut(), texts.0).await?;
        }
        if order.is_ge() {
            right = target.next().await?;
        }
    }
}

fn difference(source: Option<(Key, i64)>, target: Option<(Key, Stored)>) -> Option<Difference> {
    let key = source.map(|(key, _)| key).or(target.map(|(key, _)| key))?;
    let source = source.map(|(_, hash)| hash);
    let target = target.map(|(_, stored)| stored);
    (source != target.map(|stored| stored.hash)).then_some(Difference { key, source, target })
}

async fn source_rows(
    session: &Connection,
    relation: &str,
    text: &PostgresText<'_>,
    selection: &Selection<'_>,
) -> Result<RowStream> {
    let buckets: Vec<i32> = selection.buckets.iter().map(|&bucket| i32::from(bucket)).collect();
    let mut parameters: Vec<&(dyn ToSql + Sync)> = Vec::new();
    let mut conditions = Vec::new();
    if selection.by_bucket() {
        parameters.push(&buckets);
        conditions.push(text.in_buckets(parameters.len()));
    }
    if let Some(sample) = &selection.sample {
        parameters.push(sample);
        conditions.push(text.sampled(parameters.len()));
    }
    session.query_raw(&text.rows(relation, &conditions), parameters).await.map_err(unread)
}

async fn next_source(rows: Pin<&mut RowStream>, text: &PostgresText<'_>) -> Result<Option<(Key, i64)>> {
    let mut rows = rows;
    let row = rows.try_next().await.map_err(unread)?;
    row.map(|row| source_row(&row, text, |_| ())).transpose()
}

/// Key and hash of a row, of which these are the first two columns, the documents the next; `lost` hears which columns have one that ClickHouse cannot
/// hold.
pub(super) fn source_row(
    row: &tokio_postgres::Row,
    text: &PostgresText<'_>,
    mut lost: impl FnMut(usize),
) -> Result<(Key, i64)> {
    let mut prints = Vec::new();
    for (place, index) in text.table.documents().enumerate() {
        let document: Option<&[u8]> = row.try_get(place + 2).map_err(unread)?;
        let expected = document.map(|document| document::expected(document, text.strict));
        if expected == Some(Expected::Null) {
            lost(index);
        }
        prints.push(expected.and_then(|expected| expected.print(text.strict)));
    }
    let hash = document::joined(row.try_get(1).map_err(unread)?, &prints);
    Ok((row.try_get(0).map_err(unread)?, hash))
}

fn unread(error: tokio_postgres::Error) -> Error {
    server_error("could not read the rows that differ from Postgres", error)
}

/// ClickHouse's rows, as they come.
pub(super) struct TargetRows {
    chunks: ::clickhouse::query::BytesCursor,
    /// What of the last chunk has not been read.
    read: Bytes,
    /// How many documents a row has.
    documents: usize,
    strict: bool,
}

impl TargetRows {
    fn sorted(
        server: &Server,
        (source, text): (&PostgresText<'_>, &ClickHouseText<'_>),
        selection: &Selection<'_>,
    ) -> Result<Self> {
        let mut conditions = Vec::new();
        if selection.by_bucket() {
            conditions.push(text.in_buckets());
        }
        if selection.sample.is_some() {
            conditions.push(text.sampled());
        }
        let mut query = server.client().query_raw(&text.rows(&conditions));
        if selection.by_bucket() {
            query = query.param("buckets", selection.buckets);
        }
        if let Some(sample) = selection.sample {
            query = query.param("sample", hex(sample));
        }
        Self::of(query, source)
    }

    /// Every row of the sample, in any order.
    pub(super) fn unsorted(
        server: &Server,
        (source, text): (&PostgresText<'_>, &ClickHouseText<'_>),
        sample: Option<&str>,
    ) -> Result<Self> {
        let conditions: Vec<String> = sample.map(|_| text.sampled()).into_iter().collect();
        let mut query = server.client().query_raw(&text.unsorted(&conditions));
        if let Some(sample) = sample {
            query = query.param("sample", sample);
        }
        Self::of(query, source)
    }

    fn of(query: ::clickhouse::query::Query, source: &PostgresText<'_>) -> Result<Self> {
        let chunks = query.fetch_bytes("RowBinary").map_err(not_sent)?;
        Ok(Self { chunks, read: Bytes::new(), documents: source.table.documents().count(), strict: source.strict })
    }

    /// The next row.
    pub(super) async fn next(&mut self) -> Result<Option<(Key, Stored)>> {
        loop {
            if let Some((row, rest)) = parse(&self.read, (self.documents, self.strict)) {
                self.read = self.read.slice_ref(rest);
                return Ok(Some(row));
            }
            // Not through its AsyncRead, which loses bytes where a value lies in two chunks.
            match self.chunks.next().await.map_err(not_sent)? {
                Some(chunk) if self.read.is_empty() => self.read = chunk,
                Some(chunk) => self.read = [&self.read[..], &chunk[..]].concat().into(),
                None if self.read.is_empty() => return Ok(None),
                None => return Err(torn()),
            }
        }
    }
}

/// The first row of RowBinary, and what follows it; nothing where it is not whole. A key of 16 bytes, a hash of 8, a version of 16, the numbers
/// little-endian, then the documents, each a byte that is 1 for NULL, or 0 and a string: <https://clickhouse.com/docs/interfaces/formats/RowBinary>.
fn parse(bytes: &[u8], (documents, strict): (usize, bool)) -> Option<((Key, Stored), &[u8])> {
    let (key, rest) = bytes.split_first_chunk()?;
    let (hash, rest) = rest.split_first_chunk()?;
    let (version, mut rest) = rest.split_first_chunk()?;
    let mut prints = Vec::new();
    for _ in 0..documents {
        let (null, tail) = rest.split_first()?;
        if *null == 1 {
            prints.push(None);
            rest = tail;
            continue;
        }
        let (document, tail) = string(tail)?;
        prints.push(Some(document::stored(document, strict)));
        rest = tail;
    }
    let version = Version(u128::from_le_bytes(*version));
    let hash = document::joined(i64::from_le_bytes(*hash), &prints);
    Some(((Key(*key), Stored { hash, transaction: version.transaction() }), rest))
}

/// A string, whose length stands before it in LEB128, and what follows it.
pub(super) fn string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut len = 0_usize;
    for (place, byte) in bytes.iter().take(9).enumerate() {
        len |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return bytes.get(place + 1..)?.split_at_checked(len);
        }
    }
    None
}

fn torn() -> Error {
    Error::new(
        Kind::DestinationUnreachable,
        "could not read the rows that differ from ClickHouse: the answer was cut off",
    )
}

fn not_sent(error: ::clickhouse::error::Error) -> Error {
    clickhouse::server_error("could not read the rows that differ from ClickHouse", error)
}

impl<'a> FromSql<'a> for Key {
    fn from_sql(_: &Type, bytes: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(bytes.try_into()?))
    }

    fn accepts(kind: &Type) -> bool {
        *kind == Type::UUID
    }
}

impl ToSql for Key {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        out.extend_from_slice(&self.0);
        Ok(IsNull::No)
    }

    fn accepts(kind: &Type) -> bool {
        *kind == Type::UUID
    }

    to_sql_checked!();
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Key = Key([7; 16]);

    fn stored(hash: i64) -> (Key, Stored) {
        (KEY, Stored { hash, transaction: Lsn(1) })
    }

    #[test]
    fn rows_differ_by_hash_or_by_being_alone() {
        assert_eq!(difference(Some((KEY, 5)), Some(stored(5))), None);
        let mut all = Differences::default();
        all.add(difference(Some((KEY, 5)), Some(stored(6))).unwrap());
        all.add(difference(Some((KEY, 5)), None).unwrap());
        all.add(difference(None, Some(stored(5))).unwrap());
        assert_eq!((all.missing, all.extra, all.different, all.complete()), (1, 1, 1, true));
        assert_eq!(all.rows[1], Difference { key: KEY, source: Some(5), target: None });
    }

    #[test]
    fn a_row_is_read_from_its_bytes() {
        let mut bytes = vec![7; 16];
        bytes.extend((-5_i64).to_le_bytes());
        bytes.extend(Version::new(Lsn(9), Lsn(1)).0.to_le_bytes());
        let row = (KEY, Stored { hash: -5, transaction: Lsn(9) });
        assert_eq!(parse(&bytes, (0, false)), Some((row, &[][..])));
        assert_eq!(parse(&bytes[..39], (0, false)), None);
        let documents = [None, Some(document::stored(b"{}", false))];
        let hash = document::joined(-5, &documents);
        bytes.extend([1, 0, 2, b'{', b'}', 9]);
        let row = (KEY, Stored { hash, transaction: Lsn(9) });
        assert_eq!(parse(&bytes, (2, false)), Some((row, &[9][..])));
        for short in 40..bytes.len() - 1 {
            assert_eq!(parse(&bytes[..short], (2, false)), None, "{short}");
        }
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let row = Difference { key: KEY, source: Some(1), target: None };
        let all = Differences::of(vec![row; MAX_ROWS + 1]);
        assert_eq!((all.missing, all.rows.len(), all.complete()), (MAX_ROWS as u64 + 1, MAX_ROWS, false));
    }
}
