//! What a check found, and what mends it.

use serde::Serialize;

/// How a check came out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// All is well.
    Pass,
    /// It works, with something to know or to do.
    Warn,
    /// A pipeline would fail, or break something, because of this.
    Fail,
    /// The check could not be made: not the same as a failure.
    NotRun {
        /// What stood in its way.
        why: String,
    },
}

impl Outcome {
    /// One word for it, as in the JSON output.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Warn => "warn",
            Self::Fail => "fail",
            Self::NotRun { .. } => "not_run",
        }
    }
}

/// Where the statements of a remedy are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// In Postgres, in the pipeline's database.
    Postgres,
    /// In ClickHouse.
    ClickHouse,
    /// Nowhere: the note says what to do.
    Hand,
}

/// What mends a finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Remedy {
    /// Where its statements are run.
    pub place: Place,
    /// The statements or configuration lines, in order, without a closing semicolon.
    pub statements: Vec<String>,
    /// Whether the server must be started again for them to count.
    pub restart: bool,
    /// Whether `--fix` runs them: they need no restart, no other role, and take nothing away.
    pub automatic: bool,
    /// What else there is to say.
    pub note: Option<String>,
}

impl Remedy {
    /// Statements that `--fix` runs.
    pub(super) fn automatic(place: Place, statements: Vec<String>) -> Self {
        Self { place, statements, restart: false, automatic: true, note: None }
    }

    /// Statements that are shown only: they take another role, take something away, or touch the application.
    pub(super) fn shown(place: Place, statements: Vec<String>) -> Self {
        Self { automatic: false, ..Self::automatic(place, statements) }
    }

    /// What to do where no statement does it.
    pub(super) fn advice(note: impl Into<String>) -> Self {
        Self { note: Some(note.into()), ..Self::shown(Place::Hand, Vec::new()) }
    }

    /// Leaves the statements to somebody else unless `may` holds.
    pub(super) fn automatic_if(mut self, may: bool) -> Self {
        self.automatic &= may;
        self
    }

    /// The server must be started again; so `--fix` does not run it.
    pub(super) fn needs_restart(mut self) -> Self {
        self.restart = true;
        self.automatic = false;
        self
    }

    /// Adds what else there is to say.
    pub(super) fn note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }
}

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) outcome: Outcome,
    pub(super) seen: String,
    pub(super) objects: Vec<String>,
    pub(super) remedy: Option<Remedy>,
}

impl Finding {
    fn new(outcome: Outcome, seen: impl Into<String>) -> Self {
        Self { outcome, seen: seen.into(), objects: Vec::new(), remedy: None }
    }

    pub(super) fn pass(seen: impl Into<String>) -> Self {
        Self::new(Outcome::Pass, seen)
    }

    pub(super) fn warn(seen: impl Into<String>) -> Self {
        Self::new(Outcome::Warn, seen)
    }

    pub(super) fn fail(seen: impl Into<String>) -> Self {
        Self::new(Outcome::Fail, seen)
    }

    pub(super) fn not_run(why: impl Into<String>) -> Self {
        Self::new(Outcome::NotRun { why: why.into() }, "")
    }

    /// Adds what mends it.
    pub(super) fn mend(mut self, remedy: Remedy) -> Self {
        self.remedy = Some(remedy);
        self
    }

    /// Adds the tables, slots or transactions that it is about.
    pub(super) fn about(mut self, objects: Vec<String>) -> Self {
        self.objects = objects;
        self
    }
}

/// A list for people: the first names, and how many more there are.
pub(super) fn some_of(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let shown: Vec<&str> = names.iter().take(SHOWN).map(String::as_str).collect();
    match names.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// `1 table`, `2 tables`.
pub(super) fn count(number: usize, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{number} {thing}s") }
}

/// Bytes for people.
pub(super) fn bytes(number: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut value = number as f64;
    let mut unit = "B";
    for next in UNITS {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    if unit == "B" { format!("{number} B") } else { format!("{value:.1} {unit}") }
}

/// A span of seconds for people.
pub(super) fn seconds(number: f64) -> String {
    let whole = number.max(0.0) as u64;
    match whole {
        0 => format!("{:.0} ms", number.max(0.0) * 1000.0),
        1..120 => format!("{whole} s"),
        120..7200 => format!("{} min", whole / 60),
        7200..172_800 => format!("{} h", whole / 3600),
        _ => format!("{} days", whole / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!([bytes(0), bytes(1023), bytes(1536), bytes(5 << 40)].join(" "), "0 B 1023 B 1.5 KiB 5.0 TiB");
        assert_eq!([seconds(0.25), seconds(61.0), seconds(600.0), seconds(8000.0)].join(" "), "250 ms 61 s 10 min 2 h");
        let names: Vec<String> = (0..10).map(|n| n.to_string()).collect();
        assert_eq!(some_of(&names), "0, 1, 2, 3, 4, 5, 6, 7 and 2 more");
    }

    #[test]
    fn what_needs_a_restart_is_not_automatic() {
        let remedy = Remedy::automatic(Place::Postgres, vec!["ALTER SYSTEM SET wal_level = 'logical'".to_owned()]);
        assert!(remedy.automatic && !remedy.clone().needs_restart().automatic);
    }
}
