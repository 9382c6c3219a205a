//! Every fault at every place of a pipeline's life: nothing is lost, nothing stays twice, and the slot moves on.
//!
//! A place is a request that pipectl sends, to Postgres or to ClickHouse. A proxy holds it back, so that the process stands exactly there when the fault
//! comes, however fast or slow the machine is; and the fault is done to this very request, so that it certainly happened.
//!
//! | Place | What is held back |
//! | --- | --- |
//! | the slot is made | the planning of the first copy's ranges |
//! | in the first copy | an insert of copied rows |
//! | copy to stream | `START_REPLICATION` |
//! | in the stream | an insert of changes |
//! | in a change of the schema | `ALTER TABLE` in ClickHouse |
//! | in a TRUNCATE | the insert of deleted rows |
//! | data written, checkpoint not | the insert of the checkpoint |
//! | checkpoint written, not acknowledged | the standby's status update |
//! | in a resync of a table | an insert of its rows |
//! | in a copy beside the stream | the same, of a running sync that was asked |
//! | before its exchange | `EXCHANGE TABLES` |
//! | behind it | the insert of what the catalog said of the new table |
//! | waiting for it | what `resync` asks how far it is, while the sync that does it is left alone |
//! | in a copy of a log | the same, of a table without a key |
//! | before its exchange | the deletion of changes that are in the copy already |
//! | in a copy into another form | an insert of rows of a table that was rewritten |
//!
//! | Fault | |
//! | --- | --- |
//! | killed | SIGKILL; the request never arrives |
//! | cut | every connection of the process, to either server; the request never arrives |
//! | servers | both servers are killed and started again |
//! | answer lost | the request arrives, what the server says does not |
//! | refused | the server says that it is overloaded, or ends the session, and does nothing |
//!
//! Each of the tests is one fault at all places. What the process itself does wrong, and faults of Kafka's way, are in `sync_failpoints` and
//! `kafka_faults`; servers that hang are in `sync_signals`.

use crate::support::{OtherServers, Postgres, Proxy, Running, Stage, Verdict};
use crate::sync_recovery::{connect_again, kill};
use std::sync::Mutex;

const SCHEMA: &str = "
    CREATE TABLE public.cellrows (id int PRIMARY KEY, n int NOT NULL, v text);
    ALTER TABLE public.cellrows ALTER v SET STORAGE EXTERNAL;
    INSERT INTO public.cellrows SELECT g, 0, repeat(md5(g::text), 80) FROM generate_series(1, 200) AS g";
const CONFIG: &str = "tables:\n  - source: public.*\nsync:\n  heartbeat: 1s\n  batch: {max_age: 50ms}\n";
/// A table whose rows are counted; and its changes.
const LOG_SCHEMA: &str = "
    CREATE TABLE public.cellbag (n int, v text); ALTER TABLE public.cellbag REPLICA IDENTITY FULL;
    INSERT INTO public.cellbag SELECT g % 20, 'v' FROM generate_series(1, 200) AS g";
const LOG_CONFIG: &str = "tables:\n  - source: public.*\n  - {source: public.cellbag, keyless: multiset}\nsync:\n  heartbeat: 1s\n  batch: {max_age: 50ms}\n";
const LOG_CHANGES: &str = "
    INSERT INTO public.cellbag SELECT 7, 'v' FROM generate_series(1, 5); UPDATE public.cellbag SET v = 'w' WHERE n = 3; DELETE FROM public.cellbag WHERE n = 7";
/// Every kind of change.
const CHANGES: &str = "
    UPDATE public.cellrows SET n = n + 1 WHERE id % 3 = 0; DELETE FROM public.cellrows WHERE id % 10 = 1;
    UPDATE public.cellrows SET id = id + 1000, n = n + 1 WHERE id % 10 = 2 AND id < 1000; UPDATE public.cellrows SET v = 'short' WHERE id % 10 = 4;
    INSERT INTO public.cellrows (id, n, v) SELECT max(id) + 1, 7, repeat('x', 5000) FROM public.cellrows";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Killed,
    Cut,
    Servers,
    AnswerLost,
    Refused,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    SlotMade,
    InTheCopy,
    CopyToStream,
    InTheStream,
    InSchemaChange,
    InTruncate,
    DataWritten,
    CheckpointWritten,
    InResync,
    InRecopy,
    BeforeExchange,
    BehindExchange,
    WaitingForRecopy,
    InRecopyOfLog,
    BeforeExchangeOfLog,
    InRewrite,
}

