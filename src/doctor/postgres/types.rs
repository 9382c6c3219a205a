//! What the tables' columns become at the destination, and what can be lost on the way.

use super::facts::Facts;
use crate::change::TableSchema;
use crate::config::TableRule;
use crate::doctor::finding::{Finding, Remedy, count, some_of};
use crate::sink::clickhouse::{TablePlan, left_out, plan_table};

/// The plans of the tables that will be replicated, and why others cannot be planned.
#[derive(Debug, Default)]
pub(super) struct Plans {
    pub(super) tables: Vec<TablePlan>,
    /// Name and reason.
    refused: Vec<(String, String)>,
    /// Columns whose values can be lost, by the configuration's own choice and by the nature of their type.
    chosen_losses: Vec<String>,
    rare_losses: Vec<String>,
    /// Columns that are hashed with nothing secret.
    unsalted: Vec<String>,
}

/// Plans every table of the configuration.
pub(super) fn plan(facts: &Facts<'_>, catalog: &[TableSchema]) -> Plans {
    let mut found = Plans::default();
    for schema in catalog {
        let Some(rule) = facts.rule(&schema.name) else { continue };
        if left_out(schema, rule).is_some() {
            continue;
        }
        match plan_table(schema, rule, &facts.configuration.clickhouse) {
            Ok(plan) => found.add(plan, rule),
            Err(error) => {
                let hint = error.hint_text().map(|hint| format!(" ({hint})")).unwrap_or_default();
                found.refused.push((schema.name.to_string(), format!("{}{hint}", error.with_causes())));
            }
        }
    }
    found
}

impl Plans {
    fn add(&mut self, plan: TablePlan, rule: &TableRule) {
        for loss in &plan.losses {
            let text = format!("{}.{}: {}", plan.schema.name, loss.column, loss.what);
            let overridden = rule.columns.get(&loss.column).is_some_and(|column| column.column_type.is_some());
            if overridden { &mut self.chosen_losses } else { &mut self.rare_losses }.push(text);
        }
        let unsalted = plan.columns.iter().filter(|column| column.is_unsalted());
        self.unsalted.extend(unsalted.map(|column| format!("{}.{}", plan.schema.name, column.name)));
        self.tables.push(plan);
    }

    /// The verdict on all types.
    pub(super) fn finding(&self) -> Finding {
        if !self.refused.is_empty() {
            let reasons: Vec<String> = self.refused.iter().map(|(_, reason)| reason.clone()).collect();
            return Finding::fail(some_of(&reasons))
                .about(self.refused.iter().map(|(name, _)| name.clone()).collect())
                .mend(Remedy::advice("change the entry of the table in the configuration as it says"));
        }
        if !self.unsalted.is_empty() {
            return Finding::warn(format!(
                "hashed without a salt, so that values can be found by guessing: {}",
                some_of(&self.unsalted)
            ))
            .about(self.unsalted.clone())
            .mend(Remedy::advice(
                "set `hash_salt: ${…}` for these columns, from the environment, and copy the tables again",
            ));
        }
        if !self.chosen_losses.is_empty() {
            return Finding::warn(format!("lost by the configured type: {}", some_of(&self.chosen_losses)))
                .about(self.chosen_losses.clone())
                .mend(Remedy::advice("leave out `type` for these columns to have the type that loses nothing"));
        }
        if self.rare_losses.is_empty() {
            return Finding::pass("all without loss");
        }
        let seen = format!(
            "{} can hold values that ClickHouse cannot (infinity, NaN, beyond its range): they become NULL and are counted",
            count(self.rare_losses.len(), "column")
        );
        Finding::pass(seen).about(self.rare_losses.clone())
    }
}
