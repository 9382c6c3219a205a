//! What the connector's configuration has to be. Why each property is as it is stands in docs/kafka.md.

use super::tables::Captured;
use crate::change::TableName;
use crate::config::{KafkaSettings, PostgresSettings, Settings, SslMode};
use crate::error::{Error, Kind, Result};
use crate::server::connect::ConnectorConfig;
use crate::server::postgres::quote_table;
use crate::sink::clickhouse::TablePlan;
use std::collections::BTreeMap;

/// The connector's Java class.
pub const CLASS: &str = "io.debezium.connector.postgresql.PostgresConnector";

const HEARTBEAT: &str = include_str!("../../sql/postgres/emit_message.sql");
const JSON: &str = "org.apache.kafka.connect.json.JsonConverter";
/// Largest record, in bytes: the broker's own limit of 1 MB ends the task at the first longer row.
const LARGEST_RECORD: &str = "16777216";

/// What stands in every pipeline's connector.
const FIXED: [(&str, &str); 36] = [
    ("connector.class", CLASS),
    ("tasks.max", "1"),
    ("plugin.name", "pgoutput"),
    ("slot.drop.on.stop", "false"),
    ("publication.autocreate.mode", "disabled"),
    ("publish.via.partition.root", "true"),
    ("snapshot.mode", "initial"),
    ("skipped.operations", "none"),
    ("tombstones.on.delete", "true"),
    ("decimal.handling.mode", "string"),
    ("time.precision.mode", "microseconds"),
    ("interval.handling.mode", "string"),
    ("binary.handling.mode", "bytes"),
    ("hstore.handling.mode", "json"),
    ("include.unknown.datatypes", "true"),
    ("event.processing.failure.handling.mode", "fail"),
    ("event.converting.failure.handling.mode", "fail"),
    ("extended.headers.enabled", "false"),
    ("key.converter", JSON),
    ("key.converter.schemas.enable", "false"),
    ("value.converter", JSON),
    ("value.converter.schemas.enable", "false"),
    ("value.converter.replace.null.with.default", "false"),
    ("max.batch.size", "8192"),
    ("max.queue.size", "32768"),
    ("poll.interval.ms", "50"),
    ("topic.creation.default.replication.factor", "-1"),
    ("topic.creation.default.partitions", "1"),
    ("topic.creation.default.cleanup.policy", "delete"),
    ("topic.creation.default.max.message.bytes", LARGEST_RECORD),
    ("producer.override.max.request.size", LARGEST_RECORD),
    ("producer.override.buffer.memory", "67108864"),
    ("producer.override.compression.type", "lz4"),
    ("producer.override.linger.ms", "10"),
    ("producer.override.batch.size", "262144"),
    // Decides what a value looks like as text, and who may end the session: as pipectl's own sessions have it.
    (
        "driver.options",
        "-c IntervalStyle=postgres -c bytea_output=hex -c extra_float_digits=3 -c lc_monetary=C -c quote_all_identifiers=off -c row_security=off \
         -c statement_timeout=0 -c lock_timeout=0 -c idle_in_transaction_session_timeout=0",
    ),
];

/// Properties that have a key of their own in the configuration, where pipectl itself goes by them.
const ELSEWHERE: [(&str, &str); 6] = [
    ("connector.class", "only Debezium's Postgres connector is read"),
    ("plugin.name", "only pgoutput is read"),
    ("slot.name", "set `postgres.slot`"),
    ("publication.name", "set `postgres.publication`"),
    ("database.dbname", "set the database in `postgres.url`"),
    ("table.include.list", "set `tables`"),
];

