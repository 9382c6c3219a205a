//! `verify` while somebody reads the slot. What sync would do to ClickHouse is done by hand, at the very moment that matters.

use super::{ENGINE, Sides, faults, options, rule};
use crate::support::run;
use pgwire_replication::{ReplicationClient, ReplicationEvent};
use pipectl::error::Kind;
use pipectl::server::postgres::replication_config;
use pipectl::verify::{Event, Fault, Options, Report, verify};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// A table of one row and an unread slot.
fn sides(test: &str) -> Sides {
    let sides = Sides::new(test);
    sides.pg("CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 10)");
    sides.ch(&format!("CREATE TABLE db.t (id Int32, v Nullable(Int32), {ENGINE} id"));
    sides.ch("INSERT INTO db.t VALUES (1, 10, 0, 0)");
    let slot = &sides.stage.name;
    sides.pg(&format!("CREATE PUBLICATION {slot} FOR TABLE t"));
    sides.pg(&format!("SELECT pg_create_logical_replication_slot('{slot}', 'pgoutput')"));
    sides
}

/// Reads the slot until it is dropped, and confirms what it reads if it is to.
struct Reader(tokio::task::JoinHandle<()>);

impl Reader {
    fn start(sides: &Sides, confirms: bool) -> Self {
        let mut settings = sides.settings.postgres.clone().unwrap();
        settings.publication.clone_from(&sides.stage.name);
        let mut config = replication_config(&settings).unwrap();
        config.status_interval = Duration::from_millis(100);
        run(async {
            let mut client = ReplicationClient::connect(config).await.unwrap();
            client.wait_started().await.unwrap();
            Self(tokio::spawn(read(client, confirms)))
        })
    }
}

async fn read(mut client: ReplicationClient, confirms: bool) {
    while let Ok(Some(event)) = client.recv().await {
        let position = match event {
            ReplicationEvent::KeepAlive { wal_end, .. } => wal_end,
            ReplicationEvent::Commit { end_lsn, .. } => end_lsn,
            _ => continue,
        };
        if confirms {
            client.update_applied_lsn(position);
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Verifies, and does something each time before rows are looked at again.
fn verify_while(sides: &Sides, change: impl Fn(&Sides) + Sync) -> Report {
    let progress = |event: Event<'_>| {
        if let Event::Again { .. } = event {
            // The runtime cannot be entered twice by one thread.
            std::thread::scope(|scope| scope.spawn(|| change(sides)).join().unwrap());
        }
    };
    run(verify(&sides.settings, &sides.tables(rule), &options(), &progress)).unwrap()
}

#[test]
fn a_reader_that_confirms_nothing_is_behind() {
    let sides = sides("verify_behind");
    let _reader = Reader::start(&sides, false);
    sides.pg("INSERT INTO t VALUES (2, 20)");
    let options = Options { wait: Duration::from_millis(500), ..options() };
    let error = run(verify(&sides.settings, &sides.tables(rule), &options, &|_: Event<'_>| ())).unwrap_err();
    assert_eq!((error.kind(), error.kind().policy().exit_code), (Kind::Finding, 4));
    assert!(
        error.to_string().starts_with("ClickHouse is behind by ") && error.to_string().ends_with(" bytes"),
        "{error}"
    );
}

#[test]
fn without_a_reader_equal_is_equal_and_a_difference_has_its_reason() {
    let sides = sides("verify_idle");
    sides.pg("CREATE TABLE other (id int PRIMARY KEY)");
    let report = sides.verify(&sides.tables(rule)[1..], &options());
    assert!(report.equal && report.behind_bytes.is_none(), "{report:#?}");
    sides.pg("INSERT INTO t VALUES (2, 20)");
    let report = sides.verify(&sides.tables(rule)[1..], &options());
    assert!(!report.equal && report.behind_bytes.is_some_and(|bytes| bytes > 0), "{report:#?}");
}

#[test]
fn an_idle_database_is_passed_by_a_message() {
    let sides = sides("verify_message");
    let _reader = Reader::start(&sides, true);
    sides.ch("INSERT INTO db.t VALUES (1, 11, 1, 0)");
    assert_eq!(sides.verify_all(&options()).tables[0].different, 1);
}

#[test]
fn equal_sides_are_not_waited_for() {
    let sides = sides("verify_no_wait");
    let _reader = Reader::start(&sides, false);
    sides.pg("INSERT INTO t VALUES (2, 20); DELETE FROM t WHERE id = 2");
    assert!(sides.verify_all(&Options { wait: Duration::ZERO, ..options() }).equal);
}

#[test]
fn a_change_on_its_way_is_no_difference() {
    let sides = sides("verify_in_flight");
    let _reader = Reader::start(&sides, true);
    // ClickHouse has a change that Postgres is yet to make.
    sides.ch("INSERT INTO db.t SELECT 1, 11, bitShiftLeft(toUInt128(0xffffffffffff), 64), 0");
    let report = verify_while(&sides, |sides| sides.pg("UPDATE t SET v = 11"));
    assert!(report.equal, "{report:#?}");
}

#[test]
fn a_row_that_never_rests_is_said_to() {
    let sides = sides("verify_restless");
    let _reader = Reader::start(&sides, true);
    sides.ch("INSERT INTO db.t VALUES (1, 11, 1, 0)");
    let next = AtomicU32::new(20);
    let report = verify_while(&sides, |sides| {
        let value = next.fetch_add(10, Ordering::Relaxed);
        sides.pg(&format!("UPDATE t SET v = {value}"));
        sides.ch(&format!("INSERT INTO db.t VALUES (1, {value} + 1, {value}, 0)"));
    });
    let table = &report.tables[0];
    assert_eq!((report.equal, table.different, table.unsettled), (false, 1, 1), "{report:#?}");
}

#[test]
fn a_row_that_rests_differs_for_good() {
    let sides = sides("verify_rest");
    let _reader = Reader::start(&sides, true);
    sides.pg("INSERT INTO t SELECT n, n FROM generate_series(2, 100) AS n");
    sides.ch("INSERT INTO db.t SELECT number + 2, number + 2, 0, 0 FROM numbers(99)");
    sides.ch("INSERT INTO db.t VALUES (1, 11, 1, 0), (50, 50, 1, 1), (200, 1, 1, 0)");
    let looks = AtomicU32::new(0);
    let report = verify_while(&sides, |_| {
        looks.fetch_add(1, Ordering::Relaxed);
    });
    let expected = [
        (Fault::Different, "1".to_owned(), vec!["v"]),
        (Fault::Extra, "200".to_owned(), vec![]),
        (Fault::Missing, "50".to_owned(), vec![]),
    ];
    assert_eq!(faults(&report.tables[0]), expected);
    assert_eq!((report.tables[0].unsettled, looks.into_inner()), (0, 1));
}
