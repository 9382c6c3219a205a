//! Which text stands for a value on both sides.
//!
//! For every pair of a source type and a stored type there is one form; `postgres_text` and `clickhouse_text` each know how
//! their server writes it. Two values are equal exactly if their forms are.

use super::stored_type::StoredType;
use crate::batch::Transform;
use crate::change::SourceType;

/// The text of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Form {
    /// `true` or `false`.
    Truth,
    /// Decimal digits.
    Integer,
    /// A number in decimal digits without trailing zeros.
    Number,
    /// The bits of a 32-bit float in hex, `NaN` for all of its NaNs. In a key both zeros are one value, as they are in an index.
    Float32 { in_key: bool },
    /// The same of a 64-bit float.
    Float64 { in_key: bool },
    /// Days since 2000-01-01, four bytes in hex.
    Days,
    /// Microseconds since 2000-01-01, eight bytes in hex; cut down to the digits that the stored type has.
    Microseconds,
    /// Microseconds since midnight, in decimal digits; cut down to the digits that the stored type has.
    TimeOfDay,
    /// The bytes of an address in hex: four, or sixteen.
    Address { long: bool },
    /// A UUID in its usual form.
    Uuid,
    /// Bytes in hex behind an `x`, since no form but that of NULL may be empty.
    Bytes,
    /// The type's output, any characters.
    Text,
    /// A document: its text as each server writes it, which this process brings into one form; see `document`.
    Document,
    /// The pairs of an hstore as its output writes them; NULL is no pairs.
    Pairs,
    /// The elements' forms in their order; a NULL array is an empty one.
    Elements(Box<Rendering>),
}

impl Form {
    /// Whether the text can hold any character, so that only its length tells where it ends.
    pub(super) fn is_free(&self) -> bool {
        matches!(self, Self::Text | Self::Pairs)
    }
}

/// A form, and which values of the source the stored type can hold at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rendering {
    pub(super) form: Form,
    /// What the source's values are.
    pub(super) source: SourceType,
    /// Whether the source's type is `text` or `varchar`, which need no output function.
    pub(super) plain: bool,
    /// What the stored values are.
    pub(super) stored: StoredType,
    pub(super) limits: Limits,
    /// What is stored in the place of each value.
    pub(super) transform: Option<Transform>,
}

/// The values that the stored type can hold; all others are stored as NULL by policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Limits {
    /// Every one.
    None,
    /// Numbers of so many digits before and after the point; never NaN or an infinity.
    Digits { whole: u8, fraction: u8 },
    /// Numbers within the range of a 64-bit float, NaN and the infinities.
    Double,
    /// Addresses of hosts; with `long` those of IPv6, too, but none that is an IPv4 address in IPv6's form.
    Hosts { long: bool },
    /// Values of just so many bytes.
    Octets(u32),
    /// Texts that are a UUID in lower case with hyphens.
    Uuids,
    /// Dates from the first day to the last, both included.
    Days(Span),
    /// Points in time from the first to the last microsecond, both included.
    Times(Span),
}

/// First and last value, as both servers read them.
pub(super) type Span = (&'static str, &'static str);

/// What this ClickHouse server holds of the calendar. Since 26.7 its long types reach from year 0 to 9999; older ones hold 1900
/// to 2299. Years before 1 are never stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Calendar {
    pub(super) date32: Span,
    pub(super) datetime64: Span,
}

impl Calendar {
    const SHORT_DATE: Span = ("1970-01-01", "2149-06-06");
    const SHORT_TIME: Span = ("1970-01-01 00:00:00", "2106-02-07 06:28:15.999999");
    const NANOSECONDS: Span = ("1900-01-01 00:00:00", "2262-04-11 23:47:16.854775");

    /// The calendar of a server, of what it answered for the first year.
    pub(super) fn new(long_date32: bool, long_datetime64: bool) -> Self {
        Self {
            date32: if long_date32 { ("0001-01-01", "9999-12-31") } else { ("1900-01-01", "2299-12-31") },
            datetime64: if long_datetime64 {
                ("0001-01-01 00:00:00", "9999-12-31 23:59:59.999999")
            } else {
                ("1900-01-01 00:00:00", "2299-12-31 23:59:59.999999")
            },
        }
    }
}

