//! The two pipelines of one database: the direct one, and the one through Debezium and Kafka.

use super::sessions::{SCHEMA, TABLES, Table};
use crate::support::{Connect, Invocation, Kafka, Outcome, Running, Stage};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

/// Rows that a change left, not a copy: each pipeline makes its later copies at places of its own.
const CHANGED: &str = "bitAnd(_version, 18446744073709551615) > 0";

/// The file of each pipeline's configuration.
const FILES: [&str; 2] = ["direct.yml", "clickhouse_config.yml"];

/// Both, and what runs of them. The fields go in the order in which they have to end.
pub(super) struct Pipelines {
    running: [Option<Running>; 2],
    _connect: Connect,
    kafka: Kafka,
    pub(super) stage: Stage,
    /// The databases, in the order of `FILES`.
    databases: [String; 2],
    connect_url: String,
    /// Properties of the consumer.
    member: &'static str,
}

impl Pipelines {
    pub(super) fn new(is_static: bool, prepare: impl FnOnce(&Stage)) -> Self {
        let stage = Stage::new("model");
        stage.postgres.execute(SCHEMA);
        prepare(&stage);
        let (kafka, connect) = (Kafka::of(&stage), Connect::of(&stage));
        let connect_url = connect.url.clone();
        // A static member is back at once after it was killed; the place of another one is kept until its time is over.
        let member = if is_static { "group.instance.id: model" } else { "session.timeout.ms: 6000" };
        let databases = [format!("{}_d", stage.name), stage.name.clone()];
        let pipelines = Self { running: [None, None], _connect: connect, kafka, stage, databases, connect_url, member };
        pipelines.configure("{max_age: 100ms}");
        let applied = pipelines.stage.pipectl(&["connector", "apply", "--yes"]);
        assert_eq!(applied.status, Some(0), "{applied}");
        pipelines
    }

    /// Writes both configurations, with this for `sync.batch`.
    pub(super) fn configure(&self, batch: &str) {
        let tables = "tables:\n  - {source: public.bag, keyless: multiset}\n  - {source: public.history, mode: log}\n  - source: public.*\n";
        let sync = format!("sync:\n  heartbeat: 1s\n  batch: {batch}\n");
        let name = &self.databases[0];
        self.stage.directory.write(
            FILES[0],
            &format!(
                "pipeline: {name}\npostgres:\n  url: ${{POSTGRES_URL}}\nclickhouse:\n  url: ${{CLICKHOUSE_URL}}\n  database: {name}\n{tables}{sync}"
            ),
        );
        self.stage.config(&format!(
            "kafka:\n  brokers: {}\n  topic_prefix: {}\n  connect_url: {}\n  properties: {{{}}}\n{tables}{sync}  source: kafka\n",
            self.kafka.brokers, self.stage.name, self.connect_url, self.member
        ));
    }

    fn call(&self, way: usize, arguments: &[&str]) -> Invocation {
        self.stage.invocation(&[&["-c", FILES[way]], arguments].concat())
    }

    /// Lets one go on.
    pub(super) fn start(&mut self, way: usize) {
        self.running[way] = Some(self.call(way, &["sync"]).spawn());
    }

    /// Kills one as a crash would, or stops it.
    pub(super) fn end(&mut self, way: usize, killed: bool) {
        let Some(mut running) = self.running[way].take() else { return };
        assert!(!running.has_ended(), "{} ended by itself: {}", FILES[way], running.told());
        running.signal(if killed { "KILL" } else { "TERM" });
        let ended = running.ended();
        // One that has only just begun may end by the signal itself.
        assert!(ended.status.is_none_or(|status| status == 0), "{}: {ended}", FILES[way]);
        carried(&ended);
    }

    /// Both store everything that was committed, and are compared with Postgres.
    pub(super) fn catch_up(&self) {
        for arguments in [&["sync", "--until-caught-up"][..], &["verify", "--show-values"]] {
            let both = [0, 1].map(|way| self.call(way, arguments).spawn());
            for (outcome, file) in both.map(|running| running.finish(Duration::from_mins(4))).into_iter().zip(FILES) {
                assert_eq!(outcome.status, Some(0), "{file} {arguments:?}: {outcome}");
                carried(&outcome);
            }
        }
        let mut wrong = String::new();
        for database in &self.databases {
            for table in TABLES {
                self.compare(table, database, &mut wrong);
            }
            self.compare_bag(database, &mut wrong);
        }
        for table in TABLES.iter().filter(|table| !table.is_log) {
            self.compare_order(table, &mut wrong);
        }
        assert!(wrong.is_empty(), "{wrong}");
    }

    /// Has ClickHouse merge everything of a table.
    pub(super) fn merge(&self, table: usize) {
        for database in &self.databases {
            let name = TABLES.get(table).map_or("bag__log", |table| table.name);
            self.stage.clickhouse.try_value(&format!("OPTIMIZE TABLE {database}.{name} FINAL"));
        }
    }

    /// Columns as Postgres has them now, and the same as text of ClickHouse.
    fn columns(&self, table: &Table) -> Vec<String> {
        let sql = format!(
            "SELECT attname FROM pg_attribute WHERE attrelid = '{}'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attname",
            table.name
        );
        self.stage.postgres.rows(&sql).into_iter().map(|row| row[0].clone().unwrap()).collect()
    }

    fn of_postgres(&self, sql: &str) -> BTreeSet<Vec<Option<String>>> {
        self.stage.postgres.rows(sql).into_iter().collect()
    }

