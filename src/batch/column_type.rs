//! The types that columns are stored as.

use std::fmt;

/// The type of a stored column: what its values are, and whether they may be NULL.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ColumnType {
    /// The type of its values.
    pub value: ValueType,
    /// Whether NULL can be stored. Never true of an array or a map: ClickHouse has no nullable ones.
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
    /// `Date`: days since 1970-01-01, in 16 bits
    Date,
    /// `DateTime('UTC')`: seconds since 1970-01-01, in 32 bits
    DateTime,
    /// `Time`: seconds since midnight
    Time,
    /// `Time64(precision)`: ticks since midnight
    Time64 {
        /// Digits of a second, 0 to 9.
        precision: u8,
    },
    /// `UUID`
    Uuid,
    /// `IPv4`
    Ipv4,
    /// `IPv6`
    Ipv6,
    /// `FixedString(N)`: so many bytes, 1 to 16,777,215
    FixedString(u32),
    /// `Map(String, Nullable(String))`
    Map,
    /// `JSON`: a document, taken apart into paths; see [`crate::decode::document`]
    Json,
    /// `Array(T)`
    Array(Box<ColumnType>),
}

/// The longest `FixedString` that ClickHouse makes.
const MAX_FIXED_STRING: u32 = 0xFF_FFFF;

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
                Self { nullable: true, .. } | Self { value: ValueType::LowCardinality, .. } => None,
                Self { value, .. } => (!value.is_collection()).then(|| Self::nullable(value)),
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
    /// Whether it is an array or a map: ClickHouse has no NULL of these, and the empty one stands for it.
    pub fn is_collection(&self) -> bool {
        matches!(self, Self::Array(_) | Self::Map)
    }

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
            ("Date", None) => Self::Date,
            ("DateTime", None | Some("'UTC'")) => Self::DateTime,
            ("Time", None) => Self::Time,
            ("Time64", Some(precision)) => {
                Self::Time64 { precision: precision.parse().ok().filter(|digits| *digits <= 9)? }
            }
            ("UUID", None) => Self::Uuid,
            ("JSON", None) => Self::Json,
            ("IPv4", None) => Self::Ipv4,
            ("IPv6", None) => Self::Ipv6,
            ("FixedString", Some(len)) => {
                Self::FixedString(len.parse().ok().filter(|len| (1..=MAX_FIXED_STRING).contains(len))?)
            }
            ("Map", Some(arguments)) => {
                let (key, value) = arguments.split_once(',')?;
                let [key, value] = [ColumnType::parse(key)?, ColumnType::parse(value)?];
                let wanted = [ColumnType::required(Self::String), ColumnType::nullable(Self::String)];
                ([key, value] == wanted).then_some(Self::Map)?
            }
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
            Self::Date => f.write_str("Date"),
            Self::DateTime => f.write_str("DateTime('UTC')"),
            Self::Time => f.write_str("Time"),
            Self::Time64 { precision } => write!(f, "Time64({precision})"),
            Self::Uuid => f.write_str("UUID"),
            Self::Ipv4 => f.write_str("IPv4"),
            Self::Ipv6 => f.write_str("IPv6"),
            Self::FixedString(len) => write!(f, "FixedString({len})"),
            Self::Map => f.write_str("Map(String, Nullable(String))"),
            Self::Json => f.write_str("JSON"),
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
            "Nullable(Date)",
            "DateTime('UTC')",
            "Time",
            "Nullable(Time64(6))",
            "IPv4",
            "Nullable(IPv6)",
            "FixedString(32)",
            "Map(String, Nullable(String))",
            "Nullable(JSON)",
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
            ("DateTime", "DateTime('UTC')"),
            ("Map( String,Nullable( String ))", "Map(String, Nullable(String))"),
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
            "DateTime('Asia/Tokyo')",
            "Time64(10)",
            "Time64",
            "FixedString",
            "FixedString(0)",
            "FixedString(16777216)",
            "Map(String, String)",
            "Map(LowCardinality(String), Nullable(String))",
            "Nullable(Map(String, Nullable(String)))",
            "IPv4(1)",
            "JSON(max_dynamic_paths=8)",
        ] {
            assert_eq!(ColumnType::parse(text), None, "{text}");
        }
    }
}
