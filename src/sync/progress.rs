//! What a running sync tells of itself: numbers that others read, and notes in its own words.

use crate::change::Lsn;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Bytes of log that may be missing at the destination while its readers can rely on it.
pub const READY_LAG: u64 = 16 << 20;
/// How long a source may be silent; it is asked more often than that whether it is still there.
const LONGEST_SILENCE: Duration = Duration::from_secs(30);

/// The numbers of a running sync; shared, each updated by one stage.
pub struct Progress {
    started: Instant,
    note: Box<dyn Fn(&str) + Send + Sync>,
    tables: Mutex<BTreeMap<String, TableProgress>>,
    partitions: Mutex<BTreeMap<(String, i32), PartitionProgress>>,
    /// Rows that streamed changes stored, tombstones included.
    pub changed_rows: AtomicU64,
    /// Groups that were stored.
    pub groups: AtomicU64,
    /// Bytes of changes that were stored.
    pub bytes: AtomicU64,
    /// Records that could not be carried and were set aside.
    pub dead_letters: AtomicU64,
    /// Rows that copies stored.
    pub copied_rows: AtomicU64,
    /// Rows that copies are expected to store.
    pub expected_rows: AtomicU64,
    /// Bytes that copies stored, before they are compressed.
    pub copied_bytes: AtomicU64,
    /// Whether the first copy is complete.
    pub copied: AtomicBool,
    /// Position up to which all is stored and acknowledged.
    pub confirmed: AtomicU64,
    /// Position that the source is known to have reached.
    pub source_end: AtomicU64,
    /// Commit time of the newest stored transaction, in microseconds since 1970; 0 where there is none yet.
    pub committed_at: AtomicU64,
    /// Whether the source's changes up to now are stored.
    pub caught_up: AtomicBool,
    /// When something was last heard of the source or stored, in milliseconds since the start.
    last_sign: AtomicU64,
    /// Attempts that failed in a row; 0 while all is well.
    pub retries: AtomicU64,
}

/// How far a partition of a topic is stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PartitionProgress {
    /// Offset of the first record that is not stored.
    pub stored: i64,
    /// Offset behind the last record there is.
    pub end: i64,
}

/// A table's numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableProgress {
    /// Rows that its copy stored.
    pub copied_rows: u64,
    /// Rows that its copy is expected to store: the planner's estimate.
    pub expected_rows: u64,
    /// Bytes that its copy stored, before they are compressed.
    pub copied_bytes: u64,
    /// Whether its copy is over.
    pub copy_ended: bool,
    /// Rows that streamed changes stored.
    pub changed_rows: u64,
    /// Values stored as NULL because ClickHouse can't hold them, by column.
    pub policy_nulls: BTreeMap<String, u64>,
    /// Why it is left behind.
    pub parked: Option<String>,
}

impl std::fmt::Debug for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Progress").finish_non_exhaustive()
    }
}

