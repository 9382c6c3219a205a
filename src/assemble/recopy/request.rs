//! `pipectl resync` beside a running sync: the wish is written into the state, and what becomes of it is read there.

use super::super::copies::no_postgres;
use super::super::lock::holders;
use crate::checkpoint::{CopyAnswer, CopyPhase, CopyRequest, StateStore};
use crate::config::Settings;
use crate::error::{Error, Kind, Result};
use crate::server::clickhouse::Server;
use crate::server::postgres::{connect, server_error};
use crate::sink::clickhouse::{TablePlan, ddl};
use crate::sync::{Progress, retrying};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::watch;
use tokio_postgres::Client;

const CALL: &str = include_str!("../../../sql/postgres/call.sql");
const LOOK: Duration = Duration::from_millis(500);
/// How often it is asked whether anybody is still there to do it.
const STILL_THERE: Duration = Duration::from_secs(5);
/// How long nobody is to be there: a sync that has lost its session looks after it every ten seconds.
const GONE: Duration = Duration::from_secs(15);

/// What is asked for.
pub(crate) struct Asked<'a> {
    pub(crate) plans: &'a [TablePlan],
    /// A session of the source's.
    pub(crate) client: &'a Client,
    pub(crate) max_rows_per_second: Option<u64>,
    /// The session of the process that is asked.
    pub(crate) holder: Option<i32>,
}

/// Asks the running sync to copy tables again, and waits until it has. Returns how many rows it copied.
///
/// # Errors
/// Why a table is refused, by the kind that it has there; [`Kind::Source`] where nobody is left to do it, or this process is to stop: the wish stands.
pub(crate) async fn ask_running(
    settings: &Settings,
    server: &Server,
    asked: Asked<'_>,
    (progress, stop): (&Arc<Progress>, &watch::Receiver<bool>),
) -> Result<u64> {
    let mut store = StateStore::of_settings(settings, server.clone());
    let state = store.load().await?;
    if state.pipeline.is_none_or(|pipeline| !pipeline.snapshot_done || pipeline.resync_all) {
        return Err(Error::new(Kind::SourceGap, "the first copy is not complete: there is nothing to copy again"));
    }
    let pid = asked.holder.map_or(String::new(), |pid| format!(" (its session has pid {pid})"));
    progress.note(format!("asking the running sync{pid} to copy {} again", names(asked.plans)));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let id = format!("{}-{}", std::process::id(), now.as_micros());
    for plan in asked.plans {
        let request = CopyRequest {
            id: id.clone(),
            source: plan.schema.name.to_string(),
            max_rows_per_second: asked.max_rows_per_second,
            wanted: ddl::create_table(&plan.shape(), &settings.clickhouse),
        };
        store.ask_for_copy(plan.schema.relid, &request).await?;
    }
    call(settings, asked.client, progress).await;
    let mut seen = Seen::default();
    let (mut stopping, mut looked, mut gone) = (stop.clone(), Instant::now(), None);
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            _ = stopping.wait_for(|stop| *stop) => return Err(stands("stopped waiting")),
        }
        let copies = match retrying(progress, stop, || store.load_copies()).await {
            Err(_) if *stop.borrow() => return Err(stands("stopped waiting")),
            copies => copies?,
        };
        let answers = asked.plans.iter().map(|plan| {
            // A newer wish for the same table takes the place of ours: what becomes of it serves us as well.
            let newest = copies.requests.get(&plan.schema.relid).map(|request| &request.id);
            let answer = copies.answers.get(&plan.schema.relid);
            let answer = answer.filter(|answer| answer.id == id || Some(&answer.id) == newest);
            (plan, answer.cloned().unwrap_or_default())
        });
        if seen.all_final(answers, progress) {
            return seen.result();
        }
        if looked.elapsed() >= STILL_THERE {
            looked = Instant::now();
            gone = if is_gone(settings).await? { gone.or(Some(looked)) } else { None };
            if gone.is_some_and(|gone| gone.elapsed() >= GONE) {
                return Err(stands("sync has stopped"));
            }
        }
    }
}

/// Calls the running sync. One that is not reached so, since a pooler keeps sessions apart, looks for wishes by itself.
async fn call(settings: &Settings, client: &Client, progress: &Progress) {
    let Some(postgres) = &settings.postgres else { return };
    if let Err(error) = client.execute(CALL, &[&postgres.slot]).await {
        progress.note(format!("warning: {}", server_error("could not call the running sync", error).with_causes()));
    }
}

/// Whether nobody works on the pipeline, as far as the source can be asked. The lock is not tried: a sync that has lost its session for a moment would find it
/// taken.
async fn is_gone(settings: &Settings) -> Result<bool> {
    let postgres = settings.postgres.as_ref().ok_or_else(no_postgres)?;
    let Ok(client) = connect(postgres).await else { return Ok(false) };
    Ok(holders(&client, &postgres.slot).await.is_ok_and(|holders| holders == 0))
}

/// Wishes for tables that were copied otherwise are fulfilled.
pub(crate) async fn fulfil(plans: &[TablePlan], store: &mut StateStore) -> Result<()> {
    let copies = store.load_copies().await?;
    for (relation, request) in
        copies.open().filter(|(relation, _)| plans.iter().any(|plan| plan.schema.relid == *relation))
    {
        store.answer_copy(relation, &CopyAnswer::done(&request.id, 0)).await?;
    }
    Ok(())
}

fn names(plans: &[TablePlan]) -> String {
    plans.iter().map(|plan| plan.schema.name.to_string()).collect::<Vec<_>>().join(", ")
}

fn stands(why: &str) -> Error {
    Error::new(
        Kind::Source,
        format!("{why}; the request stands: a running sync carries it out, now or at its next start"),
    )
    .hint("`pipectl status` shows the table as copying meanwhile")
}

/// What was told of the tables already.
#[derive(Default)]
struct Seen {
    phases: BTreeMap<u32, CopyPhase>,
    refused: Vec<(String, CopyAnswer)>,
    rows: u64,
}

impl Seen {
    /// Tells what is new. Whether nothing more is to come.
    fn all_final<'a>(
        &mut self,
        answers: impl Iterator<Item = (&'a TablePlan, CopyAnswer)>,
        progress: &Progress,
    ) -> bool {
        let (mut all, mut rows, mut expected) = (true, 0, 0);
        for (plan, answer) in answers {
            all &= answer.phase.is_final();
            rows += answer.copied_rows;
            expected += answer.expected_rows.max(answer.copied_rows);
            if self.phases.insert(plan.schema.relid, answer.phase) == Some(answer.phase) {
                continue;
            }
            let name = plan.schema.name.to_string();
            match answer.phase {
                CopyPhase::Waiting => {}
                CopyPhase::Copying => progress.note(format!("{name} is being copied")),
                CopyPhase::Done => progress.note(format!("{name} is copied again")),
                CopyPhase::Refused => self.refused.push((name, answer)),
            }
        }
        self.rows = rows;
        progress.expected_rows.store(expected, Ordering::Relaxed);
        progress.copied_rows.store(rows, Ordering::Relaxed);
        all
    }

    fn result(self) -> Result<u64> {
        let Some((name, answer)) = self.refused.into_iter().next() else { return Ok(self.rows) };
        let kind = match answer.exit_code {
            3 => Kind::Config,
            5 => Kind::Source,
            6 => Kind::Destination,
            7 => Kind::Value,
            _ => Kind::Unexpected,
        };
        Err(Error::new(kind, format!("{name} was not copied again, it is as it was"))
            .because(answer.reason.unwrap_or_default()))
    }
}
