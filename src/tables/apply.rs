//! Doing what was planned.

use super::plan::{Action, Plan, Step};
use crate::error::Result;
use crate::server::clickhouse::Server;

/// Runs a plan's steps in order, then, if asked, the configuration's own statements; `done` is told of each step after it.
///
/// # Errors
/// The plan's refusals, before anything is run; else that of the first statement that fails: those before it stay, and running again
/// goes on from there.
pub async fn apply(plan: &Plan, server: &Server, mut done: impl FnMut(&Step)) -> Result<()> {
    plan.refused()?;
    for step in &plan.steps {
        for statement in &step.statements {
            server.execute(statement, &[]).await.map_err(|error| error.during(tried(step)))?;
        }
        done(step);
    }
    for statement in &plan.statements {
        let tried = format!("could not run the statement \"{}\"", statement.name);
        server.execute(&statement.sql, &[]).await.map_err(|error| error.during(tried))?;
    }
    Ok(())
}

fn tried(step: &Step) -> String {
    let target = &step.target;
    match &step.action {
        Action::CreateDatabase => format!("could not create database \"{target}\""),
        Action::CreateTable => format!("could not create table \"{target}\""),
        Action::AddColumn(column) => format!("could not add column \"{column}\" to table \"{target}\""),
        Action::WidenColumn(column) => format!("could not widen column \"{column}\" of table \"{target}\""),
        Action::DescribeColumn(column) => {
            format!("could not note what column \"{column}\" of table \"{target}\" holds")
        }
        Action::CreateView => format!("could not create view \"{target}\""),
    }
}
