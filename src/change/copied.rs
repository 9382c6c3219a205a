//! Which changes a copy of a table has already.

use super::Lsn;

/// The changes that a copy has. A record of a topic does not tell where its transaction was committed, but its id, and where the one before ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// All that was written before was committed before the copy's snapshot, or never.
    from: Lsn,
    /// What was committed from here on is not in it.
    until: Lsn,
    /// Transactions of this id and later ones are not in it.
    next: u32,
    /// Earlier ones that are not in it either, in order.
    open: Vec<u32>,
}

impl Copied {
    /// What a snapshot shows, by its text (`pg_snapshot`). `None` where that is none.
    pub fn new(from: Lsn, until: Lsn, snapshot: &str) -> Option<Self> {
        // Ids in the log are without their epoch.
        let id = |text: &str| text.parse::<u64>().ok().map(|id| id as u32);
        let mut parts = snapshot.splitn(3, ':').skip(1);
        let (next, open) = (id(parts.next()?)?, parts.next()?);
        let mut open = open.split(',').filter(|text| !text.is_empty()).map(id).collect::<Option<Vec<_>>>()?;
        open.sort_unstable();
        Some(Self { from, until, next, open })
    }

    /// Whether the copy was made behind a place in the log.
    pub fn is_behind(&self, lsn: Lsn) -> bool {
        lsn < self.until
    }

    /// Whether all that was written at a place in the log was committed before the copy's snapshot, or never.
    pub fn is_past(&self, lsn: Lsn) -> bool {
        lsn < self.from
    }

    /// Whether the copy has a change: its own place, the end of the transaction before its own, and its transaction's id.
    pub fn has(&self, lsn: Lsn, behind: Lsn, xid: u32) -> bool {
        if behind >= self.until || lsn >= self.until {
            return false;
        }
        let is_later = xid.wrapping_sub(self.next) < u32::MAX / 2;
        self.is_past(lsn) || !(is_later || self.open.binary_search(&xid).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_has_what_its_snapshot_shows() {
        let copied = Copied::new(Lsn(100), Lsn(200), "4294967290:4294967306:4294967299,4294967295").unwrap();
        let has = |lsn, behind, xid| copied.has(Lsn(lsn), Lsn(behind), xid);
        assert!(has(150, 140, u32::MAX - 1) && has(150, 140, 9) && has(150, 140, 2));
        assert!(!has(150, 140, 3) && !has(150, 140, u32::MAX), "they were open");
        assert!(!has(150, 140, 10) && !has(150, 140, 11), "they came later");
        assert!(!has(200, 140, 9) && !has(150, 200, 9), "committed behind it");
        assert!(has(99, 90, 3), "of an id that another transaction had before");
        assert!(Copied::new(Lsn(1), Lsn(2), "5:5:").is_some_and(|copied| !copied.has(Lsn(1), Lsn(1), 5)));
        assert!(["", "1:2", "1:x:", "1:2:x"].iter().all(|text| Copied::new(Lsn(1), Lsn(2), text).is_none()));
    }
}
