//! Topics without a Postgres to ask: column types by the records' schemas, or by a table that is written out; else an error that names the setting.

use crate::support::{Kafka, Outcome, Piped, Sample, Stage};
use crate::tail::registry::registry;

const SCHEMA: &str = "
    CREATE TABLE typed (id bigint PRIMARY KEY, small smallint, n int, ok bool, d float8, amount numeric(12, 2), at timestamp, atz timestamptz,
        day date, who uuid, note text, tags text[], raw bytea);
    INSERT INTO typed VALUES (1, -3, 70000, true, 1.5, 12.50, '2026-01-02 03:04:05.123456', '2026-01-02 03:04:05.654321+00', '1999-12-31',
        '0f0e0d0c-0b0a-0908-0706-050403020100', 'copied', '{a,NULL}', '\\x00ff'), (2, 1, 1, false, 0, 0, NULL, NULL, NULL, NULL, '', '{}', NULL)";

const CHANGES: &str = "
    INSERT INTO typed VALUES (3, 2, -1, NULL, -0.25, -99999999.99, '1969-12-31 23:59:59.5', '2026-06-01 00:00:00+02', '2024-02-29', NULL, 'é \"x\"', '{}', NULL);
    UPDATE typed SET amount = amount + 1, note = 'streamed' WHERE id = 1;
    DELETE FROM typed WHERE id = 2;
    ALTER TABLE typed ADD COLUMN extra int; ALTER TABLE typed DROP COLUMN raw;
    UPDATE typed SET extra = 5, n = n + 1 WHERE id = 3";

/// What is the same in both forms of the test.
const STORED: &str = "(1,-3,70000,true,1.5,13.5,'2026-01-02 03:04:05.123456','2026-01-02 03:04:05.654321','1999-12-31','0f0e0d0c-0b0a-0908-0706-050403020100','streamed',['a',NULL]);\
    (3,2,0,NULL,-0.25,-99999999.99,'1969-12-31 23:59:59.500000','2026-05-31 22:00:00.000000','2024-02-29',NULL,'é \"x\"',[])";

const WRITTEN: &str = "tables:
  - source: public.typed
    order_by: [id]
    columns:
      - {name: id, type: Int64}
      - {name: small, type: Nullable(Int16)}
      - {name: n, type: Nullable(Int32)}
      - {name: ok, type: Nullable(Bool)}
      - {name: d, type: Nullable(Float64)}
      - {name: amount, type: 'Nullable(Decimal(12, 2))'}
      - {name: at, type: Nullable(DateTime64(6))}
      - {name: atz, type: Nullable(DateTime64(6))}
      - {name: day, type: Nullable(Date32)}
      - {name: who, type: Nullable(UUID)}
      - {name: note, type: Nullable(String)}
      - {name: tags, type: Array(Nullable(String))}
";

/// What is left of the table in the samples.
const ORDERS: &str = "[(1,10,'new','10.5','2024-01-02 03:04:05.678901'),(3,13,'again','3.33','2024-01-02 03:04:05.678901'),(4,20,'shipped','1','2024-03-01 00:00:00.000000'),(7,30,'new','0','2024-01-02 03:04:05.678901'),(9,32,'new','0','2024-01-02 03:04:05.678901'),(1001,11,'paid','0.01','2024-01-02 03:04:05.678901')]";

/// Topics that are read without a Postgres to ask.
struct Captured(Piped);

impl Captured {
    /// A sync of a configuration without Postgres.
    fn sync(&self, kafka: &str, tables: &str) -> Outcome {
        self.0.stage.sync_topics(&self.0.kafka.brokers, kafka, tables)
    }

    fn synced(&self, kafka: &str, tables: &str) {
        self.0.connect.wait_until_it_has_caught_up(&self.0.stage);
        let outcome = self.sync(kafka, tables);
        assert_eq!(outcome.status, Some(0), "{outcome}");
        assert!(!outcome.stderr.contains("set aside") && !outcome.stderr.contains("parked"), "{outcome}");
    }

    fn refused(&self, kafka: &str, tables: &str, words: &[&str]) {
        let outcome = self.sync(kafka, tables);
        assert_eq!(outcome.status, Some(3), "{outcome}");
        assert!(words.iter().all(|word| outcome.stderr.contains(word)), "{words:?}: {outcome}");
    }

    /// A truncation tells neither key nor columns, and is the first that a process reads of the table.
    fn emptied(&self, kafka: &str, tables: &str) {
        self.0.stage.postgres.execute("TRUNCATE typed");
        self.synced(kafka, tables);
        self.0.stage.postgres.execute("INSERT INTO typed (id) VALUES (9)");
        self.synced(kafka, tables);
        assert_eq!(
            self.0.stage.clickhouse.value("SELECT toString(groupArray(id)) FROM (SELECT id FROM {db}.typed FINAL)"),
            "[9]"
        );
    }

