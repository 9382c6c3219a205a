//! Transactions that straddle a copy: they were committed behind its snapshot, and the one before them was not.

use super::{Copied, Lsn};
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many transactions are remembered until it is known what the copy has.
const REMEMBERED: usize = 1 << 16;

/// A transaction's changes, or some of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    /// None of rows that a snapshot of the connector's has read.
    xid: Option<u32>,
    /// The least and the greatest high half of their versions: where the transaction before ended. Of a connector's first one each has its own place.
    behind: (Lsn, Lsn),
    /// The last place of any.
    lsn: Lsn,
}

impl Seen {
    /// Whether it may be a connector's first transaction, where each change has a place of its own.
    fn may_be_first(&self) -> bool {
        self.behind.0 != self.behind.1 || self.behind.1 == self.lsn
    }

    fn with(self, other: Self) -> Self {
        let behind = (self.behind.0.min(other.behind.0), self.behind.1.max(other.behind.1));
        Self { xid: self.xid, behind, lsn: self.lsn.max(other.lsn) }
    }
}

#[derive(Debug, Default)]
struct State {
    /// What the copy has, once its snapshot is there.
    copied: Option<Copied>,
    /// What was met before that.
    seen: VecDeque<Seen>,
    /// All that is remembered no more.
    forgotten: Option<Seen>,
    found: Vec<Seen>,
    is_in_doubt: bool,
}

/// Which changes that go into a shadow beside a copy are not in the copy, although their versions begin before the end of it. Records of topics alone have
/// such: what their versions begin with is where the transaction before ended, and whether a copy has the one behind it is told by its id, which is not
/// stored. The engine notes every change of a table that is being copied; the copy says what it has, once it knows.
#[derive(Debug, Default)]
pub struct Straddling(Mutex<State>);

impl Straddling {
    /// Takes a change in: its own place, where the transaction before its own ended, and its transaction's id.
    pub fn note(&self, lsn: Lsn, behind: Lsn, xid: Option<u32>) {
        let (seen, mut state) = (Seen { xid, behind: (behind, behind), lsn }, self.state());
        match state.copied.take() {
            Some(copied) => {
                state.judge(&copied, seen);
                state.copied = Some(copied);
            }
            None => state.remember(seen),
        }
    }

    /// From here on it is known what the copy has.
    pub fn decide(&self, copied: Copied) {
        let mut state = self.state();
        let seen = std::mem::take(&mut state.seen);
        let last = seen.iter().map(|seen| seen.behind.0).filter(|behind| copied.is_behind(*behind)).max();
        for seen in seen {
            state.judge(&copied, seen);
        }
        if let Some(forgotten) = state.forgotten.filter(|forgotten| !copied.is_past(forgotten.lsn)) {
            // One alone of those before the end is not in the copy: whatever another one follows was committed before that.
            state.is_in_doubt |= last < Some(forgotten.behind.1) || state.found.iter().any(Seen::may_be_first);
        }
        state.copied = Some(copied);
    }

