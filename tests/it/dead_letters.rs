//! Records that could not be carried: kept whole and once, shown, produced again, dropped.

use crate::support::{Connect, Kafka, Outcome, Record, Stage, run};
use bytes::Bytes;
use pipectl::config::{Settings, Sources, load};
use pipectl::dead_letters::Places;
use pipectl::error::Kind;
use pipectl::flow::{DeadLetter, DeadLetters};
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn stage(test: &str) -> (Stage, Kafka) {
    let stage = Stage::new(test);
    let kafka = Kafka::of(&stage);
    let (brokers, dead) = (&kafka.brokers, kafka.name("dead"));
    stage
        .config(&format!("kafka:\n  brokers: {brokers}\n  dead_letter_topic: {dead}\ntables:\n  - source: public.*\n"));
    stage.clickhouse.execute("CREATE DATABASE IF NOT EXISTS {db}");
    kafka.topic("dead", 1);
    (stage, kafka)
}

fn settings(stage: &Stage) -> Settings {
    let url = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let environment: BTreeMap<String, String> =
        [url("POSTGRES_URL", &stage.postgres.url), url("CLICKHOUSE_URL", &stage.clickhouse.url)].into();
    let file = stage.directory.0.join("clickhouse_config.yml");
    load(&Sources { file, environment, ..Sources::default() }).unwrap()
}

fn letter(topic: &str, partition: i32, offset: i64) -> DeadLetter {
    let header = |name: &str, value: Option<&'static [u8]>| (name.to_owned(), value.map(Bytes::from_static));
    DeadLetter {
        topic: topic.to_owned(),
        partition,
        offset,
        timestamp_ms: Some(1_700_000_000_123),
        key: Some(Bytes::from_static(b"{\"id\":1}")),
        // No character set, a zero, quotes and a line end: what breaks what is not careful.
        value: Some(Bytes::from_static(b"\x00\xff\xc3'\"\\\n\tend")),
        headers: vec![header("a", Some(b"\x00\x01")), header("empty", Some(b"")), header("none", None)],
        table: Some("public.orders".to_owned()),
        error: "column \"a\" got 'x'".to_owned(),
    }
}

fn document(outcome: &Outcome) -> Value {
    assert_eq!(outcome.status, Some(0), "{outcome}");
    let value: Value = serde_json::from_str(&outcome.stdout).unwrap_or_else(|_| panic!("no JSON: {outcome}"));
    assert_eq!(value["version"], 1, "{outcome}");
    value
}

fn listed(stage: &Stage, filter: &[&str]) -> Vec<Value> {
    let arguments = [&["dead-letters", "list", "--output", "json"], filter].concat();
    document(&stage.pipectl(&arguments))["dead_letters"].as_array().unwrap().clone()
}

#[test]
fn a_record_is_kept_whole_and_once_and_can_be_dropped() {
    let (stage, kafka) = stage("dead_kept");
    assert_eq!(listed(&stage, &[]), Vec::<Value>::new(), "before there is a table");
    let places = Places::new(&settings(&stage), None).unwrap();
    let (orders, items) = (kafka.name("orders"), kafka.name("items"));
    let tombstone = DeadLetter {
        key: None,
        value: None,
        headers: Vec::new(),
        table: None,
        timestamp_ms: None,
        ..letter(&items, 3, 9_000_000_000)
    };
    let large = DeadLetter { value: Some(Bytes::from(vec![b'x'; 3 << 20])), ..letter(&items, 0, 5) };
    let letters = [letter(&orders, 0, 7), letter(&orders, 1, 7), tombstone, large];
    for _ in 0..2 {
        run(places.store(&letters)).unwrap();
    }

    let all = listed(&stage, &[]);
    assert_eq!(all.len(), 4);
    let first = all.iter().find(|one| one["topic"] == orders && one["partition"] == 0).unwrap();
    assert_eq!((&first["offset"], &first["timestamp_ms"]), (&Value::from(7), &Value::from(1_700_000_000_123_i64)));
    assert_eq!((&first["key"], &first["value"]), (&json!("{\"id\":1}"), &json!({ "hex": "00ffc327225c0a09656e64" })));
    assert_eq!(first["headers"], json!([["a", "\u{0}\u{1}"], ["empty", ""], ["none", null]]));
    assert_eq!((&first["table"], &first["error"]), (&json!("public.orders"), &json!("column \"a\" got 'x'")));
    let bare = all.iter().find(|one| one["partition"] == 3).unwrap();
    assert_eq!((&bare["key"], &bare["value"], &bare["timestamp_ms"]), (&Value::Null, &Value::Null, &Value::Null));
    assert!(all.iter().any(|one| one["value"].as_str().is_some_and(|value| value.len() == 3 << 20)));

    assert_eq!(listed(&stage, &["--topic", &orders]).len(), 2);
    assert_eq!(listed(&stage, &["--table", "orders"]).len(), 3);
    assert_eq!(listed(&stage, &["--table", "public.order"]).len(), 0);
    assert_eq!((listed(&stage, &["--since", "1h"]).len(), listed(&stage, &["--since", "2100-01-01"]).len()), (4, 0));
    assert_eq!(listed(&stage, &["--limit", "1"]).len(), 1);
    assert_eq!(stage.pipectl(&["dead-letters", "list", "--since", "soon"]).status, Some(2));
    let text = stage.pipectl(&["dead-letters", "list", "--limit", "3"]);
    assert!(text.stdout.contains("3.00 MiB") && text.stdout.contains("1 more"), "{text}");
    let doctor = document_of_doctor(&stage);
    assert_eq!((&doctor["outcome"], &doctor["seen"]), (&json!("warn"), &json!("4 are waiting")));

    let copies = kafka.read(&kafka.name("dead"));
    assert_eq!(copies.len(), 8, "each time it is stored: at least once");
    let copy = copies.iter().find(|copy| copy.timestamp == Some(1_700_000_000_123)).unwrap();
    assert_eq!(copy.value.as_deref(), letters[0].value.as_deref());
    let names: Vec<&str> = copy.headers.iter().map(|(name, _)| name.as_str()).collect();
    let own = ["pipectl.error", "pipectl.topic", "pipectl.partition", "pipectl.offset", "pipectl.table"];
    assert_eq!(names, [&["a", "empty", "none"][..], &own].concat());

    assert_eq!(stage.pipectl(&["dead-letters", "drop"]).status, Some(2), "nobody can be asked");
    let dropped = stage.pipectl(&["dead-letters", "drop", "--topic", &items, "--yes", "--output", "json"]);
    assert_eq!(document(&dropped)["dropped"], 2);
    assert_eq!(listed(&stage, &[]).len(), 2);
}

