//! From topics to what is shown: records are read, understood, and kept where they meet the conditions.

use super::entry::{Entry, Record};
use super::filter::Filter;
use super::json;
use super::kafka::{Plan, Reader};
use super::reading::Reading;
use super::registry::Schemas;
use crate::config::KafkaSettings;
use crate::error::Result;
use tokio::runtime::Handle;

/// What is kept of what was read.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// A condition.
    pub filter: Option<Filter>,
    /// A key.
    pub key: Option<KeyFilter>,
}

impl Wanted {
    /// Whether an entry is wanted.
    pub fn takes(&self, entry: &Entry) -> bool {
        self.key.as_ref().is_none_or(|key| key.takes(entry))
            && self.filter.as_ref().is_none_or(|filter| filter.takes(entry))
    }

    fn is_everything(&self) -> bool {
        self.filter.is_none() && self.key.is_none()
    }
}

/// A key that records must have: `42`, `order_id=100,line_no=1`, or the whole key as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFilter(String);

impl KeyFilter {
    /// Takes the key as it was written on the command line.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Whether an entry has the key.
    pub fn takes(&self, entry: &Entry) -> bool {
        if entry.key.is_empty() {
            return false;
        }
        if let [one] = entry.key.as_slice()
            && (one.shown == self.0 || json::unquoted(&one.json) == self.0)
        {
            return true;
        }
        let pairs: Vec<String> = entry.key.iter().map(|column| format!("{}={}", column.name, column.shown)).collect();
        let members = json::members(&self.0);
        let by_json = || {
            members.len() == entry.key.len()
                && members
                    .iter()
                    .all(|(name, value)| entry.key.iter().any(|column| column.name == *name && column.json == *value))
        };
        pairs.join(",") == self.0.replace(", ", ",") || (json::is_json(&self.0) && by_json())
    }
}

/// Something to show.
#[derive(Debug, Clone)]
pub struct Shown {
    /// The record, where it came from Kafka.
    pub record: Option<Record>,
    /// What it says; none where nobody asked, since its bytes alone are shown.
    pub entry: Option<Entry>,
}

/// What came at once.
#[derive(Debug, Default)]
pub struct Batch {
    /// What is to be shown, in order.
    pub shown: Vec<Shown>,
    /// Records that were read and met no condition.
    pub left_out: u64,
    /// Records that could not be understood: where they lie and why.
    pub unreadable: Vec<String>,
    /// What there is to tell besides.
    pub notes: Vec<String>,
}

/// Reads topics and understands them. Its calls block: not for a task of the runtime.
#[derive(Debug)]
pub struct Follow {
    reader: Reader,
    reading: Reading,
    schemas: Schemas,
    wanted: Wanted,
    raw: bool,
}

impl Follow {
    /// Begins to read. With `raw`, records are only understood where a condition needs it. The handle is the runtime's, for the schema registry.
    ///
    /// # Errors
    /// As [`Reader::open`], and [`crate::error::Kind::Config`] where the registry's URL cannot be used.
    pub fn open(settings: &KafkaSettings, plan: Plan, (wanted, raw): (Wanted, bool), handle: Handle) -> Result<Self> {
        let schemas = Schemas::new(settings, handle)?;
        let mut reader = Reader::open(settings, plan)?;
        reader.tell_what_is_read();
        Ok(Self { reader, reading: Reading::default(), schemas, wanted, raw })
    }

    /// What comes next, or nothing within a moment; `None` when all that was asked for has been read.
    ///
    /// # Errors
    /// As [`Reader::read`].
    pub fn read(&mut self) -> Result<Option<Batch>> {
        let Some(records) = self.reader.read()? else { return Ok(None) };
        let mut batch = Batch { notes: self.reader.notes(), ..Batch::default() };
        for record in records {
            if self.raw && self.wanted.is_everything() {
                batch.shown.push(Shown { record: Some(record), entry: None });
                continue;
            }
            match self.reading.read(&record, &mut self.schemas) {
                Ok(entry) if self.wanted.takes(&entry) => {
                    batch.shown.push(Shown { record: Some(record), entry: Some(entry) });
                }
                Ok(_) => batch.left_out += 1,
                Err(why) => batch.unreadable.push(format!("{}: {why}", record.place())),
            }
        }
        Ok(Some(batch))
    }
}
