//! ClickHouse as the destination: how tables are stored there.

pub mod ddl;
mod plan;
mod ranges;
mod shape;
mod types;

pub use plan::{ColumnPlan, ORDINAL_COLUMN, TablePlan, left_out, plan_table, target_name};
pub use ranges::{Ranges, ranges};
pub use shape::{ColumnShape, TableShape, written_out};
pub use types::{Loss, supported};
