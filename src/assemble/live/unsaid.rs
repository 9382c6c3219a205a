//! What happens to tables without a message of the stream: noticed by what the source's catalog says of them, now and when they were copied.
//!
//! A copy is the answer to all of it, since it makes the table what the source has, whatever happened. Partitions that came are copied alone.

use super::super::recopy::{Place, Want};
use super::copying::way_out;
use super::{Fit, LiveTables};
use crate::batch::LogForm;
use crate::change::{Lsn, Version};
use crate::checkpoint::{MarkRecord, TablePhase, TableRecord, displaced};
use crate::config::DroppedPartitions;
use crate::error::Result;
use crate::flow::CheckpointStore;
use crate::server::postgres::{HeapMark, TableMark, marks};
use crate::sink::clickhouse::{TablePlan, left_out, plan_table};
use std::collections::BTreeMap;

/// What the catalog said last of a table.
#[derive(Debug)]
pub(super) struct Seen {
    mark: TableMark,
    /// Whether that was said while the table was being copied, and not acted on.
    is_open: bool,
}

/// What happened to a table's heaps.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Happened {
    /// Its rows are other ones, or some are gone, for this reason.
    Otherwise(&'static str),
    /// These partitions came.
    Came(Vec<u32>),
}

/// Compares the heaps of a table with those that were copied. `VACUUM FULL`, `CLUSTER` and `TRUNCATE` give a heap a new file and leave its columns alone: of
/// the first two nothing follows, of the third the stream tells, but not of a partition's.
pub(super) fn happened(
    relation: u32,
    (before, now): (&BTreeMap<u32, HeapMark>, &BTreeMap<u32, HeapMark>),
    dropped: DroppedPartitions,
) -> Option<Happened> {
    if dropped == DroppedPartitions::Delete && before.keys().any(|heap| !now.contains_key(heap)) {
        return Some(Happened::Otherwise("a partition was detached or dropped"));
    }
    for (heap, was) in before {
        match now.get(heap) {
            Some(is) if is.file_node != was.file_node && is.attributes != was.attributes => {
                return Some(Happened::Otherwise("an ALTER TABLE rewrote it"));
            }
            Some(is) if is.file_node != was.file_node && *heap != relation => {
                return Some(Happened::Otherwise("a partition was emptied or rewritten"));
            }
            _ => {}
        }
    }
    let came: Vec<u32> = now.keys().filter(|heap| !before.contains_key(heap)).copied().collect();
    (!came.is_empty()).then_some(Happened::Came(came))
}

impl LiveTables {
    /// Takes in what the catalog says of all tables; the relations that are to be adopted anew.
    pub(super) async fn look(&mut self, marks: &BTreeMap<u32, TableMark>) -> Result<Vec<u32>> {
        self.take_over(marks).await?;
        let mut renewed = Vec::new();
        for (relation, mark) in marks {
            if !self.state.tables.contains_key(relation) {
                continue;
            }
            let was_altered = self.was_altered(*relation, mark);
            let was_followed = self.standing(*relation) == Some(TablePhase::Ready);
            self.judge(*relation, mark).await?;
            if was_followed && self.standing(*relation) != Some(TablePhase::Ready) {
                renewed.push(*relation);
                continue;
            }
            if was_altered && self.bring_up_unasked(*relation).await? {
                renewed.push(*relation);
            }
        }
        self.has_looked = true;
        Ok(renewed)
    }

    /// Whether a table's columns may be others than when it was looked at last; or than those that were noted, where this is the first look of this process.
    fn was_altered(&self, relation: u32, mark: &TableMark) -> bool {
        if let Some(seen) = self.seen.get(&relation) {
            return seen.mark.definition != mark.definition;
        }
        let known = self.state.marks.get(&relation);
        known.is_some_and(|known| {
            let is_other = |(heap, is): (&u32, &HeapMark)| {
                known.heaps.get(heap).is_some_and(|was| was.attributes != is.attributes)
            };
            mark.heaps.iter().any(is_other)
        })
    }

    /// As [`LiveTables::look`], of one table, when the stream tells its form.
    pub(super) async fn look_at(&mut self, relation: u32) -> Result<()> {
        let mark = marks(self.client().await?, Some(relation)).await?.remove(&relation);
        match mark {
            Some(mark) => self.judge(relation, &mark).await,
            None => Ok(()),
        }
    }

    /// A copy is complete: what was said of the table meanwhile is looked at now.
    pub(super) async fn look_again(&mut self, relation: u32) -> Result<()> {
        match self.seen.remove(&relation) {
            Some(Seen { mark, is_open: true }) => self.judge(relation, &mark).await,
            Some(seen) => {
                self.seen.insert(relation, seen);
                Ok(())
            }
            None => Ok(()),
        }
    }

