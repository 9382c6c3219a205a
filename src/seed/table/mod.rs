//! Rows for a table of the user's own.
//!
//! Values follow the columns' types and names. Foreign keys refer to rows that are there, unique columns get values that are not,
//! enums one of their labels, and what Postgres makes itself is left to it. CHECK constraints cannot be known: the server's refusal
//! is shown.

mod catalog;
mod meaning;
mod moment;
mod plan;
mod recipe;
mod row;

use super::copy::{Abandoned, COPY_ROWS, PIECE_BYTES, Piece, Pieces, Target, load};
use super::random::{percent, row_rng};
use super::vocabulary::Vocabulary;
use super::{Event, TableRows};
use crate::change::TableName;
use crate::decode::time::MICROS_PER_DAY;
use crate::error::{Error, Kind, Result};
use crate::server::postgres::{Connection, quote_ident, quote_table};
use bytes::{BufMut, Bytes, BytesMut};
use catalog::TableFacts;
use plan::Plan;
use rand::Rng;
use rand::rngs::SmallRng;
use recipe::Recipe;
use row::Row;
use std::time::Instant;

const TABLE_STREAM: u64 = 0x7461_626c;
/// 2024-01-01, and the two years after it, in which rows have their moment.
const FIRST_MOMENT: i64 = 1_704_067_200_000_000;
const WITHIN: i64 = 731 * MICROS_PER_DAY;

/// What to fill a table with.
#[derive(Debug, Clone)]
pub struct TableFill {
    /// Which table.
    pub table: TableName,
    /// How many rows.
    pub rows: u64,
    /// The same seed on the same tables makes the same rows.
    pub seed: u64,
}

/// A column that gets no value, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// The column's name.
    pub column: String,
    /// Why there is none.
    pub why: String,
    /// What stands there instead: `NULL` or `its default`.
    pub instead: &'static str,
}

/// A table that is ready to be filled.
#[derive(Debug)]
pub struct TablePlan {
    fill: TableFill,
    facts: TableFacts,
    plan: Plan,
}

impl TablePlan {
    /// Columns that get no value, and why.
    pub fn left_out(&self) -> &[LeftOut] {
        &self.plan.left_out
    }
}

/// Looks at a table and works out what each column gets. Moves a sequence on that fell behind its column.
///
/// # Errors
/// [`Kind::Source`] where there is no such table; [`Kind::Value`] where a column that needs a value cannot get one.
pub async fn plan_table(connection: &Connection, fill: TableFill) -> Result<TablePlan> {
    let facts = TableFacts::read(connection, &fill.table).await?;
    let plan = plan::plan(connection, &facts, fill.rows).await?;
    if plan.columns.is_empty() {
        return Err(Error::new(
            Kind::Value,
            format!("could not fill {}: it has no column that a value can be given to", fill.table),
        ));
    }
    Ok(TablePlan { fill, facts, plan })
}

