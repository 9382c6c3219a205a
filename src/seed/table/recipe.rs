//! Which values a column can take, by its type and its name.

use super::catalog::ColumnFacts;
use super::meaning::{self, Span, When, Words};

/// How a column's values are made.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Recipe {
    /// One of these.
    OneOf(Vec<String>),
    /// A field of the tuple that a group of columns drew.
    Group {
        group: usize,
        place: usize,
    },
    /// The value of another column of the row.
    SameAs(usize),
    /// Whole numbers, one after the other.
    Count {
        first: i128,
    },
    /// Moments a second (dates: a day) apart.
    Ticks {
        first: i64,
        form: TimeForm,
    },
    /// Letters and digits of one width, one after the other.
    Codes {
        first: u64,
        width: u32,
    },
    /// A text with a mark that makes it unique, within so many characters.
    Marked {
        words: Words,
        limit: usize,
    },
    /// A text within so many characters.
    Text {
        words: Words,
        limit: usize,
    },
    /// A number of a span, with so many digits after the point.
    Number {
        low: f64,
        high: f64,
        decimals: u8,
    },
    /// A moment.
    Time {
        form: TimeForm,
        when: When,
    },
    /// A random UUID.
    Uuid,
    /// A host: IPv4, or IPv6 where it has to be unique.
    Host {
        unique: bool,
    },
    /// A network.
    Network,
    /// A hardware address of so many bytes.
    Hardware {
        bytes: u8,
    },
    /// A JSON object.
    Json,
    /// Random bytes.
    Bytes,
    /// So many random bits.
    Bits {
        length: u32,
    },
    /// An XML element.
    Xml,
    /// Words for full-text search.
    SearchWords,
    /// A length of time.
    Interval,
    /// A point on a plane, and a circle and a box around it.
    Point,
    Circle,
    Box,
    /// A range of numbers or times.
    Range(RangeOf),
    /// Keys and values of the hstore extension.
    Hstore,
    /// A label path of the ltree extension.
    LabelPath,
    /// So many numbers of pgvector.
    Vector {
        length: u32,
    },
    /// A few of these.
    Array(std::boxed::Box<Recipe>),
}

/// The form of a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TimeForm {
    Date,
    Timestamp,
    TimestampTz,
    Time,
    TimeTz,
}

/// What lies between the ends of a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RangeOf {
    Whole,
    Decimal,
    Date,
    Moment,
}

/// No limit.
pub(super) const UNLIMITED: usize = usize::MAX;
/// `VARHDRSZ`: what the modifier of varchar and char counts besides the characters.
const HEADER: i32 = 4;

/// The recipe of a column that need not be unique; or why there is none.
pub(super) fn recipe(column: &ColumnFacts, table: &str) -> Result<Recipe, String> {
    let element =
        if column.labels.is_empty() { of_type(column, table) } else { Some(Recipe::OneOf(column.labels.clone())) };
    let element = element.ok_or_else(|| format!("no values are known for type {}", column.declared))?;
    Ok(if column.is_array { Recipe::Array(std::boxed::Box::new(element)) } else { element })
}

/// The most characters of a text column.
pub(super) fn text_limit(column: &ColumnFacts) -> usize {
    match column.type_name.as_str() {
        "varchar" | "bpchar" if column.modifier >= HEADER => (column.modifier - HEADER) as usize,
        // 63 bytes; Postgres cuts the rest off without a word, and a character may take three.
        "name" => 21,
        "char" => 1,
        _ => UNLIMITED,
    }
}

/// Whether it holds text.
pub(super) fn is_text(column: &ColumnFacts) -> bool {
    matches!(column.type_name.as_str(), "text" | "varchar" | "bpchar" | "citext" | "name" | "char")
}

/// The greatest whole number that fits; none where it is no number.
pub(super) fn greatest_number(column: &ColumnFacts) -> Option<i128> {
    Some(match column.type_name.as_str() {
        "int2" => i128::from(i16::MAX),
        "int4" => i128::from(i32::MAX),
        "int8" => i128::from(i64::MAX),
        "oid" => i128::from(u32::MAX),
        // Whole numbers up to these are exact.
        "float4" => 1 << 24,
        "float8" | "money" => 1 << 53,
        "numeric" => match precision(column) {
            Some((precision, scale)) => 10_i128.pow((i32::from(precision) - i32::from(scale)).clamp(0, 36) as u32) - 1,
            None => 10_i128.pow(36),
        },
        _ => return None,
    })
}

/// The form of a column that holds moments.
pub(super) fn time_form(column: &ColumnFacts) -> Option<TimeForm> {
    Some(match column.type_name.as_str() {
        "date" => TimeForm::Date,
        "timestamp" => TimeForm::Timestamp,
        "timestamptz" => TimeForm::TimestampTz,
        "time" => TimeForm::Time,
        "timetz" => TimeForm::TimeTz,
        _ => return None,
    })
}

/// Precision and scale as numeric's modifier holds them: since Postgres 15 the scale has 11 bits and may be negative.
fn precision(column: &ColumnFacts) -> Option<(u16, i16)> {
    let packed = column.modifier.checked_sub(HEADER).filter(|packed| *packed >= 0)?;
    let scale = ((packed & 0x7FF) ^ 1024) - 1024;
    Some(((packed >> 16) as u16, scale as i16))
}