/// The form in which a source type and a stored type are compared.
///
/// # Errors
/// Why the two cannot be compared.
pub(super) fn rendering(
    source: &SourceType,
    stored: &StoredType,
    calendar: &Calendar,
) -> Result<Rendering, &'static str> {
    use SourceType as S;
    use StoredType as C;
    let none = Limits::None;
    let (form, limits) = match (source, stored) {
        (S::Array(element), C::Array(stored)) => {
            (Form::Elements(Box::new(rendering(element, stored, calendar)?)), none)
        }
        (S::Vector, C::Array(stored)) if **stored == C::Float32 => {
            (Form::Elements(Box::new(rendering(&S::Float4, stored, calendar)?)), none)
        }
        (S::Bytea, C::String) => (Form::Bytes, none),
        (S::Bytea, C::FixedString { len }) => (Form::Bytes, Limits::Octets(*len)),
        (S::String, C::FixedString { len }) => (Form::Text, Limits::Octets(*len)),
        (S::String, C::Uuid) => (Form::Text, Limits::Uuids),
        (S::Time, C::Time { .. }) => (Form::TimeOfDay, none),
        (S::Inet, C::Ipv4) => (Form::Address { long: false }, Limits::Hosts { long: false }),
        (S::Inet, C::Ipv6) => (Form::Address { long: true }, Limits::Hosts { long: true }),
        (S::Hstore, C::Map) => (Form::Pairs, none),
        (S::Json, C::Json) => (Form::Document, none),
        (_, C::String) | (S::Enum | S::String, C::Enum) => (Form::Text, none),
        (S::Bool, C::Bool) => (Form::Truth, none),
        (S::Bool | S::Int2 | S::Int4 | S::Int8 | S::Oid, C::Integer) => (Form::Integer, none),
        (S::Float4, C::Float32) => (Form::Float32 { in_key: false }, none),
        (S::Float4 | S::Float8 | S::Int2 | S::Int4, C::Float64) => (Form::Float64 { in_key: false }, none),
        (S::Numeric { .. } | S::NumericUnbounded, C::Float64) => (Form::Float64 { in_key: false }, Limits::Double),
        (
            S::Int2 | S::Int4 | S::Int8 | S::Oid | S::Numeric { .. } | S::NumericUnbounded,
            C::Decimal { precision, scale },
        ) => (Form::Number, Limits::Digits { whole: precision.saturating_sub(*scale), fraction: *scale }),
        (S::Numeric { .. } | S::NumericUnbounded, C::Integer) => (Form::Number, none),
        (S::Date, C::Date32) => (Form::Days, Limits::Days(calendar.date32)),
        (S::Date, C::Date) => (Form::Days, Limits::Days(Calendar::SHORT_DATE)),
        (S::Timestamp | S::TimestampTz, C::DateTime64 { precision: 9.. }) => {
            (Form::Microseconds, Limits::Times(Calendar::NANOSECONDS))
        }
        (S::Timestamp | S::TimestampTz, C::DateTime64 { .. }) => {
            (Form::Microseconds, Limits::Times(calendar.datetime64))
        }
        (S::Timestamp | S::TimestampTz, C::DateTime) => (Form::Microseconds, Limits::Times(Calendar::SHORT_TIME)),
        (S::Uuid, C::Uuid) => (Form::Uuid, none),
        _ => return Err("its two types have no text in common"),
    };
    Ok(Rendering { form, source: source.clone(), plain: false, stored: stored.clone(), limits, transform: None })
}

impl Rendering {
    /// The same as part of a key.
    pub(super) fn in_key(&self) -> Self {
        let form = match &self.form {
            Form::Float32 { .. } => Form::Float32 { in_key: true },
            Form::Float64 { .. } => Form::Float64 { in_key: true },
            other => other.clone(),
        };
        Self { form, ..self.clone() }
    }

    /// The same of a column in the place of whose values something else is stored.
    pub(super) fn with_transform(mut self, transform: Option<&Transform>) -> Self {
        self.transform = transform.cloned();
        self
    }

    /// The same of a column declared `text`, `varchar` or an array of either (OIDs of `pg_type.dat`).
    pub(super) fn with_type_oid(mut self, type_oid: u32) -> Self {
        self.plain = matches!(type_oid, 25 | 1043);
        if let (Form::Elements(element), 1009 | 1015) = (&mut self.form, type_oid) {
            element.plain = true;
        }
        self
    }
}
