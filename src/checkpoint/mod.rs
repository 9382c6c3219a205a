//! What must survive a restart, in ClickHouse beside the data: a backup restores both.
//!
//! One table, `pipectl_state`, of names and JSON values, into which rows are only ever inserted; the newest of each name counts. A
//! position is written after the data that it covers, so that it may be behind the data, never ahead.

mod copies;
mod format;
mod offsets;
mod record;
mod renamed;

pub use offsets::OffsetStore;
pub use record::{
    CheckpointRecord, CopiedRecord, CopyAnswer, CopyPhase, CopyRequest, ExchangeRecord, MarkRecord, NullsRecord,
    OffsetRecord, PipelineRecord, RangeRecord, TablePhase, TableRecord,
};
pub use renamed::{displaced, follow};

use crate::change::{Offsets, Position, Version};
use crate::config::{Settings, SyncSource};
use crate::error::Result;
use crate::flow::CheckpointStore;
use crate::server::clickhouse::Server;
use format::{parse, render};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const CREATE: &str = include_str!("../../sql/clickhouse/create_state.sql");
const READ: &str = include_str!("../../sql/clickhouse/read_state.sql");
const WRITE: &str = include_str!("../../sql/clickhouse/write_state.sql");
const FORGET: &str = include_str!("../../sql/clickhouse/forget_state.sql");
const EXISTS: &str = include_str!("../../sql/clickhouse/table_exists.sql");

/// What a pipeline's changes come by. Each has a state of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Transport {
    /// Postgres' logical replication.
    #[default]
    Postgres,
    /// Topics of Kafka.
    Kafka,
}

impl Transport {
    fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Kafka => "kafka",
        }
    }
}

/// The pipeline's state in ClickHouse. Clones write on behind each other.
#[derive(Debug, Clone)]
pub struct StateStore {
    server: Server,
    database: String,
    pipeline: String,
    slot: String,
    transport: Transport,
    sequence: Arc<AtomicU64>,
}

/// The state as it was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// The pipeline's slot and snapshot; absent before the first start.
    pub pipeline: Option<PipelineRecord>,
    /// How far the destination is complete.
    pub checkpoint: Option<CheckpointRecord>,
    /// Each table by its id at the source.
    pub tables: BTreeMap<u32, TableRecord>,
    /// What the source's catalog said of each table.
    pub marks: BTreeMap<u32, MarkRecord>,
    /// Ranges of the first snapshot that are stored, by table id and number.
    pub ranges: BTreeMap<(u32, u32), RangeRecord>,
    /// How far topics are stored.
    pub offsets: Offsets,
    /// Values stored as NULL because ClickHouse cannot hold them, by table at the destination and column, of all processes so far.
    pub policy_nulls: BTreeMap<String, BTreeMap<String, u64>>,
}

impl StateStore {
    /// The state of a pipeline and slot; nothing is sent yet.
    pub fn new(server: Server, database: &str, pipeline: &str, slot: &str) -> Self {
        Self {
            server,
            database: database.to_owned(),
            pipeline: pipeline.to_owned(),
            slot: slot.to_owned(),
            transport: Transport::Postgres,
            sequence: Arc::default(),
        }
    }

    /// The state of the settings' pipeline, by the transport that they name.
    pub fn of_settings(settings: &Settings, server: Server) -> Self {
        let own_name = format!("pipectl_{}", settings.pipeline);
        let slot = settings.postgres.as_ref().map_or(own_name.as_str(), |postgres| postgres.slot.as_str());
        let transport = match settings.sync.source {
            SyncSource::Postgres => Transport::Postgres,
            SyncSource::Kafka => Transport::Kafka,
        };
        Self::new(server, &settings.clickhouse.database, &settings.pipeline, slot).of(transport)
    }

    /// The state of another transport of the same pipeline.
    #[must_use]
    pub fn of(mut self, transport: Transport) -> Self {
        self.transport = transport;
        self.sequence = Arc::default();
        self
    }

    fn next_sequence(&self) -> String {
        (self.sequence.fetch_add(1, Ordering::Relaxed) + 1).to_string()
    }

    /// Makes the state's table where it is missing.
    ///
    /// # Errors
    /// What ClickHouse answers.
    pub async fn create(&self) -> Result<()> {
        self.server
            .execute(CREATE, &[("database", &self.database)])
            .await
            .map_err(|error| error.during("could not create the state's table"))
    }