fn document_of_doctor(stage: &Stage) -> Value {
    let outcome = stage.pipectl(&["doctor", "--output", "json"]);
    let report: Value = serde_json::from_str(&outcome.stdout).unwrap_or_else(|_| panic!("no JSON: {outcome}"));
    let checks = report["checks"].as_array().unwrap();
    checks.iter().find(|check| check["id"] == "clickhouse.dead_letters").unwrap().clone()
}

#[test]
fn a_pipeline_that_is_taken_away_leaves_none_and_takes_no_others() {
    let (stage, kafka) = stage("dead_dropped");
    let ours = settings(&stage);
    let others = Settings { pipeline: "another".to_owned(), ..ours.clone() };
    let topic = kafka.name("orders");
    for (settings, count) in [(&ours, 3), (&others, 1)] {
        let letters: Vec<DeadLetter> = (0..count).map(|offset| letter(&topic, 0, offset)).collect();
        run(Places::new(settings, None).unwrap().store(&letters)).unwrap();
    }
    let rows = "SELECT toString(groupArray((pipeline, partition, offset))) FROM {db}.pipectl_dead_letters FINAL";
    let dropped = stage.pipectl(&["drop", "--yes", "--output", "json"]);
    assert!(dropped.stderr.contains("3 records that were set aside"), "{dropped}");
    assert_eq!(document(&dropped)["dead_letters"], 3);
    assert_eq!(stage.clickhouse.value(rows).replace('\\', ""), "[('another',0,0)]");
    assert_eq!(stage.pipectl(&["drop", "--yes"]).status, Some(3), "nothing is left");

    stage.directory.write(
        "other.yml",
        &stage.directory.read("clickhouse_config.yml").replacen(
            &format!("pipeline: {}", stage.name),
            "pipeline: another",
            1,
        ),
    );
    let dropped = stage.pipectl(&["-c", "other.yml", "drop", "--yes", "--output", "json"]);
    assert_eq!(document(&dropped)["dead_letters"], 1);
    let tables = "SELECT count() FROM system.tables WHERE database = '{db}'";
    assert_eq!(stage.clickhouse.value(&tables.replace("{db}", &stage.name)), "0");
}

#[test]
fn replay_takes_each_record_back_to_its_partition() {
    let (stage, kafka) = stage("dead_replay");
    let topic = kafka.topic("orders", 3);
    // The key alone would choose another partition for most of them.
    kafka.send((0..3).flat_map(|partition| [Record::new(&topic, "same", "before").at(partition)]));
    let places = Places::new(&settings(&stage), None).unwrap();
    let letters: Vec<DeadLetter> = (0..250).map(|number| letter(&topic, number % 3, i64::from(number) + 100)).collect();
    run(places.store(&letters)).unwrap();
    let replayed = stage.pipectl(&["dead-letters", "replay", "--output", "json"]);
    assert_eq!(document(&replayed)["replayed"], 250);
    assert_eq!(listed(&stage, &[]).len(), 0);
    let found: Vec<Record> = kafka.read(&topic).into_iter().filter(|record| record.text() != "before").collect();
    assert_eq!(found.len(), 250);
    for partition in 0..3 {
        let own: Vec<&Record> = found.iter().filter(|record| record.partition == Some(partition)).collect();
        let offsets: Vec<i64> = own.iter().map(|record| place(record).2).collect();
        assert!(offsets.is_sorted() && own.len() >= 83, "in their order: {offsets:?}");
        assert!(own.iter().all(|record| place(record).1 == partition && place(record).0 == topic));
    }
    let (sent, came) = (&letters[0], &found[0]);
    assert_eq!((came.key.as_deref(), came.value.as_deref()), (sent.key.as_deref(), sent.value.as_deref()));
    assert_eq!(came.timestamp, sent.timestamp_ms);
    let headers: Vec<_> = came.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect();
    assert_eq!(headers[..3], [("a", Some(&[0, 1][..])), ("empty", Some(&[][..])), ("none", None)]);
}