impl Place {
    const ALL: [Self; 16] = [
        Self::SlotMade,
        Self::InTheCopy,
        Self::CopyToStream,
        Self::InTheStream,
        Self::InSchemaChange,
        Self::InTruncate,
        Self::DataWritten,
        Self::CheckpointWritten,
        Self::InResync,
        Self::InRecopy,
        Self::BeforeExchange,
        Self::BehindExchange,
        Self::WaitingForRecopy,
        Self::InRecopyOfLog,
        Self::BeforeExchangeOfLog,
        Self::InRewrite,
    ];

    /// Whether the request goes to Postgres; and words of it.
    fn request(self) -> (bool, &'static [&'static str]) {
        match self {
            Self::SlotMade => (true, &["AS pages"]),
            Self::InTheCopy | Self::InTheStream | Self::InResync => (false, &["INSERT", "cellrows"]),
            Self::InRecopy | Self::InRewrite => (false, &["INSERT", "cellrows__pipectl_copy"]),
            Self::BeforeExchange => (false, &["EXCHANGE TABLES", "cellrows"]),
            Self::BehindExchange => (false, &["\r\n\r\nmarks\r\n"]),
            Self::WaitingForRecopy => (false, &["'resynced'"]),
            Self::InRecopyOfLog => (false, &["INSERT", "cellbag__log__pipectl_copy"]),
            Self::BeforeExchangeOfLog => (false, &["DELETE WHERE", "cellbag__log__pipectl_copy"]),
            Self::CopyToStream => (true, &["START_REPLICATION"]),
            Self::InSchemaChange => (false, &["ALTER", "cellrows"]),
            Self::InTruncate => (false, &["param_version"]),
            Self::DataWritten => (false, &["\r\n\r\ncheckpoint\r\n"]),
            // CopyData of 38 bytes, a status update: https://www.postgresql.org/docs/current/protocol-replication.html
            Self::CheckpointWritten => (true, &["d\0\0\0&r"]),
        }
    }

    /// What has to happen at the source for it to come there; nothing for what a start does by itself.
    fn change(self) -> Option<&'static str> {
        match self {
            Self::SlotMade | Self::InTheCopy | Self::CopyToStream | Self::InResync => None,
            Self::InRecopy | Self::BeforeExchange | Self::BehindExchange | Self::WaitingForRecopy => None,
            Self::InRecopyOfLog | Self::BeforeExchangeOfLog => None,
            Self::InRewrite => Some("ALTER TABLE public.cellrows ALTER n TYPE numeric(10, 2) USING n * 2"),
            Self::InTheStream | Self::DataWritten | Self::CheckpointWritten => Some(CHANGES),
            Self::InSchemaChange => Some(
                "ALTER TABLE public.cellrows ADD COLUMN more int NOT NULL DEFAULT 5; UPDATE public.cellrows SET more = 6 WHERE id = 5",
            ),
            Self::InTruncate => Some("TRUNCATE public.cellrows; INSERT INTO public.cellrows VALUES (5, 5, 'after')"),
        }
    }

    /// Whether `resync` asks a running sync there.
    fn is_asked(self) -> bool {
        let keyed =
            matches!(self, Self::InRecopy | Self::BeforeExchange | Self::BehindExchange | Self::WaitingForRecopy);
        keyed || self.is_of_log()
    }

    /// Whether it is about a table whose rows are counted.
    fn is_of_log(self) -> bool {
        matches!(self, Self::InRecopyOfLog | Self::BeforeExchangeOfLog)
    }

    /// Whether the first copy is over.
    fn is_later(self) -> bool {
        !matches!(self, Self::SlotMade | Self::InTheCopy | Self::CopyToStream)
    }
}

/// A process that stands at a place, and its ways to the servers.
struct Standing {
    place: Place,
    stage: Stage,
    source: Proxy,
    destination: Proxy,
    running: Running,
    /// The other one, where `resync` asks a running sync: nothing is done to it, but by the servers.
    other: Option<Running>,
}

