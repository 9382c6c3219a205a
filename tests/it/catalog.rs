//! Postgres' catalog, as the library reads it.

use crate::support::{Stage, run};
use pipectl::change::{Column, ReplicaIdentity, SourceType, TableSchema};
use pipectl::server::postgres::{connect, leaves, table, tables};

fn read(stage: &Stage) -> Vec<TableSchema> {
    run(async { tables(&connect(&stage.postgres.settings).await.unwrap()).await.unwrap() })
}

fn of<'a>(tables: &'a [TableSchema], name: &str) -> &'a TableSchema {
    tables.iter().find(|table| table.name.name == name).unwrap_or_else(|| panic!("{name} in {tables:?}"))
}

fn key_of(table: &TableSchema) -> Vec<&str> {
    table.key_columns().map(|column| column.name.as_str()).collect()
}

#[test]
fn the_key_is_the_rows_identity() {
    let stage = Stage::new("catalog_keys");
    stage.postgres.execute(
        "CREATE TABLE pk (c int, a int, b int, PRIMARY KEY (b, a) INCLUDE (c));
         CREATE TABLE deferred (id int PRIMARY KEY DEFERRABLE);
         CREATE TABLE index (id int PRIMARY KEY, a int NOT NULL, b int NOT NULL, CONSTRAINT \"by B\" UNIQUE (b, a));
         ALTER TABLE index REPLICA IDENTITY USING INDEX \"by B\";
         CREATE TABLE whole (id int PRIMARY KEY); ALTER TABLE whole REPLICA IDENTITY FULL;
         CREATE TABLE whole_keyless (id int); ALTER TABLE whole_keyless REPLICA IDENTITY FULL;
         CREATE TABLE nothing (id int PRIMARY KEY); ALTER TABLE nothing REPLICA IDENTITY NOTHING;
         CREATE TABLE no_columns ();",
    );
    let found = read(&stage);
    let expected: [(&str, &[&str], ReplicaIdentity); 7] = [
        ("pk", &["b", "a"], ReplicaIdentity::Default),
        ("deferred", &[], ReplicaIdentity::Default),
        ("index", &["b", "a"], ReplicaIdentity::Index("by B".to_owned())),
        ("whole", &["id"], ReplicaIdentity::Full),
        ("whole_keyless", &[], ReplicaIdentity::Full),
        ("nothing", &[], ReplicaIdentity::Nothing),
        ("no_columns", &[], ReplicaIdentity::Default),
    ];
    assert_eq!(found.len(), expected.len());
    for (name, key, identity) in expected {
        let table = of(&found, name);
        assert_eq!((key_of(table).as_slice(), &table.identity), (key, &identity), "{name}");
    }
}

#[test]
fn partitions_belong_to_their_root() {
    let stage = Stage::new("catalog_partitions");
    stage.postgres.execute(
        "CREATE TABLE root (id int, r text, v text, PRIMARY KEY (id, r)) PARTITION BY LIST (r);
         CREATE TABLE eu PARTITION OF root FOR VALUES IN ('eu') PARTITION BY RANGE (id);
         CREATE TABLE eu_1 PARTITION OF eu FOR VALUES FROM (0) TO (1000);
         CREATE TABLE us PARTITION OF root FOR VALUES IN ('us');
         INSERT INTO root SELECT i, 'eu', repeat('x', 500) FROM generate_series(0, 999) i; ANALYZE root",
    );
    let found = read(&stage);
    assert_eq!(found.len(), 1);
    let root = &found[0];
    assert!(root.partitioned && !root.unlogged);
    assert_eq!((root.estimated_rows, root.bytes > 500_000), (1000, true), "{root:?}");
    let (parts, leaf) = run(async {
        let client = connect(&stage.postgres.settings).await.unwrap();
        let parts = leaves(&client, root.relid).await.unwrap();
        let leaf = table(&client, parts[0].relid).await.unwrap().unwrap();
        assert_eq!(table(&client, 1).await.unwrap(), None);
        (parts, leaf)
    });
    let names: Vec<&str> = parts.iter().map(|part| part.name.name.as_str()).collect();
    assert_eq!(names, ["eu_1", "us"]);
    assert!(parts[0].pages > 60 && parts[1].pages == 0 && parts[0].file_node != 0, "{parts:?}");
    assert_eq!((leaf.name.name.as_str(), key_of(&leaf).as_slice()), ("eu_1", &["id", "r"][..]));
    stage.postgres.execute("ALTER TABLE us REPLICA IDENTITY FULL");
    assert_eq!(read(&stage)[0].identity, ReplicaIdentity::Default, "not every leaf");
    stage.postgres.execute("ALTER TABLE eu_1 REPLICA IDENTITY FULL");
    assert_eq!(read(&stage)[0].identity, ReplicaIdentity::Full);
    stage.postgres.execute("ALTER TABLE us REPLICA IDENTITY NOTHING");
    assert_eq!((&read(&stage)[0].identity, read(&stage)[0].key.len()), (&ReplicaIdentity::Nothing, 0));
}

#[test]
fn columns_are_what_they_hold() {
    let stage = Stage::new("catalog_columns");
    stage.admin.execute("CREATE EXTENSION IF NOT EXISTS citext SCHEMA public");
    stage.postgres.execute(
        "CREATE TYPE mood AS ENUM ('a', 'b,c'); CREATE TYPE pair AS (a int, b text);
         CREATE DOMAIN price AS numeric(10, 2) NOT NULL; CREATE DOMAIN price_again AS price; CREATE DOMAIN ints AS int[];
         CREATE TABLE t (
            id int PRIMARY KEY, gone int, again price_again, moods mood[], prices price[], domain_array ints, arrays_in_arrays ints[],
            two_dimensions int[][], one_char \"char\", padded char(5), \"Odd\" citext, odds citext[], pair pair, vector int2vector,
            twice int GENERATED ALWAYS AS (id * 2) STORED, plain text, reg regclass, ids oid[], inets inet[]);
         ALTER TABLE t DROP gone, ALTER plain SET STORAGE PLAIN",
    );
    let found = read(&stage);
    let table = of(&found, "t");
    let column = |name: &str| -> &Column { table.column(name).unwrap_or_else(|| panic!("{name}")) };
    let array = |of: SourceType| SourceType::Array(Box::new(of));
    let price = SourceType::Numeric { precision: 10, scale: 2 };
    for (name, held, output) in [
        ("again", price.clone(), "pg_catalog.numeric_out"),
        ("moods", array(SourceType::Enum), "pg_catalog.array_out"),
        ("prices", array(price), "pg_catalog.array_out"),
        ("domain_array", array(SourceType::Int4), "pg_catalog.array_out"),
        ("arrays_in_arrays", SourceType::Text, "pg_catalog.array_out"),
        ("two_dimensions", SourceType::Text, "pg_catalog.array_out"),
        ("one_char", SourceType::Text, "pg_catalog.charout"),
        ("padded", SourceType::String, "pg_catalog.bpcharout"),
        ("Odd", SourceType::String, "public.citextout"),
        ("odds", array(SourceType::String), "pg_catalog.array_out"),
        ("pair", SourceType::Text, "pg_catalog.record_out"),
        ("vector", SourceType::Text, "pg_catalog.int2vectorout"),
        ("reg", SourceType::Text, "pg_catalog.regclassout"),
        ("ids", array(SourceType::Oid), "pg_catalog.array_out"),
        ("inets", SourceType::Text, "pg_catalog.array_out"),
    ] {
        assert_eq!((&column(name).source_type, column(name).output_function.as_str()), (&held, output), "{name}");
    }
    assert_eq!(column("again").type_name, "public.price_again");
    assert!(column("again").not_null, "by the domain under it");
    assert!(!column("moods").not_null && !column("prices").not_null, "a domain of elements says nothing of the array");
    assert_eq!((column("id").number, column("again").number), (1, 3), "a dropped column keeps its number");
    assert!(column("twice").generated && !column("id").generated);
    assert!(column("padded").toastable && !column("plain").toastable && !column("id").toastable);
}

#[test]
fn old_rows_answer_what_the_catalog_says() {
    let stage = Stage::new("catalog_missing");
    stage.postgres.execute("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
    stage.postgres.execute(
        "ALTER TABLE t ADD a text DEFAULT E'it''s \"q\", {x}\\\\y\\n', ADD b int[] DEFAULT '{1,NULL}', ADD c text[] DEFAULT '{\"a,b\",\"c\\\"d\"}',
            ADD d box DEFAULT '(1,1),(0,0)', ADD e box[] DEFAULT '{(1,1),(0,0);(2,2),(0,0)}', ADD f text DEFAULT '', ADD g text DEFAULT 'NULL',
            ADD h int DEFAULT NULL, ADD i text, ADD j timestamptz DEFAULT '2020-01-01', ADD k float8 DEFAULT 0.1, ADD l bytea DEFAULT '\\xdead'",
    );
    let found = read(&stage);
    for name in ["a", "b", "c", "d", "e", "f", "g", "h", "i", "k", "l"] {
        let answer = stage.postgres.rows(&format!("SELECT {name}::text FROM t"))[0][0].clone();
        assert_eq!(found[0].column(name).unwrap().missing_value, answer, "{name}");
    }
    assert_eq!(found[0].column("j").unwrap().missing_value.as_deref(), Some("2020-01-01 00:00:00+00"));
}
