//! An entry as one line for people.

use super::entry::{Change, Column, Entry, Op, Place, What};
use super::moment;
use std::fmt::Write as _;

/// How wide one value may be on a line that is cut.
const VALUE_WIDTH: usize = 60;
const OP_WIDTH: usize = 9;

/// What lines look like.
#[derive(Debug, Clone, Copy, Default)]
pub struct Style {
    /// With colours.
    pub color: bool,
    /// Lines are cut at so many characters; never where absent.
    pub width: Option<usize>,
    /// All columns, and where the record lies.
    pub full: bool,
    /// The day stands on a line of its own when it changes, not on every line.
    pub day_apart: bool,
}

/// Colours, as the numbers of SGR (<https://www.ecma-international.org/publications-and-standards/standards/ecma-48/>).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Paint {
    Plain,
    Dim,
    Bold,
    Red,
    Green,
    Yellow,
    Blue,
    Magenta,
    Cyan,
}

impl Paint {
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Dim => "90",
            Self::Bold => "1",
            Self::Red => "31",
            Self::Green => "32",
            Self::Yellow => "33",
            Self::Blue => "34",
            Self::Magenta => "35",
            Self::Cyan => "36",
        }
    }
}

/// Writes entries as lines.
#[derive(Debug)]
pub struct Lines {
    style: Style,
    day: String,
}

impl Lines {
    /// Lines of a style.
    pub fn new(style: Style) -> Self {
        Self { style, day: String::new() }
    }

    /// The line of an entry, without its end; before it, where that is wanted, a line that tells the day.
    pub fn line(&mut self, entry: &Entry) -> String {
        let mut pieces = Pieces { list: Vec::new(), cut_values: self.style.width.is_some() };
        let (day, time) = entry.committed.or(entry.timestamp).map(moment::day_and_time).unwrap_or_default();
        if self.style.day_apart {
            pieces.add(Paint::Dim, format!("{time:<12}"));
        } else {
            pieces.add(Paint::Dim, format!("{day} {time}"));
        }
        describe(entry, self.style.full, &mut pieces);
        let line = self.drawn(&pieces.list);
        if self.style.day_apart && !day.is_empty() && day != self.day {
            let heading = self.drawn(&[(Paint::Dim, format!("-- {day} (UTC)"))]);
            self.day = day;
            return format!("{heading}\n{line}");
        }
        line
    }

    /// Pieces with a space between them, cut to the width.
    fn drawn(&self, pieces: &[(Paint, String)]) -> String {
        let (mut line, mut used) = (String::new(), 0);
        for (paint, text) in pieces {
            let gap = usize::from(used > 0);
            let left = self.style.width.map(|width| width.saturating_sub(used + gap));
            let is_cut = left.is_some_and(|left| width_of(text) > left);
            let text = if is_cut { cut(text, left.unwrap_or_default()) } else { text.clone() };
            if gap > 0 && !text.is_empty() {
                line.push(' ');
            }
            used += gap + width_of(&text);
            let code = paint.code();
            if self.style.color && !code.is_empty() && !text.is_empty() {
                // Writing to a String cannot fail.
                write!(line, "\x1b[{code}m{text}\x1b[0m").ok();
            } else {
                line.push_str(&text);
            }
            if is_cut {
                break;
            }
        }
        line.truncate(line.trim_end().len());
        line
    }
}

struct Pieces {
    list: Vec<(Paint, String)>,
    cut_values: bool,
}

impl Pieces {
    fn add(&mut self, paint: Paint, text: impl Into<String>) {
        let text = text.into();
        if !text.is_empty() {
            self.list.push((paint, text));
        }
    }

    fn value(&self, column: &Column) -> String {
        if column.unchanged {
            return "«unchanged»".to_owned();
        }
        if column.is_null() {
            return "null".to_owned();
        }
        let written = written(&column.shown);
        if self.cut_values { cut(&written, VALUE_WIDTH) } else { written }
    }

