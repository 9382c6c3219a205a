//! Work that goes on for long: what it tells is drawn meanwhile, a signal asks it to come to an end, a second one stops it.

use super::Context;
use super::output::Output;
use super::progress::Bar;
use super::signals::Signals;
use indicatif::{HumanBytes, HumanCount};
use pipectl::error::Result;
use pipectl::sync::Progress;
use std::collections::BTreeMap;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};

/// How often a running stream says where it stands.
const STEADY_LINE: Duration = Duration::from_secs(10);
const REDRAW: Duration = Duration::from_millis(200);
/// Tables that have a bar of their own at a time; the others are part of the total alone.
const MOST_BARS: usize = 8;

/// What came of some work.
#[derive(Debug)]
pub(super) struct Worked<T> {
    /// What it returned.
    pub(super) result: Result<T>,
    /// The exit code of the signal that asked it to end, where one did.
    pub(super) signalled: Option<u8>,
}

/// Everything around the work: signals, the view, the way to tell it to stop.
pub(super) struct Working<'a> {
    signals: Signals,
    stop: watch::Sender<bool>,
    view: View<'a>,
}

impl<'a> Working<'a> {
    /// Takes the signals over.
    ///
    /// # Errors
    /// Where the system refuses.
    pub(super) fn new(context: &'a Context) -> Result<Self> {
        let (say, notes) = mpsc::unbounded_channel::<String>();
        let progress = Progress::new(move |text| drop(say.send(text.to_owned())));
        let view = View::new(&context.output, progress, notes);
        Ok(Self { signals: Signals::new()?, stop: watch::Sender::new(false), view })
    }

    /// The numbers that the work keeps.
    pub(super) fn progress(&self) -> &Arc<Progress> {
        &self.view.progress
    }

    /// Turns true when the work is to stop.
    pub(super) fn stopping(&self) -> watch::Receiver<bool> {
        self.stop.subscribe()
    }

    /// Does some work to its end. The first signal says farewell and asks it to stop; with the second it is dropped, and the exit code returned
    /// as an error.
    pub(super) async fn run<T>(
        &mut self,
        work: impl Future<Output = Result<T>>,
        farewell: &str,
    ) -> Result<Worked<T>, ExitCode> {
        let mut work = pin!(work);
        let mut signalled = None;
        let result = loop {
            tokio::select! {
                result = &mut work => break result,
                () = self.view.turn() => {}
                code = self.signals.next() => {
                    if signalled.is_some() {
                        return Err(ExitCode::from(code));
                    }
                    signalled = Some(code);
                    self.view.output.message(farewell);
                    self.stop.send_replace(true);
                }
            }
        };
        self.view.finish();
        Ok(Worked { result, signalled })
    }
}

/// Draws what the engine tells: notes as lines, the copy as a bar for all and one a table, the stream as a steady line.
struct View<'a> {
    output: &'a Output,
    progress: Arc<Progress>,
    notes: mpsc::UnboundedReceiver<String>,
    total: Option<Bar>,
    tables: BTreeMap<String, Bar>,
    steady: Steady,
}

/// What the last steady line said.
struct Steady {
    at: Instant,
    rows: u64,
    bytes: u64,
}

impl<'a> View<'a> {
    fn new(output: &'a Output, progress: Arc<Progress>, notes: mpsc::UnboundedReceiver<String>) -> Self {
        let steady = Steady { at: Instant::now(), rows: 0, bytes: 0 };
        Self { output, progress, notes, total: None, tables: BTreeMap::new(), steady }
    }

    /// Waits for a note or the next time to redraw.
    async fn turn(&mut self) {
        tokio::select! {
            Some(note) = self.notes.recv() => self.output.message(&note),
            () = tokio::time::sleep(REDRAW) => self.draw(),
        }
    }

    fn draw(&mut self) {
        if !self.progress.copied.load(Ordering::Relaxed) {
            self.draw_copy();
            return;
        }
        self.tables.clear();
        let copied = number(&self.progress.copied_rows);
        self.end_copy(copied);
        if self.steady.at.elapsed() >= STEADY_LINE {
            self.steady_line();
        }
    }

    fn draw_copy(&mut self) {
        let progress = &self.progress;
        let (expected, copied) = (number(&progress.expected_rows), number(&progress.copied_rows));
        if expected == 0 && copied == 0 {
            return;
        }
        let total = self.total.get_or_insert_with(|| self.output.bar("copy", "rows", None));
        show(total, copied, expected, number(&progress.copied_bytes));
        for (name, table) in progress.tables() {
            if table.copy_ended || table.copied_rows == 0 {
                // What is complete is told by a line of its own.
                self.tables.remove(&name);
            } else if self.tables.len() < MOST_BARS || self.tables.contains_key(&name) {
                let bar = self.tables.entry(name).or_insert_with_key(|name| self.output.bar(name, "rows", None));
                show(bar, table.copied_rows, table.expected_rows, table.copied_bytes);
            }
        }
    }

    /// The last state of the copy's bar: a short copy may have ended before it was ever drawn.
    fn end_copy(&mut self, expected: u64) {
        let Some(total) = self.total.take() else { return };
        let (copied, bytes) = (number(&self.progress.copied_rows), number(&self.progress.copied_bytes));
        show(&total, copied, expected, bytes);
        total.finish();
    }

    fn steady_line(&mut self) {
        let rows = number(&self.progress.changed_rows);
        let bytes = number(&self.progress.bytes);
        let groups = number(&self.progress.groups);
        let seconds = self.steady.at.elapsed().as_secs_f64();
        let rate = |now: u64, then: u64| ((now - then) as f64 / seconds) as u64;
        let partitions = self.progress.partitions();
        let records: i64 = partitions.values().map(|at| (at.end - at.stored).max(0)).sum();
        let lag = if partitions.is_empty() {
            format!("{} bytes", self.progress.lag_bytes())
        } else {
            format!("{records} records")
        };
        self.output.message(&format!(
            "lag {lag}, {:.1} s; {} rows/s, {}/s; {rows} rows, {} in {groups} batches",
            self.progress.lag_seconds(),
            rate(rows, self.steady.rows),
            HumanBytes(rate(bytes, self.steady.bytes)),
            HumanBytes(bytes),
        ));
        self.steady = Steady { at: Instant::now(), rows, bytes };
    }

    fn finish(&mut self) {
        self.tables.clear();
        let expected = number(&self.progress.expected_rows);
        self.end_copy(expected);
        while let Ok(note) = self.notes.try_recv() {
            self.output.message(&note);
        }
    }
}

/// Draws a copy: rows and bytes so far, and what is left where the planner has an estimate.
fn show(bar: &Bar, copied: u64, expected: u64, bytes: u64) {
    let per_second = (bytes as f64 / bar.elapsed().as_secs_f64().max(0.001)) as u64;
    let mut remark = format!("{}, {}/s", HumanBytes(bytes), HumanBytes(per_second));
    if expected > copied {
        remark = format!("{remark}, {} rows left", HumanCount(expected - copied));
    }
    if expected > 0 {
        bar.set_total(expected.max(copied));
    }
    bar.advance(copied, remark);
}

fn number(value: &AtomicU64) -> u64 {
    value.load(Ordering::Relaxed)
}
