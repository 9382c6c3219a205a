//! What the rest of pipectl works from: the configuration, checked and complete.

use super::Secret;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// Rows that one insert holds at most, unless set.
pub const DEFAULT_BATCH_ROWS: usize = 100_000;
/// Bytes that one insert holds at most, unless set.
pub const DEFAULT_BATCH_BYTES: usize = 16 << 20;
/// How long a change waits for others at most, unless set.
pub const DEFAULT_BATCH_AGE: Duration = Duration::from_secs(1);
/// Readers of a snapshot, unless set.
pub const DEFAULT_SNAPSHOT_PARALLEL: usize = 4;
/// Bytes that all waiting rows hold together, unless set.
pub const DEFAULT_MEMORY: usize = 192 << 20;
/// Time between two heartbeats, unless set.
pub const DEFAULT_HEARTBEAT: Duration = Duration::from_secs(30);
/// Time for the last batch when stopping, unless set.
pub const DEFAULT_STOP_TIMEOUT: Duration = Duration::from_secs(20);

/// The whole configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The pipeline's name, `[a-z][a-z0-9_]{0,40}`.
    pub pipeline: String,
    /// The source; absent where only hand-written tables are used.
    pub postgres: Option<PostgresSettings>,
    /// The destination.
    pub clickhouse: ClickHouseSettings,
    /// Kafka, where the pipeline has one.
    pub kafka: Option<KafkaSettings>,
    /// Which tables, in the order of the file.
    pub tables: Vec<TableRule>,
    /// Plain SQL for ClickHouse, run in order by `create-tables`.
    pub statements: Vec<Statement>,
    /// How `sync` works.
    pub sync: SyncSettings,
}

impl Settings {
    /// The connector's name in Kafka Connect.
    pub fn connector_name(&self) -> String {
        let set = self.kafka.as_ref().and_then(|kafka| kafka.connector.get("name"));
        set.map_or_else(|| format!("pipectl_{}", self.pipeline), |name| name.expose().to_owned())
    }

    /// What the names of the connector's topics begin with, before the first dot.
    pub fn topic_prefix(&self) -> String {
        let kafka = self.kafka.as_ref();
        let set = kafka.and_then(|kafka| kafka.connector.get("topic.prefix")).map(|prefix| prefix.expose().to_owned());
        set.or_else(|| kafka?.topic_prefix.clone()).unwrap_or_else(|| self.pipeline.clone())
    }
}

/// How a connection to Postgres is protected, as libpq's `sslmode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SslMode {
    /// Never.
    Disable,
    /// If the server offers it; the default, like libpq's.
    #[default]
    Prefer,
    /// Always, whatever certificate the server shows.
    Require,
    /// Always, with a certificate of a known authority.
    VerifyCa,
    /// Always, with a certificate of a known authority for this host name.
    VerifyFull,
}

/// How to reach Postgres, and the names used there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresSettings {
    /// Host name, address, or the directory of a Unix socket.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Role.
    pub user: String,
    /// Its password; empty for none.
    pub password: Secret,
    /// Database.
    pub database: String,
    /// Protection of the connection.
    pub sslmode: SslMode,
    /// Authorities to trust (PEM); the Mozilla set where absent.
    pub sslrootcert: Option<PathBuf>,
    /// Client certificate (PEM).
    pub sslcert: Option<PathBuf>,
    /// Client key (PEM).
    pub sslkey: Option<PathBuf>,
    /// The publication's name.
    pub publication: String,
    /// The replication slot's name.
    pub slot: String,
    /// Whether the password stands in the file itself rather than in the environment: doctor warns.
    pub password_in_file: bool,
}

/// How to reach ClickHouse, and the names used there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClickHouseSettings {
    /// Host name or address.
    pub host: String,
    /// HTTP(S) port.
    pub port: u16,
    /// Whether to use HTTPS.
    pub secure: bool,
    /// User.
    pub user: String,
    /// Its password; empty for none.
    pub password: Secret,
    /// Database of the tables; created if it is missing.
    pub database: String,
    /// For `ON CLUSTER` and Replicated engines.
    pub cluster: Option<String>,
    /// Authority to trust for HTTPS (PEM).
    pub ca_file: Option<PathBuf>,
    /// Name of the column that holds a row's version.
    pub version_column: String,
    /// Name of the column that marks a deleted row.
    pub deleted_column: String,
    /// Whether the password stands in the file itself: doctor warns.
    pub password_in_file: bool,
}

/// How to reach Kafka and what belongs to it. URLs and properties may hold a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaSettings {
    /// `host:port`, more of them separated by commas.
    pub brokers: String,
    /// What the connector's topics begin with.
    pub topic_prefix: Option<String>,
    /// Kafka Connect's REST interface.
    pub connect_url: Option<Secret>,
    /// The schema registry, for Avro.
    pub schema_registry_url: Option<Secret>,
    /// Authority to trust (PEM): for HTTPS to Connect and the registry, and for TLS to the brokers where `properties` names none.
    pub ca_file: Option<PathBuf>,
    /// Where records go that cannot be carried.
    pub dead_letter_topic: Option<String>,
    /// Further topics to read, each a name or a pattern with `*` and `?`: those that a router gave names of their own.
    pub topics: Vec<String>,
    /// Properties of the Debezium connector that go before those that pipectl sets; `name` is the connector's own.
    pub connector: BTreeMap<String, Secret>,
    /// Properties of librdkafka, by their names there.
    pub properties: BTreeMap<String, Secret>,
}