    fn key(&self, column: &Column) -> String {
        let value = self.value(column);
        if column.name.is_empty() { value } else { format!("{}={value}", name(&column.name)) }
    }

    fn column(&mut self, column: &Column) {
        let value = self.value(column);
        let paint = if column.unchanged || column.is_null() { Paint::Dim } else { Paint::Plain };
        self.add(paint, format!("{}={value}", name(&column.name)));
    }
}

fn describe(entry: &Entry, full: bool, pieces: &mut Pieces) {
    let (word, paint) = word(entry);
    pieces.add(paint, format!("{word:<OP_WIDTH$}"));
    pieces.add(Paint::Bold, table(entry));
    let is_row = matches!(entry.what, What::Change(_) | What::Tombstone);
    let place = entry.place.as_ref().filter(|_| full || !is_row);
    pieces.add(Paint::Dim, place.map(Place::to_string).unwrap_or_default());
    if full || is_row || matches!(entry.what, What::Plain(_)) {
        let key: Vec<String> = entry.key.iter().map(|column| pieces.key(column)).collect();
        pieces.add(Paint::Cyan, key.join(","));
    }
    pieces.add(Paint::Dim, entry.lsn.map(|lsn| lsn.to_string()).unwrap_or_default());
    match &entry.what {
        What::Change(change) => described_change(entry, change, full, pieces),
        What::Begin => pieces.add(Paint::Plain, xid(entry)),
        What::Commit { events, tables } => {
            pieces.add(Paint::Plain, xid(entry));
            pieces.add(Paint::Plain, events.map(|events| format!("events={events}")).unwrap_or_default());
            for (table, events) in tables {
                pieces.add(Paint::Plain, format!("{}={events}", escape(table)));
            }
        }
        What::Message { prefix, content } => {
            pieces.add(Paint::Bold, written(prefix));
            pieces.add(Paint::Plain, pieces.value(content));
        }
        What::Plain(value) => pieces.add(Paint::Plain, plain(value, pieces.cut_values)),
        What::Tombstone | What::Heartbeat => {}
    }
}

fn described_change(entry: &Entry, change: &Change, full: bool, pieces: &mut Pieces) {
    let snapshot =
        change.snapshot.as_deref().filter(|snapshot| full || matches!(*snapshot, "incremental" | "blocking"));
    pieces.add(Paint::Dim, snapshot.map(|snapshot| format!("snapshot={}", escape(snapshot))).unwrap_or_default());
    if full {
        pieces.add(Paint::Dim, xid(entry));
    }
    if let Some(other) = &change.other_key {
        let word = if change.op == Op::Delete { "moves to" } else { "was" };
        pieces.add(Paint::Magenta, format!("{word} {}", escape(other)));
    }
    let is_key = |column: &Column| entry.key.iter().any(|key| key.name == column.name);
    match (change.op, change.changed()) {
        (Op::Delete, _) => {
            let before = change.before.iter().flatten();
            if change.before_is_real {
                before.filter(|column| full || !is_key(column)).for_each(|column| pieces.column(column));
            } else if full && change.before.is_some() {
                before.for_each(|column| pieces.column(column));
                pieces.add(Paint::Dim, "(Postgres sent the key alone; the rest is the connector's)");
            }
        }
        (Op::Update, Some(changed)) if !full => {
            for column in changed {
                updated(change, column, pieces);
            }
        }
        (Op::Update, Some(changed)) => {
            for column in change.after.iter().flatten() {
                if changed.iter().any(|other| other.name == column.name) {
                    updated(change, column, pieces);
                } else {
                    pieces.column(column);
                }
            }
        }
        _ => {
            let after = change.after.iter().flatten();
            // What a new row does not have says little; what an update sets to NULL says much.
            let is_told = |column: &Column| change.op == Op::Update || !column.is_null();
            after.filter(|column| full || is_told(column) && !is_key(column)).for_each(|column| pieces.column(column));
        }
    }
}

