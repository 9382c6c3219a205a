//! The list of all checks. Ids are stable: scripts may rely on them.

/// Which part of the pipeline a check looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// The configuration file.
    Configuration,
    /// The source.
    Postgres,
    /// The destination.
    ClickHouse,
    /// The brokers, for a pipeline through Kafka.
    Kafka,
    /// Kafka Connect and the connector.
    Connect,
    /// What `sync` stored, beside what both servers have.
    Pipeline,
}

impl Part {
    /// Its name, as in the ids of its checks.
    pub fn word(self) -> &'static str {
        match self {
            Self::Configuration => "config",
            Self::Postgres => "postgres",
            Self::ClickHouse => "clickhouse",
            Self::Kafka => "kafka",
            Self::Connect => "connect",
            Self::Pipeline => "pipeline",
        }
    }
}

/// A check, before it is made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    pub(super) needed: &'static str,
    /// The check that must not have failed for this one to be made; empty for none.
    pub(super) after: &'static str,
}

impl Entry {
    pub(super) fn part(&self) -> Part {
        match self.id.split_once('.') {
            Some(("postgres", _)) => Part::Postgres,
            Some(("clickhouse", _)) => Part::ClickHouse,
            Some(("kafka", _)) => Part::Kafka,
            Some(("connect", _)) => Part::Connect,
            Some(("pipeline", _)) => Part::Pipeline,
            _ => Part::Configuration,
        }
    }
}

const fn entry(id: &'static str, title: &'static str, needed: &'static str, after: &'static str) -> Entry {
    Entry { id, title, needed, after }
}

const PG: &str = "postgres.reachable";
const CH: &str = "clickhouse.reachable";
const KAFKA: &str = "kafka.reachable";
const CONNECT: &str = "connect.reachable";
const CONNECTOR: &str = "connect.connector";

