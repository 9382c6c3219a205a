//! What sessions do at random: statements that never wait for each other, so that one thread can carry out several transactions at once.
//!
//! Rows belong to sessions, by their key; who truncates a table or changes its columns does so while no other session has it open.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Sessions at work.
pub(super) const SESSIONS: usize = 3;
/// Keys of each session that are changed again and again; those beyond are given out once.
const HOT: i64 = 30;

/// A table whose rows have an `id`, a `seq`, numbers and texts.
pub(super) struct Table {
    pub(super) name: &'static str,
    /// The second column of the key, and its values.
    pub(super) second: Option<(&'static str, &'static [&'static str])>,
    /// Characters of its long values, in units of 32.
    length: u32,
    /// Whether it is a log of what happened, not a copy.
    pub(super) is_log: bool,
    /// Whether columns come and go.
    alters: bool,
}

const fn table(name: &'static str, length: u32) -> Table {
    Table { name, second: None, length, is_log: false, alters: true }
}

/// The tables, beside `bag`, which has no key.
pub(super) const TABLES: &[Table] = &[
    table("plain", 1),
    table("toasted", 100),
    table("whole", 100),
    Table { second: Some(("y", &["", "a", "b c", "ü'\\"])), ..table("pairs", 1) },
    Table { second: Some(("region", &["eu", "us", "asia"])), ..table("parts", 80) },
    Table { is_log: true, ..table("history", 1) },
];
/// The table without a key, behind `TABLES`.
const BAG: usize = TABLES.len();

/// `seq` tells the order of what is written: every row that is written takes the next one.
pub(super) const SCHEMA: &str = "
    CREATE SEQUENCE seqs;
    CREATE TABLE plain (id int PRIMARY KEY, seq bigint NOT NULL DEFAULT nextval('seqs'), n smallint, a text, b text, x numeric);
    CREATE TABLE toasted (LIKE plain INCLUDING ALL); CREATE TABLE whole (LIKE plain INCLUDING ALL); CREATE TABLE history (LIKE plain INCLUDING ALL);
    ALTER TABLE whole REPLICA IDENTITY FULL;
    CREATE TABLE pairs (y text, seq bigint NOT NULL DEFAULT nextval('seqs'), id int, n smallint, a text, b text, x numeric, PRIMARY KEY (id, y));
    CREATE TABLE parts (id int, region text, seq bigint NOT NULL DEFAULT nextval('seqs'), n smallint, a text, b text, x numeric, PRIMARY KEY (id, region))
        PARTITION BY LIST (region);
    CREATE TABLE parts_eu PARTITION OF parts FOR VALUES IN ('eu');
    CREATE TABLE parts_us (b text, gone int, region text NOT NULL, x numeric, id int NOT NULL, seq bigint NOT NULL DEFAULT nextval('seqs'), n smallint, a text);
    ALTER TABLE parts_us DROP COLUMN gone;
    ALTER TABLE parts ATTACH PARTITION parts_us FOR VALUES IN ('us');
    CREATE TABLE parts_rest PARTITION OF parts DEFAULT;
    CREATE TABLE bag (v int, note text);
    ALTER TABLE bag REPLICA IDENTITY FULL;
    ALTER TABLE toasted ALTER a SET STORAGE EXTERNAL, ALTER b SET STORAGE EXTERNAL;
    ALTER TABLE whole ALTER a SET STORAGE EXTERNAL, ALTER b SET STORAGE EXTERNAL;
    ALTER TABLE parts_eu ALTER a SET STORAGE EXTERNAL, ALTER b SET STORAGE EXTERNAL;
    ALTER TABLE parts_us ALTER a SET STORAGE EXTERNAL, ALTER b SET STORAGE EXTERNAL;
    ALTER TABLE parts_rest ALTER a SET STORAGE EXTERNAL, ALTER b SET STORAGE EXTERNAL;
    INSERT INTO bag SELECT n % 5, 'copied' FROM generate_series(1, 20) AS n;";

/// A transaction that is open.
#[derive(Default)]
struct Open {
    /// Tables that it has a lock on, and those that it holds for itself.
    touched: Vec<usize>,
    alone: Vec<usize>,
    savepoints: usize,
}

/// Where each session is, and what comes next.
pub(super) struct Sessions {
    pub(super) random: StdRng,
    open: [Option<Open>; SESSIONS],
    /// Columns that came to each table, with whether they hold numbers.
    added: Vec<Vec<(String, bool)>>,
    /// How often each table's numbers were made wider.
    widened: Vec<usize>,
    /// Rows and columns that were given out.
    given: i64,
}

impl Sessions {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            random: StdRng::seed_from_u64(seed),
            open: [const { None }; SESSIONS],
            added: TABLES.iter().map(|_| Vec::new()).collect(),
            widened: vec![0; TABLES.len()],
            given: 0,
        }
    }

