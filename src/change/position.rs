//! Places in the write-ahead log, and the version that they give a stored row.

use std::fmt;
use std::str::FromStr;

/// A log sequence number: a byte position in Postgres' write-ahead log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Lsn(pub u64);

impl Lsn {
    /// The position before all others; Postgres never hands it out.
    pub const ZERO: Self = Self(0);
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xFFFF_FFFF)
    }
}

impl FromStr for Lsn {
    type Err = String;

    /// Reads Postgres' text form, `16/B374D848`.
    fn from_str(text: &str) -> Result<Self, String> {
        let parse = || {
            let (high, low) = text.split_once('/')?;
            let high = u32::from_str_radix(high, 16).ok()?;
            let low = u32::from_str_radix(low, 16).ok()?;
            Some(Self(u64::from(high) << 32 | u64::from(low)))
        };
        parse().ok_or_else(|| format!("not an LSN: {text:?}"))
    }
}

/// The version of a stored row: the place of its transaction in commit order (high 64 bits), then the LSN of the change's
/// own record (low 64 bits). Rows of a first snapshot have [`Version::SNAPSHOT`], which every streamed change exceeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Version(pub u128);

impl Version {
    /// The version of rows that a pipeline's first snapshot stored.
    pub const SNAPSHOT: Self = Self(0);

    /// A version of the transaction's place in commit order and the record's LSN.
    pub fn new(transaction: Lsn, record: Lsn) -> Self {
        Self(u128::from(transaction.0) << 64 | u128::from(record.0))
    }

    /// The version of rows that a connector's snapshot has read which began again at this place of the log: below every change, above those of an earlier one.
    pub fn copied_under(began: Lsn) -> Self {
        Self::new(Lsn::ZERO, Lsn(began.0.saturating_add(1)))
    }

    /// Whether it is that of a row which a first copy, or a connector's snapshot, has read.
    pub fn is_copied(self) -> bool {
        self.transaction() == Lsn::ZERO
    }

    /// The transaction's place in commit order.
    pub fn transaction(self) -> Lsn {
        Lsn((self.0 >> 64) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lsn_reads_what_it_writes() {
        for text in ["0/0", "16/B374D848", "FFFFFFFF/FFFFFFFF", "0/17526A0"] {
            assert_eq!(text.parse::<Lsn>().unwrap().to_string(), text);
        }
        for text in ["", "16", "x/1", "1/2/3", "123456789/0"] {
            assert!(text.parse::<Lsn>().is_err(), "{text}");
        }
    }

    #[test]
    fn versions_order_by_commit_first() {
        let early_commit = Version::new(Lsn(10), Lsn(9));
        let late_commit = Version::new(Lsn(20), Lsn(5));
        assert!(Version::SNAPSHOT < early_commit && early_commit < late_commit);
        assert_eq!(late_commit.transaction(), Lsn(20));
        let (first, again) = (Version::copied_under(Lsn(8)), Version::copied_under(Lsn(16)));
        assert!(Version::SNAPSHOT < first && first < Version::new(Lsn::ZERO, Lsn(16)) && again < early_commit);
        assert!(Version::SNAPSHOT.is_copied() && again.is_copied() && !early_commit.is_copied());
        assert!(Version::new(Lsn::ZERO, Lsn(16)) < again, "what empties the table leaves the rows that follow");
    }
}
