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
//! | in several inserts at once | the insert of one of three tables, while those of the others are stored |
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
//! Behind each fault the source changes, ClickHouse merges every table that is there, and the pipeline catches up. Then all that the slot has sent since
//! the place was prepared is sent once more and merged again.
//!
//! Each of the tests is one fault at all places. What the process itself does wrong, and faults of Kafka's way, are in `sync_failpoints` and
//! `kafka_faults`; servers that hang are in `sync_signals`.

mod places;
mod struck;

use crate::support::{OtherServers, Postgres, Stage};
use places::{Place, Standing};
use std::sync::Mutex;
use struck::Struck;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Killed,
    Cut,
    Servers,
    AnswerLost,
    Refused,
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
