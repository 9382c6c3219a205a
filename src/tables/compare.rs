//! An existing table against what it should be: as it should be, to be altered in place, or refused.

use super::literal::literal;
use super::plan::{Action, Step};
use crate::batch::{ColumnType, Ranges, ValueType};
use crate::change::Column;
use crate::config::{ClickHouseSettings, Settings};
use crate::error::{Error, Kind, Result};
use crate::server::clickhouse::{StoredColumn, StoredDatabase, StoredTable};
use crate::sink::clickhouse::{ColumnPlan, ColumnShape, SOURCE_DELETED_COLUMN, TablePlan, TableShape, ddl, supported};

/// What an existing table lacks.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    /// The steps that bring it to its shape.
    pub(super) steps: Vec<Step>,
    /// What its owner should know.
    pub(super) warnings: Vec<String>,
    /// Columns of the plan, by index, that are stored as another type which holds all of their values.
    pub(super) adopted: Vec<(usize, ColumnType)>,
    /// Columns, quoted, that are added without a value for the rows that are there already.
    unfilled: Vec<String>,
}

/// What all columns of a table are compared with.
struct Table<'a> {
    shape: &'a TableShape,
    plan: Option<&'a TablePlan>,
    stored: &'a StoredTable,
    settings: &'a ClickHouseSettings,
    ranges: &'a Ranges,
}

impl Table<'_> {
    /// The name that `resync` knows it by.
    fn at_the_source(&self) -> String {
        self.plan.map_or_else(|| self.shape.name.clone(), |plan| plan.schema.name.to_string())
    }
}

/// Compares a table with what it should be.
///
/// # Errors
/// [`Kind::Destination`] where it is another table and cannot be altered in place.
pub(super) fn compare(
    shape: &TableShape,
    plan: Option<&TablePlan>,
    stored: &StoredTable,
    settings: &Settings,
    ranges: &Ranges,
) -> Result<Comparison> {
    let table = Table { shape, plan, stored, settings: &settings.clickhouse, ranges };
    same_engine(&table)?;
    same_sorting_key(&table)?;
    let mut later = Vec::new();
    for column in &shape.added {
        match stored.column(&column.name) {
            Some(found) if found.column_type == column.column_type => {}
            Some(found) => return Err(other_type(&table, column, found)),
            None if column.name == SOURCE_DELETED_COLUMN => later.push(Step {
                action: Action::AddColumn(column.name.clone()),
                target: shape.name.clone(),
                statements: vec![ddl::add_column(&shape.name, column, &settings.clickhouse)],
            }),
            None => return Err(refused(&table, format!("it has no column \"{}\"", column.name))),
        }
    }
    rows_stay(&table)?;
    let mut comparison = Comparison { steps: later, ..Comparison::default() };
    for (index, column) in shape.columns.iter().enumerate() {
        match stored.column(&column.name) {
            Some(found) => compare_column(&table, index, column, found, &mut comparison)?,
            None => add_column(&table, index, column, &mut comparison)?,
        }
    }
    if let Some(wanted) = &shape.partition_by
        && !same_expression(wanted, &stored.partition_key)
    {
        let by = if stored.partition_key.is_empty() { "nothing" } else { &stored.partition_key };
        comparison.warnings.push(format!(
            "{} is partitioned by {by}, which cannot be altered; `pipectl resync {}` makes it anew, by {wanted}",
            full_name(&table),
            table.at_the_source(),
        ));
    }
    comparison.warnings.extend(unfilled(&table, &comparison.unfilled));
    Ok(comparison)
}

/// The source knows nothing that old rows answer: true of a column without a default, but also of one whose default rewrote the table.
fn unfilled(table: &Table<'_>, columns: &[String]) -> Option<String> {
    let (what, be) = match columns {
        [] => return None,
        [_] => ("column", "is"),
        _ => ("columns", "are"),
    };
    Some(format!(
        "{what} {} {be} added to {} with NULL for the rows that are there already; if they have values in Postgres, run: pipectl \
         resync {}",
        columns.join(", "),
        full_name(table),
        table.at_the_source(),
    ))
}

