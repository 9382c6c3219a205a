//! ClickHouse as the destination: how tables are stored there.

mod plan;
mod types;

pub use plan::{ColumnPlan, ORDINAL_COLUMN, TablePlan, left_out, plan_table, target_name};
pub use types::{Loss, supported};
