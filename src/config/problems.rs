//! Everything that is wrong, collected, so that one run tells it all.

use crate::error::{Error, Kind};
use std::cell::RefCell;
use std::path::Path;

/// What is wrong in one place.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Problem {
    line: Option<usize>,
    path: String,
    what: String,
}

/// The problems found so far.
#[derive(Debug, Default)]
pub(super) struct Problems(RefCell<Vec<Problem>>);

impl Problems {
    /// Adds one: the line where it stands in the YAML, the path of the key, and what is wrong.
    pub(super) fn add(&self, line: Option<usize>, path: &str, what: impl Into<String>) {
        let problem = Problem { line, path: path.to_owned(), what: what.into() };
        let mut found = self.0.borrow_mut();
        if !found.contains(&problem) {
            found.push(problem);
        }
    }

    /// Nothing, or one error that lists them all in the order of their lines.
    pub(super) fn into_error(self, file: &Path) -> Option<Error> {
        let mut found = self.0.into_inner();
        found.sort_by_key(|problem| problem.line.unwrap_or(usize::MAX));
        let count = match found.len() {
            0 => return None,
            1 => "1 error".to_owned(),
            count => format!("{count} errors"),
        };
        let list: Vec<String> = found
            .iter()
            .map(|Problem { line, path, what }| match (line, path.as_str()) {
                (Some(line), "") => format!("  line {line}: {what}"),
                (Some(line), path) => format!("  line {line}: {path}: {what}"),
                (None, path) => format!("  {path}: {what}"),
            })
            .collect();
        let message = format!("\"{}\" has {count}\n{}", file.display(), list.join("\n"));
        Some(Error::new(Kind::Config, message))
    }
}