/// What the connector's configuration has to be, `kafka.connector` included.
///
/// # Errors
/// [`Kind::Config`] where the configuration has no `postgres` or `kafka`, or overrides what has its own key.
pub fn wanted(settings: &Settings, captured: &Captured) -> Result<ConnectorConfig> {
    let missing = |section: &str| {
        Error::new(Kind::Config, format!("a connector needs the section `{section}` in the configuration"))
    };
    let postgres = settings.postgres.as_ref().ok_or_else(|| missing("postgres"))?;
    let kafka = settings.kafka.as_ref().ok_or_else(|| missing("kafka"))?;
    let mut config: BTreeMap<String, String> =
        FIXED.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let mut set = |name: &str, value: String| _ = config.insert(name.to_owned(), value);
    set("name", settings.connector_name());
    set("topic.prefix", settings.topic_prefix());
    set("slot.name", postgres.slot.clone());
    set("publication.name", postgres.publication.clone());
    set("provide.transaction.metadata", captured.needs_transaction_metadata().to_string());
    database(postgres, &mut set);
    tables(settings, captured, &mut set);
    if !settings.sync.heartbeat.is_zero() {
        set("heartbeat.interval.ms", settings.sync.heartbeat.as_millis().to_string());
        set("heartbeat.action.query", heartbeat());
    }
    overridden(kafka, &mut config)?;
    if config.get("database.hostname").is_none_or(|host| host.starts_with('/')) {
        return Err(Error::new(
            Kind::Config,
            "Debezium connects by TCP, and `postgres` names the directory of a socket",
        )
        .hint("set `kafka.connector: {database.hostname: …}` to the address that the Connect workers reach it by"));
    }
    Ok(ConnectorConfig(config))
}

fn database(postgres: &PostgresSettings, set: &mut impl FnMut(&str, String)) {
    set("database.hostname", postgres.host.clone());
    set("database.port", postgres.port.to_string());
    set("database.user", postgres.user.clone());
    set("database.password", postgres.password.expose().to_owned());
    set("database.dbname", postgres.database.clone());
    let mode = match postgres.sslmode {
        SslMode::Disable => "disable",
        SslMode::Prefer => "prefer",
        SslMode::Require => "require",
        SslMode::VerifyCa => "verify-ca",
        SslMode::VerifyFull => "verify-full",
    };
    set("database.sslmode", mode.to_owned());
    let files = [
        ("database.sslrootcert", &postgres.sslrootcert),
        ("database.sslcert", &postgres.sslcert),
        ("database.sslkey", &postgres.sslkey),
    ];
    for (name, path) in files {
        if let Some(path) = path {
            set(name, path.to_string_lossy().into_owned());
        }
    }
}

fn tables(settings: &Settings, captured: &Captured, set: &mut impl FnMut(&str, String)) {
    let list = |names: Vec<String>| names.join(",");
    let pattern = |table: &TablePlan| pattern(&[&table.schema.name.schema, &table.schema.name.name]);
    set("table.include.list", list(captured.tables.iter().map(pattern).collect()));
    let excluded: Vec<String> = captured.tables.iter().flat_map(left_out).collect();
    if !excluded.is_empty() {
        set("column.exclude.list", list(excluded));
    }
    // A publication's row filter holds for the stream; the snapshot has to be told.
    let filter = |table: &TablePlan| settings.rule_for(&table.schema.name).and_then(|rule| rule.row_filter.clone());
    let filtered: Vec<_> = captured.tables.iter().filter_map(|table| Some((table, filter(table)?))).collect();
    if !filtered.is_empty() {
        // Names here, not patterns: one that is none is passed over without a word.
        let name = |table: &TablePlan| table_id(&table.schema.name);
        set("snapshot.select.statement.overrides", list(filtered.iter().map(|(table, _)| name(table)).collect()));
        for (table, filter) in filtered {
            let name = format!("snapshot.select.statement.overrides.{}", name(table));
            set(&name, format!("SELECT * FROM {} WHERE ({filter})", quote_table(&table.schema.name)));
        }
    }
}

/// A table's name as Debezium reads it where it expects one.
fn table_id(name: &TableName) -> String {
    let is_bare = |c: char| c.is_alphanumeric() || c == '_';
    let part = |part: &str| if part.chars().all(is_bare) { part.to_owned() } else { format!("\"{part}\"") };
    format!("{}.{}", part(&name.schema), part(&name.name))
}