impl Standing {
    fn at(place: Place, stage: Stage) -> Self {
        stage.config(if place.is_of_log() { LOG_CONFIG } else { CONFIG });
        stage.postgres.execute(SCHEMA);
        if place.is_of_log() {
            stage.postgres.execute(LOG_SCHEMA);
        }
        if place.is_later() {
            stage.catch_up_and_verify();
        }
        let (source, destination) = (Proxy::to(&stage.postgres.url), Proxy::to(&stage.clickhouse.url));
        let start = |arguments: &[&str]| {
            let call = stage.invocation(arguments).env("POSTGRES_URL", &source.plain_url(&stage.postgres.url));
            call.env("CLICKHOUSE_URL", &destination.url(&stage.clickhouse.url)).spawn()
        };
        let (to_postgres, words) = place.request();
        let held = if to_postgres { &source } else { &destination };
        let mut other = None;
        let running = match place.change() {
            None if place.is_asked() => {
                let (running, asked) = ask(place, &stage, (held, words), start);
                other = Some(asked);
                running
            }
            None => {
                held.hold(words);
                start(if place == Place::InResync { &["resync", "public.cellrows"] } else { &["sync"] })
            }
            Some(change) => {
                let mut running = start(&["sync"]);
                running.wait_for("streaming from");
                if place == Place::CheckpointWritten {
                    // A status update comes now and then: the one that is held has to be behind a checkpoint.
                    destination.hold(Place::DataWritten.request().1);
                    stage.postgres.execute(change);
                    destination.wait_until_held();
                    let before = checkpoint(&stage);
                    held.hold(words);
                    destination.release();
                    stage.wait_until("the checkpoint is stored", |stage| checkpoint(stage) != before);
                } else {
                    held.hold(words);
                    stage.postgres.execute(change);
                }
                running
            }
        };
        held.wait_until_held();
        Self { place, stage, source, destination, running, other }
    }

    fn held(&self) -> &Proxy {
        if self.place.request().0 { &self.source } else { &self.destination }
    }

    /// What is behind this place already, and what is not.
    fn check(&self) {
        let stage = &self.stage;
        let stored = |sql: &str| stage.clickhouse.value(sql);
        match self.place {
            Place::SlotMade => assert!(!slot(stage).is_empty()),
            Place::InTheCopy => assert_eq!(stored("SELECT count() FROM {db}.cellrows"), "0"),
            Place::CopyToStream | Place::InResync | Place::BehindExchange => {
                assert_eq!(stored("SELECT count() FROM {db}.cellrows FINAL"), "200");
            }
            // Readers have the old rows, also without the one that only the copy brings back.
            Place::InRecopy | Place::BeforeExchange => {
                assert_eq!(stored("SELECT count() FROM {db}.cellrows FINAL"), "199");
            }
            Place::InRecopyOfLog | Place::BeforeExchangeOfLog => {
                assert_eq!(stored("SELECT count(), countIf(v = 'stray') FROM {db}.cellbag"), "201\t1");
            }
            Place::WaitingForRecopy => {
                assert_ne!(stored("SELECT count() FROM {db}.pipectl_state WHERE kind = 'resync'"), "0");
            }
            Place::InRewrite => {
                assert_eq!(stored("SELECT count(), any(toTypeName(n)) FROM {db}.cellrows FINAL"), "200\tInt32");
            }
            Place::InTheStream => assert_eq!(stored("SELECT count() FROM {db}.cellrows WHERE _version > 0"), "0"),
            Place::InSchemaChange => assert_eq!(
                stored(&format!(
                    "SELECT count() FROM system.columns WHERE database = '{}' AND name = 'more'",
                    stage.name
                )),
                "0"
            ),
            Place::InTruncate => {
                assert!(stored("SELECT count() FROM {db}.cellrows FINAL").parse::<u32>().unwrap() >= 200);
            }
            Place::DataWritten => assert_ne!(stored("SELECT count() FROM {db}.cellrows WHERE _version > 0"), "0"),
            Place::CheckpointWritten => assert_ne!(slot(stage), checkpoint(stage)),
        }
    }

