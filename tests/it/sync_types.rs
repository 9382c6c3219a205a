//! Every type by the copy and by the stream: the same bytes, and the values that are to be.

use crate::sync_changes::{Pipeline, long};
use crate::versions;
use std::fmt::Write as _;
use std::sync::OnceLock;

/// Types and some of their values, as SQL.
const ALL_TYPES: &[(&str, &[&str])] = &[
    ("bool", &["true", "false"]),
    ("int2", &["-32768", "32767", "0"]),
    ("int4", &["-2147483648", "2147483647"]),
    ("int8", &["-9223372036854775808", "9223372036854775807"]),
    ("oid", &["4294967295", "0"]),
    ("float4", &["'NaN'", "'-Infinity'", "3.4028235e38", "1e-45", "0.1", "'-0'", "16777217"]),
    ("float8", &["'NaN'", "'Infinity'", "5e-324", "1.7976931348623157e308", "0.1", "'-0'", "0.3"]),
    ("numeric(10,2)", &["12345678.90", "-0.01", "'NaN'", "0"]),
    (
        "numeric(38,10)",
        &["1234567890123456789012345678.0123456789", "-1234567890123456789012345678.0123456789", "'NaN'"],
    ),
    ("numeric(76,20)", &["repeat('9', 56)::numeric + 0.99999999999999999999", "-0.00000000000000000001", "'NaN'"]),
    ("numeric(100,2)", &["repeat('9', 98)::numeric", "'NaN'"]),
    ("numeric(3,-2)", &["12345", "-99900"]),
    ("numeric(2,5)", &["0.00012", "'NaN'"]),
    (
        "numeric",
        &[
            "1.10",
            "'NaN'",
            "'Infinity'",
            "'-Infinity'",
            "1e-50",
            "repeat('8', 200)::numeric",
            "-0.000",
            "10000",
            "100000000",
        ],
    ),
    ("money", &["-1234.5", "92233720368547758.07"]),
    ("text", &["''", "E'\\\\ \\t\\n ''\"'", "'Ünï ✓ 🎈'", "repeat('x', 70000)", "'NULL'", "'\\N'"]),
    ("varchar(5)", &["'ab   '", "'é'"]),
    ("char(5)", &["'ab'", "''"]),
    ("name", &["'a name'"]),
    ("\"char\"", &["'x'", "''"]),
    ("bytea", &["'\\x00ff5c27'", "''", "decode(repeat('00', 5000), 'hex')"]),
    (
        "date",
        &[
            "'2024-02-29'",
            "'infinity'",
            "'-infinity'",
            "'0044-03-15 BC'",
            "'1969-12-31'",
            "'9999-12-31'",
            "'0001-01-01'",
            "'1899-12-31'",
        ],
    ),
    ("time", &["'24:00:00'", "'12:34:56.789'"]),
    ("time(2)", &["'23:59:59.99'"]),
    ("timetz", &["'12:00:00.5+05:30'", "'00:00:00-12'"]),
    (
        "timestamp",
        &[
            "'infinity'",
            "'1969-12-31 23:59:59.999999'",
            "'2024-05-06 07:08:09.000001'",
            "'0044-03-15 00:00 BC'",
            "'1900-01-01'",
            "'2299-12-31 23:59:59.999999'",
        ],
    ),
    (
        "timestamptz",
        &[
            "'-infinity'",
            "'1969-12-31 23:59:59.999999+00'",
            "'2024-05-06 07:08:09.1+05:30'",
            "'1800-01-01 00:00+00'",
            "'294276-01-01 00:00+00'",
        ],
    ),
    ("timestamptz(3)", &["'2024-05-06 07:08:09.1239+05:30'"]),
    ("interval", &["'1 year 2 mons -3 days 04:05:06.789'", "'-1 mon'", "'0'", "'1000000 hours'"]),
    ("uuid", &["'00112233-4455-6677-8899-aabbccddeeff'"]),
    ("json", &["'{\"b\": 1.10,  \"a\": 12345678901234567890, \"b\": null}'", "'null'", "'[1, \"é\"]'"]),
    ("jsonb", &["'{\"b\": 1.10, \"a\": 12345678901234567890, \"n\": {\"x\": []}}'", "'null'", "'\"text\"'"]),
    ("xml", &["'<a b=\"c\">&amp;</a>'"]),
    ("inet", &["'10.0.0.1'", "'10.0.0.1/8'", "'::1'"]),
    ("cidr", &["'10.0.0.0/8'", "'10.0.0.1/32'"]),
    ("macaddr", &["'08:00:2b:01:02:03'"]),
    ("macaddr8", &["'08:00:2b:01:02:03:04:05'"]),
    ("bit(4)", &["'1010'"]),
    ("varbit", &["'101'", "''"]),
    ("tsvector", &["'a fat cat'"]),
    ("tsquery", &["'fat & cat'"]),
    ("pg_lsn", &["'16/B374D848'"]),
    ("int4range", &["'[1,5]'", "'empty'", "'(,3)'"]),
    ("tstzrange", &["'[2024-01-01 00:00+00,infinity)'"]),
    ("nummultirange", &["'{[1.5,2),(3,4]}'"]),
    ("point", &["'(0.1,2)'"]),
    ("box", &["'(1,2),(3,4)'"]),
    ("polygon", &["'((0,0),(1,1),(1,0))'"]),
    ("circle", &["'<(1,2),3.5>'"]),
    ("xid", &["'42'"]),
    ("xid8", &["'18446744073709551615'"]),
    ("regclass", &["'pg_class'"]),
    ("regtype", &["'int4'"]),
    ("tid", &["'(1,2)'"]),
    ("int2vector", &["'1 2 3'"]),
    ("jsonpath", &["'$.a[*]'"]),
    ("int[]", &["'{1,NULL,-3}'", "'{}'", "'[0:2]={1,NULL,3}'"]),
    ("text[]", &["'{a,\"b,\\\"c\\\\\\\\\",NULL,\"NULL\",\"\",\" x \"}'", "'{}'"]),
    ("varchar(3)[]", &["'{abc}'"]),
    ("bool[]", &["'{t,f,NULL}'"]),
    ("float8[]", &["'{NaN,Infinity,-0,0.1}'"]),
    ("numeric(6,2)[]", &["'{1.50,NULL,-9999.99}'", "'{NaN,1}'"]),
    ("numeric[]", &["'{1.50,NaN}'"]),
    ("date[]", &["'{2024-02-29,infinity}'"]),
    ("timestamptz[]", &["'{\"2024-05-06 07:08:09.1+05:30\",NULL}'"]),
    ("uuid[]", &["'{00112233-4455-6677-8899-aabbccddeeff}'"]),
    ("bytea[]", &["'{\"\\\\\\\\x00ff\",NULL}'"]),
    ("jsonb[]", &["ARRAY['{\"a\": \"b,c\"}'::jsonb, NULL]"]),
    ("interval[]", &["'{1 day,\"-2 mons\"}'"]),
    ("int[][]", &["'{{1,2},{3,NULL}}'", "'{1}'"]),
    ("mood", &["'happy'", "'so so, \"la''la\"'"]),
    ("mood[]", &["'{happy,NULL,\"so so, \\\"la''la\\\"\"}'"]),
    ("positive", &["7"]),
    ("short_text", &["'abc'"]),
    ("moods", &["'happy'"]),
    ("pair", &["'(1,\"x,y\")'", "'(,)'"]),
    ("pair[]", &["ARRAY['(1,\"x,y\")'::pair, NULL]"]),
    ("deep", &["5"]),
];

