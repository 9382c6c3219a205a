//! The plan: from the configuration and both catalogs to the steps that are left to do. Pure.

use super::compare::{Comparison, compare, compare_view, is_unused};
use super::facts::Facts;
use crate::change::{TableName, TableSchema};
use crate::config::{Settings, Statement, TableRule};
use crate::error::{Error, Kind, Result};
use crate::sink::clickhouse::{Loss, TablePlan, TableShape, ddl, left_out, plan_table, written_out};
use std::collections::BTreeMap;
use std::fmt;

/// What is to be done, and what its owner should know before.
#[derive(Debug, Default)]
pub struct Plan {
    /// What is missing at the destination, in the order in which it is made.
    pub steps: Vec<Step>,
    /// The configuration's own statements, which come last, every time.
    pub statements: Vec<Statement>,
    /// The replicated tables as they will be stored. Without those that are written out where Postgres was not asked.
    pub tables: Vec<TablePlan>,
    /// What the mapping can lose, with the table's name at the destination.
    pub losses: Vec<(String, Loss)>,
    /// What is left out, and what is not as it could be.
    pub warnings: Vec<String>,
    /// What cannot be done: while there are any, nothing is done.
    pub refusals: Vec<Refusal>,
}

/// A step: one or more statements that belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What it does.
    pub action: Action,
    /// The table or view, or the database, that it makes or alters.
    pub target: String,
    /// Its statements, as they are sent.
    pub statements: Vec<String>,
}

impl fmt::Display for Step {
    /// What was done once the step has been carried out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = &self.target;
        match &self.action {
            Action::CreateDatabase => write!(f, "created database {target}"),
            Action::CreateTable => write!(f, "created table {target}"),
            Action::AddColumn(column) => write!(f, "added column {column} to {target}"),
            Action::WidenColumn(column) => write!(f, "widened column {column} of {target}"),
            Action::DescribeColumn(column) => write!(f, "noted what column {column} of {target} holds"),
            Action::CreateView => write!(f, "created view {target}"),
        }
    }
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Makes the database.
    CreateDatabase,
    /// Makes a table.
    CreateTable,
    /// Adds a column of this name.
    AddColumn(String),
    /// Gives the column of this name a wider type.
    WidenColumn(String),
    /// Says in the catalog what stands in the place of the values of the column of this name.
    DescribeColumn(String),
    /// Makes the view of a table's live rows, or makes it anew with other columns.
    CreateView,
}

/// A table that cannot be made as configured.
#[derive(Debug)]
pub struct Refusal {
    /// The table, by its name at the source, or at the destination where it is written out.
    pub table: String,
    /// Why, and what to do.
    pub error: Error,
    /// The table as it is to be, where one of pipectl's that holds no row is in its way.
    pub unused: Option<TableShape>,
}

impl Plan {
    /// Whether the destination is as configured. Says nothing of the statements.
    pub fn is_done(&self) -> bool {
        self.steps.is_empty() && self.refusals.is_empty()
    }

    /// The refusals as one error.
    ///
    /// # Errors
    /// A single refusal itself; several under one head, [`Kind::Config`] where one of them is.
    pub fn refused(&self) -> Result<()> {
        let kinds = || self.refusals.iter().map(|refusal| refusal.error.kind());
        let Some(first) = kinds().next() else { return Ok(()) };
        let kind = kinds().find(|kind| *kind == Kind::Config).unwrap_or(first);
        if let [only] = self.refusals.as_slice() {
            let error = Error::new(kind, only.reason());
            return Err(match only.error.hint_text() {
                Some(hint) => error.hint(hint),
                None => error,
            });
        }
        let reasons: Vec<String> = self
            .refusals
            .iter()
            .map(|refusal| match refusal.error.hint_text() {
                Some(hint) => format!("\n  - {}\n    hint: {hint}", refusal.reason()),
                None => format!("\n  - {}", refusal.reason()),
            })
            .collect();
        Err(Error::new(kind, format!("{} tables cannot be made as configured:{}", reasons.len(), reasons.concat())))
    }

    fn refuse(&mut self, table: impl Into<String>, error: Error) {
        self.refusals.push(Refusal { table: table.into(), error, unused: None });
    }
}

impl Refusal {
    /// Why, with its causes, on one line.
    pub fn reason(&self) -> String {
        self.error.with_causes()
    }
}

/// A table that the configuration asks for.
struct Wanted {
    /// Its name for people.
    named: String,
    /// Where it comes from; nothing where it is written out and Postgres was not asked.
    plan: Option<TablePlan>,
    /// What it is to be.
    shape: TableShape,
}

/// Plans what the configuration asks for against what there is.
pub fn plan(settings: &Settings, facts: &Facts) -> Plan {
    let mut plan = Plan { statements: settings.statements.clone(), ..Plan::default() };
    let wanted = wanted(settings, facts, &mut plan);
    let wanted = of_its_own_name(wanted, &mut plan);
    if !facts.stored.exists {
        plan.steps.push(Step {
            action: Action::CreateDatabase,
            target: settings.clickhouse.database.clone(),
            statements: vec![ddl::create_database(&settings.clickhouse)],
        });
    }
    for table in wanted {
        place(table, settings, facts, &mut plan);
    }
    plan
}

