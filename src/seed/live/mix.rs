//! Which kind of change comes next, so that the shares come out as asked.

use crate::error::{Error, Kind, Result};
use std::str::FromStr;

/// A kind of change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// New rows.
    Insert,
    /// Other values, or another key, in a row.
    Update,
    /// Rows that go.
    Delete,
}

impl Change {
    pub(super) const ALL: [Self; 3] = [Self::Insert, Self::Update, Self::Delete];
}

/// The shares of the kinds, in changed rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mix {
    insert: u32,
    update: u32,
    delete: u32,
}

impl Default for Mix {
    fn default() -> Self {
        Self { insert: 60, update: 30, delete: 10 }
    }
}

impl Mix {
    /// The share of a kind.
    pub fn share(&self, change: Change) -> u32 {
        match change {
            Change::Insert => self.insert,
            Change::Update => self.update,
            Change::Delete => self.delete,
        }
    }

    /// The kind that is farthest behind its share, given how many rows of each there were.
    pub(super) fn next(&self, rows: impl Fn(Change) -> u64) -> Change {
        let behind = |change: Change| {
            let share = self.share(change);
            if share == 0 { f64::INFINITY } else { rows(change) as f64 / f64::from(share) }
        };
        Change::ALL.into_iter().min_by(|&one, &other| behind(one).total_cmp(&behind(other))).unwrap_or(Change::Insert)
    }
}

impl FromStr for Mix {
    type Err = Error;

    /// Reads `insert=60,update=30,delete=10`; a kind that is left out has no share.
    fn from_str(text: &str) -> Result<Self> {
        let wrong = |why: String| {
            Error::new(Kind::Usage, format!("could not read the mix \"{text}\": {why}"))
                .hint("write it like insert=60,update=30,delete=10")
        };
        let mut mix = Self { insert: 0, update: 0, delete: 0 };
        for part in text.split(',') {
            let (kind, share) = part.split_once('=').ok_or_else(|| wrong(format!("\"{part}\" has no =")))?;
            let place = match kind.trim() {
                "insert" => &mut mix.insert,
                "update" => &mut mix.update,
                "delete" => &mut mix.delete,
                other => return Err(wrong(format!("\"{other}\" is no kind of change"))),
            };
            *place = share.trim().parse().map_err(|_| wrong(format!("\"{share}\" is no whole number")))?;
        }
        if mix == (Self { insert: 0, update: 0, delete: 0 }) {
            return Err(wrong("every share is 0".to_owned()));
        }
        Ok(mix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_shares() {
        let mix: Mix = "insert=1, update=2,delete=3".parse().unwrap();
        assert_eq!(Change::ALL.map(|change| mix.share(change)), [1, 2, 3]);
        assert_eq!("update=5".parse::<Mix>().unwrap().share(Change::Insert), 0);
        assert_eq!("insert=60,update=30,delete=10".parse::<Mix>().unwrap(), Mix::default());
        for wrong in ["", "insert", "insert=x", "upsert=1", "insert=-1", "insert=0"] {
            assert_eq!(wrong.parse::<Mix>().unwrap_err().kind(), Kind::Usage, "{wrong}");
        }
    }

    #[test]
    fn shares_come_out_as_asked() {
        let mix: Mix = "insert=60,update=30,delete=10".parse().unwrap();
        let mut counts = [0_u64; 3];
        // Transactions change several rows each: five inserts, two updates, three deletes.
        let sizes = [5, 2, 3];
        while counts.iter().sum::<u64>() < 10_000 {
            let index = mix.next(|change| counts[change as usize]) as usize;
            counts[index] += sizes[index];
        }
        for (count, share) in counts.into_iter().zip([6_000_i64, 3_000, 1_000]) {
            assert!((count as i64 - share).abs() < 20, "{counts:?}");
        }
    }
}
