//! What a record asks for before it can be taken in.

use super::{Records, Step, avro, flat};
use crate::batch::Fault;
use crate::change::{Lsn, TableName, Version};
use crate::decode::debezium::avro::SchemaId;
use crate::error::Result;
use crate::flow::{AdoptedRecords, Chunk, Record, RecordFields, RecordSource, RecordTables, Snapshot, SnapshotBegun};
use crate::sync::retrying;
use crate::sync::writer::Order;
use std::sync::Arc;

const UNREGISTERED: &str =
    "it begins as a record of Avro does, and no schema registry is configured (`kafka.schema_registry_url`)";

impl<T: RecordTables> Records<T> {
    /// Does what a record asks for and takes it in again, until it asks for nothing more.
    pub(super) async fn take_again(
        &mut self,
        (chunk, record): (&Chunk, &Record),
        mut step: Step,
        source: &impl RecordSource,
    ) -> Result<()> {
        let mut relaxed: Vec<(usize, String)> = Vec::new();
        loop {
            let mut again = false;
            match step {
                Step::Done => return Ok(()),
                Step::Again => {}
                Step::Adopt { table, fields, text } => {
                    self.adopt(table, &fields, text, source).await?;
                    again = true;
                }
                Step::Schema(id) => {
                    if !self.fetch_schema(id).await? {
                        return self.unregistered((chunk, record));
                    }
                }
                Step::Relax { table, column } if relaxed.contains(&(table, column.clone())) => {
                    self.intake.give_up((chunk, record), format!("column \"{column}\" got {}", Fault::Null));
                    return Ok(());
                }
                Step::Relax { table, column } => {
                    self.relax(table, &column, source).await?;
                    relaxed.push((table, column));
                }
                Step::Truncate { table, version } => {
                    self.truncate((table, version), record, source).await?;
                }
                Step::Snapshot { table, snapshot } => self.snapshot((table, snapshot), record, source).await?,
                Step::ParkAll { reason, since } => self.park_all(&reason, since, source).await?,
                Step::Flat => return Err(flat()),
            }
            step = self.intake.take(chunk, record, again);
        }
    }

    fn name_of(&self, table: usize) -> Option<TableName> {
        self.intake.tables.list.get(table).map(|table| table.name.clone())
    }

    async fn adopt(
        &mut self,
        table: usize,
        fields: &RecordFields,
        text: Option<Box<[u8]>>,
        source: &impl RecordSource,
    ) -> Result<()> {
        let Some(name) = self.name_of(table) else { return Ok(()) };
        // What is under way has the form that the destination's table had until now.
        self.drain(source).await?;
        let (progress, stop) = (Arc::clone(&self.progress), self.writing.stop.clone());
        let tables = tokio::sync::Mutex::new(&mut self.tables);
        let adopted = retrying(&progress, &stop, || async { tables.lock().await.adopt(&name, fields).await }).await?;
        if let AdoptedRecords::Park(relation, reason) = &adopted {
            self.tell_parked(&name, reason);
            self.tables.leave(*relation);
            let since = Version::new(Lsn(0), Lsn(0));
            self.writing.order(Order::Park { relation: *relation, reason: reason.clone(), since }).await?;
        }
        self.intake.adopt(table, adopted, text);
        Ok(())
    }

    async fn relax(&mut self, table: usize, column: &str, source: &impl RecordSource) -> Result<()> {
        let Some(name) = self.name_of(table) else { return Ok(()) };
        self.drain(source).await?;
        let (progress, stop) = (Arc::clone(&self.progress), self.writing.stop.clone());
        let tables = tokio::sync::Mutex::new(&mut self.tables);
        retrying(&progress, &stop, || async { tables.lock().await.relax(&name, column).await }).await?;
        self.intake.forget_shapes(table);
        Ok(())
    }

    /// Fetches a schema; whether there is a registry at all.
    async fn fetch_schema(&mut self, id: SchemaId) -> Result<bool> {
        let (progress, stop) = (Arc::clone(&self.progress), self.writing.stop.clone());
        let tables = tokio::sync::Mutex::new(&mut self.tables);
        let schema = retrying(&progress, &stop, || async { tables.lock().await.schema(id).await }).await?;
        let registered = schema.is_some();
        if let Some(schema) = schema {
            self.intake.schemas.add(id, schema);
        }
        Ok(registered)
    }