const PRELUDE: &str = "
    CREATE TYPE mood AS ENUM ('happy', 'so so, \"la''la\"'); CREATE DOMAIN positive AS int CHECK (value > 0); CREATE DOMAIN deep AS positive;
    CREATE DOMAIN short_text AS varchar(5); CREATE DOMAIN moods AS mood; CREATE TYPE pair AS (a int, b text);";

/// Those that this server can declare.
fn types() -> &'static [(&'static str, &'static [&'static str])] {
    static TYPES: OnceLock<Vec<(&str, &[&str])>> = OnceLock::new();
    TYPES.get_or_init(|| ALL_TYPES.iter().copied().filter(|(name, _)| versions::can_declare(name)).collect())
}

/// What the sessions of this database speak, unless it is said otherwise.
const HOSTILE: [&str; 8] = [
    "datestyle = 'German, DMY'",
    "intervalstyle = 'sql_standard'",
    "bytea_output = 'escape'",
    "extra_float_digits = -3",
    "timezone = 'Asia/Kolkata'",
    "statement_timeout = '100s'",
    "search_path = 'nowhere'",
    "xmloption = 'document'",
];

/// A row for each place in the longest list: NULL where a type has fewer values.
fn rows(table: &str) -> String {
    let most = types().iter().map(|(_, values)| values.len()).max().unwrap_or(0);
    let mut sql = String::new();
    for row in 0..=most {
        let values = types().iter().map(|(_, values)| values.get(row).copied().unwrap_or("NULL"));
        writeln!(sql, "INSERT INTO {table} VALUES ({row}, {});", values.collect::<Vec<_>>().join(", ")).unwrap();
    }
    sql
}

