//! Where a partition is read from.

use crate::error::{Error, Kind};
use crate::flow::Assigned;

/// What is known of a partition when it is assigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Known {
    /// Up to where the destination is complete.
    pub(super) stored: Option<i64>,
    /// What the group has committed.
    pub(super) committed: Option<i64>,
    /// The first offset that is there.
    pub(super) low: i64,
    /// The offset behind the last one.
    pub(super) high: i64,
    /// What is never gone back behind.
    pub(super) floor: i64,
}

/// The offset to begin with.
///
/// What is stored decides: it is behind the commit where the destination was restored from a backup, and goes on from there; the commit is behind where somebody
/// rewound the group. A partition without either is read from its beginning, which has to be there whole, since it holds the first snapshot.
///
/// # Errors
/// [`Kind::SourceGap`] where the records from there on are not all there.
pub(super) fn offset(assigned: &Assigned, known: Known, force: bool) -> Result<i64, Error> {
    let Known { stored, committed, low, high, floor } = known;
    let wanted = match (stored, committed) {
        // Rewound behind what is there: what is gone is stored already.
        (Some(stored), Some(committed)) => stored.min(committed.max(low)),
        (Some(stored), None) => stored,
        // The destination knows nothing of what was committed: it is another one, or was emptied.
        (None, _) => 0,
    }
    .max(floor);
    let place = format!("topic \"{}\", partition {}", assigned.topic, assigned.partition);
    if wanted > high {
        return Err(Error::new(
            Kind::SourceGap,
            format!("{place} ends at offset {high}, but ClickHouse holds it up to {wanted}: the topic was made anew"),
        )
        .hint("`pipectl resync --all` copies everything again and reads on from the topics' ends"));
    }
    if wanted < low && !force {
        let what = if stored.is_none() { "nothing of it is stored yet" } else { "ClickHouse is complete up to there" };
        return Err(Error::new(
            Kind::SourceGap,
            format!("{place} begins at offset {low}, but is needed from {wanted} on ({what}): records were deleted before they were read"),
        )
        .hint(
            "`pipectl resync --all` copies everything again and reads on from the topics' ends; a longer `retention.ms` keeps it from happening again; \
             --force reads what is there",
        ));
    }
    Ok(wanted.max(low))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begins(stored: Option<i64>, committed: Option<i64>, (low, high): (i64, i64)) -> Result<i64, Kind> {
        let assigned = Assigned { id: 1, topic: "t".into(), partition: 0 };
        offset(&assigned, Known { stored, committed, low, high, floor: 0 }, false).map_err(|error| error.kind())
    }

    #[test]
    fn the_earlier_of_both_counts() {
        assert_eq!(begins(Some(5), Some(9), (0, 10)), Ok(5));
        assert_eq!(begins(Some(9), Some(5), (0, 10)), Ok(5));
        assert_eq!(begins(Some(7), None, (0, 10)), Ok(7));
        assert_eq!(begins(None, Some(9), (0, 10)), Ok(0));
        assert_eq!(begins(None, None, (0, 10)), Ok(0));
        assert_eq!(begins(Some(10), Some(10), (10, 10)), Ok(10));
        assert_eq!(begins(Some(9), Some(0), (3, 10)), Ok(3));
    }

    #[test]
    fn records_that_are_gone_are_a_gap() {
        assert_eq!(begins(Some(5), Some(5), (6, 10)), Err(Kind::SourceGap));
        assert_eq!(begins(None, None, (1, 10)), Err(Kind::SourceGap));
        assert_eq!(begins(Some(11), Some(11), (0, 10)), Err(Kind::SourceGap));
    }

    #[test]
    fn a_floor_is_not_gone_back_behind() {
        let assigned = Assigned { id: 1, topic: "t".into(), partition: 0 };
        let known = Known { stored: Some(9), committed: Some(2), low: 0, high: 10, floor: 6 };
        assert_eq!(offset(&assigned, known, false).unwrap(), 6);
    }

    #[test]
    fn force_reads_what_is_there() {
        let assigned = Assigned { id: 1, topic: "t".into(), partition: 0 };
        let known = Known { stored: None, committed: None, low: 3, high: 10, floor: 0 };
        assert_eq!(offset(&assigned, known, true).unwrap(), 3);
    }
}