    /// A record that names a schema where no registry is configured. A topic that begins so is Avro as a whole, and is not to be set aside record by record;
    /// among others it is one that cannot be read.
    fn unregistered(&mut self, (chunk, record): (&Chunk, &Record)) -> Result<()> {
        let Some(topic) = self.intake.topic_of(record) else { return Ok(()) };
        let is_known = self.confirmed.0.keys().any(|(known, _)| *known == topic);
        if !is_known && !self.intake.has_passed(&topic) {
            return Err(avro(&topic));
        }
        self.intake.give_up((chunk, record), UNREGISTERED.to_owned());
        Ok(())
    }

    /// A truncation of a table whose rows come by several partitions: rows that are older may be read later, and are dead then too. That holds for what this
    /// process reads; what another one reads at the same time it cannot know.
    async fn truncate(
        &mut self,
        (table, version): (usize, Version),
        record: &Record,
        source: &impl RecordSource,
    ) -> Result<()> {
        let (Some(name), Some(topic)) = (self.name_of(table), self.intake.topic_of(record)) else { return Ok(()) };
        self.drain(source).await?;
        let Some(relation) = self.intake.truncate(table, version) else { return Ok(()) };
        let (progress, stop) = (Arc::clone(&self.progress), self.writing.stop.clone());
        let tables = tokio::sync::Mutex::new(&mut self.tables);
        let noted = retrying(&progress, &stop, || async {
            let mut tables = tables.lock().await;
            tables.truncated(relation, version).await?;
            tables.partitions(&topic).await
        });
        let partitions = noted.await?;
        if partitions > self.intake.assigned_of(&topic) {
            let reason = format!(
                "it was truncated while several processes read the partitions of topic \"{topic}\": which rows the others store were there before, this one cannot know"
            );
            self.park(relation, &name, (&reason, version), source).await?;
        }
        Ok(())
    }

    /// A snapshot of the connector's that this process has not met. Where it is one that began again, rows of the one before may still be read by others.
    async fn snapshot(
        &mut self,
        (table, snapshot): (usize, Snapshot),
        record: &Record,
        source: &impl RecordSource,
    ) -> Result<()> {
        let known = self.intake.tables.list.get(table);
        let Some(layout) = known.and_then(|table| table.layout.clone()) else { return Ok(()) };
        let (Some(name), Some(topic)) = (self.name_of(table), self.intake.topic_of(record)) else { return Ok(()) };
        self.drain(source).await?;
        let (progress, stop) = (Arc::clone(&self.progress), self.writing.stop.clone());
        let tables = tokio::sync::Mutex::new(&mut self.tables);
        let begun = retrying(&progress, &stop, || async {
            let mut tables = tables.lock().await;
            let begun = tables.snapshot(&layout, snapshot).await?;
            let partitions = if begun.again { tables.partitions(&topic).await? } else { 0 };
            Ok((begun, partitions))
        });
        let (SnapshotBegun { newest, version, .. }, partitions) = begun.await?;
        self.intake.copies_under(table, (newest, version));
        if partitions > self.intake.assigned_of(&topic) {
            let reason = format!(
                "the connector began its snapshot again while several processes read the partitions of topic \"{topic}\": which rows the others store of the one before, this one cannot know"
            );
            self.park(layout.relation, &name, (&reason, Version::copied_under(snapshot.began)), source).await?;
        }
        Ok(())
    }

    async fn park(
        &mut self,
        relation: u32,
        name: &TableName,
        (reason, since): (&str, Version),
        source: &impl RecordSource,
    ) -> Result<()> {
        self.tell_parked(name, reason);
        self.intake.park(relation);
        self.tables.leave(relation);
        self.writing.order(Order::Park { relation, reason: reason.to_owned(), since }).await?;
        self.drain(source).await
    }

    /// Leaves all tables behind: only new copies of them are right again.
    async fn park_all(&mut self, reason: &str, since: Version, source: &impl RecordSource) -> Result<()> {
        self.drain(source).await?;
        for (relation, name) in self.intake.stored_tables() {
            self.park(relation, &name, (reason, since), source).await?;
        }
        Ok(())
    }

    pub(super) fn tell_parked(&self, table: &TableName, reason: &str) {
        self.progress.note(format!(
            "table {table} is parked, the others go on: {reason}; `pipectl resync {table}` brings it back"
        ));
        let found = self.intake.tables.list.iter().find(|known| known.name == *table);
        let target =
            found.and_then(|known| known.layout.as_ref()).map_or(table.to_string(), |layout| layout.target.clone());
        self.progress.table(&target, |table| table.parked = Some(reason.to_owned()));
    }
}