/// The tables that the configuration asks for: those of the source that a rule is for, and those that are written out.
fn wanted(settings: &Settings, facts: &Facts, plan: &mut Plan) -> Vec<Wanted> {
    let mut found = Vec::new();
    let mut used: Vec<*const TableRule> = Vec::new();
    for schema in facts.source.iter().flatten() {
        let Some(rule) = settings.rule_for(&schema.name) else { continue };
        used.push(rule);
        if let Some(reason) = left_out(schema, rule) {
            plan.warnings.push(reason);
            continue;
        }
        match plan_table(schema, rule, &settings.clickhouse) {
            Ok(table) => {
                let table = match &facts.instead {
                    Some(name) => table.alone(name),
                    None => table,
                };
                plan.warnings.extend(table.warnings.iter().cloned());
                plan.losses.extend(table.losses.iter().map(|loss| (table.target.clone(), loss.clone())));
                found.push(Wanted { named: schema.name.to_string(), shape: table.shape(), plan: Some(table) });
            }
            Err(error) => plan.refuse(schema.name.to_string(), error),
        }
    }
    for rule in settings.tables.iter().filter(|rule| !used.contains(&std::ptr::from_ref(*rule))) {
        match written_out(rule, &settings.clickhouse) {
            Ok(Some(shape)) => {
                let shape = in_clickhouse_words(shape, &facts.type_names);
                found.push(Wanted { named: rule.source.clone(), shape, plan: None });
            }
            Ok(None) => unmatched(settings, rule, facts.source.as_deref().unwrap_or_default(), plan),
            Err(error) => plan.refuse(&rule.source, error),
        }
    }
    found
}

fn in_clickhouse_words(mut shape: TableShape, type_names: &BTreeMap<String, String>) -> TableShape {
    for column in &mut shape.columns {
        if let Some(name) = type_names.get(&column.column_type) {
            column.column_type.clone_from(name);
        }
    }
    shape
}

/// A rule that is for no table: a misspelt name is an error, a pattern may well be there for tables to come.
fn unmatched(settings: &Settings, rule: &TableRule, source: &[TableSchema], plan: &mut Plan) {
    if rule.is_pattern() {
        if source.iter().any(|schema| rule.takes(&schema.name)) {
            // Each of its tables has an entry of its own.
            return;
        }
        plan.warnings.push(format!("no table of Postgres is taken by \"{}\"", rule.source));
        return;
    }
    let postgres = settings.postgres.as_ref().map(|postgres| postgres.database.as_str()).unwrap_or_default();
    let error = Error::new(Kind::Config, format!("there is no table {} in database \"{postgres}\"", rule.source));
    let error = match nearest(&rule.source, source.iter().map(|schema| &schema.name)) {
        Some(name) => error.hint(format!("did you mean {name}?")),
        None => error.hint(
            "views, foreign tables and single partitions are not replicated; check `tables` and `postgres.database`",
        ),
    };
    plan.refuse(&rule.source, error);
}

/// The table whose name differs in case or schema alone.
fn nearest<'a>(wanted: &str, mut names: impl Iterator<Item = &'a TableName>) -> Option<&'a TableName> {
    let name = wanted.rsplit('.').next().unwrap_or(wanted);
    names.find(|table| table.name.eq_ignore_ascii_case(name))
}

/// Refuses tables that would be stored under one name; a table's view counts too.
fn of_its_own_name(wanted: Vec<Wanted>, plan: &mut Plan) -> Vec<Wanted> {
    let mut owners: BTreeMap<String, String> = BTreeMap::new();
    let mut kept = Vec::new();
    for table in wanted {
        let view = table.shape.current_view.then(|| table.shape.current_view_name());
        let names: Vec<String> = std::iter::once(table.shape.name.clone()).chain(view).collect();
        if let Some((name, owner)) = names.iter().find_map(|name| owners.get(name).map(|owner| (name, owner))) {
            let message = format!("{} and {owner} would both be stored as \"{name}\"", table.named);
            let error = Error::new(Kind::Config, message).hint("give one of them another name: `target`");
            plan.refuse(table.named, error);
        } else {
            owners.extend(names.into_iter().map(|name| (name, table.named.clone())));
            kept.push(table);
        }
    }
    kept
}

/// Adds the steps that a table needs, or says why it cannot be had.
fn place(mut wanted: Wanted, settings: &Settings, facts: &Facts, plan: &mut Plan) {
    let shape = &wanted.shape;
    let mut steps = Vec::new();
    match facts.stored.tables.get(&shape.name) {
        None => steps.push(Step {
            action: Action::CreateTable,
            target: shape.name.clone(),
            statements: vec![ddl::create_table(shape, &settings.clickhouse)],
        }),
        Some(stored) => match compare(shape, wanted.plan.as_ref(), stored, settings, &facts.ranges) {
            Ok(Comparison { steps: found, warnings, adopted, .. }) => {
                steps.extend(found);
                plan.warnings.extend(warnings);
                for (index, column_type) in adopted {
                    let column = wanted.plan.as_mut().and_then(|plan| plan.columns.get_mut(index));
                    if let Some(column) = column {
                        column.column_type = column_type;
                    }
                }
            }
            Err(error) => {
                let unused = is_unused(shape, stored).then(|| shape.clone());
                return plan.refusals.push(Refusal { table: wanted.named, error, unused });
            }
        },
    }
    let shape = wanted.plan.as_ref().map_or(wanted.shape, TablePlan::shape);
    if shape.current_view {
        match compare_view(&shape, &facts.stored, &settings.clickhouse) {
            Ok(step) => steps.extend(step),
            Err(error) => return plan.refuse(wanted.named, error),
        }
    }
    plan.steps.extend(steps);
    plan.tables.extend(wanted.plan);
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
