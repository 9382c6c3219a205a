//! The same lines straight from Postgres: a temporary replication slot, which the server drops with its session
//! (<https://www.postgresql.org/docs/current/protocol-replication.html>). The pipeline's own slot is not touched.

use super::choose::Choice;
use super::entry::{Column, Entry, What};
use super::follow::{Batch, Shown, Wanted};
use super::json;
use super::rows::{Described, Moment, entry};
use crate::change::Lsn;
use crate::config::{PostgresSettings, inserts_publication};
use crate::decode::pgoutput::{Message, parse};
use crate::error::{Error, Kind, Result};
use crate::server::postgres::{Connection, connect, quote_ident, replication_config, server_error, table};
use pgwire_replication::{PgWireError, ReplicationClient, ReplicationEvent};
use std::collections::BTreeMap;
use std::time::Duration;

const PUBLICATIONS: &str = include_str!("../../sql/postgres/publications.sql");
const FAREWELL: Duration = Duration::from_secs(3);
/// How long the making of the slot takes before it is told what it waits for.
const TELL_AFTER: Duration = Duration::from_secs(2);
/// Events that are handed out at once.
const MOST: usize = 500;
/// Milliseconds from 1970 to 2000, where Postgres begins to count.
const EPOCH_MILLIS: i64 = 946_684_800_000;

/// Which tables are shown.
#[derive(Debug, Clone)]
pub struct Tables {
    choice: Option<Choice>,
}

impl Tables {
    /// Tables by name, with or without schema, patterns with `*` and `?`, and `/regular expressions/`; all where there are none.
    ///
    /// # Errors
    /// [`Kind::Usage`] for a broken regular expression.
    pub fn new(words: &[String]) -> Result<Self> {
        let choice = if words.is_empty() { None } else { Some(Choice::new(words, None)?) };
        Ok(Self { choice })
    }

    fn takes(&self, schema: &str, table: &str) -> bool {
        self.choice.as_ref().is_none_or(|choice| choice.takes(&format!("{schema}.{table}")))
    }
}

/// A stream of changes from here on.
pub struct PostgresTail {
    client: ReplicationClient,
    catalog: Connection,
    tables: Tables,
    wanted: Wanted,
    relations: BTreeMap<u32, Described>,
    moment: Moment,
}

impl std::fmt::Debug for PostgresTail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresTail").field("tables", &self.tables).finish_non_exhaustive()
    }
}

impl PostgresTail {
    /// Makes a temporary slot and begins to read it. `tell` hears what is waited for.
    ///
    /// # Errors
    /// [`Kind::Source`] where there is no such publication, or Postgres refuses; [`Kind::SourceUnreachable`] where nobody answers.
    pub async fn open(
        settings: &PostgresSettings,
        publication: Option<&str>,
        (tables, wanted): (Tables, Wanted),
        tell: &(dyn Fn(&str) + Sync),
    ) -> Result<Self> {
        let catalog = connect(settings).await?;
        let publications = publications(&catalog, publication, settings).await?;
        let mut settings = settings.clone();
        settings.slot = format!("pipectl_tail_{}_{:08x}", std::process::id(), rand::random::<u32>());
        let mut config = replication_config(&settings)?;
        config.publication = publications.into();
        let mut client = ReplicationClient::connect_gated(config).await.map_err(|error| failed(&error))?;
        make_slot(&mut client, &settings.slot, tell).await?;
        client.start().await.map_err(|error| failed(&error))?;
        client.wait_started().await.map_err(|error| failed(&error))?;
        Ok(Self { client, catalog, tables, wanted, relations: BTreeMap::new(), moment: Moment::default() })
    }

    /// Waits for what comes next.
    ///
    /// # Errors
    /// [`Kind::SourceUnreachable`] where the stream ends, [`Kind::Value`] for a message that cannot be read.
    pub async fn next(&mut self) -> Result<Batch> {
        let mut batch = Batch::default();
        let first = self.client.recv().await;
        self.take(first, &mut batch).await?;
        while batch.shown.len() < MOST {
            // Only what is there already.
            match tokio::time::timeout(Duration::ZERO, self.client.recv()).await {
                Ok(event) => self.take(event, &mut batch).await?,
                Err(_) => break,
            }
        }
        Ok(batch)
    }

    async fn take(&mut self, event: Result<Option<ReplicationEvent>, PgWireError>, batch: &mut Batch) -> Result<()> {
        let ended = || Error::new(Kind::SourceUnreachable, "Postgres ended the stream");
        match event.map_err(|error| failed(&error))?.ok_or_else(ended)? {
            ReplicationEvent::Begin { xid, commit_time_micros, .. } => {
                let committed = commit_time_micros.div_euclid(1000) + EPOCH_MILLIS;
                self.moment = Moment { xid: Some(i64::from(xid)), committed: Some(committed), ..Moment::default() };
            }
            ReplicationEvent::Commit { end_lsn, .. } => {
                self.client.update_applied_lsn(end_lsn);
                self.moment = Moment::default();
            }
            ReplicationEvent::KeepAlive { wal_end, .. } => self.client.update_applied_lsn(wal_end),
            ReplicationEvent::XLogData { wal_start, data, .. } => {
                self.moment.lsn = Lsn(wal_start.as_u64());
                let message = parse(&data).map_err(|error| {
                    Error::new(Kind::Value, "could not read a message of the stream").because(error.to_string())
                })?;
                self.change(&message, batch).await?;
            }
            ReplicationEvent::Message { transactional, lsn, prefix, content } => {
                // A message belongs to no table.
                if self.tables.choice.is_none() {
                    let entry = message(&self.moment, transactional, Lsn(lsn.as_u64()), (prefix, &content));
                    self.show(entry, batch);
                }
            }
            ReplicationEvent::StoppedAt { .. } => return Err(ended()),
        }
        Ok(())
    }

