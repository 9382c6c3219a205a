//! The tables of a pipeline that reads topics: looked up in Postgres' catalog where there is one, else taken from what the records tell.

use super::super::SyncOptions;
use super::super::live::{CopySide, Fit, LiveTables};
use super::adjusted::columns_of_fields;
use super::described::described;
use super::kafka;
use super::prepare::Prepared;
use crate::batch::{Layout, RowMap, needs_text};
use crate::change::{Offsets, TableName, TableSchema, Version};
use crate::checkpoint::{TablePhase, TableRecord};
use crate::config::{Keyless, Settings};
use crate::decode::debezium::avro::{Schema, SchemaId};
use crate::decode::debezium::{Form, Forms, RecordShape, ShapeField, form};
use crate::error::{Error, Kind, Result};
use crate::flow::{AdoptedRecords, RecordFields, RecordTables, Snapshot, SnapshotBegun, StoredRecords};
use crate::server::clickhouse::Server;
use crate::server::kafka::{Cluster, client_config, is_compacted};
use crate::server::postgres::table_of_name;
use crate::server::registry::{self, Registry};
use crate::sink::clickhouse::{counting_view_name, left_out, plan_table, stored_name};
use crate::sync::Progress;
use rdkafka::ClientConfig;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use tokio::sync::watch;

/// The tables, and what decides how their records are read.
pub(super) struct RecordCatalog {
    live: LiveTables,
    forms: Forms,
    options: SyncOptions,
    registry: Option<Registry>,
    cluster: Arc<Cluster>,
    client: ClientConfig,
    in_order: HashMap<String, bool>,
    /// What was last known of tables, for their columns to be given room for NULL.
    schemas: HashMap<TableName, TableSchema>,
    /// What was warned of.
    told: HashSet<String>,
    progress: Arc<Progress>,
}

impl RecordCatalog {
    pub(super) fn new(
        settings: &Settings,
        options: &SyncOptions,
        (server, prepared): (Server, &Prepared),
        copies: CopySide,
        (progress, stop): (&Arc<Progress>, &watch::Receiver<bool>),
    ) -> Result<Self> {
        let state = (prepared.store.clone(), prepared.state.clone(), prepared.ranges);
        Ok(Self {
            live: LiveTables::new(settings, server, state, copies, (progress, stop)),
            forms: prepared.forms.clone(),
            options: options.clone(),
            registry: Registry::new(kafka(settings)?)?,
            cluster: Arc::clone(&prepared.cluster),
            client: client_config(kafka(settings)?, &[]),
            in_order: HashMap::new(),
            schemas: HashMap::new(),
            told: HashSet::new(),
            progress: Arc::clone(progress),
        })
    }

    async fn bring_up(&mut self, name: &TableName, fields: &RecordFields) -> Result<AdoptedRecords> {
        let Some(schema) = self.schema(name, fields).await? else { return Ok(AdoptedRecords::Ignored) };
        let Some(rule) = self.live.settings.rule_for(&schema.name) else { return Ok(AdoptedRecords::Ignored) };
        if !self.options.wants(&schema.name) {
            return Ok(AdoptedRecords::Ignored);
        }
        if self.live.settings.postgres.is_none() {
            if schema.key.is_empty() && rule.keyless == Keyless::Refuse {
                return Err(keyless(name));
            }
            // What is written wrongly is to be mended first: to copy a parked table again takes Postgres.
            plan_table(&schema, rule, &self.live.settings.clickhouse)?;
        }
        if let Some(reason) = left_out(&schema, rule) {
            if self.live.standing(schema.relid) == Some(TablePhase::Ready) {
                return Ok(AdoptedRecords::Park(schema.relid, reason));
            }
            self.progress.note(format!("warning: {reason}"));
            return Ok(AdoptedRecords::Ignored);
        }
        let (relation, target) = (schema.relid, stored_name(&schema, rule));
        match self.live.standing(relation) {
            Some(TablePhase::Parked) => return Ok(AdoptedRecords::Parked(relation)),
            Some(TablePhase::Ready | TablePhase::Copying) => {}
            None => self.note_table(&schema, target, counting_view_name(&schema, rule)).await?,
        }
        let layout = match self.live.fit(schema.clone()).await? {
            Fit::Stored(layout) => layout,
            Fit::Ignored => return Ok(AdoptedRecords::Ignored),
            Fit::Park(reason) => return Ok(AdoptedRecords::Park(relation, reason)),
        };
        let columns = columns_of_fields(&schema, &fields.names);
        let shape = shape(&schema, &layout, (fields, &columns), &self.forms)?;
        self.tell_losses(name, &shape, &columns);
        let map = RowMap::by_name(&layout, columns.iter().map(String::as_str));
        self.schemas.insert(name.clone(), schema);
        let record = self.live.state.tables.get(&relation);
        let truncated = Version(record.and_then(|record| record.truncated.as_deref()?.parse().ok()).unwrap_or(0));
        let copied = record.and_then(|record| record.copied.as_ref()?.changes()).map(Arc::new);
        let (map, shape) = (Arc::new(map), Arc::new(shape));
        let straddling = self.live.straddling(relation);
        Ok(AdoptedRecords::Stored(StoredRecords { layout, map, shape, truncated, copied, straddling }))
    }