    /// The ranges of high halves whose changes are not in the copy. None where that cannot be told: then the copy is of no use.
    pub fn ranges(&self) -> Option<Vec<(Lsn, Lsn)>> {
        let state = self.state();
        let is_known = state.copied.is_some() && !state.is_in_doubt;
        is_known.then(|| state.found.iter().map(|found| found.behind).collect())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn remember(&mut self, seen: Seen) {
        if let Some(last) = self.seen.back_mut().filter(|last| last.xid == seen.xid && is_one(last, &seen)) {
            *last = last.with(seen);
            return;
        }
        if self.seen.len() >= REMEMBERED
            && let Some(oldest) = self.seen.pop_front()
        {
            self.forgotten = Some(self.forgotten.map_or(oldest, |forgotten| forgotten.with(oldest)));
        }
        self.seen.push_back(seen);
    }

    fn judge(&mut self, copied: &Copied, seen: Seen) {
        if !copied.is_behind(seen.behind.0) {
            return;
        }
        let Some(xid) = seen.xid else {
            // The connector reads the table again, behind the copy: what happened in between it may not tell.
            self.is_in_doubt |= !copied.is_behind(seen.lsn);
            return;
        };
        if copied.has(seen.lsn, seen.behind.1, xid) {
            return;
        }
        match self.found.iter_mut().find(|found| found.xid == seen.xid) {
            Some(found) => *found = found.with(seen),
            None => self.found.push(seen),
        }
    }
}

/// Whether two are changes of one transaction, or rows that were read at one place.
fn is_one(one: &Seen, other: &Seen) -> bool {
    one.xid.is_some() || (one.behind == other.behind && one.lsn == other.lsn)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of places 100 to 200; transactions 50 and later were open, or not begun.
    fn copied() -> Copied {
        Copied::new(Lsn(100), Lsn(200), "10:60:50,55").unwrap()
    }

    fn noted(changes: &[(u64, u64, u32)]) -> Straddling {
        let straddling = Straddling::default();
        for &(lsn, behind, xid) in changes {
            straddling.note(Lsn(lsn), Lsn(behind), Some(xid));
        }
        straddling
    }

    #[test]
    fn one_transaction_begins_before_the_end_of_a_copy_and_is_not_in_it() {
        let changes = [(90, 80, 40), (150, 95, 41), (120, 160, 50), (180, 160, 50), (130, 260, 55), (300, 290, 61)];
        for known_before in 0..=changes.len() {
            let straddling = noted(&changes[..known_before]);
            assert_eq!(straddling.ranges(), None, "nothing is known yet");
            straddling.decide(copied());
            for &(lsn, behind, xid) in &changes[known_before..] {
                straddling.note(Lsn(lsn), Lsn(behind), Some(xid));
            }
            assert_eq!(straddling.ranges(), Some(vec![(Lsn(160), Lsn(160))]), "{known_before}");
        }
        let all_are_in_it = noted(&changes[..2]);
        all_are_in_it.decide(copied());
        assert_eq!(all_are_in_it.ranges(), Some(Vec::new()));
    }

    #[test]
    fn the_first_transaction_of_a_connector_has_a_place_for_each_change() {
        for known in [false, true] {
            let straddling = Straddling::default();
            if known {
                straddling.decide(copied());
            }
            for lsn in [150, 170, 199, 210] {
                straddling.note(Lsn(lsn), Lsn(lsn), Some(50));
            }
            if !known {
                straddling.decide(copied());
            }
            let ranges = straddling.ranges().unwrap();
            assert!(ranges.len() == 1 && ranges[0].0 == Lsn(150) && ranges[0].1 >= Lsn(199), "{ranges:?}");
        }
    }

    #[test]
    fn what_is_forgotten_is_in_the_copy_where_another_one_follows_before_its_end() {
        let many = |first: u64, count: u64| {
            let changes: Vec<_> = (first..first + count).map(|place| (place + 1, place, place as u32)).collect();
            noted(&changes)
        };
        let many_behind = |straddling: &Straddling, count: u64| {
            (10..10 + count).for_each(|place| straddling.note(Lsn(place + 1), Lsn(place), Some(place as u32)));
        };
        let enough = REMEMBERED as u64 + 10;
        let copied = |from, until| Copied::new(Lsn(from), Lsn(until), "10:4000000:").unwrap();
        let straddling = many(100, enough);
        straddling.decide(copied(1, 101 + enough));
        assert_eq!(straddling.ranges(), Some(Vec::new()));
        // All that is remembered lies behind the end: the one that straddles it may be among the others.
        let straddling = many(100, enough);
        straddling.decide(copied(1, 105));
        assert_eq!(straddling.ranges(), None);
        // Records of several partitions come in no order, and were written long before.
        let straddling = many(100_000, enough);
        many_behind(&straddling, enough);
        straddling.decide(copied(1_000_000, 2_000_000));
        assert_eq!(straddling.ranges(), Some(Vec::new()));
    }

    #[test]
    fn rows_that_the_connector_read_behind_the_copy_leave_it_in_doubt() {
        for (lsn, behind, is_known) in
            [(150, 0, true), (250, 0, false), (150, 140, true), (250, 190, false), (250, 240, true)]
        {
            let straddling = Straddling::default();
            straddling.note(Lsn(lsn), Lsn(behind), None);
            straddling.decide(copied());
            assert_eq!(straddling.ranges().is_some(), is_known, "{lsn} behind {behind}");
        }
    }
}