fn of_type(column: &ColumnFacts, table: &str) -> Option<Recipe> {
    if column.type_name == "char" {
        return Some(Recipe::OneOf(["a", "b", "c"].map(str::to_owned).to_vec()));
    }
    if is_text(column) {
        return Some(Recipe::Text { words: meaning::words(&column.name, table), limit: text_limit(column) });
    }
    if greatest_number(column).is_some() {
        return Some(number(column));
    }
    if let Some(form) = time_form(column) {
        return Some(Recipe::Time { form, when: meaning::when(&column.name) });
    }
    let length = column.modifier.max(1) as u32;
    Some(match column.type_name.as_str() {
        "bool" => Recipe::OneOf(vec!["t".to_owned(), "f".to_owned()]),
        "uuid" => Recipe::Uuid,
        "inet" => Recipe::Host { unique: false },
        "cidr" => Recipe::Network,
        "macaddr" => Recipe::Hardware { bytes: 6 },
        "macaddr8" => Recipe::Hardware { bytes: 8 },
        "json" | "jsonb" => Recipe::Json,
        "bytea" => Recipe::Bytes,
        "bit" => Recipe::Bits { length },
        "varbit" => Recipe::Bits { length: if column.modifier > 0 { length } else { 8 } },
        "xml" => Recipe::Xml,
        "tsvector" => Recipe::SearchWords,
        "interval" => Recipe::Interval,
        "point" => Recipe::Point,
        "circle" => Recipe::Circle,
        "box" => Recipe::Box,
        "int4range" | "int8range" => Recipe::Range(RangeOf::Whole),
        "numrange" => Recipe::Range(RangeOf::Decimal),
        "daterange" => Recipe::Range(RangeOf::Date),
        "tsrange" | "tstzrange" => Recipe::Range(RangeOf::Moment),
        "hstore" => Recipe::Hstore,
        "ltree" => Recipe::LabelPath,
        "vector" | "halfvec" => Recipe::Vector { length: if column.modifier > 0 { length } else { 3 } },
        _ => return None,
    })
}

fn number(column: &ColumnFacts) -> Recipe {
    let Span { low, high, decimals } = meaning::span(&column.name);
    let fits = greatest_number(column).unwrap_or(i128::from(i16::MAX)) as f64;
    let whole = matches!(column.type_name.as_str(), "int2" | "int4" | "int8" | "oid");
    let scale = if column.type_name == "numeric" { precision(column) } else { None };
    let decimals = match scale {
        Some((_, scale)) => decimals.min(scale.clamp(0, 18) as u8),
        None if whole => 0,
        None => decimals,
    };
    // numeric(3, 5) holds nothing but fractions.
    if let Some((precision, scale)) = scale.filter(|&(precision, scale)| i32::from(scale) >= i32::from(precision)) {
        let high = 10_f64.powi(i32::from(precision) - i32::from(scale)) * 0.9;
        return Recipe::Number { low: 0.0, high, decimals: scale.clamp(0, 18) as u8 };
    }
    let low = if column.type_name == "oid" { low.max(0.0) } else { low };
    Recipe::Number { low: low.clamp(-fits, fits), high: high.min(fits), decimals }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, type_name: &str, modifier: i32) -> ColumnFacts {
        ColumnFacts { name: name.to_owned(), type_name: type_name.to_owned(), modifier, ..ColumnFacts::default() }
    }

    fn numeric(precision: i32, scale: i32) -> i32 {
        ((precision << 16) | (scale & 0x7FF)) + HEADER
    }

    #[test]
    fn numbers_fit_their_type() {
        let cases = [
            (column("price", "numeric", numeric(10, 2)), 0.99, 999.99, 2),
            (column("price", "numeric", numeric(3, 1)), 0.99, 99.0, 1),
            (column("price", "int4", -1), 0.99, 999.99, 0),
            (column("salary", "int2", -1), 20_000.0, 32_767.0, 0),
        ];
        for (column, low, high, decimals) in cases {
            assert_eq!(recipe(&column, "t"), Ok(Recipe::Number { low, high, decimals }), "{column:?}");
        }
        let Ok(Recipe::Number { high, decimals: 4, .. }) = recipe(&column("x", "numeric", numeric(2, 4)), "t") else {
            panic!()
        };
        assert!((0.0089..0.0091).contains(&high));
        assert_eq!(greatest_number(&column("x", "numeric", numeric(3, -2))), Some(99_999));
    }

    #[test]
    fn types_without_values_are_said() {
        let unknown = ColumnFacts { declared: "geometry(Point,4326)".to_owned(), ..column("place", "geometry", 1) };
        assert_eq!(recipe(&unknown, "t").unwrap_err(), "no values are known for type geometry(Point,4326)");
    }

    #[test]
    fn texts_know_their_limit() {
        assert_eq!(text_limit(&column("x", "varchar", 24)), 20);
        assert_eq!(text_limit(&column("x", "text", -1)), UNLIMITED);
    }
}