    /// Warns, once a column, of what the connector loses of its values before they come here.
    fn tell_losses(&mut self, table: &TableName, shape: &RecordShape, columns: &[String]) {
        for (field, column) in shape.fields.iter().zip(columns) {
            let Some(loss) = field.form.loss() else { continue };
            let told = format!("warning: column {table}.{column}: {loss}");
            if self.told.insert(told.clone()) {
                self.progress.note(told);
            }
        }
    }

    async fn note_table(&mut self, schema: &TableSchema, target: String, view: Option<String>) -> Result<()> {
        let source = schema.name.to_string();
        let mut record = TableRecord { source, target, view, phase: TablePhase::Ready, ..TableRecord::default() };
        record.learn(schema);
        self.live.store.save_table(schema.relid, &record).await?;
        self.live.state.tables.insert(schema.relid, record);
        Ok(())
    }

    /// The table of a name: by the catalog, by its id where it has another name by now, or by its records alone.
    async fn schema(&mut self, name: &TableName, fields: &RecordFields) -> Result<Option<TableSchema>> {
        if self.live.settings.postgres.is_none() {
            return self.described(name, fields).await;
        }
        if let Some(schema) = table_of_name(self.live.client().await?, name).await? {
            return Ok(Some(schema));
        }
        let source = name.to_string();
        let known = self.live.state.tables.iter().find(|(_, record)| record.source == source).map(|(relid, _)| *relid);
        let renamed = match known {
            Some(relid) => self.live.lookup(relid).await?,
            None => None,
        };
        if renamed.is_none() && self.live.settings.rule_for(name).is_some() {
            if fields.schema.is_some() {
                return described(name, self.live.settings.rule_for(name), fields, &self.forms).map(Some);
            }
            self.progress.note(format!("warning: {name} is no longer in Postgres: its records are passed over"));
        }
        Ok(renamed)
    }

    /// The table that its records tell of. A truncation has no key: then it is that of the table as it is stored.
    async fn described(&self, name: &TableName, fields: &RecordFields) -> Result<Option<TableSchema>> {
        let Some(rule) = self.live.settings.rule_for(name) else { return Ok(None) };
        let mut fields = fields.clone();
        if fields.key.is_empty() && rule.order_by.is_none() {
            fields.key = self.live.sorting_key(&rule.target_of(name)).await?;
        }
        described(name, Some(rule), &fields, &self.forms).map(Some)
    }
}

/// How each field of the records is spelled; those that are not stored are passed over.
fn shape(
    schema: &TableSchema,
    layout: &Layout,
    (fields, columns): (&RecordFields, &[String]),
    forms: &Forms,
) -> Result<RecordShape> {
    let mut found = Vec::with_capacity(fields.names.len());
    for (name, column) in fields.names.iter().zip(columns) {
        let place = layout.columns.iter().position(|stored| stored.name == *column);
        let stored = place.and_then(|index| Some((index, layout.columns.get(index)?)));
        let form = match (schema.column(column), stored) {
            (Some(column), Some((index, stored))) => {
                let connect = fields.schema.as_ref().and_then(|schema| schema.field(name));
                // A key is also looked up by its text.
                let text = layout.key.contains(&index) || needs_text(&stored.source, &stored.column_type.value);
                form(column, connect.map(|field| &field.connect_type), forms, text)
                    .map_err(|guesswork| unknown_form(schema, &column.name, guesswork.setting))?
            }
            _ => Form::ignored(),
        };
        found.push(ShapeField { name: name.clone(), form });
    }
    Ok(RecordShape { fields: found })
}

