//! Values of every type, from a seed: what lies at the edges, and what chance makes of the rest.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::fmt::Write as _;

/// A source of values.
pub(super) struct Values {
    random: StdRng,
    /// Whether years before 1 are among them.
    pub(super) before_christ: bool,
}

/// What texts are put together of.
const PIECES: [&str; 34] = [
    "a", "Z", " ", "\n", "\t", "\r", "\\", "'", "\"", "`", "é", "✓", "🎈", "\u{202e}", "NULL", "\\N", "{", "}", ",",
    "\u{1}", "\u{7f}", "\u{feff}", "e\u{301}", "0", "[", "]", ":", ";", "<&>", "$$", "--", "/*", "\\x00", "ß",
];

/// What lies at the edges of each type.
const EDGES: &[(&str, &[&str])] = &[
    ("bool", &["true", "false"]),
    ("int2", &["-32768", "32767", "0", "-1"]),
    ("int4", &["-2147483648", "2147483647", "0", "-1"]),
    ("int8", &["-9223372036854775808", "9223372036854775807", "0", "-1"]),
    ("oid", &["0", "4294967295", "2147483648"]),
    ("float4", &["'NaN'", "'Infinity'", "'-Infinity'", "'-0'", "0", "1e-45", "3.4028235e38", "16777217", "0.1"]),
    (
        "float8",
        &[
            "'NaN'",
            "'Infinity'",
            "'-Infinity'",
            "'-0'",
            "0",
            "5e-324",
            "1.7976931348623157e308",
            "0.3",
            "2.2250738585072011e-308",
        ],
    ),
    ("numeric(20,4)", &["'NaN'", "0", "9999999999999999.9999", "-9999999999999999.9999", "0.0001", "-0.0001", "1.10"]),
    ("numeric(76,38)", &["'NaN'", "repeat('9', 38)::numeric", "-repeat('9', 38)::numeric", "1e-38", "-1e-38"]),
    (
        "numeric",
        &[
            "'NaN'",
            "'Infinity'",
            "'-Infinity'",
            "0",
            "-0.000",
            "1.10",
            "1e-300",
            "1e300",
            "10000",
            "repeat('8', 3000)::numeric",
        ],
    ),
    ("money", &["'-92233720368547758.08'", "'92233720368547758.07'", "'0'", "'-0.01'"]),
    ("\"char\"", &["'x'", "''", "'\\'"]),
    (
        "date",
        &[
            "'infinity'",
            "'-infinity'",
            "'0001-01-01'",
            "'9999-12-31'",
            "'10000-01-01'",
            "'1900-01-01'",
            "'1899-12-31'",
            "'2299-12-31'",
            "'1970-01-01'",
            "'1969-12-31'",
            "'5874897-12-31'",
            "'2000-02-29'",
        ],
    ),
    (
        "timestamp",
        &[
            "'infinity'",
            "'-infinity'",
            "'0001-01-01'",
            "'9999-12-31 23:59:59.999999'",
            "'10000-01-01'",
            "'1969-12-31 23:59:59.999999'",
            "'1970-01-01'",
            "'294276-12-31 23:59:59.999999'",
        ],
    ),
    (
        "timestamptz",
        &[
            "'infinity'",
            "'-infinity'",
            "'0001-01-01 00:00+00'",
            "'9999-12-31 23:59:59.999999+00'",
            "'1969-12-31 23:59:59.999999+00'",
            "'1970-01-01 00:00:00.000001+00'",
            "'2024-05-06 07:08:09.1+05:53:28'",
        ],
    ),
    ("time", &["'24:00:00'", "'00:00:00'", "'23:59:59.999999'", "'12:30'"]),
    ("timetz", &["'24:00:00+15:59'", "'00:00:00-15:59'", "'12:00:00.5+05:30'"]),
    (
        "interval",
        &[
            "'0'",
            "'-1 mon'",
            "'1 year 2 mons -3 days 04:05:06.789'",
            "'178000000 years'",
            "'-00:00:00.000001'",
            "'1000000 hours'",
        ],
    ),
    ("inet", &["'10.0.0.1'", "'10.0.0.1/8'", "'::1'", "'::ffff:1.2.3.4'", "'fe80::1/64'", "'0.0.0.0/0'"]),
    ("cidr", &["'10.0.0.0/8'", "'10.0.0.1/32'", "'::/0'"]),
    ("jsonb", &["'null'", "'{}'", "'[]'", "'\"\"'", "'{\"a\": 1, \"a\": 2, \"a.b\": null}'"]),
    ("json", &["'null'", "'{}'", "'[]'", "'\"\"'", "'{\"a\": 1, \"a\": 2, \"a.b\": null}'"]),
    ("varbit", &["''", "'101'", "'1'"]),
    ("int4range", &["'empty'", "'[1,5]'", "'(,3)'", "'(,)'"]),
    ("point", &["'(0.1,2)'", "'(-0,NaN)'", "'(Infinity,1e-300)'"]),
    ("tsvector", &["''", "'a fat:3A cat''s'"]),
    ("hstore", &["''", "'a=>NULL'", "'\"\"=>\"\"'"]),
    ("ltree", &["''", "'a.b_1.C'"]),
    ("mood", &["'sad'", "'it''s \"ok\", \\ or not'", "'Ünï ✓'"]),
    ("pair", &["'(,)'", "'(1,\"x,y\")'"]),
    ("text[][]", &["'{}'", "'{{a,b},{NULL,\"{\"}}'", "'{x}'", "'[2:3][0:0]={{a},{b}}'"]),
    ("int8range", &["'empty'", "'[1,9223372036854775807)'"]),
];

