//! Copies of tables while the stream goes on: one that is copied again, one whose rows were rewritten, one that was left behind and comes back.
//!
//! Rows go into a shadow table, under the snapshot of a temporary slot and at the version of a message that was written before it; changes go into the
//! shadow too, from before that message on. When all is there the shadow takes the table's place in one step. Two parties do that together: the [`Copier`],
//! a task beside the stream, reads and stores the rows; everything that has to happen between two changes is asked of the engine's tables ([`Ask`]), which
//! do it while nothing is under way.

mod copier;
mod fed;
mod queue;
mod request;
mod shadow;

pub(super) use copier::{Copier, Watch};
pub(super) use fed::{FedSink, Place, Places};
pub(super) use queue::{CopyQueue, Want};
pub(super) use request::{Asked, ask_running, fulfil};
pub(super) use shadow::{Later, Shadow, gone_name, resolve, shadow_name};

use crate::batch::Layout;
use crate::change::{Lsn, Straddling, Version};
use crate::checkpoint::CopiedRecord;
use crate::error::Result;
use crate::server::postgres::{HeapMark, TableMark};
use crate::sink::clickhouse::TablePlan;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::oneshot;

/// What a copy asks of the tables, to be done between two changes.
#[derive(Debug)]
pub(super) enum Ask {
    /// To make the shadow, and to let changes go into it from here on.
    Begin(Want, oneshot::Sender<Result<Begun>>),
    /// To put the complete shadow into the table's place.
    Exchange(Complete, oneshot::Sender<Result<Exchanged>>),
    /// To give the shadow up; with a reason, for good.
    Abandon(u32, Option<String>, oneshot::Sender<Result<()>>),
    /// To compare what the source's catalog says of all tables with what was known of them.
    Look(Arc<BTreeMap<u32, TableMark>>),
    /// To look whether anything is left to wait for.
    Settled,
}

/// A shadow that changes go into.
#[derive(Debug)]
pub(super) struct Begun {
    /// The table as it will be.
    pub(super) plan: TablePlan,
    /// What its rows look like, with the shadow's name.
    pub(super) layout: Arc<Layout>,
    /// Which rows, where not all.
    pub(super) filter: Option<String>,
    /// Which partitions, where not all.
    pub(super) leaves: Vec<u32>,
    /// Where changes go meanwhile.
    pub(super) place: Place,
    /// Which of them the copy does not have, where their versions do not tell.
    pub(super) straddling: Option<Arc<Straddling>>,
}

/// A shadow that holds every row.
#[derive(Debug, Clone)]
pub(super) struct Complete {
    pub(super) relation: u32,
    /// The wish that is fulfilled with it.
    pub(super) request: Option<String>,
    /// Version of the copied rows.
    pub(super) version: Version,
    /// The first commit that is not in the snapshot.
    pub(super) first_commit: Lsn,
    /// The same for records of topics.
    pub(super) copied: Option<CopiedRecord>,
    pub(super) rows: u64,
    /// What the catalog said of its heaps before.
    pub(super) heaps: BTreeMap<u32, HeapMark>,
}

/// What came of it.
#[derive(Debug)]
pub(super) enum Exchanged {
    Done,
    /// The table changed its columns meanwhile: the copy begins again.
    Again,
    /// A change could not be carried meanwhile.
    Refused(String),
}
