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

    /// Reads a type as ClickHouse writes it, or as people do (`Decimal64(2)`, spaces anywhere); `None` where pipectl stores nothing as
    /// it, or ClickHouse has no such type.
    pub fn parse(text: &str) -> Option<Self> {
        let (name, arguments) = call(text)?;
        match (name, arguments) {
            ("Nullable", Some(inner)) => match Self::parse(inner)? {
                Self { nullable: true, .. } | Self { value: ValueType::Array(_) | ValueType::LowCardinality, .. } => {
                    None
                }
                Self { value, .. } => Some(Self::nullable(value)),
            },
            ("LowCardinality", Some(inner)) => match Self::parse(inner)? {
                Self { value: ValueType::String, nullable } => {
                    Some(Self { value: ValueType::LowCardinality, nullable })
                }
                _ => None,
            },
            _ => ValueType::parse(name, arguments).map(Self::required),
        }
    }
}

impl ValueType {
    fn parse(name: &str, arguments: Option<&str>) -> Option<Self> {
        Some(match (name, arguments) {
            ("Bool", None) => Self::Bool,
            ("Int16", None) => Self::Int16,
            ("Int32", None) => Self::Int32,
            ("Int64", None) => Self::Int64,
            ("UInt32", None) => Self::UInt32,
            ("Float32", None) => Self::Float32,
            ("Float64", None) => Self::Float64,
            ("String", None) => Self::String,
            ("Date32", None) => Self::Date32,
            ("UUID", None) => Self::Uuid,
            ("Decimal", Some(arguments)) => {
                let (precision, scale) = arguments.split_once(',').unwrap_or((arguments, "0"));
                decimal(precision.trim().parse().ok()?, scale)?
            }
            ("Decimal32", Some(scale)) => decimal(9, scale)?,
            ("Decimal64", Some(scale)) => decimal(18, scale)?,
            ("Decimal128", Some(scale)) => decimal(38, scale)?,
            ("Decimal256", Some(scale)) => decimal(76, scale)?,
            ("DateTime64", Some(arguments)) => {
                let (precision, zone) = arguments.split_once(',').unwrap_or((arguments, "'UTC'"));
                let precision = precision.trim().parse().ok().filter(|digits| *digits <= 9)?;
                (zone.trim() == "'UTC'").then_some(Self::DateTime64 { precision })?
            }
            ("Array", Some(element)) => Self::Array(Box::new(ColumnType::parse(element)?)),
            _ => return None,
        })
    }
}

/// The largest precision of a `Decimal`.
const MAX_DECIMAL_PRECISION: u8 = 76;

fn decimal(precision: u8, scale: &str) -> Option<ValueType> {
    let scale = scale.trim().parse().ok().filter(|scale| *scale <= precision)?;
    (1..=MAX_DECIMAL_PRECISION).contains(&precision).then_some(ValueType::Decimal { precision, scale })
}

/// A name and what stands in its parentheses.
fn call(text: &str) -> Option<(&str, Option<&str>)> {
    let text = text.trim();
    match text.split_once('(') {
        Some((name, rest)) => Some((name.trim_end(), Some(rest.strip_suffix(')')?.trim()))),
        None => Some((text, None)),
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

    #[test]
    fn reads_what_it_writes() {
        for text in [
            "Bool",
            "Nullable(Int64)",
            "UInt32",
            "Decimal(76, 38)",
            "LowCardinality(String)",
            "LowCardinality(Nullable(String))",
            "Nullable(DateTime64(6, 'UTC'))",
            "Array(Nullable(Decimal(10, 2)))",
            "Array(Array(Int16))",
        ] {
            assert_eq!(ColumnType::parse(text).map(|parsed| parsed.to_string()).as_deref(), Some(text));
        }
    }

    #[test]
    fn reads_other_spellings_and_refuses_the_rest() {
        for (text, written) in [
            (" Nullable ( Decimal64( 2 ) ) ", "Nullable(Decimal(18, 2))"),
            ("Decimal(9)", "Decimal(9, 0)"),
            ("DateTime64(3)", "DateTime64(3, 'UTC')"),
        ] {
            assert_eq!(ColumnType::parse(text).map(|parsed| parsed.to_string()).as_deref(), Some(written));
        }
        for text in [
            "",
            "Int",
            "Int32)",
            "Int32(1)",
            "Nullable(Int32",
            "Nullable(Nullable(Int32))",
            "Nullable(Array(Int32))",
            "Nullable(LowCardinality(String))",
            "LowCardinality(Int32)",
            "Decimal(77, 0)",
            "Decimal(0, 0)",
            "Decimal(4, 5)",
            "DateTime64(10)",
            "DateTime64(6, 'Asia/Tokyo')",
            "FixedString(3)",
        ] {
            assert_eq!(ColumnType::parse(text), None, "{text}");
        }
    }
}
