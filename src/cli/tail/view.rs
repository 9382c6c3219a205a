//! What `pipectl tail` prints of changes and records.

use super::Args;
use crate::cli::Context;
use comfy_table::Table;
use pipectl::error::Result;
use pipectl::tail::{Batch, Lines, Record, Shown, Style, document};
use std::fmt::Write as _;
use std::io::IsTerminal;

/// Prints batches, and counts.
pub(super) struct View<'a> {
    context: &'a Context,
    lines: Lines,
    form: Form,
    most: Option<u64>,
    shown: u64,
    left_out: u64,
    unreadable: u64,
}

#[derive(Clone, Copy)]
enum Form {
    Lines,
    Json,
    Raw { with_key: bool },
}

impl<'a> View<'a> {
    pub(super) fn new(args: &Args, context: &'a Context) -> Self {
        let terminal = std::io::stdout().is_terminal();
        let width = Table::new().width().filter(|_| terminal && !args.full && !args.no_cut);
        let style = Style {
            color: context.output.color_stdout(),
            width: width.map(usize::from),
            full: args.full,
            day_apart: terminal,
        };
        let form = match (args.raw, context.output.is_json()) {
            (true, _) => Form::Raw { with_key: args.with_key },
            (false, true) => Form::Json,
            (false, false) => Form::Lines,
        };
        let lines = Lines::new(style);
        Self { context, lines, form, most: args.count, shown: 0, left_out: 0, unreadable: 0 }
    }

    /// Prints what came; says whether enough has been shown.
    ///
    /// # Errors
    /// Where stdout is closed or cannot be written.
    pub(super) fn show(&mut self, batch: &Batch) -> Result<bool> {
        let output = &self.context.output;
        batch.notes.iter().for_each(|note| output.message(note));
        self.left_out += batch.left_out;
        let left = self.most.map_or(usize::MAX, |most| usize::try_from(most - self.shown).unwrap_or(usize::MAX));
        let mut bytes = Vec::new();
        for shown in batch.shown.iter().take(left) {
            self.shown += 1;
            self.write(shown, &mut bytes);
        }
        if !bytes.is_empty() {
            output.bytes(&bytes)?;
        }
        self.unreadable += batch.unreadable.len() as u64;
        for what in &batch.unreadable {
            output.error_line(&format!("could not read {}", pipectl::tail::escape(what)));
        }
        Ok(self.most.is_some_and(|most| self.shown >= most))
    }

    fn write(&mut self, shown: &Shown, bytes: &mut Vec<u8>) {
        match (self.form, &shown.entry, &shown.record) {
            (Form::Raw { with_key }, _, Some(record)) => raw(record, with_key, bytes),
            (Form::Json, Some(entry), _) => bytes.extend(document(entry).into_bytes()),
            (_, Some(entry), _) => bytes.extend(self.lines.line(entry).into_bytes()),
            (_, None, _) => return,
        }
        bytes.push(b'\n');
    }

    /// How much it was, on stderr.
    pub(super) fn summary(&self) {
        let mut text = format!("{} shown", counted(self.shown));
        if self.left_out > 0 {
            // Writing to a String cannot fail.
            write!(text, ", {} left out by the conditions", self.left_out).ok();
        }
        if self.unreadable > 0 {
            write!(text, ", {} could not be read", self.unreadable).ok();
        }
        self.context.output.message(&text);
    }
}

fn counted(records: u64) -> String {
    if records == 1 { "1 record".to_owned() } else { format!("{records} records") }
}

fn raw(record: &Record, with_key: bool, bytes: &mut Vec<u8>) {
    if with_key {
        bytes.extend(record.key.iter().flatten());
        bytes.push(b'\t');
    }
    bytes.extend(record.value.iter().flatten());
}