/// Where a replayed record was.
fn place(record: &Record) -> (String, i32, i64) {
    let (_, value) = record.headers.iter().find(|(name, _)| name == "pipectl.replayed").expect("its header");
    let text = String::from_utf8(value.clone().unwrap()).unwrap();
    let mut parts = text.split('/');
    let mut next = || parts.next().unwrap().to_owned();
    (next(), next().parse().unwrap(), next().parse().unwrap())
}

#[test]
fn more_than_were_allowed_end_the_pipeline() {
    let (stage, kafka) = stage("dead_too_many");
    let places = Places::new(&settings(&stage), Some(2)).unwrap();
    let topic = kafka.name("orders");
    run(places.store(&[letter(&topic, 0, 1), letter(&topic, 0, 2)])).unwrap();
    // The same ones again are no more.
    run(places.store(&[letter(&topic, 0, 2)])).unwrap();
    let error = run(places.store(&[letter(&topic, 0, 3)])).unwrap_err();
    assert_eq!(error.kind(), Kind::Value);
    assert!(error.to_string().contains("--max-dead-letters 2"), "{error}");
    assert_eq!(listed(&stage, &[]).len(), 3, "the one too many is kept, too");
}

#[test]
fn sync_sets_aside_what_it_cannot_carry_and_takes_it_in_again() {
    let stage = Stage::new("dead_sync");
    let kafka = Kafka::of(&stage);
    let connect = Connect::of(&stage);
    stage.config(&format!(
        "kafka:\n  brokers: {}\n  connect_url: {}\n  topic_prefix: {}\ntables:\n  - source: public.*\nsync:\n  source: kafka\n",
        kafka.brokers, connect.url, stage.name
    ));
    stage.postgres.execute(
        "CREATE TABLE public.t (id int PRIMARY KEY, v text); INSERT INTO public.t SELECT g, 'first' FROM generate_series(1, 50) AS g",
    );
    connect.apply(&Connect::debezium(&stage, &[]));
    connect.wait_until_it_streams(&stage);
    connect.wait_until_it_has_caught_up(&stage);
    let topic = kafka.name("public.t");
    // A snapshot's row that somebody broke on its way; and something else altogether.
    let row = kafka.read(&topic).into_iter().find(|record| record.text().contains("\"id\":7,")).unwrap();
    let broken = row.text().replace("\"id\":7,", "\"id\":\"seven\",");
    kafka.send([Record::new(&topic, "x", "no envelope"), Record { value: Some(broken.into()), ..row.clone() }]);
    stage.postgres.execute("UPDATE public.t SET v = 'second' WHERE id <= 10");
    connect.wait_until_it_has_caught_up(&stage);

    let synced = stage.pipectl(&["sync", "--until-caught-up"]);
    assert_eq!(synced.status, Some(0), "{synced}");
    assert!(synced.stderr.contains("a record is set aside"), "{synced}");
    assert_eq!(listed(&stage, &[]).len(), 2);
    assert_eq!(stage.clickhouse.value("SELECT count(), countIf(v = 'second') FROM {db}.t FINAL"), "50\t10");

    // A zero in front would be the frame of Avro.
    let rubbish = DeadLetter { value: Some(Bytes::from_static(b"\xffno envelope")), ..letter(&topic, 0, 1) };
    // The same once more, and the cause of one of them mended: the row as it was goes back, and loses against what came since.
    assert_eq!(stage.pipectl(&["dead-letters", "drop", "--topic", &topic, "--yes"]).status, Some(0));
    let mended = DeadLetter {
        topic: topic.clone(),
        partition: 0,
        offset: row.offset,
        timestamp_ms: row.timestamp,
        key: row.key.map(Bytes::from),
        value: row.value.map(Bytes::from),
        headers: Vec::new(),
        table: None,
        error: "broken".to_owned(),
    };
    run(Places::new(&settings(&stage), None).unwrap().store(&[mended, rubbish])).unwrap();
    let replayed = stage.pipectl(&["dead-letters", "replay"]);
    assert_eq!(replayed.status, Some(0), "{replayed}");
    let synced = stage.pipectl(&["sync", "--until-caught-up"]);
    assert_eq!(synced.status, Some(0), "{synced}");
    let left = listed(&stage, &[]);
    assert_eq!((left.len(), &left[0]["value"]), (1, &json!({ "hex": "ff6e6f20656e76656c6f7065" })), "{left:?}");
    assert_eq!(stage.clickhouse.value("SELECT count(), countIf(v = 'second') FROM {db}.t FINAL"), "50\t10");
    assert!(!synced.stderr.contains("parked"), "{synced}");
}