impl Values {
    pub(super) fn new(seed: u64) -> Self {
        Self { random: StdRng::seed_from_u64(seed), before_christ: false }
    }

    /// A value of a type as an expression of SQL; NULL now and then.
    pub(super) fn of(&mut self, of: &str) -> String {
        if self.random.random_ratio(1, 10) { "NULL".to_owned() } else { self.present(of) }
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.random.random_range(0..of.len())]
    }

    fn edge(&mut self) -> bool {
        self.random.random_ratio(2, 5)
    }

    fn digits(&mut self, most: usize) -> String {
        let count = self.random.random_range(1..=most);
        (0..count).map(|_| char::from(b'0' + self.random.random_range(0..10))).collect()
    }

    fn number(&mut self, whole: usize, fraction: usize) -> String {
        let sign = self.one(&["", "-"]);
        let (before, after) = (self.digits(whole), self.digits(fraction));
        format!("{sign}{before}.{after}")
    }

    fn text(&mut self, most: usize) -> String {
        let count = self.random.random_range(0..=most);
        (0..count).map(|_| self.one(&PIECES)).collect()
    }

    fn quoted(&mut self, most: usize) -> String {
        let text = self.text(most);
        quote(&text)
    }

    fn bytes(&mut self) -> String {
        let count = self.random.random_range(0..40);
        let mut hex = String::new();
        for _ in 0..count {
            write!(hex, "{:02x}", self.random.random::<u8>()).unwrap();
        }
        format!("'\\x{hex}'")
    }

    fn date(&mut self) -> String {
        let year = match self.random.random_range(0..4) {
            0 => self.random.random_range(1..10_000),
            1 => self.random.random_range(10_000..200_000),
            _ => self.random.random_range(1850..2310),
        };
        let (month, day) = (self.random.random_range(1..=12), self.random.random_range(1..=28));
        let era = if self.before_christ && year < 4000 && self.random.random_ratio(1, 4) { " BC" } else { "" };
        format!("{year:04}-{month:02}-{day:02}{era}")
    }

    fn time(&mut self) -> String {
        let micros = self.random.random_range(0..86_400_000_000_u64);
        let seconds = micros / 1_000_000;
        let fraction = if self.random.random_ratio(1, 3) { 0 } else { micros % 1_000_000 };
        format!("{:02}:{:02}:{:02}.{fraction:06}", seconds / 3600, seconds / 60 % 60, seconds % 60)
    }

    fn moment(&mut self, zone: &str) -> String {
        let (date, time) = (self.date(), self.time());
        match date.strip_suffix(" BC") {
            Some(date) => format!("'{date} {time}{zone} BC'"),
            None => format!("'{date} {time}{zone}'"),
        }
    }

    fn json(&mut self, depth: u32) -> String {
        match self.random.random_range(0..if depth == 0 { 5 } else { 7 }) {
            0 => self.one(&["null", "true", "false"]).to_owned(),
            1 => format!("{}1{}", self.one(&["", "-"]), self.number(20, 10).trim_start_matches('-')),
            2 => self.one(&["0", "1.10", "12345678901234567890123", "1e3", "-0.0"]).to_owned(),
            3 | 4 => serde_json::Value::from(self.text(5)).to_string(),
            5 => {
                let items: Vec<String> = (0..self.random.random_range(0..3)).map(|_| self.json(depth - 1)).collect();
                format!("[{}]", items.join(", "))
            }
            _ => {
                let members = (0..self.random.random_range(0..3))
                    .map(|_| format!("{}:  {}", serde_json::Value::from(self.text(3)), self.json(depth - 1)));
                format!("{{{}}}", members.collect::<Vec<_>>().join(", "))
            }
        }
    }

    fn float(&mut self, wide: bool) -> String {
        if wide {
            format!("'{:e}'", f64::from_bits(self.random.random()))
        } else {
            format!("'{:e}'", f32::from_bits(self.random.random()))
        }
        .replace("inf", "Infinity")
    }

    /// Of an array's elements; now and then with a lower bound of its own.
    fn array(&mut self, element: &str) -> String {
        if element == "int4" && self.random.random_ratio(1, 4) {
            return self.one(&["'[0:2]={1,NULL,-3}'::int4[]", "'[-5:-5]={7}'::int4[]", "'{}'::int4[]"]).to_owned();
        }
        // Of dates in arrays Debezium loses the era.
        let before_christ = std::mem::take(&mut self.before_christ);
        let mut elements: Vec<String> = (0..self.random.random_range(0..5)).map(|_| self.of(element)).collect();
        self.before_christ = before_christ;
        if element.starts_with("numeric") {
            // Debezium's task ends at them: `docs/kafka.md`.
            elements.retain(|value| !value.contains("NaN") && !value.contains("Infinity"));
        }
        format!("ARRAY[{}]::{element}[]", elements.join(", "))
    }

    fn edges(of: &str) -> &'static [&'static str] {
        EDGES.iter().find(|(name, _)| *name == of).map_or(&[], |(_, edges)| edges)
    }

    fn present(&mut self, of: &str) -> String {
        let edges = Self::edges(of);
        if !edges.is_empty() && self.edge() {
            return self.one(edges).to_owned();
        }
        match of {
            "bool" => self.one(&["true", "false"]).to_owned(),
            "int2" => self.random.random::<i16>().to_string(),
            "int4" => self.random.random::<i32>().to_string(),
            "positive" => self.random.random_range(1..=i32::MAX).to_string(),
            "int8" => self.random.random::<i64>().to_string(),
            "oid" => self.random.random::<u32>().to_string(),
            "float4" => self.float(false),
            "float8" => self.float(true),
            "numeric(20,4)" => self.number(16, 4),
            "numeric(76,38)" => self.number(38, 38),
            "numeric(100,2)" => self.number(98, 2),
            "numeric(3,-2)" => self.number(4, 1),
            "numeric" => self.number(60, 60),
            "money" => format!("'{}'", self.number(16, 2)),
            "text" | "citext" => self.quoted(60),
            "varchar(12)" | "char(12)" => self.quoted(1),
            "name" => self.quoted(3),
            "bytea" => self.bytes(),
            "date" => format!("'{}'", self.date()),
            "time" => format!("'{}'", self.time()),
            "timetz" => format!("'{}{}'", self.time(), self.one(&["+00", "+05:30", "-12", "+15:59:59"])),
            "timestamp" => self.moment(""),
            "timestamptz" => {
                let zone = self.one(&["+00", "+05:30", "-12", "+05:53:28"]);
                self.moment(zone)
            }
            "interval" => {
                format!("'{} mons {} days {}'", self.random.random::<i16>(), self.random.random::<i16>(), self.time())
            }
            other => self.other(other, edges),
        }
    }

    fn other(&mut self, of: &str, edges: &[&str]) -> String {
        match of {
            "uuid" => format!("'{:032x}'", self.random.random::<u128>()),
            "json" | "jsonb" => {
                // Postgres has no character for \\u0000, which no text here holds.
                let json = self.json(2);
                quote(&json)
            }
            "xml" => format!("'<a b=\"{}\">{}</a>'", self.digits(3), self.one(&["x", "&amp;", "é", ""])),
            "inet" => format!(
                "'{}.{}.{}.{}/{}'",
                self.random.random::<u8>(),
                1,
                2,
                self.random.random::<u8>(),
                self.random.random_range(0..=32)
            ),
            "cidr" => format!("'{}.0.0.0/8'", self.random.random::<u8>()),
            "macaddr" => format!("'{:012x}'", self.random.random_range(0..1_u64 << 48)),
            "bit(4)" => format!("B'{:04b}'", self.random.random_range(0..16)),
            "varbit" => format!("B'{:b}'", self.random.random::<u32>()),
            "tsvector" => format!("to_tsvector('simple', {})", self.quoted(10)),
            "pg_lsn" => format!("'{:X}/{:X}'", self.random.random::<u32>(), self.random.random::<u32>()),
            "int4range" => format!("int4range({}, NULL)", self.random.random_range(-9..9)),
            "int8range" => format!("int8range(NULL, {})", self.random.random::<i64>()),
            "point" => format!("point({}, {})", self.number(5, 9), self.number(5, 9)),
            "hstore" => {
                format!("hstore(ARRAY[{}, {}], ARRAY[{}, NULL])", self.quoted(5), self.quoted(4), self.quoted(5))
            }
            "ltree" => format!("'{}.x'", self.digits(9)),
            "mood" => self.one(&["'sad'", "'Ünï ✓'"]).to_owned(),
            "pair" => format!("ROW({}, {})::pair", self.random.random::<i32>(), self.quoted(6)),
            "text[][]" => {
                format!("ARRAY[ARRAY[{}, {}], ARRAY[{}, NULL]]::text[]", self.quoted(5), self.quoted(5), self.quoted(5))
            }
            other => match other.strip_suffix("[]") {
                Some(element) => self.array(element),
                None => self.one(edges).to_owned(),
            },
        }
    }
}

fn quote(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}
