//! From `pg_type` to [`SourceType`].

use crate::change::SourceType;

/// What the catalog says of a column's type, its domains resolved.
pub(super) struct TypeFacts<'a> {
    /// OID of the type that is held: the base type, or, in an array, that of the elements.
    pub(super) oid: u32,
    /// Its name.
    pub(super) name: &'a str,
    /// The extension it comes from.
    pub(super) extension: Option<&'a str>,
    /// Whether it is an enum.
    pub(super) is_enum: bool,
    /// Its modifier: precision and scale of a numeric, -1 for none.
    pub(super) modifier: i32,
    /// Arrays around it: 2 and more only where a domain over an array is itself put into an array.
    pub(super) arrays: i32,
    /// The declared dimensions, which Postgres does not enforce.
    pub(super) dimensions: i32,
}

/// What the column holds. Only types whose binary form is known here are told apart; all others are [`SourceType::Text`].
pub(super) fn source_type(facts: &TypeFacts<'_>) -> SourceType {
    match (facts.arrays, held(facts)) {
        (0, held) => held,
        // The elements' text lies inside the array's own text form, quoted; there is no array of such texts on the wire.
        (_, SourceType::Vector) => SourceType::Text,
        (_, held) if held.is_text_output() => SourceType::Text,
        (1, held) if facts.dimensions <= 1 => SourceType::Array(Box::new(held)),
        _ => SourceType::Text,
    }
}

/// The type itself. The OIDs of built-in types never change:
/// <https://github.com/postgres/postgres/blob/master/src/include/catalog/pg_type.dat>.
fn held(facts: &TypeFacts<'_>) -> SourceType {
    match (facts.oid, facts.extension, facts.name) {
        (16, ..) => SourceType::Bool,
        (17, ..) => SourceType::Bytea,
        (20, ..) => SourceType::Int8,
        (21, ..) => SourceType::Int2,
        (23, ..) => SourceType::Int4,
        (26, ..) => SourceType::Oid,
        // name, text, json, xml, bpchar, varchar: their send functions write what their output functions write. "char" (18)
        // is not among them: it sends a raw byte and writes \ooo, and jsonb sends a version byte.
        (114, ..) if facts.arrays > 0 => SourceType::String,
        (114 | 3802, ..) => SourceType::Json,
        (19 | 25 | 142 | 1042 | 1043, ..) => SourceType::String,
        (700, ..) => SourceType::Float4,
        (701, ..) => SourceType::Float8,
        (869, ..) => SourceType::Inet,
        (1082, ..) => SourceType::Date,
        (1083, ..) => SourceType::Time,
        (1114, ..) => SourceType::Timestamp,
        (1184, ..) => SourceType::TimestampTz,
        (1700, ..) => numeric(facts.modifier),
        (2950, ..) => SourceType::Uuid,
        (_, Some("citext"), "citext") => SourceType::String,
        (_, Some("hstore"), "hstore") => SourceType::Hstore,
        (_, Some("vector"), "vector" | "halfvec") => SourceType::Vector,
        _ if facts.is_enum => SourceType::Enum,
        _ => SourceType::Text,
    }
}

/// Length of the header that a numeric's modifier is counted from.
const MODIFIER_OFFSET: i32 = 4;

/// Precision and scale lie in the modifier's upper and lower half; the scale is a signed number of 11 bits since Postgres 15, and
/// never reached the sign bit before.
fn numeric(modifier: i32) -> SourceType {
    if modifier < MODIFIER_OFFSET {
        return SourceType::NumericUnbounded;
    }
    let packed = modifier - MODIFIER_OFFSET;
    let precision = (packed >> 16 & 0xFFFF) as u16;
    let scale = (((packed & 0x7FF) ^ 0x400) - 0x400) as i16;
    SourceType::Numeric { precision, scale }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(oid: u32, modifier: i32, arrays: i32, dimensions: i32) -> TypeFacts<'static> {
        TypeFacts { oid, name: "t", extension: None, is_enum: false, modifier, arrays, dimensions }
    }

    #[test]
    fn reads_precision_and_scale() {
        let of = |precision: i32, scale: i32| numeric((precision << 16 | (scale & 0x7FF)) + MODIFIER_OFFSET);
        for (precision, scale) in [(10, 2), (1, 0), (76, 76), (1000, 1000), (5, -3), (3, 5), (1000, -1000)] {
            let expected = SourceType::Numeric { precision: precision as u16, scale: scale as i16 };
            assert_eq!(of(precision, scale), expected);
        }
        assert_eq!(numeric(-1), SourceType::NumericUnbounded);
    }

    #[test]
    fn arrays_are_told_apart_only_where_their_elements_are() {
        let int4 = SourceType::Array(Box::new(SourceType::Int4));
        assert_eq!(source_type(&facts(23, -1, 1, 1)), int4);
        assert_eq!(source_type(&facts(23, -1, 1, 0)), int4, "CREATE TABLE AS leaves no dimensions");
        assert_eq!(source_type(&facts(23, -1, 1, 2)), SourceType::Text, "int[][]");
        assert_eq!(source_type(&facts(23, -1, 2, 1)), SourceType::Text, "an array of a domain over an array");
        assert_eq!(source_type(&facts(869, -1, 0, 0)), SourceType::Inet);
        assert_eq!(source_type(&facts(869, -1, 1, 1)), SourceType::Text, "inet[]");
        assert_eq!(source_type(&facts(650, -1, 0, 0)), SourceType::Text, "cidr");
        for json in [114, 3802] {
            assert_eq!(source_type(&facts(json, -1, 0, 0)), SourceType::Json);
        }
        assert_eq!(source_type(&facts(114, -1, 1, 1)), SourceType::Array(Box::new(SourceType::String)), "json[]");
        assert_eq!(source_type(&facts(3802, -1, 1, 1)), SourceType::Text, "jsonb[]");
    }

    #[test]
    fn extension_types_are_known_by_their_extension() {
        let of = |extension, name| {
            let facts =
                TypeFacts { oid: 20_000, name, extension, is_enum: false, modifier: -1, arrays: 0, dimensions: 0 };
            source_type(&facts)
        };
        assert_eq!(of(Some("vector"), "vector"), SourceType::Vector);
        assert_eq!(of(Some("vector"), "halfvec"), SourceType::Vector);
        assert_eq!(of(Some("vector"), "sparsevec"), SourceType::Text);
        assert_eq!(of(Some("hstore"), "hstore"), SourceType::Hstore);
        assert_eq!(of(Some("citext"), "citext"), SourceType::String);
        assert_eq!(of(None, "citext"), SourceType::Text);
    }
}