    async fn judge(&mut self, relation: u32, mark: &TableMark) -> Result<()> {
        let is_open = self.copying.contains_key(&relation);
        self.seen.insert(relation, Seen { mark: mark.clone(), is_open });
        let is_ready = self.state.tables.get(&relation).is_some_and(|record| record.phase == TablePhase::Ready);
        if is_open || !is_ready {
            return Ok(());
        }
        let dropped = self.settings.rule_for(&mark.name).map(|rule| rule.dropped_partitions).unwrap_or_default();
        let known = self.state.marks.get(&relation);
        let want = match known.and_then(|known| happened(relation, (&known.heaps, &mark.heaps), dropped)) {
            Some(Happened::Otherwise(reason)) => Some(Want::needed(relation, reason)),
            Some(Happened::Came(leaves)) => Some(Want { leaves, ..Want::needed(relation, "partitions were attached") }),
            None => None,
        };
        let is_other = known.is_none_or(|known| known.heaps != mark.heaps);
        match want {
            Some(want) => match self.log_of(relation).await? {
                None => self.need(want).await,
                Some(form) => self.judge_log(form, want, mark).await,
            },
            None if is_other => self.note_heaps(relation, mark).await,
            None => Ok(()),
        }
    }

    /// What is kept of a table, where its rows stand each for itself.
    async fn log_of(&mut self, relation: u32) -> Result<Option<LogForm>> {
        let Some(schema) = self.lookup(relation).await? else { return Ok(None) };
        let rule = self.settings.rule_for(&schema.name);
        Ok(rule.and_then(|rule| plan_table(&schema, rule, &self.settings.clickhouse).ok()).and_then(|plan| plan.log))
    }

    /// A log tells what the stream told, and stays that. One whose rows are counted shows rows that the source no longer has from here on: it is left behind.
    async fn judge_log(&mut self, form: LogForm, want: Want, mark: &TableMark) -> Result<()> {
        let (relation, name, reason) = (want.relation, &mark.name, &want.reason);
        let way_out = way_out(name);
        if form == LogForm::Signed {
            let reason = format!("{reason}, of which the stream does not tell: {way_out}");
            self.park(relation, &reason).await?;
            return self.note_heaps(relation, mark).await;
        }
        self.progress
            .note(format!("warning: {name}: {reason}, of which the stream does not tell: its log is without that, until {way_out} begins it anew"));
        self.note_heaps(relation, mark).await
    }

    async fn note_heaps(&mut self, relation: u32, mark: &TableMark) -> Result<()> {
        let form = self.state.marks.get(&relation).map(|known| known.form.clone()).unwrap_or_default();
        let marks = MarkRecord { form, heaps: mark.heaps.clone() };
        self.store.save_marks(relation, &marks).await?;
        self.state.marks.insert(relation, marks);
        Ok(())
    }

    /// Leaves a table behind from what is stored on.
    async fn park(&mut self, relation: u32, reason: &str) -> Result<()> {
        let since = self.state.checkpoint.as_ref().map(|record| record.position().end).unwrap_or_default();
        self.store.park(relation, reason, Version::new(since, Lsn::ZERO)).await?;
        if let Some(target) = self.state.tables.get(&relation).map(|record| record.target.clone()) {
            self.progress.note(format!("table \"{target}\" is parked, the others go on: {reason}"));
            self.progress.table(&target, |table| table.parked = Some(reason.to_owned()));
        }
        self.left(relation);
        Ok(())
    }

    /// Notes that a table has to be copied, so that this is not forgotten, and lets it be done.
    pub(super) async fn need(&mut self, want: Want) -> Result<()> {
        let reason = want.reason.clone();
        if self.state.tables.get(&want.relation).is_some_and(|record| record.copy.is_none()) {
            self.note(want.relation, |record| record.copy = Some(reason)).await?;
        }
        self.copies.queue.push(want);
        Ok(())
    }

    /// The columns of a table changed, and perhaps no row has since. Whether its rows are to be taken in otherwise.
    async fn bring_up_unasked(&mut self, relation: u32) -> Result<bool> {
        if self.standing(relation) != Some(TablePhase::Ready) {
            return Ok(false);
        }
        let Some(schema) = self.lookup(relation).await? else { return Ok(false) };
        let form = schema.form();
        if let Fit::Park(reason) = self.fit(schema).await? {
            self.park(relation, &reason).await?;
        } else if let Some(known) = self.state.marks.get_mut(&relation) {
            known.form = form;
            let known = known.clone();
            self.store.save_marks(relation, &known).await?;
        }
        Ok(true)
    }