    /// The fault; none is left of the process where it was killed.
    fn strike(self, fault: Fault) -> Struck {
        let (to_postgres, _) = self.place.request();
        match fault {
            Fault::Killed => {
                let Self { place, stage, source, destination, running, other } = self;
                kill(running);
                (if to_postgres { &source } else { &destination }).release_with(Verdict::Drop);
                return Struck { place, stage, running: None, other, lost: None };
            }
            Fault::Cut => {
                assert!(self.source.cut() > 0 && (to_postgres || self.destination.cut() > 0));
                self.held().release_with(Verdict::Drop);
            }
            // What waits finds nobody.
            Fault::Servers => self.held().release_with(Verdict::Drop),
            Fault::AnswerLost => self.held().release_with(Verdict::LoseAnswer),
            Fault::Refused => self.held().release_with(Verdict::Refuse(refusal(to_postgres))),
        }
        let Self { place, stage, source, destination, running, other } = self;
        let held = if to_postgres { source } else { destination };
        Struck { place, stage, running: Some(running), other, lost: (fault == Fault::AnswerLost).then_some(held) }
    }
}

/// Spoils a row, and lets `resync` ask a running sync for the table: the one that stands at the place, and the other one.
fn ask(
    place: Place,
    stage: &Stage,
    (held, words): (&Proxy, &[&str]),
    start: impl Fn(&[&str]) -> Running,
) -> (Running, Running) {
    let (table, spoil) = if place.is_of_log() {
        (
            "public.cellbag",
            "INSERT INTO {db}.cellbag__log (n, v, _version, _ordinal, _sign) VALUES (1, 'stray', 5, 5, 1)",
        )
    } else {
        ("public.cellrows", "ALTER TABLE {db}.cellrows DELETE WHERE id = 100 SETTINGS mutations_sync = 2")
    };
    stage.clickhouse.execute(spoil);
    let resync = ["resync", table, "--max-rows-per-second", "200"];
    let is_struck = place != Place::WaitingForRecopy;
    let mut sync = if is_struck { start(&["sync"]) } else { stage.invocation(&["sync"]).spawn() };
    sync.wait_for("streaming from");
    held.hold(words);
    if is_struck { (sync, stage.invocation(&resync).spawn()) } else { (start(&resync), sync) }
}

/// A retryable no: ClickHouse has too much to do, Postgres ends the session.
fn refusal(by_postgres: bool) -> Vec<u8> {
    if by_postgres {
        let fields = b"SFATAL\0VFATAL\0C57P01\0Mterminating connection due to administrator command\0\0";
        let length = u32::try_from(fields.len() + 4).unwrap().to_be_bytes();
        return [b"E", &length[..], fields].concat();
    }
    let text = "Code: 202. DB::Exception: Too many simultaneous queries. (TOO_MANY_SIMULTANEOUS_QUERIES)\n";
    let head = "HTTP/1.1 500 Internal Server Error\r\nX-ClickHouse-Exception-Code: 202\r\nConnection: close";
    format!("{head}\r\nContent-Length: {}\r\n\r\n{text}", text.len()).into_bytes()
}

/// What a fault left.
struct Struck {
    place: Place,
    stage: Stage,
    /// The process, where it was not killed: it may go on, or have ended with an error.
    running: Option<Running>,
    /// The process that nothing was done to.
    other: Option<Running>,
    /// Where an answer is to be lost.
    lost: Option<Proxy>,
}

impl Struck {
    /// The source goes on, the process too, or it is started again; then all is as it should be.
    fn prove(self) {
        let Self { place, stage, running, other, lost } = self;
        let session = connect_again(&stage.postgres.url);
        if place.is_of_log() {
            session.execute(LOG_CHANGES);
        }
        session.execute(CHANGES);
        let written = session.value("SELECT pg_current_wal_lsn()");
        if let Some(proxy) = lost {
            stage.wait_until("the answer is lost", |_| proxy.lost_an_answer());
        }
        // Whoever asks goes first: it waits for the one that copies.
        let asks = |is_other: bool| {
            place == Place::InResync || place.is_asked() && is_other != (place == Place::WaitingForRecopy)
        };
        let mut processes: Vec<(bool, Running)> = running
            .map(|running| (asks(false), running))
            .into_iter()
            .chain(other.map(|other| (asks(true), other)))
            .collect();
        processes.sort_by_key(|(asks, _)| !asks);
        for (asks, process) in processes {
            end(&stage, process, asks, &session);
        }
        stage.catch_up_and_verify();
        let shadows = "SELECT count() FROM system.tables WHERE database = '{}' AND name LIKE '%pipectl_copy%'";
        assert_eq!(stage.clickhouse.value(&shadows.replace("{}", &stage.name)), "0");
        // Everything that was stored twice is there once.
        stage.clickhouse.execute("OPTIMIZE TABLE {db}.cellrows FINAL");
        let verified = stage.pipectl(&["verify"]);
        assert_eq!(verified.status, Some(0), "{verified}");
        let moved_on = format!("SELECT '{}'::pg_lsn >= '{written}'::pg_lsn", slot(&stage));
        assert_eq!(session.value(&moved_on), "t", "the slot stands still");
    }
}

