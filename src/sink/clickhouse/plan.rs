//! What a table of the source becomes: which columns under which types, and what sorts them.

use super::types::{Loss, losses, mapped, overridden};
use crate::batch::{ColumnType, LogForm, Transform, ValueType};
use crate::change::{Column, ReplicaIdentity, SourceType, TableName, TableSchema};
use crate::config::{ClickHouseSettings, Deletes, Keyless, TableMode, TableRule, WrittenColumn};
use crate::error::{Error, Kind, Result};

/// The column that tells apart the rows of a table without a key that share a version.
pub const ORDINAL_COLUMN: &str = "_ordinal";

/// The column that tells when a row was deleted at the source, which stays; NULL of a row that is still there.
pub const SOURCE_DELETED_COLUMN: &str = "_source_deleted_at";

/// The columns that a log has beside version and ordinal, with their types; in the order in which batches are sent.
pub fn log_columns(form: LogForm) -> &'static [(&'static str, &'static str)] {
    match form {
        LogForm::Inserts => &[],
        LogForm::Changes => &[
            ("_op", "LowCardinality(String)"),
            ("_committed_at", "Nullable(DateTime64(6, 'UTC'))"),
            ("_unsent", "Array(String)"),
        ],
        LogForm::Signed => &[("_sign", "Int8")],
    }
}

/// A table at the destination, and where its columns come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TablePlan {
    /// The table at the source.
    pub schema: TableSchema,
    /// Its name at the destination, in the settings' database.
    pub target: String,
    /// The columns in their order at the destination, without those that pipectl adds.
    pub columns: Vec<ColumnPlan>,
    /// Indexes into `columns` of the row's identity at the source, in key order. Empty of a log.
    pub key: Vec<usize>,
    /// Indexes into `columns` of the sorting key; holds all of `key`. Empty of a log: then version and ordinal sort.
    pub sorting_key: Vec<usize>,
    /// The same columns where the sorting key is another, such as a log's.
    pub identity: Vec<usize>,
    /// Whether the table has no key and its inserts alone are published.
    pub insert_only: bool,
    /// What is kept where rows stand each for itself, by version and ordinal.
    pub log: Option<LogForm>,
    /// The view that shows the rows of a signed log, under the table's own name.
    pub view: Option<String>,
    /// Whether rows stay that are deleted at the source, with the time of that.
    pub keeps_deleted: bool,
    /// Name of the `UInt128` column that holds a row's version.
    pub version_column: String,
    /// Name of the `UInt8` column that marks a deleted row; a log has none.
    pub deleted_column: String,
    /// The partition key, as the configuration has it.
    pub partition_by: Option<String>,
    /// Whether there is a view `<target>_current`.
    pub current_view: bool,
    /// What its mapping can lose.
    pub losses: Vec<Loss>,
    /// What its owner should know.
    pub warnings: Vec<String>,
}

/// A column at the destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnPlan {
    /// Index into the source table's columns.
    pub source: usize,
    /// Its name, the same on both sides.
    pub name: String,
    /// What it is stored as.
    pub column_type: ColumnType,
    /// What is stored in the place of its values.
    pub transform: Option<Transform>,
}

impl ColumnPlan {
    /// What its values are read as: text, where something stands in their place.
    pub fn source_type<'a>(&self, source: &'a Column) -> &'a SourceType {
        if self.transform.is_some() { &SourceType::Text } else { &source.source_type }
    }

    /// Whether its values are hashed with nothing secret.
    pub fn is_unsalted(&self) -> bool {
        matches!(&self.transform, Some(Transform::Sha256 { salt }) if salt.is_empty())
    }
}

impl TablePlan {
    /// The column of a name.
    pub fn column(&self, name: &str) -> Option<&ColumnPlan> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The same table under another name, without a view of it.
    #[must_use]
    pub fn alone(self, name: &str) -> Self {
        Self { target: name.to_owned(), view: None, current_view: false, ..self }
    }

    /// Whether a column is part of the sorting key.
    pub fn sorts(&self, name: &str) -> bool {
        self.sorting_key.iter().any(|&index| self.columns.get(index).is_some_and(|column| column.name == name))
    }
}

/// The name of a table at the destination: as configured, or its own, with its schema before it outside `public`.
pub fn target_name(table: &TableName, rule: &TableRule) -> String {
    rule.target_of(table)
}