    pub(super) fn below(&mut self, bound: i64) -> i64 {
        self.random.random_range(0..bound)
    }

    fn one_in(&mut self, count: u32) -> bool {
        self.random.random_ratio(1, count)
    }

    /// The next piece of work: a session, and what it does.
    pub(super) fn step(&mut self, most: i64) -> (usize, String) {
        let session = self.random.random_range(0..SESSIONS);
        let savepoints = self.open[session].as_ref().map(|open| open.savepoints);
        let sql = match savepoints {
            None if self.one_in(8) => self.alter(session),
            None if self.one_in(3) => self.statement(session, most),
            None => {
                self.open[session] = Some(Open::default());
                format!("BEGIN; {}", self.statement(session, most))
            }
            Some(savepoints) => self.within(session, savepoints, most),
        };
        (session, sql)
    }

    /// Whether a transaction is open that nobody can look at a table beside.
    pub(super) fn hold_a_table(&self) -> bool {
        self.open.iter().flatten().any(|open| !open.alone.is_empty())
    }

    /// Ends what is open.
    pub(super) fn end(&mut self) -> Vec<(usize, String)> {
        (0..SESSIONS)
            .filter(|session| self.open[*session].take().is_some())
            .map(|session| (session, "COMMIT".to_owned()))
            .collect()
    }

    fn within(&mut self, session: usize, savepoints: usize, most: i64) -> String {
        let open = |sessions: &mut Self, change: isize| {
            let open = sessions.open[session].as_mut().unwrap();
            open.savepoints = open.savepoints.saturating_add_signed(change);
        };
        match self.below(14) {
            0 | 1 => {
                self.open[session] = None;
                "COMMIT".to_owned()
            }
            2 if self.one_in(3) => {
                self.open[session] = None;
                "ROLLBACK".to_owned()
            }
            3 | 4 if savepoints < 4 => {
                open(self, 1);
                format!("SAVEPOINT s{savepoints}; {}", self.statement(session, most))
            }
            5 | 6 if savepoints > 0 => format!("ROLLBACK TO SAVEPOINT s{}", savepoints - 1),
            7 if savepoints > 0 => {
                open(self, -1);
                format!("RELEASE SAVEPOINT s{}", savepoints - 1)
            }
            _ => self.statement(session, most),
        }
    }

    /// Whether a session can have a table, for itself where asked; it is noted that it has.
    fn take(&mut self, session: usize, table: usize, alone: bool) -> bool {
        let others = self.open.iter().enumerate().filter(|(other, _)| *other != session);
        let in_the_way = others
            .filter_map(|(_, open)| open.as_ref())
            .any(|open| open.alone.contains(&table) || alone && open.touched.contains(&table));
        if !in_the_way && let Some(open) = &mut self.open[session] {
            open.touched.push(table);
            if alone {
                open.alone.push(table);
            }
        }
        !in_the_way
    }

    /// One that nobody has for himself; none where all are taken.
    fn table(&mut self, session: usize, alone: bool) -> Option<usize> {
        let first = self.random.random_range(0..=BAG);
        (0..=BAG).map(|step| (first + step) % (BAG + 1)).find(|table| self.take(session, *table, alone))
    }

    fn statement(&mut self, session: usize, most: i64) -> String {
        if self.one_in(40) {
            return self.truncate(session);
        }
        match self.table(session, false) {
            None => "SELECT".to_owned(),
            Some(BAG) => self.bag(session),
            Some(table) => self.rows(session, table, most),
        }
    }

    fn truncate(&mut self, session: usize) -> String {
        let count = self.below(3) + 1;
        let mut names: Vec<&str> = (0..count)
            .filter_map(|_| self.table(session, true))
            .map(|table| TABLES.get(table).map_or("bag", |table| table.name))
            .collect();
        names.sort_unstable();
        names.dedup();
        if names.is_empty() { "SELECT".to_owned() } else { format!("TRUNCATE {}", names.join(", ")) }
    }

    /// One of this session's keys.
    fn id(&mut self, session: usize) -> i64 {
        self.below(HOT) * 3 + i64::try_from(session).unwrap()
    }