fn full_name(table: &Table<'_>) -> String {
    format!("{}.{}", table.settings.database, table.shape.name)
}

fn refused(table: &Table<'_>, why: impl std::fmt::Display) -> Error {
    Error::new(Kind::Destination, format!("table {} is there already, and is another one: {why}", full_name(table)))
        .hint(format!(
            "if it is this pipeline's, `pipectl resync {}` makes it anew; else rename or drop it, or give pipectl's table another name (`target`)",
            table.at_the_source()
        ))
}

/// Whether a table is one that pipectl makes, and holds no row: nothing is lost with it.
pub(super) fn is_unused(shape: &TableShape, stored: &StoredTable) -> bool {
    let version = shape.engine_columns.first();
    stored.rows == Some(0)
        && stored.engine.ends_with("ReplacingMergeTree")
        && version.is_some_and(|version| stored.engine_arguments.contains(version))
}

/// The engine decides which of two versions of a row is shown; one that is replicated, or ClickHouse Cloud's, does it as well.
fn same_engine(table: &Table<'_>) -> Result<()> {
    let stored = table.stored;
    let engines: &[&str] = match table.settings.cluster {
        Some(_) => &["ReplicatedReplacingMergeTree", "SharedReplacingMergeTree"],
        None => &["ReplacingMergeTree", "ReplicatedReplacingMergeTree", "SharedReplacingMergeTree"],
    };
    let wanted = table.shape.engine_columns.join(", ");
    if !engines.contains(&stored.engine.as_str()) {
        let needed = engines.first().copied().unwrap_or_default();
        return Err(refused(table, format!("its engine is {}, not {needed}({wanted})", stored.engine)));
    }
    let columns: Vec<&String> = stored.engine_arguments.iter().filter(|argument| !argument.starts_with('\'')).collect();
    if columns.iter().copied().ne(table.shape.engine_columns.iter()) {
        let found: Vec<&str> = columns.iter().map(|name| name.as_str()).collect();
        return Err(refused(table, format!("its engine goes by ({}), not ({wanted})", found.join(", "))));
    }
    Ok(())
}

/// Rows that stayed when they were deleted at the source would pass for live ones.
fn rows_stay(table: &Table<'_>) -> Result<()> {
    let is_of_source = table.shape.columns.iter().any(|column| column.name == SOURCE_DELETED_COLUMN);
    let marked = table.stored.column(SOURCE_DELETED_COLUMN).is_some() && !is_of_source;
    if !marked || table.shape.keeps_deleted() || table.stored.rows == Some(0) {
        return Ok(());
    }
    let name = table.at_the_source();
    Err(refused(table, "it has rows that were deleted at the source, which `deletes: apply` does not show".to_owned())
        .hint(format!("set `deletes: keep` again, or copy the table without them: pipectl resync {name}")))
}

fn same_sorting_key(table: &Table<'_>) -> Result<()> {
    let (stored, wanted) = (&table.stored.sorting_key, &table.shape.sorting_key);
    if stored == wanted {
        return Ok(());
    }
    Err(refused(table, format!("it is sorted by ({}), not by ({})", stored.join(", "), wanted.join(", "))))
}

fn other_type(table: &Table<'_>, wanted: &ColumnShape, found: &StoredColumn) -> Error {
    let why = format!("its column \"{}\" is {}, not {}", wanted.name, found.column_type, wanted.column_type);
    refused(table, why).hint(format!(
        "if this type will do, ask for it (`columns`: {{{}: {{type: …}}}}); if the table is this pipeline's, `pipectl resync {}` makes it anew; else rename \
         or drop it",
        wanted.name,
        table.at_the_source()
    ))
}