    async fn change(&mut self, message: &Message<'_>, batch: &mut Batch) -> Result<()> {
        if let Message::Relation(relation) = message {
            // A partition that is published for itself, or a table made a moment ago.
            let found = table(&self.catalog, relation.id).await?;
            let key = found.as_ref().map(|table| table.key_columns().map(|column| column.name.clone()).collect());
            let described = Described {
                is_shown: self.tables.takes(&relation.schema, &relation.name),
                relation: relation.clone(),
                key: key.unwrap_or_default(),
            };
            self.relations.insert(relation.id, described);
            return Ok(());
        }
        for entry in entry(message, &self.relations, &self.moment) {
            self.show(entry, batch);
        }
        Ok(())
    }

    fn show(&self, entry: Entry, batch: &mut Batch) {
        if self.wanted.takes(&entry) {
            batch.shown.push(Shown { record: None, entry: Some(entry) });
        } else {
            batch.left_out += 1;
        }
    }

    /// Ends the session; the slot goes with it.
    pub async fn close(mut self) {
        if !matches!(tokio::time::timeout(FAREWELL, self.client.shutdown()).await, Ok(Ok(()))) {
            self.client.abort();
        }
    }
}

/// The publications to read: the one that was named, or the pipeline's.
async fn publications(client: &Connection, named: Option<&str>, settings: &PostgresSettings) -> Result<Vec<String>> {
    let rows = client
        .query(PUBLICATIONS, &[])
        .await
        .map_err(|error| server_error("could not read the publications", error))?;
    let all: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    let wanted = named.unwrap_or(&settings.publication);
    if all.iter().any(|name| name == wanted) {
        let inserts = inserts_publication(wanted);
        let with_inserts = named.is_none() && all.contains(&inserts);
        return Ok(if with_inserts { vec![wanted.to_owned(), inserts] } else { vec![wanted.to_owned()] });
    }
    let hint = if all.is_empty() {
        "Postgres sends changes only through a publication, and this database has none. Run in Postgres: CREATE PUBLICATION pipectl_tail FOR ALL \
         TABLES; then: pipectl tail --source postgres --publication pipectl_tail"
            .to_owned()
    } else {
        format!("name one with --publication; there are: {}", all.join(", "))
    };
    Err(Error::new(Kind::Source, format!("there is no publication \"{wanted}\" in \"{}\"", settings.database))
        .hint(hint))
}

async fn make_slot(client: &mut ReplicationClient, name: &str, tell: &(dyn Fn(&str) + Sync)) -> Result<()> {
    let command = format!("CREATE_REPLICATION_SLOT {} TEMPORARY LOGICAL pgoutput NOEXPORT_SNAPSHOT", quote_ident(name));
    let making = client.simple_query(&command);
    tokio::pin!(making);
    let made = tokio::select! {
        made = &mut making => made,
        () = tokio::time::sleep(TELL_AFTER) => {
            tell("waiting for the transactions that are open in Postgres: only then a slot can begin");
            making.await
        }
    };
    made.map(|_| ()).map_err(|error| failed(&error))
}

fn failed(error: &PgWireError) -> Error {
    let text = error.to_string();
    let kind =
        if error.is_server() || error.is_auth() || error.is_tls() { Kind::Source } else { Kind::SourceUnreachable };
    let hint = if text.contains("42501") || text.contains("28000") {
        Some("the role needs the right to replicate: ALTER ROLE … REPLICATION")
    } else if text.contains("53400") || text.contains("53300") {
        Some(
            "there is no free slot or sender: raise max_replication_slots and max_wal_senders, or drop slots that nobody reads",
        )
    } else if text.contains("wal_level") {
        Some("set wal_level = logical in Postgres and restart it")
    } else {
        None
    };
    let wrapped = Error::new(kind, "could not read changes from Postgres").because(text);
    match hint {
        Some(hint) => wrapped.hint(hint),
        None => wrapped,
    }
}

fn message(moment: &Moment, transactional: bool, lsn: Lsn, (prefix, content): (String, &[u8])) -> Entry {
    let moment = if transactional { *moment } else { Moment::default() };
    let hexadecimal = || content.iter().fold("\\x".to_owned(), |text, byte| format!("{text}{byte:02x}"));
    let shown = std::str::from_utf8(content).map_or_else(|_| hexadecimal(), str::to_owned);
    let content = Column { json: json::quoted(&shown), shown, ..Column::default() };
    let (committed, xid) = (moment.committed, moment.xid);
    Entry {
        committed,
        timestamp: committed,
        lsn: Some(lsn),
        xid,
        what: What::Message { prefix, content },
        ..Entry::default()
    }
}