/// `name=old→new`.
fn updated(change: &Change, column: &Column, pieces: &mut Pieces) {
    let old = change.old(&column.name).map(|old| format!("{}→", pieces.value(old))).unwrap_or_default();
    let value = pieces.value(column);
    pieces.add(Paint::Plain, format!("{}={old}{value}", name(&column.name)));
}

fn word(entry: &Entry) -> (&'static str, Paint) {
    match &entry.what {
        What::Change(change) => (
            change.op.word(),
            match change.op {
                Op::Read => Paint::Blue,
                Op::Create => Paint::Green,
                Op::Update => Paint::Yellow,
                Op::Delete => Paint::Red,
                Op::Truncate => Paint::Magenta,
                Op::Upsert => Paint::Green,
            },
        ),
        What::Tombstone => ("TOMBSTONE", Paint::Dim),
        What::Begin => ("BEGIN", Paint::Dim),
        What::Commit { .. } => ("COMMIT", Paint::Dim),
        What::Heartbeat => ("HEARTBEAT", Paint::Dim),
        What::Message { .. } => ("MESSAGE", Paint::Cyan),
        What::Plain(_) => ("RECORD", Paint::Plain),
    }
}

fn xid(entry: &Entry) -> String {
    entry.xid.map(|xid| format!("xid={xid}")).unwrap_or_default()
}

/// The table, without the schema `public`.
fn table(entry: &Entry) -> String {
    match (entry.schema.as_str(), entry.table.as_str()) {
        (_, "") => String::new(),
        ("" | "public", table) => escape(table),
        (schema, table) => format!("{}.{}", escape(schema), escape(table)),
    }
}

/// A value that is no column: JSON as it is, text without quotes.
fn plain(value: &Column, is_cut: bool) -> String {
    let text = escape(&value.shown);
    // The line is cut anyway; this only spares the work.
    if is_cut { text.chars().take(2000).collect() } else { text }
}

fn name(name: &str) -> String {
    let is_word = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || "_-$.".contains(c));
    if is_word { name.to_owned() } else { format!("\"{}\"", escape(name)) }
}

/// A value so that it can be told from its neighbours: texts with spaces in quotes, those that hold JSON as they are.
fn written(text: &str) -> String {
    let escaped = escape(text);
    let is_composed = (text.starts_with('{') && text.ends_with('}')) || (text.starts_with('[') && text.ends_with(']'));
    if is_composed {
        return escaped;
    }
    let is_odd = |c: char| c.is_whitespace() || matches!(c, '"' | '=' | ',' | '→' | '«');
    if text.is_empty() || text == "null" || text.contains(is_odd) {
        return format!("\"{}\"", escaped.replace('"', "\\\""));
    }
    escaped
}

/// Without what a terminal would take for a command, or what would change the order of the letters around it.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}' => {
                out.push_str(&c.escape_unicode().to_string());
            }
            c if c.is_control() => out.push_str(&c.escape_unicode().to_string()),
            c => out.push(c),
        }
    }
    out
}

/// Cells that a text takes up on a terminal: East Asian letters and emoji take two, combining marks none.
fn width_of(text: &str) -> usize {
    text.chars().map(cells).sum()
}

fn cells(c: char) -> usize {
    match u32::from(c) {
        0x0300..=0x036F | 0x200B..=0x200D | 0xFE00..=0xFE0F => 0,
        0x1100..=0x115F | 0x2E80..=0x303E | 0x3041..=0xA4CF | 0xAC00..=0xD7A3 | 0xF900..=0xFAFF | 0xFE30..=0xFE6F => 2,
        0xFF00..=0xFF60 | 0xFFE0..=0xFFE6 | 0x1_F300..=0x1_FAFF | 0x2_0000..=0x3_FFFD => 2,
        _ => 1,
    }
}

/// The head of a text that fits, with a mark that it goes on.
fn cut(text: &str, width: usize) -> String {
    if width_of(text) <= width {
        return text.to_owned();
    }
    let (mut out, mut used) = (String::new(), 0);
    for c in text.chars() {
        used += cells(c);
        if used >= width {
            break;
        }
        out.push(c);
    }
    if width > 0 {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests;