    /// A key that nobody had.
    fn new_id(&mut self, session: usize) -> i64 {
        self.given += 1;
        1_000 + self.given * 3 + (i64::try_from(session).unwrap() + 2) % 3
    }

    /// A text, as long as the table's are: a new one, a short one, or none.
    fn text(&mut self, table: &Table) -> String {
        let number = self.below(1_000_000);
        match self.below(6) {
            0 => "NULL".to_owned(),
            1 => format!("'{number}'"),
            _ => format!("repeat(md5('{number}'), {})", table.length),
        }
    }

    fn bag(&mut self, session: usize) -> String {
        let (v, number) = (self.id(session) % 12, self.below(5));
        let v = v / 3 * 3 + i64::try_from(session).unwrap();
        match self.below(5) {
            0 | 1 => format!("INSERT INTO bag SELECT {v}, 'n{number}' FROM generate_series(0, {number})"),
            2 => format!("UPDATE bag SET note = 'n{number}' WHERE v = {v}"),
            3 => format!("DELETE FROM bag WHERE v = {v} AND note <> 'n{number}'"),
            _ => format!("DELETE FROM bag WHERE ctid = (SELECT min(ctid) FROM bag WHERE v = {v})"),
        }
    }

    /// Changes of rows of one table.
    fn rows(&mut self, session: usize, number: usize, most: i64) -> String {
        let table = &TABLES[number];
        let name = table.name;
        let id = self.id(session);
        let from = id - self.below(24);
        let range = format!("id BETWEEN {from} AND {id} AND id % 3 = {session}");
        let set = self.assignments(number);
        match self.below(13) {
            0 | 1 => self.insert(session, table),
            2 => format!("UPDATE {name} SET {set} WHERE {range}"),
            3 => format!("UPDATE {name} SET seq = nextval('seqs'), n = n % 1000 + 1 WHERE {range}"),
            4 => format!("DELETE FROM {name} WHERE {range} AND n % 2 = 0"),
            5 => self.moved(table, id, session, &set),
            6 => {
                let steps: Vec<String> =
                    (0..5).rev().map(|step| moved_to(name, id + step * 3, id + step * 3 + 3, "")).collect();
                steps.join("; ")
            }
            7 => {
                let (other, between) = (self.id(session), self.new_id(session));
                let steps =
                    [(id, between), (other, id), (between, other)].map(|(from, to)| moved_to(name, from, to, ""));
                steps.join("; ")
            }
            8 => {
                let between = self.new_id(session);
                format!(
                    "{}; UPDATE {name} SET {set} WHERE id = {between}; {}",
                    moved_to(name, id, between, ""),
                    moved_to(name, between, id, "")
                )
            }
            9 => {
                let again = format!("UPDATE {name} SET seq = nextval('seqs'), n = n % 1000 + 1 WHERE id = {id}");
                let count = usize::try_from(self.below(6)).unwrap();
                format!("{again}; UPDATE {name} SET {set} WHERE id = {id}{}", format!("; {again}").repeat(count))
            }
            10 => format!("DELETE FROM {name} WHERE id = {id}; {}", self.insert(session, table)),
            11 => self.many(session, table, most),
            _ => self.across(table, id, &set),
        }
    }

    /// What an update changes.
    fn assignments(&mut self, number: usize) -> String {
        let mut set = vec!["seq = nextval('seqs')".to_owned()];
        let table = &TABLES[number];
        for column in ["a", "b"] {
            if self.one_in(3) {
                set.push(format!("{column} = {}", self.text(table)));
            }
        }
        if self.one_in(3) {
            set.push(format!("x = {}.{}0", self.below(1_000_000_000), self.below(1_000)));
        }
        for (column, holds_numbers) in self.added[number].clone() {
            if self.one_in(2) {
                let value = self.below(30_000);
                set.push(if holds_numbers { format!("{column} = {value}") } else { format!("{column} = 'v{value}'") });
            }
        }
        set.join(", ")
    }

    fn insert(&mut self, session: usize, table: &Table) -> String {
        let (second, key) = table
            .second
            .map_or((String::new(), "id".to_owned()), |(second, _)| (format!(", {second}"), format!("id, {second}")));
        let rows: Vec<String> = (0..=self.below(6))
            .map(|_| {
                let id = self.id(session);
                let second = table.second.map_or(String::new(), |(_, values)| {
                    format!(", '{}'", values[usize::try_from(id).unwrap() / 3 % values.len()].replace('\'', "''"))
                });
                format!("({id}{second}, {}, {}, {})", self.below(1000), self.text(table), self.text(table))
            })
            .collect();
        format!(
            "INSERT INTO {} (id{second}, n, a, b) VALUES {} ON CONFLICT ({key}) DO NOTHING",
            table.name,
            rows.join(", ")
        )
    }

