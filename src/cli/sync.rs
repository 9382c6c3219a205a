//! `pipectl sync`.

use super::Context;
use super::progress::Bar;
use super::signals::Signals;
use pipectl::assemble::{self, SyncOptions};
use pipectl::config::Settings;
use pipectl::error::Result;
use pipectl::sync::{Ended, Progress};
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};

/// How often a running stream says where it stands.
const STEADY_LINE: Duration = Duration::from_secs(10);
const REDRAW: Duration = Duration::from_millis(200);

/// Copy the tables, then follow their changes
///
/// What is missing is made: publication, slot, database, tables. After a restart it goes on where it was, also in the middle of the copy.
/// Ctrl-C stores the open batch and ends with 0; a second one stops at once.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// End as soon as all that Postgres had written at the start is stored; exit 7 if tables are parked then
    #[arg(long)]
    until_caught_up: bool,
    /// Only these tables, by their names in Postgres
    #[arg(long, value_delimiter = ',', value_name = "TABLE,…")]
    tables: Vec<String>,
    /// Serve /metrics, /healthz, /readyz and /status.json at this address, such as 127.0.0.1:8080
    #[arg(long, value_name = "ADDR")]
    http: Option<std::net::SocketAddr>,
    /// How long to wait for open transactions when the replication slot is made, such as 60s [default: without end]
    #[arg(long, value_name = "TIME", value_parser = super::duration::duration)]
    slot_timeout: Option<Duration>,
    /// Begin the first copy even where ClickHouse's disk seems too small for it
    #[arg(long)]
    force: bool,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitCode> {
    let settings = context.settings()?;
    let mut signals = Signals::new()?;
    let (stop, stopping) = watch::channel(false);
    let (say, notes) = mpsc::unbounded_channel::<String>();
    let progress = Progress::new(move |text| drop(say.send(text.to_owned())));
    let options = SyncOptions {
        until_caught_up: args.until_caught_up,
        tables: args.tables,
        slot_timeout: args.slot_timeout.or(settings.sync.slot_timeout),
        force: args.force,
    };
    let _server = match args.http {
        Some(address) => Some(pipectl::http::serve(address, &settings.pipeline, Arc::clone(&progress)).await?),
        None => None,
    };
    let mut view = View::new(context, Arc::clone(&progress), notes);
    let mut work = pin!(assemble::sync(&settings, &options, &progress, &stopping));
    let mut signalled = None;
    let ended = loop {
        tokio::select! {
            ended = &mut work => break ended,
            () = view.turn() => {}
            code = signals.next() => {
                if signalled.is_some() {
                    return Ok(ExitCode::from(code));
                }
                signalled = Some(code);
                context.output.message("stopping: the open batch is stored and acknowledged; a second signal stops at once");
                stop.send_replace(true);
            }
        }
    };
    view.finish();
    let ended = ended?;
    view.summary(&settings, ended)?;
    if options.until_caught_up && ended == Ended::Stopped {
        return Ok(ExitCode::from(signalled.unwrap_or(1)));
    }
    if ended == Ended::CaughtUp {
        assemble::refuse_parked(&progress)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Draws what the engine tells: notes as lines, the copy as a bar, the stream as a steady line.
pub(super) struct View<'a> {
    context: &'a Context,
    progress: Arc<Progress>,
    notes: mpsc::UnboundedReceiver<String>,
    bar: Option<Bar>,
    last_line: Instant,
    last_rows: u64,
    last_groups: u64,
}

impl<'a> View<'a> {
    pub(super) fn new(context: &'a Context, progress: Arc<Progress>, notes: mpsc::UnboundedReceiver<String>) -> Self {
        Self { context, progress, notes, bar: None, last_line: Instant::now(), last_rows: 0, last_groups: 0 }
    }

    /// Waits for a note or the next time to redraw.
    pub(super) async fn turn(&mut self) {
        tokio::select! {
            Some(note) = self.notes.recv() => self.context.output.message(&note),
            () = tokio::time::sleep(REDRAW) => self.draw(),
        }
    }

    fn draw(&mut self) {
        let expected = self.progress.expected_rows.load(Ordering::Relaxed);
        let copied = self.progress.copied_rows.load(Ordering::Relaxed);
        if !self.progress.copied.load(Ordering::Relaxed) {
            if expected > 0 || copied > 0 {
                let bar = self.bar.get_or_insert_with(|| self.context.output.bar("copy", "rows", Some(expected)));
                bar.set_total(expected.max(copied));
                bar.set(copied);
            }
            return;
        }
        if let Some(bar) = self.bar.take() {
            bar.set_total(copied);
            bar.set(copied);
            bar.finish();
        }
        if self.last_line.elapsed() >= STEADY_LINE {
            self.steady_line();
        }
    }

    fn steady_line(&mut self) {
        let rows = self.progress.changed_rows.load(Ordering::Relaxed);
        let groups = self.progress.groups.load(Ordering::Relaxed);
        let seconds = self.last_line.elapsed().as_secs_f64();
        let rate = (rows - self.last_rows) as f64 / seconds;
        self.context.output.message(&format!(
            "lag {} bytes, {:.1} s; {rate:.0} rows/s; {rows} rows in {groups} batches, {} since the last line",
            self.progress.lag_bytes(),
            self.progress.lag_seconds(),
            groups - self.last_groups,
        ));
        (self.last_line, self.last_rows, self.last_groups) = (Instant::now(), rows, groups);
    }

    pub(super) fn finish(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish();
        }
        while let Ok(note) = self.notes.try_recv() {
            self.context.output.message(&note);
        }
    }

    fn summary(&self, settings: &Settings, ended: Ended) -> Result<()> {
        let how = match ended {
            Ended::CaughtUp => "caught up",
            Ended::Stopped => "stopped",
        };
        self.context.output.message(&format!(
            "{}: {how}; {} rows copied, {} rows of changes stored, complete up to {}",
            settings.pipeline,
            self.progress.copied_rows.load(Ordering::Relaxed),
            self.progress.changed_rows.load(Ordering::Relaxed),
            pipectl::change::Lsn(self.progress.confirmed.load(Ordering::Relaxed)),
        ));
        let number = |value: &std::sync::atomic::AtomicU64| value.load(Ordering::Relaxed);
        if self.context.output.is_json() {
            self.context.output.json(&serde_json::json!({
                "version": 1,
                "pipeline": settings.pipeline,
                "ended": how,
                "copied_rows": number(&self.progress.copied_rows),
                "changed_rows": number(&self.progress.changed_rows),
                "batches": number(&self.progress.groups),
                "confirmed_lsn": pipectl::change::Lsn(number(&self.progress.confirmed)).to_string(),
            }))?;
        }
        for (name, table) in self.progress.tables() {
            for (column, count) in table.policy_nulls {
                self.context
                    .output
                    .message(&format!("{name}.{column}: {count} values that ClickHouse cannot hold are NULL"));
            }
        }
        Ok(())
    }
}
