//! A shop at work: transactions of several tables, at a steady rate, until told to stop.

mod mix;
mod scenario;
mod session;

pub use mix::{Change, Mix};

use super::random::{mix as spread, row_rng};
use super::shop::{LastKeys, last_keys, presence};
use super::vocabulary::Vocabulary;
use crate::error::{Error, Kind, Result};
use crate::server::postgres::{Connection, server_error};
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use scenario::{Outcome, Scenario};
use session::Session;
use std::future::Future;
use std::pin::pin;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval};

const LIVE_STREAM: u64 = 0x6c69_7665;
const TICK: Duration = Duration::from_millis(10);
const TOLD_EVERY: Duration = Duration::from_millis(200);
/// So many transactions in a row without a row to change: there is nothing left of what is asked for.
const MAX_MISSES: u32 = 200;

/// What to do, and how fast.
#[derive(Debug, Clone, Copy)]
pub struct Live {
    /// Changed rows a second.
    pub rate: u32,
    /// When to end by itself.
    pub duration: Option<Duration>,
    /// Shares of inserts, updates and deletes.
    pub mix: Mix,
    /// The same seed on the same tables chooses the same changes.
    pub seed: u64,
}

/// What was done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LiveReport {
    /// How long it took.
    pub elapsed: Duration,
    /// Transactions that were committed.
    pub transactions: u64,
    /// Transactions that were rolled back, on purpose or since another session was in the way.
    pub rolled_back: u64,
    /// Rows inserted.
    pub inserts: u64,
    /// Rows updated, those of the next three counts included.
    pub updates: u64,
    /// Rows deleted.
    pub deletes: u64,
    /// Updates that gave a row another key.
    pub key_changes: u64,
    /// Updates of a row with a long text that left the text as it was.
    pub toast_unchanged: u64,
    /// Updates that replaced a long text.
    pub toast_changed: u64,
}

impl LiveReport {
    /// Changed rows.
    pub fn rows(&self) -> u64 {
        self.inserts + self.updates + self.deletes
    }

    /// Changed rows a second.
    pub fn rate(&self) -> f64 {
        self.rows() as f64 / self.elapsed.as_secs_f64().max(0.001)
    }

    fn of(&self, change: Change) -> u64 {
        match change {
            Change::Insert => self.inserts,
            Change::Update => self.updates,
            Change::Delete => self.deletes,
        }
    }

    fn add(&mut self, outcome: &Outcome) {
        if outcome.rolled_back {
            self.rolled_back += 1;
            return;
        }
        self.transactions += 1;
        self.inserts += outcome.inserts;
        self.updates += outcome.updates;
        self.deletes += outcome.deletes;
        self.key_changes += outcome.key_changes;
        self.toast_unchanged += outcome.toast_unchanged;
        self.toast_changed += outcome.toast_changed;
    }
}

/// Changes the shop until the time is over or `stop` is ready; the open transaction is finished first. `listener` hears of the report
/// so far, a few times a second.
///
/// # Errors
/// [`Kind::Source`] where the shop is missing, where nothing is left to change, or where the server refuses.
pub async fn live(
    connection: &Connection,
    live: Live,
    stop: impl Future<Output = ()>,
    listener: &mut (dyn FnMut(&LiveReport) + Send),
) -> Result<LiveReport> {
    presence(connection).await?.require_complete()?;
    let last = last_keys(connection).await?;
    let mut running = LiveShop::new(connection, live, last);
    let mut stop = pin!(stop);
    let mut pace = Pace::new(live.rate);
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let started = Instant::now();
    let mut last_told = started;
    while live.duration.is_none_or(|duration| started.elapsed() < duration) {
        let wait = async {
            if !pace.is_due(running.report.rows(), Instant::now()) {
                ticks.tick().await;
            }
        };
        tokio::select! {
            biased;
            () = &mut stop => break,
            () = wait => {}
        }
        if pace.is_due(running.report.rows(), Instant::now()) {
            running.transaction().await?;
        }
        running.report.elapsed = started.elapsed();
        if last_told.elapsed() >= TOLD_EVERY {
            last_told = Instant::now();
            listener(&running.report);
        }
    }
    running.report.elapsed = started.elapsed();
    Ok(running.report)
}

