use super::*;
use crate::change::fixtures;

fn column(source_type: SourceType, not_null: bool) -> Column {
    Column { not_null, ..fixtures::column("c", source_type) }
}

fn numeric(precision: u16, scale: i16) -> SourceType {
    SourceType::Numeric { precision, scale }
}

fn array(element: SourceType) -> SourceType {
    SourceType::Array(Box::new(element))
}

/// What a type is stored as: where NULL is allowed, under NOT NULL, in the key.
fn assert_mapped(source: &SourceType, [nullable, required, in_key]: [&str; 3]) {
    assert_eq!(mapped(&column(source.clone(), false), false).to_string(), nullable, "{source:?}, nullable");
    assert_eq!(mapped(&column(source.clone(), true), false).to_string(), required, "{source:?}, NOT NULL");
    assert_eq!(mapped(&column(source.clone(), true), true).to_string(), in_key, "{source:?}, in the key");
    for (not_null, key) in [(false, false), (true, false), (true, true)] {
        let stored = mapped(&column(source.clone(), not_null), key);
        assert!(supported(source, &stored.value), "{source:?} as {stored}");
    }
}

macro_rules! rows {
    ($($name:ident: $source:expr => $types:expr;)*) => {
        $(#[test]
        fn $name() {
            assert_mapped(&$source, $types);
        })*
    };
}

rows! {
    boolean: SourceType::Bool => ["Nullable(Bool)", "Bool", "Bool"];
    smallint: SourceType::Int2 => ["Nullable(Int16)", "Int16", "Int16"];
    integer: SourceType::Int4 => ["Nullable(Int32)", "Int32", "Int32"];
    bigint: SourceType::Int8 => ["Nullable(Int64)", "Int64", "Int64"];
    oid: SourceType::Oid => ["Nullable(UInt32)", "UInt32", "UInt32"];
    real: SourceType::Float4 => ["Nullable(Float32)", "Float32", "Float32"];
    double_precision: SourceType::Float8 => ["Nullable(Float64)", "Float64", "Float64"];
    numeric_has_nan: numeric(12, 2) => ["Nullable(Decimal(12, 2))", "Nullable(Decimal(12, 2))", "String"];
    numeric_of_76_digits: numeric(76, 76) => ["Nullable(Decimal(76, 76))", "Nullable(Decimal(76, 76))", "String"];
    numeric_of_77_digits: numeric(77, 0) => ["Nullable(String)", "String", "String"];
    numeric_of_negative_scale: numeric(5, -2) => ["Nullable(String)", "String", "String"];
    numeric_of_scale_above_precision: numeric(3, 5) => ["Nullable(String)", "String", "String"];
    numeric_unbounded: SourceType::NumericUnbounded => ["Nullable(String)", "String", "String"];
    strings: SourceType::String => ["Nullable(String)", "String", "String"];
    bytea: SourceType::Bytea => ["Nullable(String)", "String", "String"];
    date_has_infinity: SourceType::Date => ["Nullable(Date32)", "Nullable(Date32)", "String"];
    timestamp_has_infinity: SourceType::Timestamp =>
        ["Nullable(DateTime64(6, 'UTC'))", "Nullable(DateTime64(6, 'UTC'))", "String"];
    timestamptz_has_infinity: SourceType::TimestampTz =>
        ["Nullable(DateTime64(6, 'UTC'))", "Nullable(DateTime64(6, 'UTC'))", "String"];
    uuid: SourceType::Uuid => ["Nullable(UUID)", "UUID", "UUID"];
    enums: SourceType::Enum =>
        ["LowCardinality(Nullable(String))", "LowCardinality(String)", "LowCardinality(String)"];
    vector: SourceType::Vector => ["Array(Float32)", "Array(Float32)", "String"];
    time: SourceType::Time => ["Nullable(String)", "String", "String"];
    inet: SourceType::Inet => ["Nullable(String)", "String", "String"];
    hstore: SourceType::Hstore => ["Nullable(String)", "String", "String"];
    everything_else: SourceType::Text => ["Nullable(String)", "String", "String"];
    array_of_integers: array(SourceType::Int4) => ["Array(Nullable(Int32))", "Array(Nullable(Int32))", "String"];
    array_of_enums: array(SourceType::Enum) => ["Array(Nullable(String))", "Array(Nullable(String))", "String"];
    array_of_times: array(SourceType::TimestampTz) =>
        ["Array(Nullable(DateTime64(6, 'UTC')))", "Array(Nullable(DateTime64(6, 'UTC')))", "String"];
    array_of_numerics: array(numeric(10, 2)) =>
        ["Array(Nullable(Decimal(10, 2)))", "Array(Nullable(Decimal(10, 2)))", "String"];
    array_of_unbounded_numerics: array(SourceType::NumericUnbounded) =>
        ["Array(Nullable(String))", "Array(Nullable(String))", "String"];
}

