//! All findings together.

use super::catalogue::{CHECKS, Entry, Part};
use super::finding::{Finding, Outcome, Remedy};
use crate::error::{Error, Result};
use std::collections::BTreeMap;

/// A check and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Its stable id, such as `postgres.wal_level`.
    pub id: &'static str,
    /// What it looks at.
    pub part: Part,
    /// What it is about, for people.
    pub title: &'static str,
    /// What is needed.
    pub needed: &'static str,
    /// What was seen; empty where it was not run.
    pub seen: String,
    /// How it came out.
    pub outcome: Outcome,
    /// The tables, slots or transactions that it is about.
    pub objects: Vec<String>,
    /// What mends it.
    pub remedy: Option<Remedy>,
}

/// How many checks came out how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// Checks without a finding.
    pub pass: usize,
    /// Warnings.
    pub warn: usize,
    /// Failures.
    pub fail: usize,
    /// Checks that could not be made.
    pub not_run: usize,
}

/// The whole examination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The pipeline's name.
    pub pipeline: String,
    /// Every check, in order.
    pub checks: Vec<Check>,
}

impl Report {
    /// How many checks came out how.
    pub fn summary(&self) -> Summary {
        let mut summary = Summary::default();
        for check in &self.checks {
            match check.outcome {
                Outcome::Pass => summary.pass += 1,
                Outcome::Warn => summary.warn += 1,
                Outcome::Fail => summary.fail += 1,
                Outcome::NotRun { .. } => summary.not_run += 1,
            }
        }
        summary
    }

    /// Whether any check failed.
    pub fn failed(&self) -> bool {
        self.checks.iter().any(|check| check.outcome == Outcome::Fail)
    }
}

/// Findings while they come in.
#[derive(Debug, Default)]
pub(super) struct Findings {
    found: BTreeMap<&'static str, Finding>,
    stopped: Option<String>,
}

impl Findings {
    /// Takes a finding in.
    pub(super) fn put(&mut self, id: &'static str, finding: Finding) {
        self.found.insert(id, finding);
    }

    /// Takes a finding in, or why it could not be had.
    pub(super) fn put_result(&mut self, id: &'static str, finding: Result<Finding>) {
        self.put(id, finding.unwrap_or_else(|error| Finding::not_run(error.with_causes())));
    }

    /// Whether the check of this id was made and did not fail.
    pub(super) fn is_good(&self, id: &str) -> bool {
        self.found.get(id).is_some_and(|finding| matches!(finding.outcome, Outcome::Pass | Outcome::Warn))
    }

    /// Says what ended the examination of a server: the reason of each check of it that was not made.
    pub(super) fn stop(&mut self, error: &Error) {
        self.stopped = Some(error.with_causes());
    }

    /// Takes the findings of a server in.
    pub(super) fn join(&mut self, part: Part, other: Self) {
        if let Some(why) = other.stopped {
            for entry in CHECKS.iter().filter(|entry| entry.part() == part && !other.found.contains_key(entry.id)) {
                self.put(entry.id, Finding::not_run(why.clone()));
            }
        }
        self.found.extend(other.found);
    }

    /// The report: every check of the parts in use has its place in it, also one that was not made.
    pub(super) fn report(mut self, pipeline: &str, parts: &[Part]) -> Report {
        let mut checks: Vec<Check> = Vec::new();
        for entry in CHECKS.iter().filter(|entry| parts.contains(&entry.part())) {
            let finding = self.found.remove(entry.id).unwrap_or_else(|| not_made(entry, &checks));
            checks.push(Check {
                id: entry.id,
                part: entry.part(),
                title: entry.title,
                needed: entry.needed,
                seen: finding.seen,
                outcome: finding.outcome,
                objects: finding.objects,
                remedy: finding.remedy,
            });
        }
        Report { pipeline: pipeline.to_owned(), checks }
    }
}

fn not_made(entry: &Entry, before: &[Check]) -> Finding {
    let why = match before.iter().find(|check| check.id == entry.after).map(|check| &check.outcome) {
        Some(Outcome::Fail) => format!("{} failed", entry.after),
        Some(Outcome::NotRun { .. }) => format!("{} was not run", entry.after),
        _ => "there is nothing to look at yet".to_owned(),
    };
    Finding::not_run(why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn a_dead_server_fails_once_and_the_rest_is_not_run() {
        let mut findings = Findings::default();
        findings.put("postgres.reachable", Finding::fail("connection refused"));
        let report = findings.report("shop", &[Part::Postgres]);
        assert!(report.failed());
        let summary = report.summary();
        assert_eq!((summary.pass, summary.warn, summary.fail), (0, 0, 1));
        let table_check = report.checks.iter().find(|check| check.id == "postgres.select").unwrap();
        assert_eq!(table_check.outcome, Outcome::NotRun { why: "postgres.tables was not run".to_owned() });
    }

    #[test]
    fn an_error_is_not_a_failure() {
        let mut findings = Findings::default();
        let error = Error::new(Kind::Source, "could not read the slots").because("permission denied");
        findings.put_result("postgres.slot", Err(error));
        assert!(!findings.is_good("postgres.slot"));
        assert!(!findings.report("shop", &[Part::Postgres]).failed());
    }
}
