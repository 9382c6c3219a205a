//! From text to [`Settings`]: the YAML file, `.env` and `${VAR}`, checked whole before anything runs.

mod connections;
mod duration;
mod file;
#[cfg(test)]
pub(crate) mod fixtures;
mod load;
mod names;
mod problems;
mod rules;
mod secret;
mod settings;
mod sources;
mod url;

pub use duration::duration;
pub use load::{load, load_clickhouse, load_kafka, load_postgres, load_postgres_without_file};
pub use names::{copy_slot, inserts_publication};
pub use rules::Selected;
pub use secret::Secret;
pub use settings::{
    ClickHouseSettings, ColumnRule, DEFAULT_BATCH_AGE, DEFAULT_BATCH_BYTES, DEFAULT_BATCH_ROWS, DEFAULT_HEARTBEAT,
    DEFAULT_MEMORY, DEFAULT_SNAPSHOT_PARALLEL, DEFAULT_STOP_TIMEOUT, Deletes, DroppedPartitions, KafkaSettings,
    Keyless, PostgresSettings, Settings, SslMode, Statement, SyncSettings, SyncSource, TableMode, TableRule,
    WrittenColumn,
};
pub use sources::{CLICKHOUSE_URL, DEFAULT_FILE, Flags, KAFKA_BROKERS, POSTGRES_URL, Sources};
pub use url::HttpUrl;

#[cfg(test)]
use load::parse;
#[cfg(test)]
mod tests;