    /// A row gets another key, and perhaps other values with it.
    fn moved(&mut self, table: &Table, id: i64, session: usize, set: &str) -> String {
        let to = if self.one_in(2) { self.id(session) } else { self.new_id(session) };
        let set =
            if self.one_in(2) { format!(", {set}").replace("seq = nextval('seqs'), ", "") } else { String::new() };
        let set = if set.contains("seq = ") { String::new() } else { set };
        moved_to(table.name, id, to, &set)
    }

    /// Rows to another partition, or to another value of the second column.
    fn across(&mut self, table: &Table, id: i64, set: &str) -> String {
        let Some((second, values)) = table.second else {
            return format!("UPDATE {} SET {set} WHERE id = {id}", table.name);
        };
        let value = values[self.random.random_range(0..values.len())].replace('\'', "''");
        let name = table.name;
        format!(
            "UPDATE {name} SET {second} = '{value}', {set} WHERE id = {id} AND (SELECT count(*) FROM {name} WHERE id = {id}) = 1"
        )
    }

    /// Many rows at once: by an INSERT, or by COPY, whose rows share records of the log.
    fn many(&mut self, session: usize, table: &Table, most: i64) -> String {
        let first = self.new_id(session);
        let count = self.below(most) + 1;
        self.given += count;
        let last = first + (count - 1) * 3;
        let name = table.name;
        match (table.second, self.one_in(2)) {
            (None, true) => {
                format!("COPY {name} (id, a) FROM PROGRAM 'seq -f \"%.0f,copy\" {first} 3 {last}' WITH (FORMAT csv)")
            }
            (None, false) => format!(
                "INSERT INTO {name} (id, n, a) SELECT i, i % 100, i FROM generate_series({first}, {last}, 3) AS i"
            ),
            (Some((second, values)), _) => format!(
                "INSERT INTO {name} (id, {second}, n, a) SELECT i, '{}', i % 100, i FROM generate_series({first}, {last}, 3) AS i",
                values[1].replace('\'', "''")
            ),
        }
    }

    /// A table's columns change; a row behind tells the stream so.
    fn alter(&mut self, session: usize) -> String {
        let Some(number) =
            self.table(session, true).filter(|number| TABLES.get(*number).is_some_and(|table| table.alters))
        else {
            return "SELECT".to_owned();
        };
        let (name, column) = (TABLES[number].name, format!("c{}", self.given));
        let rolled_back = self.one_in(5);
        let change = match self.below(6) {
            0 if self.widened[number] < 2 => {
                let wider = ["int", "bigint"][self.widened[number]];
                self.widened[number] += usize::from(!rolled_back);
                format!("ALTER COLUMN n TYPE {wider}")
            }
            1 | 2 if !self.added[number].is_empty() => {
                let (column, _) = self.added[number][0].clone();
                if !rolled_back {
                    self.added[number].remove(0);
                }
                format!("DROP COLUMN {column}")
            }
            _ => {
                let holds_numbers = self.one_in(2);
                let kind = if holds_numbers { "int" } else { "text" };
                let default = ["", " DEFAULT 7", " NOT NULL DEFAULT 7"][self.random.random_range(0..3)];
                if !rolled_back {
                    self.added[number].push((column.clone(), holds_numbers));
                }
                format!("ADD COLUMN {column} {kind}{default}")
            }
        };
        let table = &TABLES[number];
        let (second, value) = table.second.map_or((String::new(), String::new()), |(second, values)| {
            (format!(", {second}"), format!(", '{}'", values[0]))
        });
        let (before, row) = (self.insert(session, table), self.new_id(session));
        format!(
            "BEGIN; {before}; ALTER TABLE {name} {change}; INSERT INTO {name} (id{second}) VALUES ({row}{value}); {}",
            if rolled_back { "ROLLBACK" } else { "COMMIT" }
        )
    }
}

/// A row gets another key that nobody has.
fn moved_to(table: &str, from: i64, to: i64, set: &str) -> String {
    format!(
        "UPDATE {table} SET id = {to}, seq = nextval('seqs'){set} WHERE id = {from} AND NOT EXISTS (SELECT FROM {table} WHERE id = {to})"
    )
}