/// Fills the table.
///
/// # Errors
/// [`Kind::Source`] where the server refuses a row; it names the constraint.
pub async fn fill_table(
    connection: &Connection,
    plan: TablePlan,
    events: &mut (dyn FnMut(Event<'_>) + Send),
) -> Result<TableRows> {
    let table = plan.fill.table.to_string();
    events(Event::Planned { table: &table, rows: plan.fill.rows });
    let started = Instant::now();
    let mut done = TableRows::new(&table, 0);
    let written = |table: &str, rows| {
        events(Event::Rows { table, rows });
        done.add(rows, started);
    };
    load(connection, move |pieces: &Pieces| hand_over(&plan, pieces), written).await?;
    Ok(done)
}

fn hand_over(plan: &TablePlan, pieces: &Pieces) -> Result<(), Abandoned> {
    let name = |place: usize| plan.facts.columns.get(place).map(|column| quote_ident(&column.name));
    let columns: Vec<String> = plan.plan.columns.iter().filter_map(|column| name(column.place)).collect();
    let statement = format!("COPY {} ({}) FROM STDIN", quote_table(&plan.fill.table), columns.join(", "));
    let target = Target { table: plan.fill.table.to_string().into(), statement: statement.into() };
    let mut writer = RowWriter::new(plan);
    let mut index = 0;
    while index < plan.fill.rows {
        pieces.hand_over(Piece::Begin(target.clone()))?;
        let end = plan.fill.rows.min(index + COPY_ROWS);
        let mut in_piece = 0;
        while index < end {
            writer.write(index);
            index += 1;
            in_piece += 1;
            if writer.lines.len() >= PIECE_BYTES || index == end {
                pieces.hand_over(Piece::Data(writer.take(), in_piece))?;
                in_piece = 0;
            }
        }
        pieces.hand_over(Piece::End)?;
    }
    Ok(())
}

/// Writes rows in the text format of COPY (<https://www.postgresql.org/docs/current/sql-copy.html>).
struct RowWriter<'a> {
    plan: &'a TablePlan,
    vocabulary: Vocabulary,
    values: Vec<Option<String>>,
    draws: Vec<Option<usize>>,
    lines: BytesMut,
}

impl<'a> RowWriter<'a> {
    fn new(plan: &'a TablePlan) -> Self {
        let vocabulary = Vocabulary::new(plan.fill.seed);
        Self { plan, vocabulary, values: Vec::new(), draws: Vec::new(), lines: BytesMut::new() }
    }

    fn take(&mut self) -> Bytes {
        self.lines.split().freeze()
    }

    fn write(&mut self, index: u64) {
        let mut rng = row_rng(self.plan.fill.seed ^ self.plan.plan.salt, TABLE_STREAM, index);
        self.draw(index, &mut rng);
        let country = self.vocabulary.country(&mut rng);
        let moment = FIRST_MOMENT + rng.random_range(0..WITHIN);
        let mut row = Row { rng, vocabulary: &self.vocabulary, country, moment, index, salt: self.plan.plan.salt };
        self.values.clear();
        for column in &self.plan.plan.columns {
            let null = column.nulls > 0 && percent(&mut row.rng, column.nulls);
            let value = match &column.recipe {
                _ if null => None,
                Recipe::Group { group, place } => drawn(self.plan, &self.draws, *group, *place).map(str::to_owned),
                recipe => {
                    let mut value = String::new();
                    row.write(recipe, &mut value);
                    Some(value)
                }
            };
            self.values.push(value);
        }
        self.line();
    }

    fn draw(&mut self, index: u64, rng: &mut SmallRng) {
        self.draws.clear();
        for group in &self.plan.plan.groups {
            let draw = match group.listed.get(index as usize) {
                Some(&listed) => Some(listed as usize),
                None if group.nulls > 0 && percent(rng, group.nulls) => None,
                None => Some(rng.random_range(0..group.tuples.len().max(1))),
            };
            self.draws.push(draw);
        }
    }

    fn line(&mut self) {
        for (at, column) in self.plan.plan.columns.iter().enumerate() {
            if at > 0 {
                self.lines.put_u8(b'\t');
            }
            let own = match column.recipe {
                Recipe::SameAs(place) => {
                    self.plan.plan.columns.iter().position(|other| other.place == place).unwrap_or(at)
                }
                _ => at,
            };
            match self.values.get(own).and_then(Option::as_ref) {
                Some(value) => escape(value, &mut self.lines),
                None => self.lines.put_slice(b"\\N"),
            }
        }
        self.lines.put_u8(b'\n');
    }
}

fn drawn<'a>(plan: &'a TablePlan, draws: &[Option<usize>], group: usize, place: usize) -> Option<&'a str> {
    let draw = draws.get(group).copied().flatten()?;
    plan.plan.groups.get(group)?.tuples.get(draw)?.get(place).map(String::as_str)
}

fn escape(value: &str, lines: &mut BytesMut) {
    for byte in value.bytes() {
        match byte {
            b'\\' => lines.put_slice(b"\\\\"),
            b'\t' => lines.put_slice(b"\\t"),
            b'\n' => lines.put_slice(b"\\n"),
            b'\r' => lines.put_slice(b"\\r"),
            other => lines.put_u8(other),
        }
    }
}
