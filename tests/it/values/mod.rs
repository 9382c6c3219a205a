//! Values of every type, made from a seed and stored by Postgres, through every way that pipectl has: the copy, the stream, a later copy, a repair, and
//! Debezium's records, from its snapshot and from its stream. All store the same, and that is Postgres' value in a form that both servers write, or
//! NULL, and then it is counted.
//!
//! `PIPECTL_VALUES_SEED` chooses the values, 0 others each time; `PIPECTL_VALUES_SECONDS` goes on with new ones for that long (`make soak`).

mod documents;
mod generate;
mod overrides;

use crate::support::{Connect, Invocation, Kafka, Stage};
use generate::Values;
use serde_json::Value;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// In which form both servers write a value.
#[derive(Clone, Copy)]
enum Form {
    /// Postgres' own text.
    Text,
    /// The same, of types that both servers write alike.
    Plain,
    Bytes,
    /// Without zeros at the end.
    Number,
    Float4,
    Float8,
    Date,
    Timestamp,
    TimestampTz,
    Array(&'static Form),
}
use Form::{Array, Bytes, Date, Float4, Float8, Number, Plain, Text, Timestamp, TimestampTz};

/// Types, and whether Debezium sends their values whole: `docs/kafka.md` says which not.
const TYPES: &[(&str, Form, bool)] = &[
    ("bool", Plain, true),
    ("int2", Plain, true),
    ("int4", Plain, true),
    ("int8", Plain, true),
    ("oid", Plain, true),
    ("float4", Float4, true),
    ("float8", Float8, true),
    ("numeric(20,4)", Number, true),
    ("numeric(76,38)", Number, true),
    ("numeric(100,2)", Text, true),
    ("numeric(3,-2)", Text, false),
    ("numeric", Text, true),
    ("money", Text, true),
    ("text", Text, true),
    ("varchar(12)", Text, true),
    ("char(12)", Text, true),
    ("name", Text, true),
    ("\"char\"", Text, true),
    ("citext", Text, true),
    ("bytea", Bytes, true),
    ("date", Date, true),
    ("time", Text, true),
    ("timetz", Text, false),
    ("timestamp", Timestamp, true),
    ("timestamptz", TimestampTz, true),
    ("interval", Text, true),
    ("uuid", Plain, true),
    ("json", Text, true),
    ("jsonb", Text, true),
    ("xml", Text, true),
    ("inet", Text, true),
    ("cidr", Text, true),
    ("macaddr", Text, true),
    ("bit(4)", Text, true),
    ("varbit", Text, false),
    ("tsvector", Text, true),
    ("pg_lsn", Text, true),
    ("int4range", Text, true),
    ("int8range", Text, true),
    ("point", Text, true),
    ("hstore", Text, true),
    ("ltree", Text, true),
    ("mood", Text, true),
    ("pair", Text, true),
    ("positive", Plain, true),
    ("bool[]", Array(&Plain), true),
    ("int4[]", Array(&Plain), true),
    ("int8[]", Array(&Plain), true),
    ("float4[]", Array(&Float4), true),
    ("float8[]", Array(&Float8), true),
    ("numeric(20,4)[]", Array(&Number), true),
    ("numeric[]", Array(&Text), true),
    ("text[]", Array(&Text), true),
    ("varchar(12)[]", Array(&Text), true),
    ("bytea[]", Array(&Bytes), true),
    ("date[]", Array(&Date), true),
    ("timestamp[]", Array(&Timestamp), false),
    ("timestamptz[]", Array(&TimestampTz), true),
    ("uuid[]", Array(&Plain), true),
    ("mood[]", Array(&Text), false),
    ("jsonb[]", Text, true),
    ("inet[]", Text, true),
    ("interval[]", Text, false),
    ("text[][]", Text, false),
];

const PRELUDE: &str = "
    CREATE EXTENSION citext; CREATE EXTENSION hstore; CREATE EXTENSION ltree;
    CREATE TYPE mood AS ENUM ('sad', 'it''s \"ok\", \\ or not', 'Ünï ✓'); CREATE TYPE pair AS (a int, b text);
    CREATE DOMAIN positive AS int CHECK (value > 0);";
const ROWS: usize = 40;

/// The name of a type's column; hostile in every other one, unless it has to be excluded by a pattern.
fn column(number: usize) -> String {
    let (.., by_topics) = TYPES[number];
    if number.is_multiple_of(2) || !by_topics { format!("c{number:02}") } else { format!("C{number:02} \"`'\\;é") }
}

/// Columns whose values Debezium changes, or ends at.
fn not_by_topics() -> impl Iterator<Item = String> {
    (0..TYPES.len()).filter(|number| !TYPES[*number].2).map(column)
}

fn in_postgres(number: usize) -> String {
    format!("\"{}\"", column(number).replace('"', "\"\""))
}

fn in_clickhouse(number: usize) -> String {
    format!("`{}`", column(number).replace('\\', "\\\\").replace('`', "\\`"))
}

/// The first and the last year that ClickHouse's dates and times have.
type Years = (u32, u32);

impl Form {
    /// Postgres' value in this form; NULL where ClickHouse has none.
    fn of_postgres(self, x: &str, years: Years) -> String {
        let within = |kind: &str| {
            let (first, last) = years;
            format!("{x} >= {kind} '{first:04}-01-01' AND {x} < {kind} '{}-01-01'", last + 1)
        };
        match self {
            Text => format!("CASE WHEN num_nulls({x}) = 0 THEN concat({x}) END"),
            Plain => format!("({x})::text"),
            Bytes => format!("encode({x}, 'hex')"),
            Number => format!("CASE WHEN {x} <> 'NaN' THEN trim_scale({x})::text END"),
            Float4 => format!("CASE WHEN {x} = 'NaN' THEN 'NaN' ELSE encode(float4send({x}), 'hex') END"),
            Float8 => format!("CASE WHEN {x} = 'NaN' THEN 'NaN' ELSE encode(float8send({x}), 'hex') END"),
            Date => format!("CASE WHEN {} THEN to_char({x}, 'YYYY-MM-DD') END", within("date")),
            Timestamp => format!("CASE WHEN {} THEN to_char({x}, 'YYYY-MM-DD HH24:MI:SS.US') END", within("timestamp")),
            TimestampTz => format!(
                "CASE WHEN {} THEN to_char({x} AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') END",
                within("timestamptz")
            ),
            Array(element) => format!(
                "array_to_json(coalesce((SELECT array_agg({} ORDER BY u.n) FROM unnest({x}) WITH ORDINALITY AS u(e, n)), '{{}}'))::text",
                element.of_postgres("u.e", years)
            ),
        }
    }