    fn stored(&self) -> String {
        let rows = self.0.stage.clickhouse.value(&format!(
            "SELECT arrayStringConcat(groupArray(row), ';') FROM (SELECT toString(tuple(id, small, n, ok, d, amount, at, atz, day, who, note, tags)) AS row
             FROM {}.typed FINAL ORDER BY id)",
            self.0.stage.name
        ));
        rows.replace('\\', "")
    }
}

#[test]
fn types_come_from_the_records_schemas() {
    let topics = Captured(Piped::new("types_by_schema", SCHEMA, &[("value.converter.schemas.enable", "true")]));
    let tables = "tables:\n  - source: public.*\n";
    topics.synced("", tables);
    topics.0.stage.postgres.execute(CHANGES);
    topics.synced("", tables);
    assert_eq!(topics.stored(), STORED);
    let sql = format!(
        "SELECT toString(groupArray((id, extra, hex(raw)))) FROM (SELECT * FROM {}.typed FINAL ORDER BY id)",
        topics.0.stage.name
    );
    assert_eq!(topics.0.stage.clickhouse.value(&sql), "[(1,NULL,\\'00FF\\'),(3,5,NULL)]");
    topics.emptied("", tables);
}

#[test]
fn types_come_from_a_table_that_is_written_out() {
    let modes = [("decimal.handling.mode", "string"), ("time.precision.mode", "microseconds")];
    let topics = Captured(Piped::new("types_written", SCHEMA, &modes));
    topics.0.connect.wait_until_it_has_caught_up(&topics.0.stage);
    topics.refused("", "tables:\n  - source: public.*\n", &["carry no schema", "postgres.url", "`columns`"]);
    topics.refused("", WRITTEN, &["\"amount\"", "decimal.handling.mode", "kafka.connect_url", "postgres.url"]);
    let decimal = "  connector:\n    decimal.handling.mode: string\n";
    topics.refused(decimal, WRITTEN, &["\"at\"", "time.precision.mode"]);
    let adaptive = format!("{decimal}    time.precision.mode: adaptive\n");
    topics.refused(&adaptive, WRITTEN, &["\"at\"", "time.precision.mode", "not enough"]);
    let set = format!("{decimal}    time.precision.mode: microseconds\n");
    let narrow = WRITTEN.replace("Nullable(Date32)", "Date32");
    topics.refused(&set, &narrow, &["\"day\"", "write it as Nullable(Date32)"]);
    topics.synced(&set, WRITTEN);
    topics.0.stage.postgres.execute(CHANGES);
    // Or Connect is asked.
    topics.synced(&format!("  connect_url: {}\n", topics.0.connect.url), WRITTEN);
    assert_eq!(topics.stored(), STORED);
    topics.emptied(&set, &WRITTEN.replace("    order_by: [id]\n", ""));
}

#[test]
fn types_come_from_the_schemas_of_avro() {
    let url = registry();
    for name in ["avro_apicurio_confluent", "avro_apicurio_headers"] {
        let stage = Stage::new("types_avro");
        let kafka = Kafka::of(&stage);
        Sample::read(name).replay(&kafka);
        let sync = |tables: &str| {
            stage.directory.write(
                "topics.yml",
                &format!(
                    "pipeline: {0}\nclickhouse:\n  url: ${{CLICKHOUSE_URL}}\n  database: {0}\nkafka:\n  brokers: {1}\n  topic_prefix: {0}\n  schema_registry_url: {url}\ntables:\n  - source: inv.orders\n{tables}sync:\n  source: kafka\n",
                    stage.name, kafka.brokers
                ),
            );
            stage.invocation(&["-c", "topics.yml", "sync", "--until-caught-up"]).without("POSTGRES_URL").run()
        };
        let refused = sync("");
        assert_eq!(refused.status, Some(3), "{refused}");
        assert!(
            refused.stderr.contains("could not tell the key") && refused.stderr.contains("`order_by`"),
            "{refused}"
        );
        let synced = sync("    order_by: [id]\n");
        assert_eq!(synced.status, Some(0), "{synced}");
        assert!(!synced.stderr.contains("set aside") && !synced.stderr.contains("parked"), "{synced}");
        let rows = stage.clickhouse.value(
            "SELECT toString(groupArray((id, customer_id, status, toString(amount), toString(updated_at)))) FROM (SELECT * FROM {db}.inv_orders FINAL ORDER BY id)",
        );
        assert_eq!(rows.replace('\\', ""), ORDERS, "{name}");
    }
}
