//! Random transactions through both transports at once: what they store is the same, and each keeps the order of every key's changes.

use super::{Both, Piped};
use crate::support::Postgres;
use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

/// Rows of the snapshot, and of `pairs` beside them.
const COPIED: u64 = 60_000;
const PAIRS: u64 = 10_000;
/// Rows that are written after it: about so many.
const CHANGED: u64 = 40_000;

/// `seq` tells the order of what is written: every row that is written takes the next one.
const SCHEMA: &str = "
    CREATE SEQUENCE seqs; CREATE SEQUENCE ids START @next@;
    CREATE TABLE wide (id bigint PRIMARY KEY, seq bigint NOT NULL, n int, status text, amount numeric(12, 2), at timestamptz, a text, b text);
    ALTER TABLE wide ALTER a SET STORAGE EXTERNAL, ALTER b SET STORAGE EXTERNAL;
    CREATE TABLE pairs (x int, y text, seq bigint NOT NULL, doc jsonb, tags text[], PRIMARY KEY (x, y));
    INSERT INTO wide SELECT n, nextval('seqs'), 0, 'copied', n * 1.25, '2026-01-01 00:00:00.123456+00', CASE WHEN n % 50 = 0 THEN repeat(md5(n::text), 100) END,
        CASE WHEN n % 100 = 0 THEN repeat(md5(n::text), 100) END FROM generate_series(1, @copied@) AS n;
    INSERT INTO pairs SELECT n, 'y' || n % 7, nextval('seqs'), '{\"a\": [1, null]}', '{a,NULL}' FROM generate_series(1, @pairs@) AS n;";

/// The generator is SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (bits ^ (bits >> 31)) % bound
    }
}

/// Writes statements for a session that changes rows of its own alone, so that two of them never wait for each other.
struct Writer {
    random: Random,
    /// What an `id` of this session is like.
    own: &'static str,
    /// One of them within ten.
    digit: u64,
    /// Ids end about here.
    ids: u64,
}

impl Writer {
    /// A range of ids, most often among those that exist, now and then among the newest.
    fn range(&mut self, longest: u64) -> String {
        let from = match self.random.below(3) {
            0 => self.ids.saturating_sub(self.random.below(2_000)),
            _ => self.random.below(self.ids),
        };
        format!("id BETWEEN {from} AND {} AND {}", from + self.random.below(longest), self.own)
    }

    /// One of the ids that were copied: `ids` gives none of them out.
    fn id(&mut self) -> u64 {
        self.random.below(COPIED / 10) * 10 + self.digit
    }

    fn statement(&mut self) -> String {
        let number = self.random.below(1_000_000);
        match self.random.below(11) {
            0 => {
                let count = 1 + self.random.below(60);
                self.ids += count;
                format!(
                    "INSERT INTO wide SELECT nextval('ids'), nextval('seqs'), {number}, 'new', NULL, now(), CASE WHEN n % 9 = 0 THEN repeat(md5(n::text), 120) END, NULL
                     FROM generate_series(1, {count}) AS n"
                )
            }
            1 | 2 => format!(
                "UPDATE wide SET seq = nextval('seqs'), n = n + 1, status = 's{number}' WHERE {}",
                self.range(80)
            ),
            3 => format!(
                "UPDATE wide SET seq = nextval('seqs'), a = repeat(md5('{number}'), 90) WHERE {}",
                self.range(6)
            ),
            4 => format!(
                "UPDATE wide SET seq = nextval('seqs'), amount = {number}.01 - n, at = NULL, b = 'short' WHERE {}",
                self.range(20)
            ),
            5 => format!("DELETE FROM wide WHERE {}", self.range(20)),
            6 => {
                self.ids += 5;
                format!("UPDATE wide SET id = nextval('ids'), seq = nextval('seqs') WHERE {}", self.range(20))
            }
            7 => {
                let id = self.id();
                format!(
                    "DELETE FROM wide WHERE id = {id}; INSERT INTO wide (id, seq, status) VALUES ({id}, nextval('seqs'), 'again')"
                )
            }
            8 => {
                let id = self.id();
                format!(
                    "UPDATE wide SET id = -{id}, seq = nextval('seqs') WHERE id = {id}; UPDATE wide SET n = {number}, seq = nextval('seqs') WHERE id = -{id};
                     UPDATE wide SET id = {id}, seq = nextval('seqs') WHERE id = -{id}"
                )
            }
            9 => {
                let change = format!("UPDATE wide SET n = n - 7, seq = nextval('seqs') WHERE id = {}", self.id());
                format!("{change}; {change}; {change}")
            }
            _ => self.pairs(number),
        }
    }

