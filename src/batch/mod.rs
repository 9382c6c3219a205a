//! From fields to columns: typed buffers in the layout of ClickHouse's Native format. Pure; no I/O.

mod asked;
mod codec;
mod column;
mod column_type;
mod deletions;
mod leb128;
mod log;
mod table;
mod transform;

pub use codec::needs_text;
pub use column::{ColumnBuffer, Fault};
pub use column_type::{ColumnType, ValueType};
pub use deletions::Deletions;
pub(crate) use leb128::push_leb128;
pub use log::{LogChange, LogColumns, LogEntry, LogForm, LogOp, filled};
pub use table::{Layout, LayoutColumn, RowFault, RowMap, TableBatch};
pub use transform::Transform;

/// What dates and times a ClickHouse server can hold; it differs by version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ranges {
    /// First and last day of a `Date32`, counted from 1970-01-01.
    pub date_days: (i32, i32),
    /// First and last microsecond of a `DateTime64`, counted from 1970-01-01 UTC.
    pub datetime_micros: (i64, i64),
}

impl Default for Ranges {
    /// 1900-01-01 to 2299-12-31: what every version holds.
    fn default() -> Self {
        Self { date_days: (-25_567, 120_529), datetime_micros: (-2_208_988_800_000_000, 10_413_791_999_999_999) }
    }
}