    /// Reads the state; empty where there is none. The store writes on behind what it read.
    ///
    /// # Errors
    /// What ClickHouse answers; [`Kind::Destination`](crate::error::Kind::Destination) for a record
    /// that a later version wrote.
    pub async fn load(&mut self) -> Result<State> {
        let found = self.server.rows(EXISTS, &[("database", &self.database), ("table", "pipectl_state")]).await?;
        if found.first().and_then(|row| row.get("found")).and_then(serde_json::Value::as_str) != Some("1") {
            return Ok(State::default());
        }
        let rows = self
            .server
            .rows(READ, &self.place())
            .await
            .map_err(|error| error.during("could not read the pipeline's state"))?;
        let mut state = State::default();
        for row in &rows {
            let text = |name: &str| row.get(name).and_then(serde_json::Value::as_str).unwrap_or_default();
            self.sequence.fetch_max(text("last").parse().unwrap_or(0), Ordering::Relaxed);
            let (kind, name, newest) = (text("kind"), text("name"), text("newest"));
            match kind {
                "pipeline" => state.pipeline = Some(parse(kind, newest)?),
                "checkpoint" => state.checkpoint = Some(parse(kind, newest)?),
                "table" => {
                    let record: TableRecord = parse(kind, newest)?;
                    if let (Ok(id), false) = (name.parse(), record.gone) {
                        state.tables.insert(id, record);
                    }
                }
                "marks" => state.marks.extend(name.parse().ok().zip(Some(parse(kind, newest)?))),
                "range" => {
                    let record = parse(kind, newest)?;
                    let id = name.split_once(':').and_then(|(id, no)| Some((id.parse().ok()?, no.parse().ok()?)));
                    if let Some(id) = id {
                        state.ranges.insert(id, record);
                    }
                }
                "offset" => {
                    let record: OffsetRecord = parse(kind, newest)?;
                    if let Some(name) = offsets::parse(name) {
                        state.offsets.0.insert(name, record.reached());
                    }
                }
                "nulls" => {
                    let record: NullsRecord = parse(kind, newest)?;
                    if let Some((target, _)) = name.rsplit_once('/') {
                        let columns = state.policy_nulls.entry(target.to_owned()).or_default();
                        for (column, count) in record.columns {
                            *columns.entry(column).or_default() += count;
                        }
                    }
                }
                // What a later version added without raising the format's version may be overlooked.
                _ => {}
            }
        }
        Ok(state)
    }

    async fn write(&mut self, kind: &str, name: &str, value: String) -> Result<()> {
        let sequence = self.next_sequence();
        let parameters = [
            ("database", self.database.as_str()),
            ("pipeline", self.pipeline.as_str()),
            ("transport", self.transport.name()),
            ("slot", self.slot.as_str()),
            ("kind", kind),
            ("name", name),
            ("value", value.as_str()),
            ("sequence", sequence.as_str()),
        ];
        self.server
            .execute(WRITE, &parameters)
            .await
            .map_err(|error| error.during("could not store the pipeline's state"))
    }

    /// Stores the pipeline's record.
    ///
    /// # Errors
    /// What ClickHouse answers.
    pub async fn save_pipeline(&mut self, record: &PipelineRecord) -> Result<()> {
        self.write("pipeline", "", render(record)?).await
    }

    /// What tells this pipeline's records from those of others, as parameters of a query.
    fn place(&self) -> [(&str, &str); 4] {
        [
            ("database", &self.database),
            ("pipeline", &self.pipeline),
            ("transport", self.transport.name()),
            ("slot", &self.slot),
        ]
    }

    /// Stores a table's record.
    ///
    /// # Errors
    /// What ClickHouse answers.
    pub async fn save_table(&mut self, relation: u32, record: &TableRecord) -> Result<()> {
        self.write("table", &relation.to_string(), render(record)?).await
    }

    /// Stores how many values of a table's columns one process has stored as NULL because ClickHouse cannot hold them. `process` is a name that no
    /// other one has.
    ///
    /// # Errors
    /// What ClickHouse answers.
    pub async fn save_nulls(&mut self, target: &str, process: &str, record: &NullsRecord) -> Result<()> {
        self.write("nulls", &format!("{target}/{process}"), render(record)?).await
    }

    /// Stores what the source's catalog says of a table.
    ///
    /// # Errors
    /// What ClickHouse answers.
    pub async fn save_marks(&mut self, relation: u32, record: &MarkRecord) -> Result<()> {
        self.write("marks", &relation.to_string(), render(record)?).await
    }

    /// Forgets everything of the pipeline, for good: only `pipectl drop` does that, when nothing runs.
    ///
    /// # Errors
    /// What ClickHouse answers.
    pub async fn forget(&self) -> Result<()> {
        self.server
            .execute(FORGET, &self.place())
            .await
            .map_err(|error| error.during("could not remove the pipeline's state"))
    }

    /// Stores that a range of a first snapshot is stored.
    ///
    /// # Errors
    /// What ClickHouse answers.
    pub async fn save_range(&mut self, relation: u32, number: u32, record: &RangeRecord) -> Result<()> {
        self.write("range", &format!("{relation}:{number}"), render(record)?).await
    }
}

impl CheckpointStore for StateStore {
    type Position = Position;

    async fn save(&mut self, position: &Position) -> Result<()> {
        self.write("checkpoint", "", render(&CheckpointRecord::from(*position))?).await
    }

    async fn park(&mut self, relation: u32, reason: &str, since: Version) -> Result<()> {
        let mut record = self.load().await?.tables.remove(&relation).unwrap_or_default();
        record.phase = TablePhase::Parked;
        record.reason = Some(reason.to_owned());
        record.since = Some(since.transaction().to_string());
        self.save_table(relation, &record).await
    }
}
