//! ClickHouse as the destination: how tables are stored there.

pub mod ddl;
mod dead_letters;
mod documents;
mod encode;
mod insert;
mod plan;
mod ranges;
mod shape;
mod types;

pub use dead_letters::{DeadLetterTable, LetterFilter, StoredLetter};
pub use insert::ClickHouseSink;
pub use plan::{
    ColumnPlan, ORDINAL_COLUMN, SOURCE_DELETED_COLUMN, TablePlan, counting_view_name, left_out, log_columns,
    plan_table, signed_log_name, stored_name, target_name,
};
pub use ranges::ranges;
pub use shape::{ColumnShape, TableShape, written_out};
pub use types::{Loss, supported};
