//! From changes to columns: typed buffers in the layout of ClickHouse's Native format. Pure; no I/O.

mod column_type;

pub use column_type::{ColumnType, ValueType};