    /// A key of two columns.
    fn pairs(&mut self, number: u64) -> String {
        let x = self.random.below(PAIRS);
        let own = format!("x BETWEEN {x} AND {} AND x % 10 = {}", x + 60, self.digit);
        match number % 4 {
            0 => format!("UPDATE pairs SET y = y || '.{number}', seq = nextval('seqs') WHERE {own}"),
            1 => format!("DELETE FROM pairs WHERE {own} AND y < 'y3'"),
            2 => format!("UPDATE pairs SET doc = '{{\"n\": {number}}}', tags = NULL, seq = nextval('seqs') WHERE {own}"),
            _ => format!(
                "INSERT INTO pairs SELECT n * 10 + {0}, 'y{1}', nextval('seqs'), NULL, '{{}}' FROM generate_series({2}, {2} + 20) AS n
                 ON CONFLICT (x, y) DO UPDATE SET seq = excluded.seq, doc = '[]'",
                self.digit,
                number % 7,
                x / 10
            ),
        }
    }

    /// Statements, with savepoints that are released and such that are gone back to.
    fn block(&mut self, statements: u64) -> String {
        let mut sql = String::new();
        for _ in 0..statements {
            let (kept, dropped) = (self.statement(), self.statement());
            match self.random.below(6) {
                0 => write!(sql, "SAVEPOINT s; {dropped}; ROLLBACK TO SAVEPOINT s; {kept};"),
                1 => write!(
                    sql,
                    "SAVEPOINT s; {kept}; SAVEPOINT t; {dropped}; ROLLBACK TO SAVEPOINT t; RELEASE SAVEPOINT s;"
                ),
                2 => write!(sql, "SAVEPOINT s; {kept}; RELEASE SAVEPOINT s;"),
                _ => write!(sql, "{kept};"),
            }
            .unwrap();
        }
        sql
    }
}

/// Runs transactions in one session while one of the other session is open, which begins before them and ends after them.
fn write(short: &Postgres, long: &Postgres, seed: u64) {
    let mut often = Writer { random: Random(seed), own: "id % 10 <> 9", digit: 3, ids: COPIED };
    let mut seldom = Writer { random: Random(!seed), own: "id % 10 = 9", digit: 9, ids: COPIED };
    let written = || short.value("SELECT last_value FROM seqs").parse::<u64>().unwrap();
    while written() < COPIED + PAIRS + CHANGED {
        long.execute(&format!("BEGIN; {}", seldom.block(5)));
        for _ in 0..8 {
            let end = if often.random.below(12) == 0 { "ROLLBACK" } else { "COMMIT" };
            let statements = 1 + often.random.below(8);
            short.execute(&format!("BEGIN; {} {end}", often.block(statements)));
            long.execute(&seldom.block(1));
        }
        long.execute(if seldom.random.below(8) == 0 { "ROLLBACK" } else { "COMMIT" });
    }
}

#[test]
fn random_transactions_are_stored_the_same_by_both_transports() {
    let seed = match std::env::var("PIPECTL_WORKLOAD_SEED") {
        Ok(seed) => seed.parse().expect("a number"),
        Err(_) => SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs(),
    };
    eprintln!("PIPECTL_WORKLOAD_SEED={seed}");
    let schema = [("@copied@", COPIED), ("@next@", COPIED + 1), ("@pairs@", PAIRS)]
        .iter()
        .fold(SCHEMA.to_owned(), |schema, (name, number)| schema.replace(name, &number.to_string()));
    let piped = Piped::new("kafka_random", &schema, &[]);
    let both = Both::new(&piped);
    both.sync();
    let direct = piped.call(&["-c", "direct.yml", "sync"]).spawn();
    let topics = piped.call(&["sync"]).spawn();
    write(&piped.stage.postgres, &piped.stage.admin, seed);
    for running in [direct, topics] {
        running.signal("TERM");
        let ended = running.ended();
        assert_eq!(ended.status, Some(0), "{ended}");
    }
    both.sync();
    both.equal();
    for (table, key) in [("wide", "id"), ("pairs", "x, y")] {
        both.same(table, key);
        for database in [&piped.stage.name, &both.other] {
            let live =
                piped.stage.clickhouse.value(&format!("SELECT count() FROM {database}.{table} WHERE _version > 0"));
            assert!(live.parse::<u64>().unwrap() > 200, "{database}.{table}: {live}");
            // Whatever is stored of a key's rows, not the last ones alone.
            let turned = format!(
                "SELECT count() FROM (SELECT seq, lagInFrame(seq) OVER (PARTITION BY {key} ORDER BY _version, seq) AS before FROM {database}.{table}
                 WHERE _deleted = 0) WHERE seq < before"
            );
            assert_eq!(piped.stage.clickhouse.value(&turned), "0", "{database}.{table}");
        }
    }
}