    /// The destination's table cannot be brought up to the source's: it is left behind until it is copied, which is seen to.
    pub(super) async fn not_fitting(&mut self, relation: u32, reason: String) -> Result<Fit> {
        if let Some(active) = self.copying.get_mut(&relation) {
            // The copy that is being made is of no use; the next one is of the form that the table has now.
            active.is_stale = true;
            if active.place != Place::Instead {
                self.note(relation, |record| (record.phase, record.reason) = (TablePhase::Parked, Some(reason)))
                    .await?;
            }
            return Ok(Fit::Ignored);
        }
        let is_followed = self.state.tables.get(&relation).is_some_and(|record| record.phase == TablePhase::Ready);
        if is_followed && self.settings.postgres.is_some() && self.log_of(relation).await?.is_none() {
            self.need(Want::needed(relation, reason.clone())).await?;
        }
        Ok(Fit::Park(reason))
    }

    /// Whether the place of a table that came is another one's, which was renamed; that is told once.
    fn leave_out(&mut self, relation: u32, target: &str, marks: &BTreeMap<u32, TableMark>) -> bool {
        let present = marks.iter().map(|(relation, mark)| (*relation, &mark.name));
        let Some(reason) = displaced((&self.settings, &self.state), target, present) else { return false };
        if let Some(mark) = marks.get(&relation).filter(|_| self.displaced.insert(relation)) {
            self.progress.note(format!("warning: table {} is left out: {reason}", mark.name));
        }
        true
    }

    /// Tables that came: in the place of one that was dropped, or as new ones. They are copied as soon as may be.
    async fn take_over(&mut self, marks: &BTreeMap<u32, TableMark>) -> Result<()> {
        for (relation, mark) in marks {
            let rule = self.settings.rule_for(&mark.name);
            let Some(rule) = rule.filter(|_| !self.state.tables.contains_key(relation)) else { continue };
            let rule = rule.clone();
            let Some(schema) = self.lookup(*relation).await? else { continue };
            if left_out(&schema, &rule).is_some() {
                continue;
            }
            let plan = plan_table(&schema, &rule, &self.settings.clickhouse);
            // Logs join at the next start.
            let Ok(TablePlan { log: None | Some(LogForm::Inserts), target, .. }) = plan else { continue };
            let dropped =
                |(other, record): &(&u32, &TableRecord)| record.target == target && !marks.contains_key(*other);
            let replaced = self.state.tables.iter().find(dropped).map(|(other, record)| (*other, record.clone()));
            if self.leave_out(*relation, &target, marks) {
                continue;
            }
            if replaced.is_none() && (!self.copies.joins || !self.copies.options.wants(&mark.name)) {
                continue;
            }
            if let Some((other, record)) = replaced {
                self.store.save_table(other, &TableRecord { gone: true, ..record }).await?;
                self.state.tables.remove(&other);
            } else if !matches!(self.fit(schema.clone()).await?, Fit::Stored(_)) {
                // Something else has its name at the destination: the next start says what.
                continue;
            }
            let reason = "it is new, or was dropped and made again".to_owned();
            let mut record = TableRecord {
                source: mark.name.to_string(),
                target,
                phase: TablePhase::Copying,
                copy: Some(reason.clone()),
                ..TableRecord::default()
            };
            record.learn(&schema);
            self.store.save_table(*relation, &record).await?;
            self.state.tables.insert(*relation, record);
            self.copies.queue.push(Want::needed(*relation, reason));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heaps(all: &[(u32, u32, &str)]) -> BTreeMap<u32, HeapMark> {
        let one = |(heap, file_node, attributes): &(u32, u32, &str)| {
            (*heap, HeapMark { file_node: *file_node, attributes: (*attributes).to_owned() })
        };
        all.iter().map(one).collect()
    }

    #[test]
    fn tells_what_the_stream_does_not() {
        use DroppedPartitions::{Delete, Keep};
        let (one, two) = (heaps(&[(1, 1, "a")]), heaps(&[(1, 1, "a"), (2, 2, "b")]));
        let table = |now: &BTreeMap<u32, HeapMark>| happened(1, (&one, now), Delete);
        assert_eq!(table(&one), None);
        assert_eq!(table(&heaps(&[(1, 9, "a")])), None, "VACUUM FULL, or TRUNCATE, which the stream tells");
        assert_eq!(table(&heaps(&[(1, 1, "z")])), None, "ADD COLUMN");
        assert!(matches!(table(&heaps(&[(1, 9, "z")])), Some(Happened::Otherwise(_))));
        let root = |before, now, dropped| happened(7, (before, now), dropped);
        let emptied = heaps(&[(1, 1, "a"), (2, 9, "b")]);
        assert!(matches!(root(&two, &emptied, Delete), Some(Happened::Otherwise(_))));
        assert_eq!(root(&one, &two, Delete), Some(Happened::Came(vec![2])));
        assert!(matches!(root(&two, &one, Delete), Some(Happened::Otherwise(_))));
        assert_eq!(root(&two, &one, Keep), None);
    }
}
