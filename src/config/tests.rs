use super::*;
use crate::error::Kind;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;

const REFERENCE: &str = include_str!("../../clickhouse_config.yml");
const FULL: &str = include_str!("tests/full.yml");

fn variables(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn both() -> BTreeMap<String, String> {
    variables(&[
        ("POSTGRES_URL", "postgres://pg:pw@db.example:5433/shop"),
        ("CLICKHOUSE_URL", "http://ch:pw@ch.example:8123"),
    ])
}

fn read(text: &str, variables: &BTreeMap<String, String>) -> crate::error::Result<Settings> {
    parse(text, &Sources { file: DEFAULT_FILE.into(), ..Sources::default() }, variables)
}

fn lines(text: &str, variables: &BTreeMap<String, String>) -> Vec<String> {
    let error = read(text, variables).unwrap_err();
    assert_eq!(error.kind(), Kind::Config);
    error.message().lines().skip(1).map(|line| line.trim().to_owned()).collect()
}

#[test]
fn six_errors_are_six_lines() {
    let text = "pipeline: Shop\npostgres:\n  url: ${PG}\nclickhouse:\n  url: http://h\n  databse: shop\ntables:\n  - source: public.*\n    keyless: refsue\nsync:\n  batch: {max_age: 1 sec}\n  memory: [1]\n";
    let error = read(text, &BTreeMap::new()).unwrap_err();
    assert!(error.message().starts_with("\"clickhouse_config.yml\" has 6 errors\n"), "{error}");
    assert_eq!(
        lines(text, &BTreeMap::new()),
        [
            "line 1: pipeline: \"Shop\" must be a lower-case letter, then up to 40 lower-case letters, digits or _",
            "line 3: postgres.url: the variable PG is not set (${PG:-…} gives a default)",
            "line 6: clickhouse.databse: unknown key (did you mean database?)",
            "line 9: tables[0].keyless: \"refsue\" must be refuse or insert_only or multiset (did you mean refuse?)",
            "line 11: sync.batch.max_age: \"1 sec\" is not a length of time, such as 500ms, 90s, 5m or 1h",
            "line 12: sync.memory: must be one value, not a list",
        ]
    );
}

#[test]
fn what_is_wrong_in_other_ways_is_told_too() {
    let head = "pipeline: shop\ntables: [public.*]\n";
    let told = |rest: &str| lines(&format!("{head}{rest}"), &both()).join("\n");
    assert_eq!(told("tables: [a]\n"), "line 3: tables: stands here a second time (first on line 2)");
    assert!(told("a: [\n").starts_with("line 4: this is not YAML: "));
    assert!(told("sync: {source: mysql}\n").contains("sync.source: \"mysql\" must be postgres or kafka"));
    assert!(
        told("postgres: {url: 'mysql://u:hunter2@h/d'}\n").contains("line 3: postgres.url: must look like postgres://")
    );
    assert!(told("postgres: {host: h}\n").contains("postgres.user: is missing"));
    assert!(
        told("statements:\n  - {name: a}\n  - {name: a, sql: x}\n")
            .contains("line 5: statements[1].name: \"a\" is also")
    );
    assert_eq!(lines("", &both()), ["line 1: must be a map of keys and values, not nothing"]);
    let missing = lines("kafka: {brokers: h:9}\n", &BTreeMap::new()).join("\n");
    for key in ["pipeline: is missing", "tables: is missing", "clickhouse: needs `url`"] {
        assert!(missing.contains(key), "{missing}");
    }
    let tables = "pipeline: shop\ntables:\n  - {source: 'public.*', target: t, order_by: [a]}\n  - {target: x}\n  - public.a\n  - {source: a}\n  - {source: b, columns: [{name: c}], exclude: [d]}\n  - {source: c, columns: {a: {hash_salt: x}, b: {exclude: true, mask: y}}}\n";
    assert_eq!(lines(tables, &both()).len(), 8, "{:#?}", lines(tables, &both()));
}

#[test]
fn every_key_arrives() {
    let environment = variables(&[("SALT", "pepper")]);
    let settings = read(FULL, &environment).unwrap();
    let postgres = settings.postgres.as_ref().unwrap();
    assert_eq!((postgres.host.as_str(), postgres.port, postgres.user.as_str()), ("db.example", 5433, "reader"));
    assert_eq!((postgres.password.expose(), postgres.password_in_file), ("p@:/%#", true));
    assert_eq!((postgres.database.as_str(), postgres.sslmode), ("shop", SslMode::VerifyFull));
    assert_eq!((postgres.publication.as_str(), postgres.slot.as_str()), ("my_publication", "my_slot"));
    for path in [&postgres.sslrootcert, &postgres.sslcert, &postgres.sslkey] {
        assert!(path.is_some());
    }
    let clickhouse = &settings.clickhouse;
    assert_eq!((clickhouse.host.as_str(), clickhouse.port, clickhouse.secure), ("ch.example", 9443, true));
    assert_eq!((clickhouse.user.as_str(), clickhouse.password.expose()), ("writer", "secret"));
    assert_eq!((clickhouse.database.as_str(), clickhouse.cluster.as_deref()), ("analytics", Some("my_cluster")));
    assert_eq!((clickhouse.version_column.as_str(), clickhouse.deleted_column.as_str()), ("_v", "_d"));
    assert!(clickhouse.ca_file.is_some() && clickhouse.password_in_file);
    let kafka = settings.kafka.as_ref().unwrap();
    assert_eq!((kafka.brokers.as_str(), kafka.topic_prefix.as_deref()), ("localhost:9092", Some("shop")));
    assert_eq!(kafka.connect_url.as_ref().map(Secret::expose), Some("http://localhost:8083"));
    assert_eq!((kafka.schema_registry_url.as_ref(), kafka.dead_letter_topic.as_deref()), (None, Some("dead")));
    assert_eq!(kafka.topics, ["all_*"]);
    assert_eq!(kafka.properties["sasl.password"].expose(), "pepper");
    assert_eq!(kafka.ca_file.as_deref(), Some(std::path::Path::new("/etc/kafka.pem")));
    let connector = |name: &str| kafka.connector[name].expose();
    assert_eq!((connector("snapshot.fetch.size"), connector("database.password")), ("5000", "${env:PW}"));
    assert_eq!((settings.connector_name(), settings.topic_prefix()), ("pipectl_shop".to_owned(), "shop".to_owned()));
    let sync = SyncSettings {
        source: SyncSource::Postgres,
        batch_rows: 5_000,
        batch_bytes: 8 << 20,
        batch_age: Duration::from_millis(250),
        snapshot_parallel: 2,
        memory: 64 << 20,
        heartbeat: Duration::from_secs(10),
        stop_timeout: Duration::from_secs(5),
        slot_timeout: Some(Duration::from_mins(1)),
    };
    assert_eq!(settings.sync, sync);
    assert_eq!(settings.statements[0].name, "daily_revenue");
}

#[test]
fn every_key_of_a_table_arrives() {
    let settings = read(FULL, &variables(&[("SALT", "pepper")])).unwrap();
    let [pattern, orders, events] = settings.tables.as_slice() else { panic!("three entries") };
    assert_eq!(
        (pattern.exclude.as_slice(), pattern.keyless),
        (["public.audit_*".to_owned()].as_slice(), Keyless::InsertOnly)
    );
    assert!(pattern.is_pattern() && !orders.is_pattern());
    let column = |name: &str| &orders.columns[name];
    assert_eq!(column("status").column_type.as_deref(), Some("LowCardinality(String)"));
    assert_eq!(column("note").column_type.as_deref(), Some("String"));
    assert!(column("card_number").exclude);
    assert_eq!((column("email").hash.as_deref(), column("email").hash_salt.expose()), (Some("sha256"), "pepper"));
    assert_eq!(column("phone").mask.as_deref(), Some("***"));
    assert_eq!((orders.target.as_deref(), orders.row_filter.as_deref()), (Some("all_orders"), Some("region = 'EU'")));
    assert_eq!((orders.order_by.as_deref(), orders.mode), (Some(["id".to_owned()].as_slice()), TableMode::Replica));
    assert_eq!((orders.deletes, orders.dropped_partitions), (Deletes::Keep, DroppedPartitions::Keep));
    assert!(orders.current_view && orders.partition_by.is_some());
    assert_eq!((events.source.as_str(), events.mode), ("public.events", TableMode::Log));
    let column = WrittenColumn { name: "at".into(), column_type: "DateTime64(6)".into() };
    assert_eq!(events.written_out.as_deref(), Some([column].as_slice()));
}

#[test]
fn the_reference_needs_two_variables() {
    let settings = read(REFERENCE, &both()).unwrap();
    assert_eq!(settings.pipeline, "shop");
    let postgres = settings.postgres.unwrap();
    assert_eq!((postgres.slot.as_str(), postgres.publication.as_str()), ("pipectl_shop", "pipectl_shop"));
    assert!(!postgres.password_in_file && !settings.clickhouse.password_in_file);
    assert_eq!(settings.sync, SyncSettings::default(), "the reference shows the defaults");
}

/// Every setting that the reference shows as a comment has to be right too.
#[test]
fn the_reference_also_loads_with_its_comments_taken_off() {
    let lines: Vec<String> = REFERENCE
        .lines()
        .map(|line| match line.trim_start().strip_prefix("#: ") {
            Some(setting) => format!("{}{setting}", " ".repeat(line.len() - line.trim_start().len())),
            None => line.to_owned(),
        })
        .collect();
    let mut environment = both();
    environment.insert("SALT".into(), "pepper".into());
    let settings = read(&lines.join("\n"), &environment).unwrap();
    assert!(settings.kafka.is_some() && settings.clickhouse.cluster.is_some() && settings.tables.len() > 2);
}

#[test]
fn a_flag_goes_before_the_file_and_the_file_before_the_environment() {
    let text = "pipeline: shop\npostgres: {url: '${UNSET}', sslmode: verify-full}\nclickhouse: {host: own.example}\ntables: [t]\n";
    let flags = Flags { postgres_url: Some("postgres://f@flag.example/d".into()), clickhouse_url: None };
    let settings = parse(text, &Sources { flags, ..Sources::default() }, &both()).unwrap();
    let postgres = settings.postgres.unwrap();
    assert_eq!((postgres.host.as_str(), postgres.sslmode), ("flag.example", SslMode::VerifyFull));
    assert_eq!((settings.clickhouse.host.as_str(), settings.clickhouse.password.is_empty()), ("own.example", true));
    let settings = read("pipeline: shop\ntables: [t]\n", &both()).unwrap();
    assert_eq!(
        (settings.postgres.unwrap().host.as_str(), settings.clickhouse.host.as_str()),
        ("db.example", "ch.example")
    );
    assert_eq!(settings.clickhouse.database, "shop");
}

#[test]
fn a_password_in_the_file_is_noticed() {
    let noticed = |url: &str| {
        let text = format!("pipeline: shop\npostgres: {{url: '{url}'}}\ntables: [t]\n");
        let mut environment = both();
        environment.insert("PW".into(), "postgres".into());
        read(&text, &environment).unwrap().postgres.unwrap().password_in_file
    };
    assert!(noticed("postgres://u:secret@h/d"));
    assert!(noticed("postgres://u:${NO_PW:-secret}@h/d"));
    assert!(!noticed("postgres://postgres:${PW}@h/d"));
    assert!(!noticed("${POSTGRES_URL}"));
    assert!(!noticed("postgres://u@h/d"));
}

#[test]
fn no_secret_is_shown() {
    let settings = read(FULL, &variables(&[("SALT", "pepper")])).unwrap();
    let shown = format!("{settings:?}");
    for secret in ["p@:/%#", "pepper", "\"secret\""] {
        assert!(!shown.contains(secret), "{secret}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in ".*") {
        read(&text, &both()).ok();
    }

    #[test]
    fn no_mutilated_file_makes_it_panic(at in 0..FULL.len(), length in 0..40_usize, put in "[ -~\n]{0,6}") {
        let characters: Vec<char> = FULL.chars().collect();
        let at = at.min(characters.len());
        let mut text: String = characters[..at].iter().collect();
        text.push_str(&put);
        text.extend(&characters[(at + length).min(characters.len())..]);
        read(&text, &both()).ok();
    }
}
