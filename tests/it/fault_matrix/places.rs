//! The places, and a process that stands at one.

use super::Fault;
use super::struck::{CHANGES, Struck, checkpoint, slot};
use crate::support::{Mark, Proxy, Running, Stage, Verdict};
use crate::sync_recovery::kill;

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

/// Two more tables, the one with a key and the other without; and changes of all three that become one group: it is full with the last of them. All values are
/// sent, since those that are left out are stored behind the others.
const SIDE_SCHEMA: &str = "
    CREATE TABLE public.cellside (id int PRIMARY KEY, n int NOT NULL); INSERT INTO public.cellside SELECT g, 0 FROM generate_series(1, 20) AS g";
const SEVERAL_CONFIG: &str = "tables:\n  - source: public.*\n  - {source: public.cellbag, keyless: multiset}\nsync:\n  heartbeat: 1s\n  batch: {max_age: 5s, max_rows: 100}\n";
const SEVERAL_KNOWN: &str = "
    BEGIN; UPDATE public.cellside SET n = 2 WHERE id = 20; INSERT INTO public.cellbag VALUES (1, 'v'); UPDATE public.cellrows SET n = 2, v = 'known' WHERE id > 100; COMMIT";
const SEVERAL_CHANGES: &str = "
    BEGIN; UPDATE public.cellside SET n = 1 WHERE id < 10; DELETE FROM public.cellside WHERE id > 15; UPDATE public.cellbag SET v = 'several' WHERE n = 5;
    INSERT INTO public.cellbag SELECT 9, 'v' FROM generate_series(1, 3); UPDATE public.cellrows SET n = 3, v = 'several' WHERE id <= 100; COMMIT";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    SlotMade,
    InTheCopy,
    CopyToStream,
    InTheStream,
    InSeveralInserts,
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
    pub(super) const ALL: [Self; 17] = [
        Self::SlotMade,
        Self::InTheCopy,
        Self::CopyToStream,
        Self::InTheStream,
        Self::InSeveralInserts,
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
            Self::InTheCopy | Self::InTheStream | Self::InSeveralInserts | Self::InResync => {
                (false, &["INSERT", "cellrows"])
            }
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
            Self::InSeveralInserts => Some(SEVERAL_CHANGES),
            Self::InSchemaChange => Some(
                "ALTER TABLE public.cellrows ADD COLUMN more int NOT NULL DEFAULT 5; UPDATE public.cellrows SET more = 6 WHERE id = 5",
            ),
            Self::InTruncate => Some("TRUNCATE public.cellrows; INSERT INTO public.cellrows VALUES (5, 5, 'after')"),
        }
    }

    /// Whether `resync` asks a running sync there.
    pub(super) fn is_asked(self) -> bool {
        let keyed =
            matches!(self, Self::InRecopy | Self::BeforeExchange | Self::BehindExchange | Self::WaitingForRecopy);
        keyed || self.is_of_log()
    }

    /// Whether it is about a table whose rows are counted.
    pub(super) fn is_of_log(self) -> bool {
        matches!(self, Self::InRecopyOfLog | Self::BeforeExchangeOfLog)
    }

    /// Whether a table whose rows are counted is there.
    pub(super) fn has_bag(self) -> bool {
        self.is_of_log() || self == Self::InSeveralInserts
    }

    /// Whether the first copy is over.
    fn is_later(self) -> bool {
        !matches!(self, Self::SlotMade | Self::InTheCopy | Self::CopyToStream)
    }
}

/// A process that stands at a place, and its ways to the servers.
pub(super) struct Standing {
    place: Place,
    stage: Stage,
    mark: Mark,
    source: Proxy,
    destination: Proxy,
    running: Running,
    /// The other one, where `resync` asks a running sync: nothing is done to it, but by the servers.
    other: Option<Running>,
}

impl Standing {
    pub(super) fn at(place: Place, stage: Stage) -> Self {
        let mark = prepare(place, &stage);
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
                } else if place == Place::InSeveralInserts {
                    // What is open is stored before a table that the session tells of for the first time.
                    stage.postgres.execute(SEVERAL_KNOWN);
                    stage.wait_until("all three are known", |stage| {
                        stage.clickhouse.value("SELECT count() FROM {db}.cellrows WHERE _version > 0") == "100"
                    });
                    held.hold(&["INSERT", "_version"]);
                    stage.postgres.execute(change);
                    held.wait_until_all_held(&["cellside", "cellbag__log", "cellrows"]);
                    held.hold_only(words);
                } else {
                    held.hold(words);
                    stage.postgres.execute(change);
                }
                running
            }
        };
        held.wait_until_held();
        let mark = mark.unwrap_or_else(|| Mark::of(&stage));
        Self { place, stage, mark, source, destination, running, other }
    }

    fn held(&self) -> &Proxy {
        if self.place.request().0 { &self.source } else { &self.destination }
    }

    /// What is behind this place already, and what is not.
    pub(super) fn check(&self) {
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
            Place::InSeveralInserts => {
                let changed = [
                    "SELECT count(), countIf(n = 1) FROM {db}.cellside FINAL",
                    "SELECT countIf(v = 'several'), countIf(n = 9) FROM {db}.cellbag",
                ];
                stage.wait_until("the others are stored", |_| changed.map(stored) == ["15\t9", "10\t13"]);
                assert_eq!(stored("SELECT count() FROM {db}.cellrows WHERE v = 'several'"), "0");
            }
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
    pub(super) fn strike(self, fault: Fault) -> Struck {
        let (to_postgres, _) = self.place.request();
        match fault {
            Fault::Killed => {
                let Self { place, stage, mark, source, destination, running, other } = self;
                kill(running);
                (if to_postgres { &source } else { &destination }).release_with(Verdict::Drop);
                return Struck { place, stage, mark, running: None, other, lost: None };
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
        let Self { place, stage, mark, source, destination, running, other } = self;
        let held = if to_postgres { source } else { destination };
        Struck { place, stage, mark, running: Some(running), other, lost: (fault == Fault::AnswerLost).then_some(held) }
    }
}

/// The tables, and their first copy where the place lies behind it; then a mark before all that follows.
fn prepare(place: Place, stage: &Stage) -> Option<Mark> {
    stage.postgres.execute(SCHEMA);
    if place.has_bag() {
        stage.postgres.execute(LOG_SCHEMA);
    }
    if place == Place::InSeveralInserts {
        stage.postgres.execute(SIDE_SCHEMA);
    }
    stage.config(match place {
        Place::InSeveralInserts => SEVERAL_CONFIG,
        _ if place.is_of_log() => LOG_CONFIG,
        _ => CONFIG,
    });
    place.is_later().then(|| {
        stage.catch_up_and_verify();
        Mark::of(stage)
    })
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