/// Waits until a sync is where the source is, or has ended by itself; then ends it. Who asks for a copy ends by itself.
fn end(stage: &Stage, mut running: Running, asks: bool, session: &Postgres) {
    if !asks {
        let newest = session.value("SELECT max(id) FROM public.cellrows");
        let arrived = format!("SELECT count() FROM {{db}}.cellrows FINAL WHERE id = {newest} AND n = 7");
        stage.wait_until("it goes on or ends", |stage| {
            running.has_ended() || stage.clickhouse.try_value(&arrived).is_some_and(|count| count == "1")
        });
        if !running.has_ended() {
            running.signal("TERM");
        }
    }
    let outcome = running.ended();
    // What can be tried again has a code of its own for each server.
    assert!(matches!(outcome.status, Some(0 | 5 | 6)), "{outcome}");
}

fn checkpoint(stage: &Stage) -> String {
    stage.clickhouse.value(
        "SELECT JSONExtractString(argMax(value, sequence), 'end') FROM {db}.pipectl_state WHERE kind = 'checkpoint'",
    )
}

/// How far the slot is confirmed.
fn slot(stage: &Stage) -> String {
    connect_again(&stage.admin.url).value(&format!(
        "SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = 'pipectl_{}'",
        stage.name
    ))
}

/// How many cells are worked on at once: most of their time is waiting.
const WORKERS: usize = 3;

/// Does something with each of these, several at once; fails the test with the names of those that failed.
fn each<T: Send, R: Send>(fault: Fault, items: Vec<(Place, T)>, work: impl Fn(Place, T) -> R + Sync) -> Vec<R> {
    let (queue, done) = (Mutex::new(items.into_iter()), Mutex::new(Vec::new()));
    let failed = Mutex::new(Vec::new());
    let worker = || {
        loop {
            let Some((place, item)) = queue.lock().unwrap().next() else { return };
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(place, item)));
            match outcome {
                Ok(outcome) => done.lock().unwrap().push(outcome),
                Err(_) => failed.lock().unwrap().push(place),
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(worker);
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{fault:?} at {failed:?}: see above");
    done.into_inner().unwrap()
}

fn at_every_place(fault: Fault) {
    each(fault, Place::ALL.map(|place| (place, ())).to_vec(), |place, ()| {
        let standing = Standing::at(place, Stage::new(&format!("cell_{place:?}")));
        standing.check();
        standing.strike(fault).prove();
    });
}

#[test]
fn a_process_that_is_killed() {
    at_every_place(Fault::Killed);
}

#[test]
fn connections_that_are_cut() {
    at_every_place(Fault::Cut);
}

#[test]
fn answers_that_are_lost() {
    at_every_place(Fault::AnswerLost);
}

#[test]
fn requests_that_are_refused() {
    at_every_place(Fault::Refused);
}

#[test]
fn servers_that_are_killed_and_started_again() {
    let servers = OtherServers::up("matrix");
    let urls = servers.urls();
    let standing = each(Fault::Servers, Place::ALL.map(|place| (place, ())).to_vec(), |place, ()| {
        let standing = Standing::at(place, Stage::on(&urls, &format!("cell_{place:?}")));
        standing.check();
        (place, standing)
    });
    assert_eq!(standing.len(), Place::ALL.len());
    for server in ["postgres", "clickhouse"] {
        servers.kill(server);
    }
    assert!(Postgres::try_connect(&urls.postgres).is_err());
    let struck = standing.into_iter().map(|(place, standing)| (place, standing.strike(Fault::Servers))).collect();
    for server in ["postgres", "clickhouse"] {
        servers.start(server);
    }
    each(Fault::Servers, struck, |_, struck: Struck| struck.prove());
}