/// To pass its records over would lose them where the key is only not read.
fn keyless(name: &TableName) -> Error {
    Error::new(Kind::Config, format!("could not tell the key of {name}: its records have none, or one that is no JSON, and no Postgres is configured"))
        .hint("name its columns in `order_by`, in an entry of `tables` for this table; or, for a table without a key, set `keyless: insert_only`, or leave it out by `exclude`")
}

fn unknown_form(schema: &TableSchema, column: &str, setting: &str) -> Error {
    Error::new(
        Kind::Config,
        format!("could not tell what the values of column \"{column}\" of {} mean: the records carry no schema, and the connector's {setting} is not known, or not enough", schema.name),
    )
    .hint(format!(
        "set `kafka.connect_url`, so that the connector's settings can be read, or write `{setting}` under `kafka.connector` as the connector has it; without \
         `postgres.url`, `time.precision.mode: adaptive` is not enough: it spells by a precision that only the catalog, or a schema in the records, tells"
    ))
}

impl RecordTables for RecordCatalog {
    async fn adopt(&mut self, table: &TableName, fields: &RecordFields) -> Result<AdoptedRecords> {
        self.bring_up(table, fields).await
    }

    fn leave(&mut self, relation: u32) {
        self.live.left(relation);
    }

    async fn asked(&mut self) {
        self.live.await_ask().await;
    }

    async fn attend(&mut self) -> Vec<u32> {
        self.live.do_asked().await
    }

    fn is_copying(&self) -> bool {
        self.live.has_copies()
    }

    async fn relax(&mut self, table: &TableName, column: &str) -> Result<()> {
        match self.schemas.get(table).cloned() {
            Some(schema) => self.live.widen_in(schema, column).await,
            None => Ok(()),
        }
    }

    async fn stored(&mut self) -> Result<Offsets> {
        Ok(self.live.store.load().await?.offsets)
    }

    async fn schema(&mut self, id: SchemaId) -> Result<Option<Schema>> {
        let Some(registry) = self.registry.as_ref() else { return Ok(None) };
        let asked = match id {
            SchemaId::Confluent(id) => registry::SchemaId::Confluent(id),
            SchemaId::Global(id) => registry::SchemaId::GlobalId(id as i64),
            SchemaId::Content(id) => registry::SchemaId::ContentId(id as i64),
        };
        let found = registry.schema(asked).await?;
        if found.kind != registry::SchemaKind::Avro || !found.references.is_empty() {
            return Err(Error::new(Kind::Source, format!("{asked} is no Avro schema that stands for itself"))
                .hint("JSON without a schema registry, or Avro, is what sync reads"));
        }
        Schema::parse(found.text.as_bytes())
            .map(Some)
            .map_err(|malformed| Error::new(Kind::Source, format!("could not read {asked}")).because(malformed))
    }

    async fn truncated(&mut self, relation: u32, version: Version) -> Result<()> {
        let Some(record) = self.live.state.tables.get_mut(&relation) else { return Ok(()) };
        record.truncated = Some(version.0.to_string());
        let record = record.clone();
        self.live.store.load().await?;
        self.live.store.save_table(relation, &record).await
    }

    async fn snapshot(&mut self, layout: &Arc<Layout>, snapshot: Snapshot) -> Result<SnapshotBegun> {
        self.live.snapshot(layout, snapshot).await
    }

    async fn partitions(&mut self, topic: &str) -> Result<usize> {
        let (cluster, asked) = (Arc::clone(&self.cluster), topic.to_owned());
        let partitions = tokio::task::spawn_blocking(move || cluster.partitions(&asked))
            .await
            .map_err(|error| Error::new(Kind::Unexpected, "a task ended early").because(error))??;
        Ok(partitions.len())
    }

    async fn in_order(&mut self, topic: &str) -> Result<bool> {
        if let Some(known) = self.in_order.get(topic) {
            return Ok(*known);
        }
        // With one partition alone nobody has to know how keys were spread over them before.
        let in_order = self.partitions(topic).await? == 1 && !is_compacted(&self.client, topic).await;
        self.in_order.insert(topic.to_owned(), in_order);
        Ok(in_order)
    }
}