impl Progress {
    /// Numbers at zero; `note` is told what is worth a line.
    pub fn new(note: impl Fn(&str) + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            started: Instant::now(),
            note: Box::new(note),
            tables: Mutex::default(),
            partitions: Mutex::default(),
            changed_rows: AtomicU64::new(0),
            groups: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            dead_letters: AtomicU64::new(0),
            copied_rows: AtomicU64::new(0),
            expected_rows: AtomicU64::new(0),
            copied_bytes: AtomicU64::new(0),
            copied: AtomicBool::new(false),
            confirmed: AtomicU64::new(0),
            source_end: AtomicU64::new(0),
            committed_at: AtomicU64::new(0),
            caught_up: AtomicBool::new(false),
            last_sign: AtomicU64::new(0),
            retries: AtomicU64::new(0),
        })
    }

    /// Says a line.
    pub fn note(&self, text: impl AsRef<str>) {
        (self.note)(text.as_ref());
    }

    /// Changes a table's numbers.
    pub fn table(&self, name: &str, change: impl FnOnce(&mut TableProgress)) {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(table) = tables.get_mut(name) {
            change(table);
        } else {
            change(tables.entry(name.to_owned()).or_default());
        }
    }

    /// All tables' numbers, by name at the destination.
    pub fn tables(&self) -> BTreeMap<String, TableProgress> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Forgets a table that is there no longer; its last numbers.
    pub fn forget_table(&self, name: &str) -> Option<TableProgress> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner).remove(name)
    }

    /// Says how far the partitions are that this process reads.
    pub fn set_partitions(&self, partitions: BTreeMap<(String, i32), PartitionProgress>) {
        *self.partitions.lock().unwrap_or_else(PoisonError::into_inner) = partitions;
    }

    /// How far the partitions are that this process reads, by topic and partition; none where the source has no partitions.
    pub fn partitions(&self) -> BTreeMap<(String, i32), PartitionProgress> {
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Something was heard or stored just now.
    pub fn sign_of_life(&self) {
        self.last_sign.store(self.started.elapsed().as_millis() as u64, Ordering::Relaxed);
    }

    /// How long nothing was heard or stored.
    pub fn silence(&self) -> Duration {
        let last = Duration::from_millis(self.last_sign.load(Ordering::Relaxed));
        self.started.elapsed().saturating_sub(last)
    }

    /// How long the sync has been running.
    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// A position of the source was seen.
    pub fn saw(&self, lsn: Lsn) {
        self.source_end.fetch_max(lsn.0, Ordering::Relaxed);
        self.sign_of_life();
    }

    /// Bytes of log between what the source has and what is stored.
    pub fn lag_bytes(&self) -> u64 {
        self.source_end.load(Ordering::Relaxed).saturating_sub(self.confirmed.load(Ordering::Relaxed))
    }

    /// Seconds since the newest stored transaction was committed at the source; 0 where all is stored.
    pub fn lag_seconds(&self) -> f64 {
        let committed = self.committed_at.load(Ordering::Relaxed);
        // A source that is idle tells of it only now and then.
        let is_complete = self.confirmed.load(Ordering::Relaxed) > 0 && self.lag_bytes() == 0;
        if committed == 0 || is_complete || self.caught_up.load(Ordering::Relaxed) {
            return 0.0;
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros() as u64;
        now.saturating_sub(committed) as f64 / 1e6
    }

    /// Whether readers of the destination can rely on it. That the source is followed means here: it was heard lately, and nothing is being
    /// tried again.
    pub fn ready(&self) -> bool {
        let followed = self.retries.load(Ordering::Relaxed) == 0 && self.silence() < LONGEST_SILENCE;
        ready(self.copied.load(Ordering::Relaxed), followed, Some(self.lag_bytes()))
    }
}

/// The one rule of readiness: the first copy is complete, the source is being followed, and at most [`READY_LAG`] is missing. A running process and
/// one that only asks the servers see differently whether somebody follows; everything else is the same.
pub fn ready(copied: bool, followed: bool, lag_bytes: Option<u64>) -> bool {
    copied && followed && lag_bytes.is_some_and(|lag| lag <= READY_LAG)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copied_table_is_ready_while_it_is_followed_closely() {
        assert!(ready(true, true, Some(READY_LAG)));
        assert!(!ready(false, true, Some(0)));
        assert!(!ready(true, false, Some(0)));
        assert!(!ready(true, true, Some(READY_LAG + 1)));
        assert!(!ready(true, true, None));
        let progress = Progress::new(|_| {});
        progress.copied.store(true, Ordering::Relaxed);
        assert!(progress.ready());
        progress.saw(Lsn(READY_LAG + 1));
        assert!(!progress.ready());
        progress.confirmed.store(1, Ordering::Relaxed);
        assert!(progress.ready());
        progress.retries.store(1, Ordering::Relaxed);
        assert!(!progress.ready());
    }

    #[test]
    fn nothing_lags_where_all_is_stored() {
        let progress = Progress::new(|_| {});
        progress.committed_at.store(1, Ordering::Relaxed);
        assert!(progress.lag_seconds() > 0.0, "of topics alone places are told otherwise");
        progress.saw(Lsn(8));
        progress.confirmed.store(8, Ordering::Relaxed);
        assert!(progress.lag_seconds() == 0.0);
        progress.saw(Lsn(9));
        assert!(progress.lag_seconds() > 0.0);
    }
}