impl KafkaSettings {
    /// Brokers, and everything else left out.
    pub fn new(brokers: impl Into<String>) -> Self {
        Self {
            brokers: brokers.into(),
            topic_prefix: None,
            connect_url: None,
            schema_registry_url: None,
            ca_file: None,
            dead_letter_topic: None,
            topics: Vec::new(),
            connector: BTreeMap::new(),
            properties: BTreeMap::new(),
        }
    }
}

/// An entry of `tables`: a pattern or one table, and what applies to what it matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableRule {
    /// `schema.table`, in which `*` and `?` stand for any characters; without a schema it is `public`.
    pub source: String,
    /// Patterns that are left out.
    pub exclude: Vec<String>,
    /// What to do with tables without a key.
    pub keyless: Keyless,
    /// Name at the destination; by default the table's name, or `schema_table` outside `public`.
    pub target: Option<String>,
    /// Sorting key; by default the replica identity.
    pub order_by: Option<Vec<String>>,
    /// Partition key, as ClickHouse reads it.
    pub partition_by: Option<String>,
    /// What is stored of a change.
    pub mode: TableMode,
    /// What a delete at the source does.
    pub deletes: Deletes,
    /// What becomes of a dropped partition's rows.
    pub dropped_partitions: DroppedPartitions,
    /// Whether to make a view `<target>_current`.
    pub current_view: bool,
    /// A row filter, for publication and snapshot.
    pub row_filter: Option<String>,
    /// Overrides of single columns, by name.
    pub columns: BTreeMap<String, ColumnRule>,
    /// The whole table written out: then nothing is asked of Postgres.
    pub written_out: Option<Vec<WrittenColumn>>,
    /// Why the table takes no part although the entry is for it. No key of the configuration: it is found out when tables have changed their names.
    pub displaced: Option<String>,
}

/// What to do with a table without a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Keyless {
    /// Leave it out, with a warning.
    #[default]
    Refuse,
    /// Publish its inserts alone.
    InsertOnly,
    /// Follow all of its changes, as rows that come and go: each is there as often as in the source.
    Multiset,
}

/// What is stored of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TableMode {
    /// The table as it is at the source.
    #[default]
    Replica,
    /// Every change as a row of its own.
    Log,
}

/// What a delete at the source does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Deletes {
    /// The row goes.
    #[default]
    Apply,
    /// The row stays.
    Keep,
}

/// What becomes of the rows of a partition that is dropped or detached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DroppedPartitions {
    /// They go.
    #[default]
    Delete,
    /// They stay.
    Keep,
}

/// An override of one column.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ColumnRule {
    /// The ClickHouse type to store it as.
    pub column_type: Option<String>,
    /// Whether to leave it out.
    pub exclude: bool,
    /// Store this hash of the value instead (`sha256`).
    pub hash: Option<String>,
    /// Salt of the hash.
    pub hash_salt: Secret,
    /// Store a mask instead of the value.
    pub mask: Option<String>,
}

/// A column of a table that is written out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenColumn {
    /// Its name.
    pub name: String,
    /// Its ClickHouse type.
    pub column_type: String,
}

/// A statement of `statements`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// What it is called in messages.
    pub name: String,
    /// The SQL, run as it is written.
    pub sql: String,
}

/// Where `sync` reads changes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SyncSource {
    /// Postgres' logical replication.
    #[default]
    Postgres,
    /// Debezium's topics.
    Kafka,
}

/// How `sync` works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncSettings {
    /// Where changes come from.
    pub source: SyncSource,
    /// Rows that one insert holds at most.
    pub batch_rows: usize,
    /// Bytes that one insert holds at most.
    pub batch_bytes: usize,
    /// How long a change waits for others at most.
    pub batch_age: Duration,
    /// Readers of a snapshot.
    pub snapshot_parallel: usize,
    /// Bytes that all waiting rows hold together.
    pub memory: usize,
    /// Time between two heartbeats; none where zero.
    pub heartbeat: Duration,
    /// Time for the last batch when stopping.
    pub stop_timeout: Duration,
    /// Time to wait for open transactions when making the slot; without end where absent.
    pub slot_timeout: Option<Duration>,
}

impl Default for SyncSettings {
    fn default() -> Self {
        Self {
            source: SyncSource::Postgres,
            batch_rows: DEFAULT_BATCH_ROWS,
            batch_bytes: DEFAULT_BATCH_BYTES,
            batch_age: DEFAULT_BATCH_AGE,
            snapshot_parallel: DEFAULT_SNAPSHOT_PARALLEL,
            memory: DEFAULT_MEMORY,
            heartbeat: DEFAULT_HEARTBEAT,
            stop_timeout: DEFAULT_STOP_TIMEOUT,
            slot_timeout: None,
        }
    }
}
