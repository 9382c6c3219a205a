//! The types that columns are stored as.

use std::fmt;

/// The type of a stored column: what its values are, and whether they may be NULL.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ColumnType {
    /// The type of its values.
    pub value: ValueType,
    /// Whether NULL can be stored. Never true of an array: ClickHouse has no nullable arrays.
    pub nullable: bool,
}

/// The type of a stored value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ValueType {
    /// `Bool`
    Bool,
    /// `Int16`
    Int16,
    /// `Int32`
    Int32,
    /// `Int64`
    Int64,
    /// `UInt32`
    UInt32,
    /// `Float32`
    Float32,
    /// `Float64`
    Float64,
    /// `Decimal(precision, scale)`, stored in 4, 8, 16 or 32 bytes by its precision
    Decimal {
        /// Total number of digits, 1 to 76.
        precision: u8,
        /// Digits after the point, 0 to `precision`.
        scale: u8,
    },
    /// `String`: any bytes
    String,
    /// `LowCardinality(String)`
    LowCardinality,
    /// `Date32`: days since 1970-01-01
    Date32,
    /// `DateTime64(precision, 'UTC')`: ticks since 1970-01-01
    DateTime64 {
        /// Digits of a second, 0 to 9.
        precision: u8,
    },
    /// `UUID`
    Uuid,
    /// `Array(T)`
    Array(Box<ColumnType>),
}

impl ColumnType {
    /// A type whose values may be NULL.
    pub fn nullable(value: ValueType) -> Self {
        Self { value, nullable: true }
    }

    /// A type whose values may not be NULL.
    pub fn required(value: ValueType) -> Self {
        Self { value, nullable: false }
    }
}

impl fmt::Display for ColumnType {
    /// The type as ClickHouse writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.value, self.nullable) {
            (ValueType::LowCardinality, true) => f.write_str("LowCardinality(Nullable(String))"),
            (value, true) => write!(f, "Nullable({value})"),
            (value, false) => write!(f, "{value}"),
        }
    }
}

impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool => f.write_str("Bool"),
            Self::Int16 => f.write_str("Int16"),
            Self::Int32 => f.write_str("Int32"),
            Self::Int64 => f.write_str("Int64"),
            Self::UInt32 => f.write_str("UInt32"),
            Self::Float32 => f.write_str("Float32"),
            Self::Float64 => f.write_str("Float64"),
            Self::Decimal { precision, scale } => write!(f, "Decimal({precision}, {scale})"),
            Self::String => f.write_str("String"),
            Self::LowCardinality => f.write_str("LowCardinality(String)"),
            Self::Date32 => f.write_str("Date32"),
            Self::DateTime64 { precision } => write!(f, "DateTime64({precision}, 'UTC')"),
            Self::Uuid => f.write_str("UUID"),
            Self::Array(element) => write!(f, "Array({element})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_types_as_clickhouse_does() {
        let array = ValueType::Array(Box::new(ColumnType::nullable(ValueType::Int32)));
        assert_eq!(ColumnType::required(array).to_string(), "Array(Nullable(Int32))");
        assert_eq!(ColumnType::nullable(ValueType::LowCardinality).to_string(), "LowCardinality(Nullable(String))");
        let time = ColumnType::nullable(ValueType::DateTime64 { precision: 6 });
        assert_eq!(time.to_string(), "Nullable(DateTime64(6, 'UTC'))");
    }
}