fn compare_column(
    table: &Table<'_>,
    index: usize,
    wanted: &ColumnShape,
    found: &StoredColumn,
    comparison: &mut Comparison,
) -> Result<()> {
    if matches!(found.default_kind.as_str(), "MATERIALIZED" | "ALIAS" | "EPHEMERAL") {
        return Err(refused(table, format!("its column \"{}\" is {}", wanted.name, found.default_kind)));
    }
    same_values(table, wanted, found, comparison)?;
    if found.column_type != wanted.column_type {
        // What is read but written otherwise is another type: a time without its zone shows the server's wall clock.
        let as_it_is = |text: &str| ColumnType::parse(text).filter(|parsed| parsed.to_string() == text);
        let (Some(stored), Some(asked)) = (as_it_is(&found.column_type), as_it_is(&wanted.column_type)) else {
            return Err(other_type(table, wanted, found));
        };
        if holds(&stored, &asked) && encodable(table, index, &stored) {
            comparison.adopted.push((index, stored));
        } else if holds(&asked, &stored) && !table.shape.sorting_key.contains(&wanted.name) {
            comparison.steps.push(Step {
                action: Action::WidenColumn(wanted.name.clone()),
                target: table.shape.name.clone(),
                statements: vec![ddl::widen_column(
                    &table.shape.name,
                    &wanted.name,
                    &wanted.column_type,
                    table.settings,
                )],
            });
        } else {
            return Err(other_type(table, wanted, found));
        }
    }
    // A column that was being added when it was interrupted: its default is still there, and perhaps not in the rows yet.
    let value = planned(table, index).and_then(|source| old_rows_value(table, wanted, source).ok().flatten());
    if found.default_kind == "DEFAULT" && value.is_some_and(|value| same_expression(&value, &found.default_expression))
    {
        comparison.steps.push(Step {
            action: Action::AddColumn(wanted.name.clone()),
            target: table.shape.name.clone(),
            statements: ddl::fill_column(&table.shape.name, &wanted.name, table.settings),
        });
    }
    Ok(())
}

/// What stands in a column's values' place is told by its comment: rows that were stored otherwise would stay as they are.
fn same_values(
    table: &Table<'_>,
    wanted: &ColumnShape,
    found: &StoredColumn,
    comparison: &mut Comparison,
) -> Result<()> {
    let ours = found.comment.starts_with(STANDS_FOR);
    let same = match &wanted.comment {
        Some(comment) => *comment == found.comment,
        None => !ours,
    };
    if same {
        return Ok(());
    }
    if table.stored.rows == Some(0) {
        comparison.steps.push(Step {
            action: Action::DescribeColumn(wanted.name.clone()),
            target: table.shape.name.clone(),
            statements: vec![ddl::describe_column(&table.shape.name, wanted, table.settings)],
        });
        return Ok(());
    }
    let named = |comment: &str| comment.strip_prefix(STANDS_FOR).unwrap_or(comment).to_owned();
    let stored = if ours { named(&found.comment) } else { "the values themselves".to_owned() };
    let asked = wanted.comment.as_deref().map_or_else(|| "the values themselves".to_owned(), named);
    let why = format!("its column \"{}\" holds rows with {stored}, and is to hold {asked}", wanted.name);
    let name = table.plan.map_or_else(|| table.shape.name.clone(), |plan| plan.schema.name.to_string());
    Err(refused(table, why).hint(format!("copy the table again: pipectl resync {name}")))
}

/// What the comment of a column begins with that holds something else than the source's values.
const STANDS_FOR: &str = "pipectl: ";

fn planned<'a>(table: &Table<'a>, index: usize) -> Option<(&'a ColumnPlan, &'a Column)> {
    let plan = table.plan?;
    let column = plan.columns.get(index)?;
    Some((column, plan.schema.columns.get(column.source)?))
}

fn encodable(table: &Table<'_>, index: usize, stored: &ColumnType) -> bool {
    planned(table, index).is_some_and(|(plan, source)| supported(plan.source_type(source), &stored.value))
}

/// What rows that are stored already answer at the source, as an SQL expression; `None` for NULL, or where they are not known to
/// answer anything.
fn old_rows_value(
    table: &Table<'_>,
    wanted: &ColumnShape,
    (plan, source): (&ColumnPlan, &Column),
) -> Result<Option<String>> {
    let Some(text) = &source.missing_value else { return Ok(None) };
    let text = plan.transform.as_ref().map_or_else(|| text.clone(), |transform| transform.applied(text));
    let unwritable = || {
        Error::new(Kind::Value, format!("could not add column \"{}\" to {}", wanted.name, full_name(table)))
            .because("the value that rows older than the column have cannot be written")
            .hint("leave the column out (`exclude: true`), or store it as String")
    };
    let column_type = ColumnType::parse(&wanted.column_type).ok_or_else(unwritable)?;
    literal(plan.source_type(source), &column_type, &text, table.ranges).map_err(|_| unwritable())
}