#[test]
fn overrides_keep_room_for_null() {
    for (source, not_null, wanted, stored) in [
        (SourceType::String, false, "LowCardinality(String)", "LowCardinality(Nullable(String))"),
        (SourceType::String, true, "LowCardinality(String)", "LowCardinality(String)"),
        (SourceType::Int4, true, "Nullable(Int64)", "Nullable(Int64)"),
        (SourceType::Int4, true, "Decimal(10, 0)", "Decimal(10, 0)"),
        (SourceType::Int4, true, "Decimal(9, 0)", "Nullable(Decimal(9, 0))"),
        (SourceType::NumericUnbounded, true, "Decimal(38, 9)", "Nullable(Decimal(38, 9))"),
        (numeric(10, 2), true, "Float64", "Float64"),
        (SourceType::TimestampTz, true, "DateTime64(3)", "Nullable(DateTime64(3, 'UTC'))"),
        (array(SourceType::Int2), true, "Array(Int64)", "Array(Nullable(Int64))"),
        (array(SourceType::Int2), false, "String", "Nullable(String)"),
        (SourceType::Vector, false, "Array(Float32)", "Array(Float32)"),
        (SourceType::Uuid, true, "String", "String"),
        (SourceType::Time, true, "Time64(6)", "Time64(6)"),
        (SourceType::Inet, true, "IPv4", "Nullable(IPv4)"),
        (SourceType::Hstore, false, "Map(String, Nullable(String))", "Map(String, Nullable(String))"),
        (SourceType::String, true, "FixedString(3)", "Nullable(FixedString(3))"),
        (SourceType::Date, true, "Date", "Nullable(Date)"),
        (SourceType::Json, true, "JSON", "Nullable(JSON)"),
        (SourceType::Timestamp, true, "DateTime", "Nullable(DateTime('UTC'))"),
    ] {
        let found = overridden(&column(source.clone(), not_null), wanted, false).unwrap();
        assert_eq!(found.to_string(), stored, "{source:?} as {wanted}");
    }
}

#[test]
fn a_key_may_be_stored_as_asked_but_never_as_null() {
    let time = column(SourceType::TimestampTz, true);
    assert_eq!(overridden(&time, "DateTime64(6)", true).unwrap().to_string(), "DateTime64(6, 'UTC')");
    let stored = ColumnType::required(ValueType::DateTime64 { precision: 6 });
    let told = losses(&time, &stored, true);
    assert!(told.iter().any(|loss| loss.what.ends_with("cannot be stored")), "{told:?}");
    assert!(overridden(&time, "Nullable(DateTime64(6))", true).is_err());
    assert!(overridden(&column(array(SourceType::Int4), true), "Array(Int32)", true).is_err());
    assert!(overridden(&column(SourceType::Hstore, true), "Map(String, Nullable(String))", true).is_err());
    assert!(overridden(&column(SourceType::Json, true), "JSON", true).is_err());
    assert_eq!(overridden(&column(SourceType::Inet, true), "IPv6", true).unwrap().to_string(), "IPv6");
    for (source, cut) in [
        (SourceType::TimestampTz, "DateTime64(3)"),
        (SourceType::Timestamp, "DateTime"),
        (SourceType::Time, "Time64(5)"),
        (SourceType::Time, "Time"),
        (SourceType::NumericUnbounded, "Float64"),
    ] {
        let error = overridden(&column(source, true), cut, true).unwrap_err();
        assert!(error.message().ends_with("values that are cut become one"), "{cut}: {error}");
    }
}

#[test]
fn impossible_overrides_name_what_is_possible() {
    for (source, wanted) in [
        (SourceType::String, "Int32"),
        (SourceType::Int8, "Int32"),
        (SourceType::Int8, "Float64"),
        (SourceType::Float8, "Float32"),
        (SourceType::Bytea, "LowCardinality(String)"),
        (SourceType::Date, "DateTime64(6)"),
        (SourceType::Timestamp, "DateTime64(7)"),
        (SourceType::Date, "DateTime"),
        (SourceType::Inet, "FixedString(4)"),
        (array(SourceType::Enum), "Array(LowCardinality(String))"),
        (SourceType::Vector, "Array(Float64)"),
        (SourceType::Text, "JSON"),
        (SourceType::String, "JSON"),
        (array(SourceType::String), "Array(JSON)"),
    ] {
        let error = overridden(&column(source.clone(), false), wanted, false).unwrap_err();
        assert_eq!(error.kind(), Kind::Config);
        assert!(error.message().contains("column \"c\" of type t") && error.message().contains(wanted));
        assert!(error.hint_text().unwrap().contains("String"), "{source:?} as {wanted}: {:?}", error.hint_text());
    }
}

#[test]
fn every_loss_is_named() {
    let told = |source: SourceType, not_null: bool, stored: &str| -> Vec<String> {
        let stored = ColumnType::parse(stored).unwrap();
        losses(&column(source, not_null), &stored, false).into_iter().map(|loss| loss.what).collect()
    };
    assert_eq!(told(SourceType::Int8, false, "Nullable(Int64)"), Vec::<String>::new());
    assert_eq!(told(SourceType::NumericUnbounded, false, "Nullable(String)"), Vec::<String>::new());
    assert_eq!(told(numeric(12, 2), false, "Nullable(Decimal(12, 2))"), ["NaN becomes NULL"]);
    assert_eq!(
        told(SourceType::NumericUnbounded, false, "Nullable(Decimal(38, 9))"),
        ["NaN and Infinity become NULL", "values of more than 29 digits before the point or 9 after it become NULL"]
    );
    assert_eq!(
        told(SourceType::Int8, false, "Nullable(Decimal(18, 0))"),
        ["values of more than 18 digits become NULL"]
    );
    assert_eq!(told(numeric(12, 2), false, "Nullable(Float64)"), ["only about 16 digits are kept"]);
    assert_eq!(told(SourceType::Date, false, "Nullable(Date32)").len(), 1);
    assert_eq!(told(SourceType::Timestamp, false, "Nullable(DateTime64(3))").len(), 2);
    assert_eq!(told(array(SourceType::Date), false, "Array(Nullable(Date32))").len(), 3);
    assert_eq!(told(SourceType::Vector, true, "Array(Float32)"), Vec::<String>::new());
    assert_eq!(told(SourceType::Json, true, "Nullable(JSON)").len(), 3);
    assert_eq!(told(SourceType::Json, true, "String"), Vec::<String>::new());
}
