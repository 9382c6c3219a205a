//! The one error type of the library, and the one table that says what follows from each kind.
//!
//! An error has three parts for the user: what was being tried (`message`, lower case, no full stop), what caused it
//! (the chain of `source`), and what to do about it (`hint`). It never carries a row's values or a secret.

use std::error::Error as StdError;
use std::fmt;

/// A result of this library.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What sort of failure it was: decides the exit code and whether trying again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A fault of pipectl itself, or of the machine it runs on.
    Unexpected,
    /// The command line asks for something that does not go together.
    Usage,
    /// The configuration file, or what it names, is wrong.
    Config,
    /// A check ran and found something: doctor, verify, `--check`.
    Finding,
    /// Postgres, or Kafka, said no: trying again changes nothing.
    Source,
    /// The source could not be reached, or went away: worth trying again.
    SourceUnreachable,
    /// What the source still has and what was stored do not join: a gap, another server, a lost slot.
    SourceGap,
    /// ClickHouse said no: trying again changes nothing.
    Destination,
    /// ClickHouse could not be reached, is overloaded or its answer was lost: worth trying again.
    DestinationUnreachable,
    /// A value or a schema that cannot be carried without changing it.
    Value,
}

/// What follows from a [`Kind`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Whether a long-running command tries again by itself.
    pub retry: bool,
    /// The exit code of the process.
    pub exit_code: u8,
}

impl Kind {
    /// The table from kind to consequence; matched without a wildcard, so that a new kind has to take a stand.
    pub fn policy(self) -> Policy {
        let (retry, exit_code) = match self {
            Self::Unexpected => (false, 1),
            Self::Usage => (false, 2),
            Self::Config => (false, 3),
            Self::Finding => (false, 4),
            Self::Source => (false, 5),
            Self::SourceUnreachable => (true, 5),
            Self::SourceGap => (false, 5),
            Self::Destination => (false, 6),
            Self::DestinationUnreachable => (true, 6),
            Self::Value => (false, 7),
        };
        Policy { retry, exit_code }
    }
}

/// A failure: its kind, what was being tried, what to do about it and what caused it.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    message: String,
    hint: Option<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error that says what was being tried: lower case, no full stop, names in double quotes.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None, source: None }
    }

    /// Adds what to do about it; shown on a line of its own.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds what caused it; shown as `caused by:`.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Wraps an error of this library in what was being tried: kind and hint stay those of the cause.
    #[must_use]
    pub fn during(self, message: impl Into<String>) -> Self {
        Self { kind: self.kind, message: message.into(), hint: self.hint.clone(), source: Some(Box::new(self)) }
    }

    /// The message and what caused it, on one line, as [`chain`] has it.
    pub fn with_causes(&self) -> String {
        chain(self)
    }

    /// The sort of failure.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What was being tried.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to do about it.
    pub fn hint_text(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

/// An error and what caused it, on one line; each said once, since many libraries repeat the cause in their own text.
pub fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let words = next.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = next.source();
    }
    text
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_ref().map(|source| source.as_ref() as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_exit_code() {
        let codes = [
            (Kind::Unexpected, 1),
            (Kind::Usage, 2),
            (Kind::Config, 3),
            (Kind::Finding, 4),
            (Kind::Source, 5),
            (Kind::SourceGap, 5),
            (Kind::Destination, 6),
            (Kind::Value, 7),
        ];
        for (kind, code) in codes {
            assert_eq!(kind.policy(), Policy { retry: false, exit_code: code }, "{kind:?}");
        }
        assert_eq!(Kind::SourceUnreachable.policy(), Policy { retry: true, exit_code: 5 });
        assert_eq!(Kind::DestinationUnreachable.policy(), Policy { retry: true, exit_code: 6 });
    }

    #[test]
    fn context_keeps_kind_and_hint() {
        let error = Error::new(Kind::Source, "connection refused").hint("start it").during("could not read the slot");
        assert_eq!(error.kind(), Kind::Source);
        assert_eq!(error.hint_text(), Some("start it"));
        assert_eq!(error.to_string(), "could not read the slot");
        assert_eq!(error.with_causes(), "could not read the slot: connection refused");
        assert_eq!(error.source().map(ToString::to_string).as_deref(), Some("connection refused"));
    }
}