    /// The stored value in the same form.
    fn of_clickhouse(self, x: &str) -> String {
        match self {
            Text | Plain | Number | Date | Timestamp | TimestampTz => format!("toString({x})"),
            Bytes => format!("lower(hex({x}))"),
            Float4 | Float8 => format!("if(isNaN({x}), 'NaN', lower(hex(reverse(reinterpretAsFixedString({x})))))"),
            Array(element) => format!("toJSONString(arrayMap(e -> {}, {x}))", element.of_clickhouse("e")),
        }
    }

    /// Two texts of this form.
    fn same(self, one: Option<&str>, other: Option<&str>) -> bool {
        let parsed = |text: Option<&str>| text.and_then(|text| serde_json::from_str::<Value>(text).ok());
        match self {
            Array(_) => parsed(one) == parsed(other) && one.is_some() == other.is_some(),
            _ => one == other,
        }
    }
}

/// Rows of texts, by `id`.
type Rows = Vec<Vec<Option<String>>>;

/// Two pipelines of one table: the direct one, and the one through topics.
struct Ways {
    connect: Connect,
    _kafka: Kafka,
    stage: Stage,
    direct: String,
    years: Years,
    seed: u64,
}

impl Ways {
    fn new(seed: u64) -> Self {
        let stage = Stage::new("values");
        let columns: Vec<String> =
            TYPES.iter().enumerate().map(|(number, (name, ..))| format!("{} {name}", in_postgres(number))).collect();
        stage.postgres.execute(PRELUDE);
        stage.postgres.execute(&format!("CREATE TABLE t (id int PRIMARY KEY, touched int, {})", columns.join(", ")));
        // Debezium's task ends where an update leaves out a long array of these: they stay in line.
        for (number, (name, ..)) in TYPES.iter().enumerate() {
            if matches!(
                *name,
                "bool[]" | "float4[]" | "float8[]" | "numeric(20,4)[]" | "numeric[]" | "timestamptz[]" | "inet[]"
            ) {
                stage.postgres.execute(&format!("ALTER TABLE t ALTER {} SET STORAGE PLAIN", in_postgres(number)));
            }
        }
        stage.postgres.execute("SET datestyle = 'ISO, MDY'; SET intervalstyle = 'postgres'; SET bytea_output = 'hex'; SET extra_float_digits = 3;
             SET timezone = 'UTC'; SET lc_monetary = 'C'");
        let direct = format!("{}_d", stage.name);
        stage.directory.write(
            "direct.yml",
            &format!("pipeline: {direct}\npostgres:\n  url: ${{POSTGRES_URL}}\nclickhouse:\n  url: ${{CLICKHOUSE_URL}}\n  database: {direct}\ntables:\n  - source: public.t\n"),
        );
        let (kafka, connect) = (Kafka::of(&stage), Connect::of(&stage));
        stage.config(&format!(
            "kafka:\n  brokers: {}\n  topic_prefix: {}\n  connect_url: {}\ntables:\n  - source: public.t\n    columns: {{{}}}\nsync:\n  source: kafka\n",
            kafka.brokers,
            stage.name,
            connect.url,
            not_by_topics().map(|name| format!("{name}: {{exclude: true}}")).collect::<Vec<_>>().join(", ")
        ));
        let wide = stage.clickhouse.value("SELECT toString(toDate32('1970-01-01') - 719162)") == "0001-01-01";
        let years = if wide { (1, 9999) } else { (1900, 2299) };
        Self { connect, _kafka: kafka, stage, direct, years, seed }
    }

    /// What `connector apply` would set, as far as values depend on it.
    fn start_connector(&self) {
        let excluded: Vec<String> = not_by_topics().map(|name| format!("public.t.{name}")).collect();
        self.connect.apply(&Connect::debezium(
            &self.stage,
            &[
                ("table.include.list", "public.t"),
                ("column.exclude.list", &excluded.join(",")),
                ("decimal.handling.mode", "string"),
                ("time.precision.mode", "microseconds"),
                ("interval.handling.mode", "string"),
                ("hstore.handling.mode", "json"),
                ("include.unknown.datatypes", "true"),
                ("event.converting.failure.handling.mode", "fail"),
                ("heartbeat.interval.ms", "200"),
                ("driver.options", "-c IntervalStyle=postgres -c bytea_output=hex -c lc_monetary=C"),
            ],
        ));
        self.connect.wait_until_it_streams(&self.stage);
    }

    fn call(&self, arguments: &[&str]) -> Invocation {
        self.stage.invocation(arguments)
    }

    fn direct(&self, arguments: &[&str]) -> String {
        let outcome = self.call(&[&["-c", "direct.yml"], arguments].concat()).run();
        assert_eq!(outcome.status, Some(0), "seed {}: {outcome}", self.seed);
        format!("{}\n{}", outcome.stdout, outcome.stderr)
    }

    fn both_catch_up(&self) -> String {
        let topics = self.call(&["sync", "--until-caught-up"]).spawn();
        let told = self.direct(&["sync", "--until-caught-up"]);
        let topics = topics.finish(Duration::from_mins(4));
        assert_eq!(topics.status, Some(0), "seed {}: {topics}", self.seed);
        assert!(
            !topics.stderr.contains("parked") && !topics.stderr.contains("set aside"),
            "seed {}: {topics}",
            self.seed
        );
        told
    }

    /// Rows from `first` on.
    fn insert(&self, values: &mut Values, first: usize) {
        for id in first..first + ROWS {
            let row: Vec<String> = TYPES.iter().map(|(name, ..)| values.of(name)).collect();
            self.stage.postgres.execute(&format!("INSERT INTO t VALUES ({id}, 0, {})", row.join(", ")));
        }
    }

    fn source(&self) -> Rows {
        let forms =
            TYPES.iter().enumerate().map(|(number, (_, form, _))| form.of_postgres(&in_postgres(number), self.years));
        self.stage.postgres.rows(&format!("SELECT id, {} FROM t ORDER BY id", forms.collect::<Vec<_>>().join(", ")))
    }

    fn stored(&self, database: &str) -> Rows {
        let forms = TYPES.iter().enumerate().map(|(number, (_, form, by_topics))| {
            let is_there = *by_topics || database == self.direct;
            let value = if is_there { form.of_clickhouse(&in_clickhouse(number)) } else { "NULL".to_owned() };
            format!("{value} AS v{number}")
        });
        let forms = forms.collect::<Vec<_>>().join(", ");
        let rows = self
            .stage
            .clickhouse
            .rows(&format!("SELECT toString(id) AS key, {forms} FROM {database}.t FINAL ORDER BY id"));
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let row = |row: &serde_json::Map<String, Value>| {
            let values = (0..TYPES.len()).map(|number| text(&row[&format!("v{number}")]));
            [text(&row["key"])].into_iter().chain(values).collect()
        };
        rows.iter().map(row).collect()
    }

    /// Every value that a way stored is Postgres'.
    fn prove(&self, way: &str, database: &str) {
        let (source, stored) = (self.source(), self.stored(database));
        assert_eq!(source.len(), stored.len(), "seed {}: rows by {way}", self.seed);
        let mut wrong = String::new();
        for (expected, found) in source.iter().zip(&stored) {
            assert_eq!(expected[0], found[0], "seed {}: keys by {way}", self.seed);
            for (number, (name, form, by_topics)) in TYPES.iter().enumerate() {
                let (one, other) = (expected[number + 1].as_deref(), found[number + 1].as_deref());
                let skipped = database != self.direct && !by_topics;
                if !skipped && !form.same(one, other) {
                    writeln!(wrong, "id {:?}, {name}\n  Postgres {one:?}\n  stored   {other:?}", expected[0]).unwrap();
                }
            }
        }
        assert!(wrong.is_empty(), "PIPECTL_VALUES_SEED={} by {way}:\n{wrong}", self.seed);
    }

    /// Values of a column that became NULL although they are none.
    fn lost(&self, number: usize, (_, form, _): &(&str, Form, bool)) -> u64 {
        let x = in_postgres(number);
        let lost = match form {
            Array(element) => format!(
                "coalesce(sum((SELECT count(*) FROM unnest({x}) AS u(e) WHERE u.e IS NOT NULL AND ({}) IS NULL)), 0)",
                element.of_postgres("u.e", self.years)
            ),
            _ => {
                format!("count(*) FILTER (WHERE num_nulls({x}) = 0 AND ({}) IS NULL)", form.of_postgres(&x, self.years))
            }
        };
        self.stage.postgres.value(&format!("SELECT {lost} FROM t")).parse().unwrap()
    }

    /// What was told of such values is what there is.
    fn count(&self, told: &str) {
        let mut any = 0;
        for (number, of) in TYPES.iter().enumerate() {
            let (lost, name) = (self.lost(number, of), column(number));
            let line = format!("t.{name}: {lost} values that ClickHouse cannot hold are NULL");
            let is_told = told.contains(&if lost > 0 { line.clone() } else { format!("t.{name}: ") });
            assert_eq!(is_told, lost > 0, "seed {}: {line}\n{told}", self.seed);
            any += lost;
        }
        assert!(any > 0, "seed {}: no value that ClickHouse cannot hold", self.seed);
    }

    fn round(&self, values: &mut Values, first: usize) {
        values.before_christ = true;
        self.insert(values, first);
        self.stage.postgres.execute("UPDATE t SET touched = touched + 1");
        self.both_catch_up();
        self.prove("the stream", &self.direct);
        self.prove("topics", &self.stage.name);
        self.direct(&["resync", "public.t"]);
        self.prove("a later copy", &self.direct);
        // Each row is one that ClickHouse does not have.
        self.stage.clickhouse.execute(&format!("TRUNCATE TABLE {}.t", self.direct));
        self.direct(&["verify", "--repair", "--yes"]);
        self.prove("a repair", &self.direct);
    }
}

impl Drop for Ways {
    fn drop(&mut self) {
        self.call(&["-c", "direct.yml", "drop", "--yes"]).run();
        self.stage.clickhouse.execute(&format!("DROP DATABASE IF EXISTS {} SYNC", self.direct));
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable} is no number")))
}

#[test]
fn every_way_stores_what_postgres_has() {
    let seed = number("PIPECTL_VALUES_SEED").unwrap_or(20_261);
    let seed = if seed == 0 { rand::random() } else { seed };
    let until = Instant::now() + Duration::from_secs(number("PIPECTL_VALUES_SECONDS").unwrap_or(0));
    eprintln!("PIPECTL_VALUES_SEED={seed}");
    let ways = Ways::new(seed);
    let mut values = Values::new(seed);
    // Debezium's snapshot takes years before 1 for years after it: they come later.
    ways.insert(&mut values, 0);
    ways.start_connector();
    let told = ways.both_catch_up();
    ways.prove("the copy", &ways.direct);
    ways.prove("the connector's snapshot", &ways.stage.name);
    ways.count(&told);
    for round in 1.. {
        ways.round(&mut values, round * ROWS);
        if Instant::now() >= until {
            break;
        }
    }
}