/// Why a table that the configuration names is not replicated: said as a warning, the others go on. `None` where it is.
pub fn left_out(schema: &TableSchema, rule: &TableRule) -> Option<String> {
    if let Some(reason) = &rule.displaced {
        return Some(format!("table {} is left out: {reason}", schema.name));
    }
    let reason = if schema.unlogged {
        "is unlogged: its changes never reach the write-ahead log"
    } else if schema.columns.iter().all(|column| column.generated) {
        "has no columns to store"
    } else if schema.key.is_empty() && rule.keyless == Keyless::Multiset && schema.identity != ReplicaIdentity::Full {
        "has no key, and `keyless: multiset` needs whole old rows: ALTER TABLE … REPLICA IDENTITY FULL sends them"
    } else if schema.key.is_empty() && rule.keyless == Keyless::Refuse && !whole_rows(schema, rule) {
        match schema.identity {
            ReplicaIdentity::Nothing => {
                "has REPLICA IDENTITY NOTHING: set it to DEFAULT or to an index, or set `keyless: insert_only` for it"
            }
            _ => {
                "has no primary key or replica identity index that is checked at once: give it one, or set \
                 `keyless: insert_only` for it, or `keyless: multiset` under REPLICA IDENTITY FULL"
            }
        }
    } else {
        return None;
    };
    Some(format!("table {} is left out: it {reason}", schema.name))
}

/// What the table becomes at the destination. A table that is [`left_out`] has none.
///
/// # Errors
/// [`Kind::Config`] where the configuration asks for something impossible.
pub fn plan_table(schema: &TableSchema, rule: &TableRule, settings: &ClickHouseSettings) -> Result<TablePlan> {
    if let Some(reason) = left_out(schema, rule) {
        return Err(Error::new(Kind::Config, reason));
    }
    let log = log_form(schema, rule);
    let keeps_deleted = rule.deletes == Deletes::Keep && log.is_none();
    let stored = stored_columns(schema, rule)?;
    free_names(schema, &stored, settings, (log, keeps_deleted))?;
    let sorting = if log.is_some() { Vec::new() } else { sorting_columns(schema, rule, &stored)? };
    let mut found = Vec::new();
    let mut columns = Vec::with_capacity(stored.len());
    for &(source, column) in &stored {
        let in_key = sorting.contains(&column.name.as_str());
        let transform = transform(schema, column, rule, in_key)?;
        // What stands in a value's place is text, whatever the value is.
        let read_as = transform.as_ref().map(|_| Column { source_type: SourceType::Text, ..column.clone() });
        let read_as = read_as.as_ref().unwrap_or(column);
        let column_type = column_type(read_as, rule, in_key).map_err(|error| error.during(of_table("plan", schema)))?;
        let column_type =
            if log.is_some_and(|form| form != LogForm::Inserts) { bearing_null(column_type) } else { column_type };
        keyed_document(schema, column, &column_type)?;
        found.extend(losses(read_as, &column_type, in_key));
        columns.push(ColumnPlan { source, name: column.name.clone(), column_type, transform });
    }
    let warnings = generated_columns(schema).into_iter().chain(unsalted_columns(schema, &columns)).collect();
    let index_of = |name: &str| columns.iter().position(|column| column.name == name);
    let identity: Vec<usize> = schema.key_columns().filter_map(|column| index_of(&column.name)).collect();
    Ok(TablePlan {
        schema: schema.clone(),
        target: stored_name(schema, rule),
        key: if log.is_some() { Vec::new() } else { identity.clone() },
        identity,
        sorting_key: sorting.iter().filter_map(|name| index_of(name)).collect(),
        insert_only: schema.key.is_empty() && !whole_rows(schema, rule),
        log,
        view: counting_view_name(schema, rule),
        keeps_deleted,
        columns,
        version_column: settings.version_column.clone(),
        deleted_column: settings.deleted_column.clone(),
        partition_by: rule.partition_by.clone(),
        current_view: rule.current_view,
        losses: found,
        warnings,
    })
}

/// Rows without a key are told apart by all of their values, which documents do not allow: two that are equal may be stored in other types.
fn keyed_document(schema: &TableSchema, column: &Column, column_type: &ColumnType) -> Result<()> {
    if column_type.value != ValueType::Json || schema.key_columns().next().is_some() {
        return Ok(());
    }
    Err(refused(schema, format!("column \"{}\" cannot be stored as {column_type}: the table has no key", column.name))
        .hint("store it as String, or give the table a key"))
}

/// What is to be stored in the place of a column's values.
fn transform(schema: &TableSchema, column: &Column, rule: &TableRule, in_key: bool) -> Result<Option<Transform>> {
    let Some(column_rule) = rule.columns.get(&column.name) else { return Ok(None) };
    match (&column_rule.hash, &column_rule.mask) {
        (Some(_), _) => Ok(Some(Transform::Sha256 { salt: column_rule.hash_salt.clone() })),
        (None, Some(_)) if in_key => {
            Err(refused(schema, format!("column \"{}\" is part of the key and cannot be masked", column.name))
                .hint("all of its rows would become one: `hash: sha256` keeps them apart"))
        }
        (None, Some(text)) => Ok(Some(Transform::Mask(text.as_str().into()))),
        (None, None) => Ok(None),
    }
}