    fn of_clickhouse(&self, columns: &[String], sql: &str) -> BTreeSet<Vec<Option<String>>> {
        let row = |row: serde_json::Map<String, serde_json::Value>| {
            let text = |name: &String| row[&format!("text_{name}")].as_str().map(str::to_owned);
            columns.iter().map(text).collect()
        };
        self.stage.clickhouse.rows(sql).into_iter().map(row).collect()
    }

    /// What `FINAL` shows is what Postgres has; of a log, what its rows come to.
    fn compare(&self, table: &Table, database: &str, wrong: &mut String) {
        let columns = self.columns(table);
        let texts: Vec<String> = columns.iter().map(|name| format!("toString({name}) AS text_{name}")).collect();
        let source = self.of_postgres(&format!("SELECT {} FROM {}", columns.join(", "), table.name));
        let rows = if table.is_log {
            format!(
                "(SELECT * FROM {database}.{0} FINAL WHERE _op <> 't' AND _version > (SELECT coalesce(maxOrNull(_version), 0) FROM {database}.{0} WHERE _op = 't')
                 OR _op = 'r' AND NOT EXISTS (SELECT 1 FROM {database}.{0} WHERE _op = 't') ORDER BY id, _version DESC, _ordinal DESC LIMIT 1 BY id) WHERE _op IN ('r', 'c', 'u')",
                table.name
            )
        } else {
            format!("{database}.{} FINAL", table.name)
        };
        let stored = self.of_clickhouse(&columns, &format!("SELECT {} FROM {rows}", texts.join(", ")));
        differ(&format!("{database}.{} ({})", table.name, columns.join(", ")), &source, &stored, wrong);
        if !table.is_log {
            let key = table.second.map_or("id".to_owned(), |(second, _)| format!("id, {second}"));
            let turned = format!(
                "SELECT count() FROM (SELECT seq, lagInFrame(seq) OVER (PARTITION BY {key} ORDER BY _version, seq) AS before FROM {database}.{}
                 WHERE _deleted = 0) WHERE seq < before",
                table.name
            );
            let count = self.stage.clickhouse.value(&turned);
            if count != "0" {
                writeln!(
                    wrong,
                    "{database}.{}: {count} versions of a key are not in the order of its changes",
                    table.name
                )
                .unwrap();
            }
        }
    }

    fn compare_bag(&self, database: &str, wrong: &mut String) {
        let source = self.of_postgres("SELECT v, note, count(*) FROM bag GROUP BY v, note");
        let columns = ["v", "note", "count"].map(str::to_owned);
        let stored = self.of_clickhouse(
            &columns,
            &format!("SELECT toString(v) AS text_v, toString(note) AS text_note, toString(count()) AS text_count FROM {database}.bag GROUP BY v, note"),
        );
        differ(&format!("{database}.bag"), &source, &stored, wrong);
    }

    /// Rows of both that changed have the same order, though not the same versions: both number the same places, each in its own way.
    fn compare_order(&self, table: &Table, wrong: &mut String) {
        let key = table.second.map_or("tuple(id)".to_owned(), |(second, _)| format!("(id, {second})"));
        let versions = self.databases.each_ref().map(|database| {
            let sql = format!(
                "SELECT toString({key}) AS k, dense_rank() OVER (ORDER BY _version) AS rank FROM {database}.{0} FINAL
                 WHERE {CHANGED} AND {key} IN (SELECT {key} FROM {1}.{0} FINAL WHERE {CHANGED}) AND {key} IN (SELECT {key} FROM {2}.{0} FINAL WHERE {CHANGED})",
                table.name, self.databases[0], self.databases[1]
            );
            let rows = self.stage.clickhouse.rows(&sql);
            rows.iter().map(|row| (row["k"].to_string(), row["rank"].to_string())).collect::<BTreeMap<_, _>>()
        });
        let [direct, topics] = &versions;
        let differing: Vec<_> = direct.iter().filter(|(key, rank)| topics.get(*key) != Some(*rank)).take(5).collect();
        if !differing.is_empty() {
            writeln!(wrong, "{}: another order by topics, from {differing:?}", table.name).unwrap();
        }
    }
}

impl Drop for Pipelines {
    fn drop(&mut self) {
        self.running = [None, None];
        self.call(0, &["drop", "--yes"]).run();
        self.stage.clickhouse.execute(&format!("DROP DATABASE IF EXISTS {} SYNC", self.databases[0]));
    }
}

/// Nothing was left aside.
fn carried(outcome: &Outcome) {
    assert!(!outcome.stderr.contains("parked") && !outcome.stderr.contains("set aside"), "{outcome}");
}

type Rows = BTreeSet<Vec<Option<String>>>;

fn differ(what: &str, source: &Rows, stored: &Rows, wrong: &mut String) {
    for (side, one, other) in [("Postgres", source, stored), ("ClickHouse", stored, source)] {
        let alone: Vec<_> = one.difference(other).take(5).collect();
        if !alone.is_empty() {
            writeln!(wrong, "{what}: {} rows in {side} alone, such as", one.difference(other).count()).unwrap();
            for row in alone {
                let short =
                    |value: &Option<String>| value.as_ref().map(|text| text.chars().take(40).collect::<String>());
                writeln!(wrong, "  {:?}", row.iter().map(short).collect::<Vec<_>>()).unwrap();
            }
        }
    }
}