/// The columns of a table that are not stored. Generated ones are in the snapshot and never in the stream.
fn left_out(table: &TablePlan) -> Vec<String> {
    let name = &table.schema.name;
    let columns = table.schema.columns.iter().enumerate();
    columns
        .filter(|(index, _)| !table.columns.iter().any(|stored| stored.source == *index))
        .map(|(_, column)| pattern(&[&name.schema, &name.name, &column.name]))
        .collect()
}

/// A name as a Java regular expression in one of Debezium's lists, whose elements are separated by commas.
fn pattern(parts: &[&str]) -> String {
    let mut out = String::new();
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            out.push_str("\\.");
        }
        for c in part.chars() {
            if matches!(c, '\\' | '.' | '*' | '+' | '?' | '(' | ')' | '[' | ']' | '{' | '}' | '^' | '$' | '|' | ',') {
                out.push('\\');
            }
            out.push(c);
        }
    }
    out
}

/// The statement alone: Debezium sends it as it is.
fn heartbeat() -> String {
    HEARTBEAT.lines().filter(|line| !line.starts_with("--")).collect::<Vec<_>>().join(" ")
}

/// Puts the overrides in; an empty one takes the property away.
fn overridden(kafka: &KafkaSettings, config: &mut BTreeMap<String, String>) -> Result<()> {
    for (name, value) in &kafka.connector {
        if let Some((_, instead)) = ELSEWHERE.iter().find(|(elsewhere, _)| elsewhere == name) {
            return Err(Error::new(Kind::Config, format!("`kafka.connector` cannot set {name}")).hint(*instead));
        }
        if value.is_empty() {
            config.remove(name);
        } else {
            config.insert(name.clone(), value.expose().to_owned());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::{Column, ReplicaIdentity, SourceType, TableName, TableSchema};
    use crate::config::{Flags, Secret, Sources};
    use crate::connector::{captured, lossy_columns};

    fn settings(tables: &str) -> Settings {
        let directory = std::env::temp_dir().join(format!("pipectl-wanted-{}-{:p}", std::process::id(), tables));
        std::fs::create_dir_all(&directory).unwrap();
        let file = directory.join("clickhouse_config.yml");
        std::fs::write(&file, format!("pipeline: shop\nkafka: {{brokers: 'k:9092'}}\ntables:\n{tables}\n")).unwrap();
        let flags = Flags {
            postgres_url: Some("postgres://u:hunter2@db.example:5433/shop?sslmode=require".to_owned()),
            clickhouse_url: Some("http://ch:8123".to_owned()),
        };
        let read = crate::config::load(&Sources { file, flags, ..Sources::default() }).unwrap();
        std::fs::remove_dir_all(directory).unwrap();
        read
    }

    fn column(name: &str, generated: bool) -> Column {
        Column {
            name: name.to_owned(),
            number: 1,
            type_oid: 20,
            type_modifier: -1,
            type_name: "bigint".to_owned(),
            source_type: SourceType::Int8,
            output_function: "pg_catalog.int8out".to_owned(),
            not_null: true,
            generated,
            toastable: false,
            missing_value: None,
        }
    }

    fn table(name: &str, key: Vec<usize>, identity: ReplicaIdentity) -> TableSchema {
        TableSchema {
            relid: 1,
            name: TableName::new("public", name),
            columns: vec![column("id", false), column("gen", true), column("card,no", false)],
            key,
            identity,
            newest_column: 0,
            partitioned: false,
            unlogged: false,
            estimated_rows: 0,
            bytes: 0,
        }
    }

    fn config(settings: &Settings, catalog: &[TableSchema]) -> ConnectorConfig {
        wanted(settings, &captured(settings, catalog).unwrap()).unwrap()
    }

    #[test]
    fn the_configuration_names_what_the_yaml_names() {
        let settings =
            settings("  - {source: public.orders, where: \"region = 'EU'\", columns: {'card,no': {exclude: true}}}");
        let orders = table("orders", vec![0], ReplicaIdentity::Default);
        let config = config(&settings, &[orders, table("other", vec![0], ReplicaIdentity::Default)]);
        let value = |name: &str| config.get(name).map(String::as_str).unwrap_or_default();
        assert_eq!((value("database.hostname"), value("database.port")), ("db.example", "5433"));
        assert_eq!((value("database.password"), value("database.sslmode")), ("hunter2", "require"));
        assert_eq!((value("slot.name"), value("publication.name")), ("pipectl_shop", "pipectl_shop"));
        assert_eq!((value("name"), value("topic.prefix")), ("pipectl_shop", "shop"));
        assert_eq!(value("table.include.list"), "public\\.orders");
        assert_eq!(value("column.exclude.list"), "public\\.orders\\.gen,public\\.orders\\.card\\,no");
        assert_eq!(value("snapshot.select.statement.overrides"), "public.orders");
        assert_eq!(
            value("snapshot.select.statement.overrides.public.orders"),
            "SELECT * FROM \"public\".\"orders\" WHERE (region = 'EU')"
        );
        assert_eq!(
            value("heartbeat.action.query"),
            "SELECT pg_catalog.pg_logical_emit_message(true, 'pipectl', 'heartbeat')::text"
        );
        assert_eq!((value("heartbeat.interval.ms"), value("provide.transaction.metadata")), ("30000", "false"));
        assert!(!format!("{config:?}").contains("hunter2"));
    }

    #[test]
    fn what_no_setting_helps_against_is_named() {
        let mut table = table("t", vec![0], ReplicaIdentity::Default);
        let column_of = |name: &str, type_name: &str, output_function: &str| Column {
            type_name: type_name.to_owned(),
            source_type: SourceType::Text,
            output_function: format!("pg_catalog.{output_function}"),
            ..column(name, false)
        };
        table.columns.extend([
            column_of("at", "time with time zone", "timetz_out"),
            column_of("spans", "interval[]", "array_out"),
            column_of("bits", "bit varying(20)", "varbit_out"),
            column_of("plain", "inet", "inet_out"),
        ]);
        let settings = settings("  - public.*");
        let found = captured(&settings, &[table]).unwrap();
        let lossy = lossy_columns(&found, &wanted(&settings, &found).unwrap());
        let names: Vec<&str> = lossy.iter().filter_map(|line| line.split(':').next()).collect();
        assert_eq!(names, ["column public.t.at", "column public.t.spans", "column public.t.bits"], "{lossy:?}");
    }

    #[test]
    fn what_is_wanted_loses_nothing() {
        let config = config(&settings("  - public.*"), &[table("t", vec![0], ReplicaIdentity::Default)]);
        assert_eq!(crate::connector::losses(&config), []);
    }

    #[test]
    fn a_table_without_a_key_needs_its_whole_rows_and_transaction_metadata() {
        let settings = settings("  - {source: public.*, keyless: insert_only}");
        let catalog = [table("full", vec![], ReplicaIdentity::Full), table("bare", vec![], ReplicaIdentity::Default)];
        let found = captured(&settings, &catalog).unwrap();
        assert_eq!(found.tables.len(), 1);
        assert!(found.warnings[0].contains("public.bare is left out"), "{:?}", found.warnings);
        assert_eq!(wanted(&settings, &found).unwrap()["provide.transaction.metadata"], "true");
    }

    #[test]
    fn an_override_goes_first_and_an_empty_one_takes_away() {
        let mut settings = settings("  - public.*");
        let overrides = [("decimal.handling.mode", "precise"), ("producer.override.linger.ms", "")];
        let kafka = settings.kafka.as_mut().unwrap();
        kafka.connector = overrides.map(|(name, value)| (name.to_owned(), Secret::new(value))).into();
        let found = config(&settings, &[table("t", vec![0], ReplicaIdentity::Default)]);
        assert_eq!(found["decimal.handling.mode"], "precise");
        assert!(!found.contains_key("producer.override.linger.ms"));
        settings.kafka.as_mut().unwrap().connector.insert("slot.name".to_owned(), Secret::new("other"));
        let error = wanted(&settings, &Captured::default()).unwrap_err();
        assert_eq!((error.kind(), error.hint_text()), (Kind::Config, Some("set `postgres.slot`")));
    }
}
