//! Records as a connector may send them, written out by hand: what is odd about them is told, and stored where it can be.

use crate::support::{Invocation, Outcome, Record, Topics};

impl Topics {
    /// Topics of tables whose types are in Postgres.
    fn of_tables(test: &str, schema: &str) -> Self {
        let it = Self::new(test);
        it.stage.postgres.execute(schema);
        it.stage.config(&format!(
            "kafka:\n  brokers: {}\n  topic_prefix: {}\n  connector: {{decimal.handling.mode: double, time.precision.mode: connect}}\ntables:\n  - source: public.*\nsync:\n  source: kafka\n",
            it.kafka.brokers, it.stage.name
        ));
        it
    }

    fn sync(&self) -> Invocation {
        self.stage.invocation(&["sync", "--until-caught-up"])
    }

    fn good(&self) -> Outcome {
        let outcome = self.sync().run();
        assert_eq!(outcome.status, Some(0), "{outcome}");
        outcome
    }
}

/// A change of a table without a schema; its place in the log is its number.
fn change(topic: &str, op: &str, number: u32, row: &str) -> Record {
    let table = topic.rsplit('.').next().unwrap();
    let value = format!(
        "{{\"before\":null,\"after\":{row},\"source\":{{\"version\":\"3.7.0\",\"connector\":\"postgresql\",\"name\":\"t\",\"ts_ms\":1,\"snapshot\":\"false\",\"db\":\"t\",\"sequence\":\"[\\\"{}\\\",\\\"{}\\\"]\",\"schema\":\"public\",\"table\":\"{table}\",\"txId\":7,\"lsn\":{},\"xmin\":null}},\"op\":\"{op}\",\"ts_ms\":1}}",
        number * 1000,
        number * 1000 + 1,
        number * 1000 + 1,
    );
    Record::new(topic, &format!("{{\"id\":{number}}}"), &value)
}

/// How a record of Avro begins.
fn framed(topic: &str) -> Record {
    Record { value: Some(vec![0, 0, 0, 0, 7, 2, 4, 6]), ..Record::tombstone(topic, "k") }
}

#[test]
fn a_record_framed_as_avro_is_set_aside_and_a_topic_of_them_names_the_setting() {
    let it =
        Topics::of_tables("records_framed", "CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE u (id int PRIMARY KEY)");
    let (t, u) = (it.kafka.topic("public.t", 1), it.kafka.name("public.u"));
    it.kafka.send([change(&t, "c", 1, "{\"id\":1}"), framed(&t), change(&t, "c", 2, "{\"id\":2}")]);
    let synced = it.good();
    assert!(synced.stderr.contains("no schema registry is configured (`kafka.schema_registry_url`)"), "{synced}");
    assert_eq!(it.stage.clickhouse.value("SELECT count() FROM {db}.t FINAL"), "2");
    let letters = "SELECT count() FROM {db}.pipectl_dead_letters FINAL";
    assert_eq!(it.stage.clickhouse.value(letters), "1");
    // What was read before counts also after a restart.
    it.kafka.send([framed(&t)]);
    it.good();
    assert_eq!(it.stage.clickhouse.value(letters), "2");

    it.kafka.topic("public.u", 1);
    it.kafka.send([framed(&u), framed(&u)]);
    let refused = it.sync().run();
    assert_eq!(refused.status, Some(3), "{refused}");
    assert!(refused.stderr.contains(&format!("topic \"{u}\" begins with a record of Avro")), "{refused}");
    assert!(refused.stderr.contains("hint: set `kafka.schema_registry_url`"), "{refused}");
    assert_eq!(it.stage.clickhouse.value(letters), "2", "none of that topic");
}

#[test]
fn fields_with_adjusted_names_are_found_and_lossy_columns_told_once() {
    let it = Topics::of_tables(
        "records_adjusted",
        "CREATE TABLE odd (id int PRIMARY KEY, \"unit price\" numeric(10, 2), \"1st\" text, \"ü-x\" text, at timestamp)",
    );
    let topic = it.kafka.topic("public.odd", 1);
    let row = |id: u32| format!("{{\"id\":{id},\"unit_price\":1.25,\"_1st\":\"a\",\"__x\":\"b\",\"at\":1000}}");
    // A field that is left out has the table looked up again.
    let less = "{\"id\":3,\"unit_price\":2.5,\"_1st\":\"c\",\"at\":null}";
    it.kafka.send([change(&topic, "c", 1, &row(1)), change(&topic, "c", 2, &row(2)), change(&topic, "c", 3, less)]);
    let synced = it.good();
    let stored =
        "SELECT toString(groupArray((id, `unit price`, `1st`, `ü-x`))) FROM (SELECT * FROM {db}.odd FINAL ORDER BY id)";
    let expected = "[(1,1.25,'a','b'),(2,1.25,'a','b'),(3,2.5,'c',NULL)]";
    assert_eq!(it.stage.clickhouse.value(stored).replace('\\', ""), expected, "{synced}");
    for warning in [
        "warning: column public.odd.unit price: decimal.handling.mode=double keeps about 16 digits",
        "warning: column public.odd.at: time.precision.mode=connect keeps milliseconds",
    ] {
        assert_eq!(synced.stderr.matches(warning).count(), 1, "{warning}: {synced}");
    }
    assert_eq!(synced.stderr.matches("warning: column").count(), 2, "{synced}");
}

#[test]
fn a_truncation_that_several_processes_meet_parks_the_table_and_says_the_way_back() {
    let it = Topics::of_tables("records_truncated", "CREATE TABLE t (id int PRIMARY KEY)");
    let topic = it.kafka.topic("public.t", 2);
    let spawn = || it.stage.invocation(&["sync"]).spawn();
    let mut first = spawn();
    first.wait_for("reading 2 partitions");
    let mut second = spawn();
    second.wait_for("reading 1 partitions");
    first.wait_for("reading 1 partitions");
    let row = |number: u32, partition| change(&topic, "c", number, &format!("{{\"id\":{number}}}")).at(partition);
    it.kafka.send([row(1, 0), row(2, 1), Record { key: None, ..change(&topic, "t", 3, "null").at(0) }]);
    it.stage.wait_until("the table is parked", |stage| stage.pipectl(&["status"]).stdout.contains("parked"));
    let status = it.stage.pipectl(&["status"]);
    assert!(status.stdout.contains("it was truncated while several processes read the partitions"), "{status}");
    it.stage.wait_until("it is told", |_| {
        let told = format!("{}{}", first.told(), second.told());
        told.contains("table public.t is parked") && told.contains("`pipectl resync public.t` brings it back")
    });
    for running in [first, second] {
        running.signal("TERM");
        running.ended();
    }
}
