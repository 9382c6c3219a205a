//! What records look like.

use crate::support::{Record, Sample, Topics};
use serde_json::Value;
use std::collections::BTreeMap;

/// An envelope of a table `public.orders`.
fn change(op: &str, before: &str, after: &str) -> String {
    format!(
        r#"{{"before":{before},"after":{after},"source":{{"version":"3.7.0.Final","connector":"postgresql","name":"shop","ts_ms":1767268800123,"snapshot":"false","db":"shop","sequence":"[\"1\",\"2\"]","schema":"public","table":"orders","txId":991,"lsn":97500059720,"xmin":null}},"transaction":null,"op":"{op}","ts_ms":1767268800500}}"#
    )
}

#[test]
fn every_kind_of_record_is_told_as_what_it_is() {
    let topics = Topics::new("tail_kinds");
    let topic = topics.kafka.topic("public.orders", 1);
    let key = r#"{"id":7}"#;
    let old = r#"{"id":7,"status":"new","total":10.00,"note":null}"#;
    let new = r#"{"id":7,"status":"paid","total":10.00,"note":"__debezium_unavailable_value"}"#;
    topics.kafka.send([
        Record::new(&topic, key, &change("c", "null", old)),
        Record::new(&topic, key, &change("u", "null", new)),
        Record::new(&topic, key, &change("d", old, "null")),
        Record::tombstone(&topic, key),
        Record::new(&topic, "x", &change("t", "null", "null")),
        Record::new(&topic, "x", "just text"),
        Record { value: Some(vec![0xff, 0xfe]), ..Record::new(&topic, "x", "") },
    ]);
    let outcome = topics.tail(&[&topic, "--until-end"]);
    let moment = "2026-01-01 12:00:00.123";
    let lines: Vec<&str> = outcome.stdout.lines().collect();
    assert_eq!(
        lines[..3],
        [
            format!("{moment} INSERT    orders id=7 16/B374D848 status=new total=10.00"),
            format!("{moment} UPDATE    orders id=7 16/B374D848 status=paid total=10.00 note=«unchanged»"),
            format!("{moment} DELETE    orders id=7 16/B374D848"),
        ]
    );
    let head = |line: &str| line.split_at(24).1.to_owned();
    assert_eq!(head(lines[3]), "TOMBSTONE orders id=7");
    assert_eq!(lines[4], format!("{moment} TRUNCATE  orders x 16/B374D848"));
    assert_eq!(head(lines[5]), format!("RECORD    {topic}[0]@5 x just text"));
    assert_eq!(head(lines[6]), format!("RECORD    {topic}[0]@6 x \\xfffe"));
    assert!(outcome.stderr.contains("7 records shown"), "{outcome}");
    let objects = topics.objects(&[&topic, "--until-end"]);
    assert!(outcome.stdout.lines().count() == objects.len() && objects.iter().all(|object| object["version"] == 1));
    assert_eq!(objects[1]["unchanged"], serde_json::json!(["note"]));
    assert_eq!((&objects[2]["before_is_real"], &objects[2]["key"]["id"]), (&Value::from(false), &Value::from(7)));
    let raw = topics.tail(&[&topic, "--until-end", "--raw", "--with-key"]);
    assert!(raw.stdout.starts_with(&format!("{key}\t{}\n", change("c", "null", old))), "{raw}");
}

#[test]
fn an_old_row_counts_where_the_table_sends_it() {
    let topics = Topics::new("tail_full");
    let topic = topics.kafka.topic("public.orders", 1);
    let (old, new) = (r#"{"id":7,"status":"new","note":"a b"}"#, r#"{"id":7,"status":"paid","note":"a b"}"#);
    topics.kafka.send([
        Record::new(&topic, r#"{"id":7}"#, &change("u", old, new)),
        Record::new(&topic, r#"{"id":7}"#, &change("d", new, "null")),
    ]);
    let lines = topics.tail(&[&topic, "--until-end"]).stdout;
    let tails: Vec<&str> = lines.lines().filter_map(|line| line.split_once("D848 ")).map(|(_, tail)| tail).collect();
    assert_eq!(tails, ["status=new→paid", "status=paid note=\"a b\""]);
    let condition = "changed.status=paid and not changed.note and before.status=new";
    assert_eq!(topics.objects(&[&topic, "--until-end", "--where", condition]).len(), 1);
}

#[test]
fn what_cannot_be_read_is_told_and_counted_and_the_rest_goes_on() {
    let topics = Topics::new("tail_unreadable");
    let topic = topics.kafka.topic("public.orders", 1);
    let framed = Record { value: Some(vec![0, 0, 0, 0, 9, 2, 4]), ..Record::new(&topic, "2", "") };
    topics.kafka.send([
        Record::new(&topic, "1", "{\"op\":\"c\",\"after\":{\"id\":1"),
        framed,
        Record::new(&topic, "3", &change("c", "null", "{\"id\":3}")),
    ]);
    let outcome = topics.tail(&[&topic, "--until-end"]);
    assert_eq!(outcome.stdout.lines().count(), 1, "{outcome}");
    assert!(outcome.stderr.contains(&format!("{topic}[0]@0: the value begins like JSON and is none")), "{outcome}");
    assert!(outcome.stderr.contains(&format!("{topic}[0]@1: the value is not readable: its schema id 9")), "{outcome}");
    assert!(outcome.stderr.contains("1 record shown, 2 could not be read"), "{outcome}");
    // Their bytes can be had all the same.
    assert_eq!(topics.tail(&[&topic, "--until-end", "--raw"]).stdout.lines().count(), 3);
}

/// All records that Debezium has been seen to write are understood, whatever the connector's settings. Each sample has one topic here.
#[test]
fn every_sample_is_read() {
    let topics = Topics::new("tail_samples");
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/debezium");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for name in files.map(|path| path.file_stem().unwrap().to_string_lossy().into_owned()) {
        if name.starts_with("avro") {
            continue;
        }
        let topic = topics.kafka.topic(&name, 1);
        let records = Sample::read(&name).records;
        counts.insert(topic.clone(), records.len());
        topics.kafka.send(records.into_iter().map(|record| Record { topic: topic.clone(), ..record }.at(0)));
    }
    assert!(counts.len() >= 38, "only {counts:?}");
    let outcome = topics.tail(&[&format!("{}.*", topics.kafka.prefix), "--until-end", "--output", "json"]);
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    for object in super::objects(&outcome) {
        let (topic, op) = (object["topic"].as_str().unwrap(), object["op"].as_str().unwrap());
        *found.entry(topic.to_owned()).or_default() += 1;
        // A bare row of a table without a key looks like anything else.
        let bare = topic.contains("unwrap") && object.get("key").is_none();
        assert!(op != "record" || bare, "not understood: {object}");
        let is_change = matches!(op, "c" | "r" | "u" | "d" | "t");
        assert!(!is_change || object["table"].is_string(), "{object}");
        assert!(!is_change || object["lsn"].is_string() || topic.contains("unwrap"), "{object}");
    }
    assert_eq!(found, counts, "{}", outcome.stderr);
    // Every form of the mark of an unchanged value is known.
    assert_eq!(outcome.stdout.lines().find(|line| line.contains("unavailable_value")), None);
}