/// Whoever can guess a value can find its hash, unless something is hashed with it that nobody knows.
fn unsalted_columns(schema: &TableSchema, columns: &[ColumnPlan]) -> Option<String> {
    let names: Vec<String> =
        columns.iter().filter(|column| column.is_unsalted()).map(|column| format!("\"{}\"", column.name)).collect();
    (!names.is_empty()).then(|| {
        format!(
            "columns of {} are hashed without a salt, so that values can be found by guessing: {}; set `hash_salt: ${{…}}`, from the environment",
            schema.name,
            names.join(", ")
        )
    })
}

/// What is kept of a table, where its rows stand each for itself.
fn log_form(schema: &TableSchema, rule: &TableRule) -> Option<LogForm> {
    match (rule.mode, rule.keyless) {
        (TableMode::Log, _) => Some(LogForm::Changes),
        (TableMode::Replica, _) if !schema.key.is_empty() => None,
        (TableMode::Replica, Keyless::Multiset) => Some(LogForm::Signed),
        (TableMode::Replica, _) => Some(LogForm::Inserts),
    }
}

/// Whether all changes of a table without a key are followed: its old rows come whole.
fn whole_rows(schema: &TableSchema, rule: &TableRule) -> bool {
    let asked = rule.keyless == Keyless::Multiset || (rule.mode == TableMode::Log && rule.keyless == Keyless::Refuse);
    schema.identity == ReplicaIdentity::Full && asked
}

/// The name of the table that is stored: a signed log stands beside the view that has the table's own name.
pub fn stored_name(schema: &TableSchema, rule: &TableRule) -> String {
    let name = target_name(&schema.name, rule);
    if log_form(schema, rule) == Some(LogForm::Signed) { signed_log_name(&name) } else { name }
}

/// The name of the view that counts a signed log: the table's own. `None` where no such log is stored.
pub fn counting_view_name(schema: &TableSchema, rule: &TableRule) -> Option<String> {
    (log_form(schema, rule) == Some(LogForm::Signed)).then(|| target_name(&schema.name, rule))
}

/// The name of the log that is stored of a table without a key, whose own name the view over it has.
pub fn signed_log_name(view: &str) -> String {
    format!("{view}__log")
}

/// What was not sent is NULL in a log, whatever the source allows.
fn bearing_null(column_type: ColumnType) -> ColumnType {
    let nullable = !column_type.value.is_collection();
    ColumnType { nullable: nullable || column_type.nullable, ..column_type }
}

/// The type as configured, or as mapped. A table that is written out is taken at its word.
fn column_type(column: &Column, rule: &TableRule, in_key: bool) -> Result<ColumnType> {
    if let Some(written) = written(rule, &column.name) {
        let needed = overridden(column, &written.column_type, in_key)?;
        if ColumnType::parse(&written.column_type).as_ref() == Some(&needed) {
            return Ok(needed);
        }
        let message = format!(
            "column \"{}\" of type {} has values that {} cannot hold",
            column.name, column.type_name, written.column_type
        );
        return Err(Error::new(Kind::Config, message).hint(format!("write it as {needed}")));
    }
    match rule.columns.get(&column.name).and_then(|rule| rule.column_type.as_deref()) {
        Some(wanted) => overridden(column, wanted, in_key),
        None => Ok(mapped(column, in_key)),
    }
}

fn written<'a>(rule: &'a TableRule, name: &str) -> Option<&'a WrittenColumn> {
    rule.written_out.iter().flatten().find(|column| column.name == name)
}

fn of_table(verb: &str, schema: &TableSchema) -> String {
    format!("could not {verb} table {}", schema.name)
}

fn refused(schema: &TableSchema, why: impl std::fmt::Display) -> Error {
    Error::new(Kind::Config, format!("{}: {why}", of_table("plan", schema)))
}