fn add_column(table: &Table<'_>, index: usize, wanted: &ColumnShape, comparison: &mut Comparison) -> Result<()> {
    let (name, settings) = (&table.shape.name, table.settings);
    let empty = table.stored.rows == Some(0);
    let value = match planned(table, index) {
        Some(source) if !empty => old_rows_value(table, wanted, source)?,
        _ => None,
    };
    let statements = match (&value, ColumnType::parse(&wanted.column_type)) {
        (Some(value), _) => ddl::add_filled_column(name, wanted, value, settings),
        // Rows that are there already have no value, and must not seem to have one.
        (None, Some(column_type)) if !empty => {
            let nullable = !column_type.value.is_collection();
            let column_type = ColumnType { nullable: nullable || column_type.nullable, ..column_type };
            let statement = ddl::add_column(
                name,
                &ColumnShape { column_type: column_type.to_string(), ..wanted.clone() },
                settings,
            );
            comparison.unfilled.push(format!("\"{}\"", wanted.name));
            comparison.adopted.push((index, column_type));
            vec![statement]
        }
        _ => vec![ddl::add_column(name, wanted, settings)],
    };
    comparison.steps.push(Step { action: Action::AddColumn(wanted.name.clone()), target: name.clone(), statements });
    Ok(())
}

/// Whether one type holds every value of another.
fn holds(wider: &ColumnType, narrower: &ColumnType) -> bool {
    use ValueType as V;
    if narrower.nullable && !wider.nullable {
        return false;
    }
    match (&wider.value, &narrower.value) {
        (wider, narrower) if wider == narrower => true,
        (V::Int32, V::Int16) | (V::Int64, V::Int16 | V::Int32 | V::UInt32) => true,
        (V::Float64, V::Float32) => true,
        (V::String, V::LowCardinality) | (V::LowCardinality, V::String) => true,
        (V::Decimal { precision, scale }, V::Decimal { precision: digits, scale: after }) => {
            scale >= after && i16::from(*precision) - i16::from(*scale) >= i16::from(*digits) - i16::from(*after)
        }
        (V::DateTime64 { precision }, V::DateTime64 { precision: digits }) => precision >= digits,
        (V::Array(wider), V::Array(narrower)) => holds(wider, narrower),
        _ => false,
    }
}

/// Whether two expressions are written alike, spaces aside.
fn same_expression(one: &str, other: &str) -> bool {
    let bare = |text: &str| text.chars().filter(|c| !c.is_whitespace() && *c != '`').collect::<String>();
    bare(one) == bare(other)
}

/// Compares the view of a table's live rows with what it should be.
///
/// # Errors
/// [`Kind::Destination`] where something else has its name.
pub(super) fn compare_view(
    shape: &TableShape,
    stored: &StoredDatabase,
    settings: &ClickHouseSettings,
) -> Result<Option<Step>> {
    let name = shape.current_view_name();
    let step = Step {
        action: Action::CreateView,
        target: name.clone(),
        statements: vec![ddl::create_current_view(shape, settings)],
    };
    let Some(view) = stored.tables.get(&name) else { return Ok(Some(step)) };
    let ours = view.engine == "View" && view.query.contains(" FINAL");
    if !ours {
        let message = format!("{}.{name} is there already, and is not the view of {}", settings.database, shape.name);
        return Err(Error::new(Kind::Destination, message).hint("rename or drop it, or set `current_view: false`"));
    }
    let same = view.columns.len() == shape.columns.len()
        && view.query.contains(SOURCE_DELETED_COLUMN) == shape.keeps_deleted()
        && view
            .columns
            .iter()
            .zip(&shape.columns)
            .all(|(found, wanted)| found.name == wanted.name && found.column_type == wanted.column_type);
    Ok((!same).then_some(step))
}