/// When the next transaction is due: never more than a second's changes are caught up with.
#[derive(Debug)]
struct Pace {
    rate: f64,
    started: Instant,
    forgiven: f64,
}

impl Pace {
    fn new(rate: u32) -> Self {
        Self { rate: f64::from(rate), started: Instant::now(), forgiven: 0.0 }
    }

    fn is_due(&mut self, done: u64, now: Instant) -> bool {
        let due = (now - self.started).as_secs_f64() * self.rate - self.forgiven;
        let behind = due - done as f64;
        if behind > self.rate {
            self.forgiven += behind - self.rate;
        }
        behind > 0.0
    }
}

/// The running shop.
struct LiveShop<'a> {
    session: Session<'a>,
    vocabulary: Vocabulary,
    rng: SmallRng,
    mix: Mix,
    last: LastKeys,
    decks: [Vec<Scenario>; 3],
    misses: u32,
    report: LiveReport,
}

impl<'a> LiveShop<'a> {
    fn new(connection: &'a Connection, live: Live, last: LastKeys) -> Self {
        // Another run goes on after the keys of the one before, and so does something else.
        let run =
            [last.customers, last.orders, last.reviews, last.events].into_iter().fold(0, |run, key| spread(run ^ key));
        Self {
            session: Session::new(connection),
            vocabulary: Vocabulary::new(live.seed),
            rng: row_rng(live.seed, LIVE_STREAM, run),
            mix: live.mix,
            last,
            decks: Default::default(),
            misses: 0,
            report: LiveReport::default(),
        }
    }

    async fn transaction(&mut self) -> Result<()> {
        let change = self.mix.next(|change| self.report.of(change));
        let scenario = self.draw(change);
        let outcome = self
            .play_or_roll_back(scenario)
            .await
            .map_err(|error| server_error(&format!("could not change the demo shop ({})", scenario.name()), error))?;
        self.report.add(&outcome);
        self.misses = if outcome.is_empty() { self.misses + 1 } else { 0 };
        if self.misses < MAX_MISSES {
            return Ok(());
        }
        let wanted = match change {
            Change::Insert => "take orders: there are no customers or products",
            Change::Update => "update: there are no rows of the kind",
            Change::Delete => "delete: there are no rows left",
        };
        Err(Error::new(Kind::Source, format!("the demo shop has nothing to {wanted}"))
            .hint("fill it: `pipectl seed --rows 100000`; or give the inserts a larger share of the mix"))
    }

    async fn play_or_roll_back(&mut self, scenario: Scenario) -> Result<Outcome, tokio_postgres::Error> {
        self.session.begin().await?;
        match self.play(scenario).await {
            Ok(outcome) if outcome.rolled_back => self.session.roll_back().await.map(|()| outcome),
            Ok(outcome) => self.session.commit().await.map(|()| outcome),
            Err(error) if session::lost_race(&error) => {
                self.session.roll_back().await?;
                Ok(Outcome { rolled_back: true, ..Outcome::default() })
            }
            Err(error) => Err(error),
        }
    }

    /// The next scenario of a kind. They are drawn like cards, so that each comes up soon, in the shares of the deck.
    fn draw(&mut self, change: Change) -> Scenario {
        let [inserts, updates, deletes] = &mut self.decks;
        let deck = match change {
            Change::Insert => inserts,
            Change::Update => updates,
            Change::Delete => deletes,
        };
        if deck.is_empty() {
            deck.extend_from_slice(Scenario::deck(change));
            deck.shuffle(&mut self.rng);
        }
        deck.pop().unwrap_or(Scenario::SignUp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn catches_up_with_a_second_at_most() {
        let mut pace = Pace::new(100);
        let started = pace.started;
        assert!(!pace.is_due(0, started));
        assert!(pace.is_due(0, started + Duration::from_millis(20)));
        assert!(!pace.is_due(3, started + Duration::from_millis(20)));
        // After ten seconds of standing still, a hundred changes are due, not a thousand.
        let later = started + Duration::from_secs(10);
        assert!(pace.is_due(3, later));
        assert!(pace.is_due(102, later));
        assert!(!pace.is_due(103, later));
    }
}
