//! What is there to be compared: the stored table as ClickHouse describes it, and the form of each column.

use super::clickhouse_text::ClickHouseText;
use super::compared::{ComparedColumn, ComparedTable, Table};
use super::form::{Calendar, Form, rendering};
use super::log_text::rows_of_log;
use super::report::TableReport;
use super::stored_type::StoredType;
use crate::config::ClickHouseSettings;
use crate::error::Result;
use crate::server::clickhouse::{Server, StoredTable, quote_ident};
use crate::sink::clickhouse::SOURCE_DELETED_COLUMN;
use std::collections::HashMap;

const CALENDAR: &str = include_str!("../../sql/clickhouse/verify_calendar.sql");

/// What the server's calendar reaches.
pub(super) async fn calendar(server: &Server) -> Result<Calendar> {
    let rows = server.rows(CALENDAR, &[]).await?;
    let reaches = |name| rows.first().and_then(|row| row.get(name)?.as_u64()).is_some_and(|reaches| reaches == 1);
    Ok(Calendar::new(reaches("date32"), reaches("datetime64")))
}

/// A stored table, and what can be compared of it.
pub(super) struct Stored<'a>(pub(super) &'a StoredTable);

impl Stored<'_> {
    /// A column of pipectl's own that the table has not: it was made for another `mode`, or for rows that do not stay.
    pub(super) fn lacks(&self, table: &Table) -> Option<String> {
        let mut own = table.plan.shape().added.into_iter().map(|column| column.name);
        own.find(|name| self.0.column(name).is_none())
    }

    /// The columns of both sides; which ones cannot be compared goes into the report.
    pub(super) fn columns(&self, table: &Table, calendar: &Calendar, report: &mut TableReport) -> ComparedTable {
        let mut columns = Vec::new();
        let mut places = HashMap::new();
        for (place, planned) in table.plan.columns.iter().enumerate() {
            let Some(column) = table.plan.schema.columns.get(planned.source) else { continue };
            let Some(stored) = self.0.column(&planned.name) else {
                report.problem = Some(format!("ClickHouse has no column \"{}\"", planned.name));
                continue;
            };
            match rendering(planned.source_type(column), &StoredType::parse(&stored.column_type), calendar) {
                Ok(rendering) if rendering.form == Form::Document && table.key().is_empty() => {
                    report.not_compared.insert(column.name.clone(), "its rows have no key beside it".to_owned());
                }
                Ok(rendering) => {
                    places.insert(place, columns.len());
                    columns.push(ComparedColumn {
                        source: column.name.clone(),
                        target: planned.name.clone(),
                        rendering: rendering.with_type_oid(column.type_oid).with_transform(planned.transform.as_ref()),
                        required: column.not_null,
                    });
                }
                Err(reason) => {
                    report.not_compared.insert(column.name.clone(), reason.to_owned());
                }
            }
        }
        let key: Vec<usize> = table.key().iter().filter_map(|place| places.get(place).copied()).collect();
        if key.len() < table.key().len() {
            report.problem = Some("its key cannot be compared".to_owned());
        } else if columns.is_empty() {
            report.problem = Some("it has no column that can be compared".to_owned());
        }
        ComparedTable { columns, key, row_filter: table.row_filter.clone() }
    }

    /// Writes ClickHouse's queries of this table.
    pub(super) fn text<'a>(
        &self,
        compared: &'a ComparedTable,
        settings: &ClickHouseSettings,
        table: &Table,
        shift: u32,
    ) -> ClickHouseText<'a> {
        let plan = &table.plan;
        let present = |name: &String| self.0.column(name).map(|_| quote_ident(name));
        let last = if self.0.engine.contains("Replacing") || self.0.engine == "Distributed" { " FINAL" } else { "" };
        if table.is_log() {
            let log = format!("{}.{}", quote_ident(&settings.database), quote_ident(&plan.target));
            return ClickHouseText {
                table: compared,
                shift,
                relation: format!("{} AS t", rows_of_log(&log, compared, plan)),
                deleted_column: None,
                source_deleted_column: None,
                version_column: present(&settings.version_column).filter(|_| !compared.key.is_empty()),
            };
        }
        if let Some(view) = &plan.view {
            return ClickHouseText {
                table: compared,
                shift,
                relation: format!("{}.{} AS t", quote_ident(&settings.database), quote_ident(view)),
                deleted_column: None,
                source_deleted_column: None,
                version_column: None,
            };
        }
        ClickHouseText {
            table: compared,
            shift,
            relation: format!("{}.{} AS t{last}", quote_ident(&settings.database), quote_ident(&plan.target)),
            deleted_column: present(&settings.deleted_column),
            source_deleted_column: plan.keeps_deleted.then(|| quote_ident(SOURCE_DELETED_COLUMN)),
            version_column: present(&settings.version_column),
        }
    }
}