fn create(table: &str) -> String {
    let columns = types().iter().enumerate().map(|(number, (name, _))| format!("c{number:02} {name}"));
    format!("CREATE TABLE {table} (id int PRIMARY KEY, {});", columns.collect::<Vec<_>>().join(", "))
}

#[test]
fn a_streamed_value_equals_a_copied_one() {
    let schema = format!("{PRELUDE} {} {} {}", create("copied"), create("streamed"), rows("copied"));
    let pipeline = Pipeline::new("streamed_equals_copied", &schema, "");
    for setting in HOSTILE {
        pipeline.stage.admin.execute(&format!("ALTER DATABASE {} SET {setting}", pipeline.stage.name));
    }
    let copied = pipeline.sync();
    pipeline.pg(&rows("streamed"));
    // A value that is written over, and one that is left alone, arrive as they were too.
    pipeline.pg("UPDATE streamed SET c00 = NOT c00; UPDATE streamed SET c00 = NOT c00");
    let streamed = pipeline.sync();
    let mut wrong = String::new();
    for (number, (name, _)) in types().iter().enumerate() {
        let values = |table: &str| {
            pipeline.ch(&format!(
                "SELECT groupArray(toTypeName(v)), groupArray(toString(v)), groupArray(sipHash64(v))
                 FROM (SELECT c{number:02} AS v FROM {{db}}.{table} FINAL ORDER BY id)"
            ))
        };
        let (one, other) = (values("copied"), values("streamed"));
        if one != other {
            writeln!(wrong, "{name}\n  copied   {one}\n  streamed {other}").unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    pipeline.verify();
    explicit(&pipeline);
    // What became NULL is told, by column, in both ways alike.
    let told = |outcome: &crate::support::Outcome, table: &str| -> Vec<String> {
        outcome
            .stderr
            .lines()
            .filter_map(|line| line.split_once(&format!("{table}.")))
            .map(|(_, rest)| rest.to_owned())
            .filter(|rest| rest.contains("are NULL"))
            .collect()
    };
    let of_type = |name: &str| types().iter().position(|(other, _)| *other == name).unwrap();
    let lines = told(&copied, "copied");
    assert!(
        lines.contains(&format!("c{:02}: 1 values that ClickHouse cannot hold are NULL", of_type("numeric(10,2)"))),
        "{copied}"
    );
    assert!(
        lines.contains(&format!("c{:02}: 3 values that ClickHouse cannot hold are NULL", of_type("date"))),
        "{copied}"
    );
    assert_eq!(lines.len(), told(&streamed, "streamed").len(), "{copied}\n{streamed}");
}

fn explicit(pipeline: &Pipeline) {
    let expected = [
        ("text", "3", "70000", "length(v)"),
        ("money", "0", "-$1,234.50", "v"),
        ("char(5)", "0", "ab   ", "v"),
        ("bytea", "0", "00FF5C27", "hex(v)"),
        ("float8", "2", "5e-324", "v"),
        ("numeric(10,2)", "0", "12345678.9", "v"),
        ("numeric", "0", "1.10", "v"),
        ("timestamp", "1", "1969-12-31 23:59:59.999999", "v"),
        ("timestamptz", "2", "2024-05-06 01:38:09.100000", "v"),
        ("interval", "0", "1 year 2 mons -3 days +04:05:06.789", "v"),
        ("json", "0", "{\"b\": 1.10,  \"a\": 12345678901234567890, \"b\": null}", "v"),
        ("inet", "0", "10.0.0.1", "v"),
        ("int[]", "2", "[1,NULL,3]", "v"),
        ("int[][]", "0", "{{1,2},{3,NULL}}", "v"),
        ("date[]", "0", "['2024-02-29',NULL]", "v"),
        ("positive", "0", "7", "v"),
        ("numeric(100,2)", "0", "101", "length(v)"),
    ];
    for (name, id, value, expression) in expected {
        let number = types().iter().position(|(other, _)| *other == name).unwrap();
        let found = pipeline.ch(&format!(
            "SELECT {expression} FROM (SELECT c{number:02} AS v FROM {{db}}.streamed FINAL WHERE id = {id})"
        ));
        assert_eq!(found, value, "{name}");
    }
}

/// Key types, with values of which no two may become one.
const KEYS: &[(&str, &[&str])] = &[
    ("text", &["''", "' '", "'a'", "'A'", "'é'"]),
    ("uuid", &["'00112233-4455-6677-8899-aabbccddeeff'", "'ffffffff-4455-6677-8899-aabbccddeeff'"]),
    ("date", &["'infinity'", "'-infinity'", "'0044-03-15 BC'", "'2024-01-01'", "'5000000-01-01'"]),
    ("timestamp", &["'infinity'", "'2024-01-01 00:00:00.000001'", "'2024-01-01'", "'0044-03-15 BC'"]),
    ("timestamptz", &["'-infinity'", "'2024-01-01 00:00:00.1+05:30'", "'294276-01-01'"]),
    ("numeric", &["'NaN'", "1.10", "1e-30", "'Infinity'"]),
    ("numeric(8,2)", &["'NaN'", "1.10", "-5"]),
    ("float8", &["'NaN'", "0.1", "'-0'", "'-Infinity'", "1e300"]),
    ("bool", &["true", "false"]),
    ("bytea", &["''", "'\\x00'", "'\\x0000'"]),
    ("char(4)", &["'a'", "'ab'"]),
    ("inet", &["'10.0.0.1'", "'10.0.0.1/8'"]),
    ("int[]", &["'{}'", "'{1,2}'", "'{NULL}'"]),
    ("int8", &["-1", "9223372036854775807"]),
];

#[test]
fn keys_of_every_type() {
    let (mut schema, mut inserts, mut changes) = (String::new(), String::new(), String::new());
    for (number, (name, values)) in KEYS.iter().enumerate() {
        writeln!(schema, "CREATE TABLE k{number:02} (k {name} PRIMARY KEY, n int, big text); CREATE TABLE p{number:02} (a int, k {name}, n int, PRIMARY KEY (k, a));").unwrap();
        for (place, value) in values.iter().enumerate() {
            let (table, pair) = (format!("k{number:02}"), format!("p{number:02}"));
            let target = if place % 2 == 0 { &mut schema } else { &mut inserts };
            writeln!(target, "INSERT INTO {table} VALUES ({value}, {place}, {}); INSERT INTO {pair} VALUES (1, {value}, {place}), (2, {value}, {place});", long(name)).unwrap();
            writeln!(
                changes,
                "UPDATE {table} SET n = 10 WHERE k = {value}; DELETE FROM {pair} WHERE k = {value} AND a = 1;"
            )
            .unwrap();
        }
        // The last one goes, comes back, and is updated under its key: the value out of line has to be found by it.
        if let Some(value) = values.last() {
            writeln!(
                changes,
                "DELETE FROM p{number:02} WHERE k = {value}; UPDATE k{number:02} SET big = 'short' WHERE k = {value};"
            )
            .unwrap();
        }
    }
    let pipeline = Pipeline::new("keys_of_every_type", &schema, "");
    pipeline.sync();
    pipeline.pg(&inserts);
    pipeline.pg(&changes);
    // Zeros of either sign are one key; of the row nothing is lost when its key goes from one to the other.
    let floats = KEYS.iter().position(|(name, _)| *name == "float8").unwrap();
    pipeline.pg(&format!("UPDATE k{floats:02} SET k = 0 WHERE k = 0; UPDATE k{floats:02} SET n = 5 WHERE k = 0; UPDATE k{floats:02} SET k = '-0' WHERE k = 0; UPDATE p{floats:02} SET k = 0 WHERE k = 0"));
    pipeline.equal();
    assert_eq!(pipeline.ch(&format!("SELECT n, length(big) FROM {{db}}.k{floats:02} FINAL WHERE k = 0")), "5\t9600");
    // Without what ClickHouse has, each key has to find its row in Postgres.
    let mut updates = String::new();
    for number in 0..KEYS.len() {
        pipeline.stage.clickhouse.execute(&format!("TRUNCATE TABLE {{db}}.k{number:02}"));
        writeln!(updates, "UPDATE k{number:02} SET n = n + 1;").unwrap();
    }
    pipeline.pg(&updates);
    pipeline.equal();
}

#[test]
fn wide_tables() {
    let columns: Vec<String> =
        (0..300).map(|n| format!("c{n} {}", ["int", "text", "numeric(9,3)", "timestamptz", "text[]"][n % 5])).collect();
    let schema = format!(
        "CREATE TABLE wide (id int PRIMARY KEY, {}); INSERT INTO wide (id, c0, c1) SELECT i, i, 'x' FROM generate_series(1, 500) i;",
        columns.join(", ")
    );
    let pipeline = Pipeline::new("wide_tables", &schema, "");
    pipeline.sync();
    pipeline.pg(&format!("UPDATE wide SET c299 = ARRAY[{}, 'é'], c298 = now(), c297 = 1.5 WHERE id < 50; INSERT INTO wide (id, c296) VALUES (1000, 'last'); UPDATE wide SET c0 = -1, id = id + 2000 WHERE id < 20", long("wide")));
    pipeline.equal();
}
