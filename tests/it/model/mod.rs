//! A model of what an application does to its database, at random from a seed, through both transports at once: transactions that interleave, changed
//! keys, truncations, columns that come and go, while both pipelines are killed, stopped and started again with batches of all sizes. At the
//! end of each round both have caught up, and hold what Postgres has.
//!
//! `PIPECTL_MODEL_SEED` chooses what is done, 0 something else each time; `PIPECTL_MODEL_SECONDS` goes on for that long (`make soak`).

mod pipelines;
mod sessions;

use crate::support::{Postgres, Stage};
use pipelines::Pipelines;
use sessions::{SESSIONS, Sessions, TABLES};
use std::time::{Duration, Instant};

/// Rounds, where no time is given: well under a minute.
const ROUNDS: usize = 4;

/// What `sync.batch` is, with how many steps a round has then, and how many rows a statement writes at most.
const BATCHES: &[(&str, i64, i64)] = &[
    ("{max_rows: 1, max_age: 10ms}", 40, 12),
    ("{max_rows: 7, max_age: 50ms}", 100, 50),
    ("{max_rows: 1000, max_age: 10ms}", 150, 1500),
    ("{max_rows: 100000, max_age: 300ms}", 200, 4000),
];

/// What was done, told where the test fails.
struct Told {
    seed: u64,
    round: usize,
    steps: Vec<String>,
}

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self { seed, round, steps } = self;
            eprintln!("--- steps of round {round}\n{}\n--- PIPECTL_MODEL_SEED={seed}", steps.join("\n"));
        }
    }
}

struct Model {
    told: Told,
    sessions: Sessions,
    connections: [Postgres; SESSIONS],
    pipelines: Pipelines,
}

impl Model {
    fn new(seed: u64) -> Self {
        let mut sessions = Sessions::new(seed);
        let mut told = Told { seed, round: 0, steps: Vec::new() };
        let connect = |stage: &Stage| [(); SESSIONS].map(|()| Postgres::connect(&stage.admin.url));
        let mut connections = None;
        let pipelines = Pipelines::new(seed.is_multiple_of(2), |stage| {
            let connections = connections.insert(connect(stage));
            // Rows for the copies.
            for _ in 0..60 {
                step(&mut sessions, connections, &mut told, 500);
            }
            end(&mut sessions, connections, &mut told);
        });
        Self { told, sessions, connections: connections.unwrap(), pipelines }
    }

    fn round(&mut self, round: usize) {
        self.told.round = round;
        self.told.steps.clear();
        let (batch, steps, most) = BATCHES[usize::try_from(self.sessions.below(4)).unwrap()];
        self.note(batch);
        self.pipelines.configure(batch);
        for way in [0, 1] {
            self.pipelines.start(way);
        }
        for _ in 0..steps {
            step(&mut self.sessions, &self.connections, &mut self.told, most);
            self.disturb();
        }
        if self.sessions.hold_a_table() {
            end(&mut self.sessions, &self.connections, &mut self.told);
        }
        for way in [0, 1] {
            let killed = self.sessions.below(2) == 0;
            self.note(&format!("{way} ends, killed: {killed}"));
            self.pipelines.end(way, killed);
        }
        end(&mut self.sessions, &self.connections, &mut self.told);
        self.pipelines.catch_up();
    }

    /// Now and then something happens to a pipeline, or to what it has stored.
    fn disturb(&mut self) {
        match self.sessions.below(60) {
            way @ (0 | 1) => {
                let way = usize::try_from(way).unwrap();
                let killed = self.sessions.below(3) > 0;
                self.note(&format!("{way} starts again, killed: {killed}"));
                self.pipelines.end(way, killed);
                self.pipelines.start(way);
            }
            2 => {
                let table = usize::try_from(self.sessions.below(i64::try_from(TABLES.len()).unwrap() + 1)).unwrap();
                self.note(&format!("merge {table}"));
                self.pipelines.merge(table);
            }
            // Most of the time the pipelines are behind; now and then they are let come near.
            3 | 4 => std::thread::sleep(Duration::from_millis(300)),
            _ => {}
        }
    }

    fn note(&mut self, what: &str) {
        self.told.steps.push(format!("-- {what}"));
    }
}

fn step(sessions: &mut Sessions, connections: &[Postgres; SESSIONS], told: &mut Told, most: i64) {
    let (session, sql) = sessions.step(most);
    told.steps.push(format!("/* {session} */ {sql};"));
    connections[session].execute(&sql);
}

fn end(sessions: &mut Sessions, connections: &[Postgres; SESSIONS], told: &mut Told) {
    for (session, sql) in sessions.end() {
        told.steps.push(format!("/* {session} */ {sql};"));
        connections[session].execute(&sql);
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable} is no number")))
}

#[test]
fn whatever_is_done_both_transports_store_what_postgres_has() {
    let seed = number("PIPECTL_MODEL_SEED").unwrap_or(20_262);
    let seed = if seed == 0 { rand::random() } else { seed };
    let until = number("PIPECTL_MODEL_SECONDS").map(|seconds| Instant::now() + Duration::from_secs(seconds));
    eprintln!("PIPECTL_MODEL_SEED={seed}");
    let mut model = Model::new(seed);
    model.pipelines.catch_up();
    for round in 1.. {
        model.round(round);
        eprintln!("round {round} is equal");
        if until.map_or(round >= ROUNDS, |until| Instant::now() >= until) {
            break;
        }
    }
}