/// The columns that are stored, with their places at the source: neither excluded nor generated.
fn stored_columns<'a>(schema: &'a TableSchema, rule: &TableRule) -> Result<Vec<(usize, &'a Column)>> {
    let one_table = !rule.is_pattern();
    if let Some(name) = rule.columns.keys().find(|name| one_table && schema.column(name).is_none()) {
        return Err(refused(schema, format!("`columns` names \"{name}\", which it does not have")));
    }
    if let Some(column) = rule.written_out.iter().flatten().find(|column| schema.column(&column.name).is_none()) {
        return Err(refused(schema, format!("`columns` writes out \"{}\", which it does not have", column.name)));
    }
    let excluded = |column: &Column| match rule.written_out {
        Some(_) => written(rule, &column.name).is_none(),
        None => rule.columns.get(&column.name).is_some_and(|rule| rule.exclude),
    };
    if let Some(column) = schema.key_columns().find(|column| excluded(column) || column.generated) {
        let why = format!("column \"{}\" is part of the key and cannot be left out", column.name);
        return Err(refused(schema, why));
    }
    let mut stored: Vec<_> =
        schema.columns.iter().enumerate().filter(|(_, column)| !excluded(column) && !column.generated).collect();
    if let Some(written) = &rule.written_out {
        stored.sort_by_key(|(_, column)| written.iter().position(|written| written.name == column.name));
    }
    if stored.is_empty() {
        return Err(refused(schema, "every column of it is excluded"));
    }
    Ok(stored)
}

/// Postgres sends no generated columns before version 18, so there would be nothing to store.
fn generated_columns(schema: &TableSchema) -> Option<String> {
    let names: Vec<String> =
        schema.columns.iter().filter(|column| column.generated).map(|column| format!("\"{}\"", column.name)).collect();
    (!names.is_empty()).then(|| {
        format!("generated columns of {} are left out: {}; Postgres does not send them", schema.name, names.join(", "))
    })
}

fn free_names(
    schema: &TableSchema,
    stored: &[(usize, &Column)],
    settings: &ClickHouseSettings,
    (log, keeps_deleted): (Option<LogForm>, bool),
) -> Result<()> {
    let taken = |name: &str| stored.iter().any(|(_, column)| column.name == name);
    let clash =
        |name: &str| refused(schema, format!("its column \"{name}\" has the name of a column that pipectl adds"));
    if taken(&settings.version_column) {
        return Err(
            clash(&settings.version_column).hint("give pipectl's column another name: `clickhouse.version_column`")
        );
    }
    if keeps_deleted && taken(SOURCE_DELETED_COLUMN) {
        return Err(clash(SOURCE_DELETED_COLUMN).hint("leave the column out (`exclude: true`), or `deletes: keep`"));
    }
    let further =
        log.into_iter().flat_map(|form| log_columns(form).iter().map(|(name, _)| *name).chain([ORDINAL_COLUMN]));
    if let Some(name) = further.into_iter().find(|name| taken(name)) {
        return Err(clash(name).hint("leave the column out (`exclude: true`)"));
    }
    if log.is_none() && taken(&settings.deleted_column) {
        return Err(
            clash(&settings.deleted_column).hint("give pipectl's column another name: `clickhouse.deleted_column`")
        );
    }
    Ok(())
}

/// The sorting key's columns: as configured, or the row's identity.
fn sorting_columns<'a>(
    schema: &'a TableSchema,
    rule: &'a TableRule,
    stored: &[(usize, &Column)],
) -> Result<Vec<&'a str>> {
    let identity: Vec<&str> = schema.key_columns().map(|column| column.name.as_str()).collect();
    let Some(order_by) = &rule.order_by else { return Ok(identity) };
    if identity.is_empty() {
        return Err(refused(schema, "`order_by` needs a key, which it has not").hint("leave `order_by` out"));
    }
    if let Some(name) = order_by.iter().find(|name| !stored.iter().any(|(_, column)| column.name == **name)) {
        return Err(refused(schema, format!("`order_by` names \"{name}\", which is not among its stored columns")));
    }
    if let Some(name) = identity.iter().find(|name| !order_by.iter().any(|other| other == *name)) {
        let why = format!("`order_by` leaves out \"{name}\", which is part of the row's identity");
        return Err(refused(schema, why)
            .hint("rows that are equal in `order_by` become one: name the whole key in it, in any order"));
    }
    if order_by.len() > identity.len() && schema.identity != ReplicaIdentity::Full {
        let why = "`order_by` has more columns than the key, and Postgres sends no old values of them";
        let table = crate::server::postgres::quote_table(&schema.name);
        return Err(refused(schema, why)
            .hint(format!("run in Postgres: ALTER TABLE {table} REPLICA IDENTITY FULL; or sort by the key alone")));
    }
    let twice =
        order_by.iter().enumerate().find(|(index, name)| order_by.iter().take(*index).any(|other| other == *name));
    match twice {
        Some((_, name)) => Err(refused(schema, format!("`order_by` names \"{name}\" twice"))),
        None => Ok(order_by.iter().map(String::as_str).collect()),
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