/// All checks, in the order in which they are shown.
pub(super) const CHECKS: &[Entry] = &[
    entry(
        "config.postgres_password",
        "password of Postgres",
        "a password from the environment, not written in the file",
        "",
    ),
    entry(
        "config.clickhouse_password",
        "password of ClickHouse",
        "a password from the environment, not written in the file",
        "",
    ),
    entry(PG, "Postgres answers", "a session with the configured host, role and password", ""),
    entry("postgres.version", "server version", "14 or later; 13 works with slower snapshots", PG),
    entry("postgres.primary", "server is the primary", "a primary: publications and heartbeats are written", PG),
    entry("postgres.wal_level", "wal_level", "logical", PG),
    entry(
        "postgres.max_replication_slots",
        "free replication slots",
        "one for the pipeline, and one for later copies of a table",
        PG,
    ),
    entry(
        "postgres.max_wal_senders",
        "free WAL senders",
        "two for the pipeline, and one for later copies of a table",
        PG,
    ),
    entry("postgres.connections", "free connections", "one for each reader of the snapshot, and three more", PG),
    entry(
        "postgres.wal_sender_timeout",
        "wal_sender_timeout",
        "10 s or more, and not 0: a lost client would keep its slot",
        PG,
    ),
    entry(
        "postgres.max_slot_wal_keep_size",
        "max_slot_wal_keep_size",
        "-1, or room for an outage: the slot is lost beyond it",
        PG,
    ),
    entry(
        "postgres.idle_replication_slot_timeout",
        "idle_replication_slot_timeout",
        "0, or longer than any outage: the slot is lost after it",
        PG,
    ),
    entry("postgres.role_replication", "role may replicate", "the attribute REPLICATION", PG),
    entry(
        "postgres.replication_connection",
        "replication connection",
        "a replication session, let in by pg_hba.conf",
        PG,
    ),
    entry("postgres.clock", "clock of Postgres", "within 5 s of this machine's", PG),
    entry("postgres.tables", "tables of the configuration", "each entry of `tables` matches a table", PG),
    entry(
        "postgres.select",
        "role may read the tables",
        "USAGE on the schema and SELECT on each table",
        "postgres.tables",
    ),
    entry(
        "postgres.row_security",
        "row-level security",
        "none that binds the role: rows would be missing",
        "postgres.tables",
    ),
    entry(
        "postgres.keyless",
        "tables without a key",
        "a primary key, or a replica identity of a unique index",
        "postgres.tables",
    ),
    entry(
        "postgres.replica_identity",
        "replica identity",
        "the key; FULL where `order_by` has further columns",
        "postgres.tables",
    ),
    entry(
        "postgres.toast",
        "values stored out of line",
        "SELECT on the table: an UPDATE leaves such values out, pipectl reads them again",
        "postgres.tables",
    ),
    entry(
        "postgres.unlogged",
        "unlogged tables",
        "none: their changes never reach the write-ahead log",
        "postgres.tables",
    ),
    entry(
        "postgres.generated_columns",
        "generated columns",
        "none that are missed: Postgres does not send them",
        "postgres.tables",
    ),
    entry("postgres.types", "types of columns", "types that ClickHouse holds without loss", "postgres.tables"),
    entry("postgres.publication", "publication", "there before the slot; `sync` makes it", "postgres.tables"),
    entry(
        "postgres.publication_privileges",
        "role may make or alter the publication",
        "CREATE on the database, and ownership of the tables",
        "postgres.tables",
    ),
    entry(
        "postgres.publication_tables",
        "tables of the publication",
        "all tables of the configuration that have a key",
        "postgres.publication",
    ),
    entry(
        "postgres.keyless_published",
        "published tables without a key",
        "none: Postgres refuses their UPDATE and DELETE",
        "postgres.publication",
    ),
    entry(
        "postgres.publication_publish",
        "what the publication publishes",
        "insert, update, delete, truncate",
        "postgres.publication",
    ),
    entry(
        "postgres.publication_via_root",
        "publish_via_partition_root",
        "true: partitions come under the name of their table",
        "postgres.publication",
    ),
    entry(
        "postgres.publication_narrowed",
        "row filters and column lists",
        "none but what the configuration says",
        "postgres.publication",
    ),
    entry(
        "postgres.publication_inserts",
        "publication of tables without a key",
        "their inserts, and nothing else",
        "postgres.tables",
    ),
    entry("postgres.slot", "replication slot", "a pgoutput slot of this database; `sync` makes it", PG),
    entry("postgres.slot_wal", "WAL kept for the slot", "wal_status reserved or extended", "postgres.slot"),
    entry("postgres.slot_lag", "lag of the slot", "less than what the server keeps", "postgres.slot"),
    entry("postgres.abandoned_slots", "slots that nobody reads", "none of pipectl's: they keep WAL for ever", PG),
    entry(
        "postgres.open_transactions",
        "long write transactions",
        "none: making a slot waits for them, and a slot cannot move past them",
        PG,
    ),
    entry("postgres.prepared_transactions", "prepared transactions", "none: making a slot waits for them", PG),
    entry(CH, "ClickHouse answers", "an answer over HTTP for the configured user and password", ""),
    entry(
        "clickhouse.version",
        "server version",
        "23.8 or later; 23.2 knows ReplacingMergeTree with a deleted column",
        CH,
    ),
    entry("clickhouse.writable", "user may write", "readonly = 0", CH),
    entry(
        "clickhouse.grants",
        "grants of the user",
        "CREATE, ALTER, INSERT, SELECT, DROP and TRUNCATE on the database",
        CH,
    ),
    entry("clickhouse.cluster", "cluster", "the configured cluster, with macros for shard and replica", CH),
    entry("clickhouse.database", "database", "there; `sync` makes it", CH),
    entry(
        "clickhouse.tables",
        "existing tables",
        "engine, sorting key and columns as `create-tables` makes them",
        "clickhouse.database",
    ),
    entry(
        "clickhouse.version_columns",
        "version and deleted columns",
        "in each table, used by its engine",
        "clickhouse.database",
    ),
    entry("clickhouse.parts", "parts of the tables", "far fewer than parts_to_throw_insert", "clickhouse.database"),
    entry(
        "clickhouse.dead_letters",
        "records that could not be carried",
        "none: their changes are missing in the tables",
        "clickhouse.database",
    ),
    entry("clickhouse.async_insert", "async_insert", "any: pipectl sets it to 0 for its own inserts", CH),
    entry("clickhouse.dates", "range of dates", "0000 to 9999; what is beyond becomes NULL and is counted", CH),
    entry("clickhouse.disk", "free disk", "a tenth, and more than the source tables hold", CH),
    entry("clickhouse.clock", "clock of ClickHouse", "within 5 s of this machine's and of Postgres'", CH),
    entry(KAFKA, "brokers answer", "an answer of the configured brokers, with the configured login", ""),
    entry("kafka.topics", "topics of the tables", "there; Debezium makes a table's with its first record", KAFKA),
    entry("kafka.retention", "retention of the topics", "longer than any outage of `sync`: a day at least", KAFKA),
    entry("kafka.compaction", "compaction of the topics", "none: cleanup.policy=delete", KAFKA),
    entry("kafka.record_size", "largest record of the topics", "as large as the connector may send", KAFKA),
    entry("kafka.group", "consumer group", "there; `sync` makes it", KAFKA),
    entry("kafka.lag", "lag of the consumer group", "no record removed before it was read", KAFKA),
    entry(CONNECT, "Kafka Connect answers", "an answer of its REST interface", ""),
    entry("connect.plugin", "Debezium's plug-in", "debezium-connector-postgres, 2.7 or later", CONNECT),
    entry(CONNECTOR, "connector", "there, as `pipectl connector apply` makes it", CONNECT),
    entry("connect.tasks", "connector and tasks", "running", CONNECTOR),
    entry("connect.settings", "settings of the connector", "none that loses or changes data", CONNECTOR),
    entry("connect.slot", "slot and publication of the connector", "the pipeline's, and the slot is read", CONNECTOR),
    entry(
        "pipeline.position",
        "stored position and slot",
        "what is stored ends where the slot goes on, on the same server",
        CH,
    ),
    entry("pipeline.parked", "parked tables", "none: a parked table no longer follows its source", CH),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn ids_are_unique_and_what_they_wait_for_comes_before() {
        let mut seen = HashSet::new();
        for entry in CHECKS {
            assert!(entry.after.is_empty() || seen.contains(entry.after), "{}", entry.id);
            assert!(seen.insert(entry.id), "{} twice", entry.id);
            assert!(entry.id.starts_with(entry.part().word()), "{}", entry.id);
        }
    }
}
