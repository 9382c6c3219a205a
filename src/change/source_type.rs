//! The types of Postgres' columns, as far as pipectl tells them apart.

/// What a column holds at the source, domains resolved to their base type.
///
/// A type that pipectl has no reading of its own for is [`SourceType::Text`]: Postgres' own text output, stored as it is. So are, unless the configuration
/// asks for another type, those that are told apart only for that: see [`SourceType::is_text_output`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SourceType {
    /// `boolean`
    Bool,
    /// `smallint`
    Int2,
    /// `integer`
    Int4,
    /// `bigint`
    Int8,
    /// `oid`: unsigned 32 bits
    Oid,
    /// `real`
    Float4,
    /// `double precision`
    Float8,
    /// `numeric(precision, scale)`; since Postgres 15 the scale may be negative or exceed the precision
    Numeric {
        /// Total number of digits, 1 to 1000.
        precision: u16,
        /// Digits after the point, -1000 to 1000.
        scale: i16,
    },
    /// `numeric` without a precision: up to 131072 digits
    NumericUnbounded,
    /// `text`, `varchar`, `char(n)`, `citext`, `name`, `xml`, `json` in arrays: types whose binary form is their text
    String,
    /// `bytea`
    Bytea,
    /// `date`
    Date,
    /// `timestamp without time zone`
    Timestamp,
    /// `timestamp with time zone`
    TimestampTz,
    /// `uuid`
    Uuid,
    /// An enum; its binary form is the label
    Enum,
    /// A one-dimensional array, as far as the declaration tells
    Array(Box<SourceType>),
    /// pgvector's `vector` and `halfvec`
    Vector,
    /// `time without time zone`, by its text output
    Time,
    /// `inet`, by its text output
    Inet,
    /// `hstore`, by its text output
    Hstore,
    /// `json` and `jsonb`, by their text output
    Json,
    /// Everything else, by its text output
    Text,
}

impl SourceType {
    /// Whether its values come as text output only, in the stream and in copies.
    pub fn is_text_output(&self) -> bool {
        matches!(self, Self::Text | Self::Time | Self::Inet | Self::Hstore | Self::Json)
    }
}
