//! Every type of the mapping, with its edge values, as literals of each server's own: nothing of them goes through pipectl.

use crate::versions;

/// A type on both sides: rows of (Postgres, ClickHouse) literals, and what some of them are spoiled to.
#[derive(Clone, Copy)]
pub(super) struct Case {
    pub(super) source: &'static str,
    pub(super) target: &'static str,
    pub(super) rows: &'static [(&'static str, &'static str)],
    /// (row, ClickHouse literal) that must be found.
    pub(super) spoiled: &'static [(usize, &'static str)],
    /// Values that ClickHouse holds as NULL by policy.
    pub(super) policy: u64,
}

const fn case(
    source: &'static str,
    target: &'static str,
    rows: &'static [(&'static str, &'static str)],
    spoiled: &'static [(usize, &'static str)],
) -> Case {
    Case { source, target, rows, spoiled, policy: 0 }
}

/// What the tests' types need.
pub(super) const PRELUDE: &str = "
    CREATE EXTENSION citext; CREATE EXTENSION hstore; CREATE EXTENSION ltree;
    CREATE TYPE mood AS ENUM ('sad', 'very happy', 'o''hara');
    CREATE TYPE pair AS (a int, b text);
    CREATE DOMAIN score AS numeric(10,2) CHECK (VALUE < 1000);
    CREATE DOMAIN label AS varchar(20)";

/// Those of the types that this server can declare.
pub(super) fn cases() -> Vec<Case> {
    CASES.iter().copied().filter(|case| versions::can_declare(case.source)).collect()
}

const CASES: &[Case] = &[
    case(
        "bool",
        "Nullable(Bool)",
        &[("true", "true"), ("false", "false"), ("NULL", "NULL"), ("NULL", "NULL")],
        &[(0, "false"), (1, "NULL"), (2, "false")],
    ),
    case(
        "int2",
        "Nullable(Int16)",
        &[("-32768", "-32768"), ("32767", "32767"), ("0", "0"), ("7", "7")],
        &[(0, "32767"), (2, "NULL"), (3, "-7")],
    ),
    case(
        "int4",
        "Nullable(Int32)",
        &[("-2147483648", "-2147483648"), ("2147483647", "2147483647"), ("NULL", "NULL")],
        &[(1, "2147483646"), (2, "0")],
    ),
    case(
        "int8",
        "Nullable(Int64)",
        &[("-9223372036854775808", "-9223372036854775808"), ("9223372036854775807", "9223372036854775807")],
        &[(1, "-9223372036854775807")],
    ),
    case("oid", "Nullable(UInt32)", &[("4294967295", "4294967295"), ("0", "0")], &[(0, "4294967294")]),
    case(
        "float4",
        "Nullable(Float32)",
        &[
            ("'3.4028235e38'", "reinterpretAsFloat32(toUInt32(0x7f7fffff))"),
            ("'1e-45'", "reinterpretAsFloat32(toUInt32(1))"),
            ("'-0'", "reinterpretAsFloat32(toUInt32(0x80000000))"),
            ("'NaN'", "nan"),
            ("'-Infinity'", "-inf"),
            ("0.1", "reinterpretAsFloat32(toUInt32(0x3dcccccd))"),
            ("0", "0"),
        ],
        &[(0, "reinterpretAsFloat32(toUInt32(0x7f7ffffe))"), (1, "0"), (2, "0"), (3, "0"), (4, "inf"), (6, "-0.")],
    ),
    case(
        "float8",
        "Nullable(Float64)",
        &[
            ("'1.7976931348623157e308'", "reinterpretAsFloat64(0x7fefffffffffffff)"),
            ("'5e-324'", "reinterpretAsFloat64(toUInt64(1))"),
            ("'-0'", "reinterpretAsFloat64(0x8000000000000000)"),
            ("'NaN'", "reinterpretAsFloat64(0xfff8000000000000)"),
            ("'Infinity'::float8 - 'Infinity'::float8 + 1", "nan"),
            ("'Infinity'", "inf"),
            ("0.1", "reinterpretAsFloat64(0x3fb999999999999a)"),
            ("0.3", "0.3"),
        ],
        &[(1, "0"), (2, "0"), (3, "inf"), (6, "reinterpretAsFloat64(0x3fb999999999999b)")],
    ),
    Case {
        source: "numeric(12,2)",
        target: "Nullable(Decimal(12, 2))",
        rows: &[
            ("1234567890.10", "toDecimal64('1234567890.10', 2)"),
            ("-0.01", "-0.01"),
            ("0", "0"),
            ("'NaN'", "NULL"),
            ("100", "100"),
            ("NULL", "NULL"),
        ],
        spoiled: &[(0, "toDecimal64('1234567890.11', 2)"), (1, "0.01"), (3, "0"), (4, "1"), (5, "0")],
        policy: 1,
    },
    case(
        "numeric(76,38)",
        "Nullable(Decimal(76, 38))",
        &[
            (
                "12345678901234567890123456789012345678.12345678901234567890123456789012345678",
                "CAST('12345678901234567890123456789012345678.12345678901234567890123456789012345678' AS Decimal(76, 38))",
            ),
            (
                "-0.00000000000000000000000000000000000001",
                "CAST('-0.00000000000000000000000000000000000001' AS Decimal(76, 38))",
            ),
        ],
        &[(1, "CAST('0.00000000000000000000000000000000000001' AS Decimal(76, 38))")],
    ),
    case(
        "numeric(3,5)",
        "Nullable(String)",
        &[("0.00123", "'0.00123'"), ("-0.00999", "'-0.00999'")],
        &[(0, "'0.00124'")],
    ),
    case("numeric(5,-2)", "Nullable(String)", &[("1234567", "'1234600'")], &[(0, "'1234567'")]),
    case(
        "numeric",
        "Nullable(String)",
        &[
            ("1.10", "'1.10'"),
            ("'NaN'", "'NaN'"),
            ("'-Infinity'", "'-Infinity'"),
            ("1e100", "concat('1', repeat('0', 100))"),
        ],
        &[(0, "'1.1'"), (1, "'nan'"), (3, "concat('1', repeat('0', 99), '1')")],
    ),
    case("money", "Nullable(String)", &[("'-1234.50'", "'-$1,234.50'")], &[(0, "'$1,234.50'")]),
    case(
        "text",
        "Nullable(String)",
        &[
            ("''", "''"),
            ("NULL", "NULL"),
            ("'a '", "'a '"),
            ("'näïve ☃ 𝄞'", "'näïve ☃ 𝄞'"),
            ("E'tab\\tline\\nquote''back\\\\'", "'tab\\tline\\nquote\\'back\\\\'"),
            ("'5:;5:;'", "'5:;5:;'"),
            ("repeat('long', 100000)", "repeat('long', 100000)"),
        ],
        &[
            (0, "NULL"),
            (1, "''"),
            (2, "'a'"),
            (3, "'naïve ☃ 𝄞'"),
            (5, "'5:;5:'"),
            (6, "concat(repeat('long', 99999), 'lonG')"),
        ],
    ),
    case("varchar(10)", "Nullable(String)", &[("'abc '", "'abc '")], &[(0, "'abc'")]),
    case("label", "Nullable(String)", &[("'domain '", "'domain '"), ("NULL", "NULL")], &[(0, "'domain'"), (1, "''")]),
    case("char(5)", "Nullable(String)", &[("'ab'", "'ab   '"), ("''", "'     '")], &[(0, "'ab'"), (1, "''")]),
    case("\"char\"", "Nullable(String)", &[("'x'", "'x'"), ("''", "''")], &[(0, "'y'")]),
    case("name", "Nullable(String)", &[("'Name'", "'Name'")], &[(0, "'name'")]),
    case("citext", "Nullable(String)", &[("'AbC'", "'AbC'")], &[(0, "'abc'")]),
    case(
        "bytea",
        "Nullable(String)",
        &[
            ("'\\x00ff0a'", "unhex('00ff0a')"),
            ("''", "''"),
            ("NULL", "NULL"),
            ("'\\x5c7830'", "unhex('5c7830')"),
            ("'\\xfe'", "unhex('fe')"),
        ],
        &[(0, "'\\\\x00ff0a'"), (1, "NULL"), (3, "unhex('5c783000')"), (4, "unhex('ff')")],
    ),
    Case {
        source: "date",
        target: "Nullable(Date32)",
        rows: &[
            ("'1970-01-01'", "toDate32('1970-01-01')"),
            ("'1969-12-31'", "toDate32('1969-12-31')"),
            ("'1900-01-01'", "toDate32('1900-01-01')"),
            ("'2299-12-31'", "toDate32('2299-12-31')"),
            ("'infinity'", "NULL"),
            ("'0044-03-15 BC'", "NULL"),
            ("'294276-01-01'", "NULL"),
            ("NULL", "NULL"),
        ],
        spoiled: &[
            (0, "toDate32('1970-01-02')"),
            (2, "NULL"),
            (4, "toDate32('2299-12-31')"),
            (5, "toDate32('1900-01-01')"),
        ],
        policy: 3,
    },
    Case {
        source: "timestamp",
        target: "Nullable(DateTime64(6, 'UTC'))",
        rows: &[
            ("'1970-01-01'", "toDateTime64('1970-01-01 00:00:00', 6, 'UTC')"),
            ("'1969-12-31 23:59:59.999999'", "fromUnixTimestamp64Micro(-1, 'UTC')"),
            ("'2024-02-29 12:34:56.789012'", "toDateTime64('2024-02-29 12:34:56.789012', 6, 'UTC')"),
            ("'1900-01-01'", "toDateTime64('1900-01-01 00:00:00', 6, 'UTC')"),
            ("'-infinity'", "NULL"),
            ("'4713-01-01 BC'", "NULL"),
            ("'294276-12-31 23:59:59.999999'", "NULL"),
        ],
        spoiled: &[
            (0, "toDateTime64('1970-01-01 00:00:00.000001', 6, 'UTC')"),
            (1, "fromUnixTimestamp64Micro(-1999999, 'UTC')"),
            (2, "toDateTime64('2024-02-29 12:34:56.789011', 6, 'UTC')"),
            (6, "toDateTime64('2299-12-31 23:59:59.999999', 6, 'UTC')"),
        ],
        policy: 3,
    },
    Case {
        source: "timestamptz",
        target: "Nullable(DateTime64(6, 'UTC'))",
        rows: &[
            ("'1901-01-01 00:00:00+05:53:28'", "toDateTime64('1900-12-31 18:06:32', 6, 'UTC')"),
            ("'2024-02-29 12:34:56.789012+05:30'", "toDateTime64('2024-02-29 07:04:56.789012', 6, 'UTC')"),
            ("'1969-12-31 23:59:59.999999+00'", "fromUnixTimestamp64Micro(-1, 'UTC')"),
            ("'infinity'", "NULL"),
            ("NULL", "NULL"),
        ],
        spoiled: &[
            (1, "toDateTime64('2024-02-29 12:34:56.789012', 6, 'UTC')"),
            (2, "fromUnixTimestamp64Micro(1, 'UTC')"),
        ],
        policy: 1,
    },
    case(
        "time",
        "Nullable(String)",
        &[("'24:00:00'", "'24:00:00'"), ("'1:2:3.5'", "'01:02:03.5'")],
        &[(0, "'00:00:00'")],
    ),
    case("timetz", "Nullable(String)", &[("'12:00:00+05:30'", "'12:00:00+05:30'")], &[(0, "'12:00:00'")]),
    case(
        "interval",
        "Nullable(String)",
        &[("'1 year -2 months +3 days 04:05:06.7'", "'10 mons 3 days 04:05:06.7'")],
        &[(0, "'10 mons 3 days 04:05:06.700001'")],
    ),
    case(
        "uuid",
        "Nullable(UUID)",
        &[
            ("'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", "toUUID('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11')"),
            ("NULL", "NULL"),
        ],
        &[(0, "toUUID('bb6d6bb9-bd38-0a11-a0ee-bc999c0b4ef8')"), (1, "toUUID('00000000-0000-0000-0000-000000000000')")],
    ),
    case(
        "json",
        "Nullable(String)",
        &[(
            "'{\"b\": 1.10,  \"a\":null, \"a\": 12345678901234567890}'",
            "'{\"b\": 1.10,  \"a\":null, \"a\": 12345678901234567890}'",
        )],
        &[(0, "'{\"b\": 1.1,  \"a\":null, \"a\": 12345678901234567890}'")],
    ),
    case(
        "jsonb",
        "Nullable(String)",
        &[
            ("'{\"b\": 1.10, \"a\":[1,\"x\"]}'", "'{\"a\": [1, \"x\"], \"b\": 1.10}'"),
            ("'null'", "'null'"),
            ("NULL", "NULL"),
        ],
        &[(0, "'{\"b\": 1.10, \"a\": [1, \"x\"]}'"), (1, "NULL"), (2, "'null'")],
    ),
    case("xml", "Nullable(String)", &[("'<a b=\"1\"> </a>'", "'<a b=\"1\"> </a>'")], &[(0, "'<a b=\"1\"></a>'")]),
    case("tsvector", "Nullable(String)", &[("'b a:1'", "'\\'a\\':1 \\'b\\''")], &[(0, "'\\'a\\' \\'b\\''")]),
    case("ltree", "Nullable(String)", &[("'Top.Science'", "'Top.Science'")], &[(0, "'Top'")]),
    case("hstore", "Nullable(String)", &[("'a=>1,b=>NULL'", "'\"a\"=>\"1\", \"b\"=>NULL'")], &[(0, "'\"a\"=>\"1\"'")]),
    case("pg_lsn", "Nullable(String)", &[("'16/B374D848'", "'16/B374D848'")], &[(0, "'16/B374D849'")]),
    case("int4range", "Nullable(String)", &[("'(1,5]'", "'[2,6)'"), ("'empty'", "'empty'")], &[(0, "'[2,7)'")]),
    case("int4multirange", "Nullable(String)", &[("'{[1,3),[7,9)}'", "'{[1,3),[7,9)}'")], &[(0, "'{[1,3)}'")]),
    case("point", "Nullable(String)", &[("'(0.1,-2)'", "'(0.1,-2)'")], &[(0, "'(-2,0.1)'")]),
    case(
        "inet",
        "Nullable(String)",
        &[("'10.0.0.1'", "'10.0.0.1'"), ("'::1/64'", "'::1/64'")],
        &[(0, "'10.0.0.1/32'")],
    ),
    case("cidr", "Nullable(String)", &[("'10.0.0.0/8'", "'10.0.0.0/8'")], &[(0, "'10.0.0.0/9'")]),
    case(
        "macaddr",
        "Nullable(String)",
        &[("'08:00:2B:01:02:03'", "'08:00:2b:01:02:03'")],
        &[(0, "'08:00:2b:01:02:04'")],
    ),
    case("bit(3)", "Nullable(String)", &[("B'101'", "'101'")], &[(0, "'5'")]),
    case("varbit", "Nullable(String)", &[("B''", "''"), ("B'0110'", "'0110'")], &[(1, "'110'")]),
    case("regclass", "Nullable(String)", &[("'pg_catalog.pg_class'", "'pg_class'")], &[(0, "'1259'")]),
    case(
        "pair",
        "Nullable(String)",
        &[("ROW(1, 'x,y')", "'(1,\"x,y\")'"), ("ROW(NULL, NULL)", "'(,)'"), ("NULL", "NULL")],
        &[(1, "NULL"), (2, "'(,)'")],
    ),
    case(
        "mood",
        "LowCardinality(Nullable(String))",
        &[("'sad'", "'sad'"), ("'o''hara'", "'o\\'hara'"), ("NULL", "NULL")],
        &[(0, "'very happy'"), (1, "NULL"), (2, "''")],
    ),
    Case {
        source: "score",
        target: "Nullable(Decimal(10, 2))",
        rows: &[("99.90", "toDecimal64('99.90', 2)"), ("NULL", "NULL")],
        spoiled: &[(0, "toDecimal64('-99.9', 2)")],
        policy: 0,
    },
    Case {
        source: "int4[]",
        target: "Array(Nullable(Int32))",
        rows: &[
            ("'{1,NULL,3}'", "[1, NULL, 3]"),
            ("'{}'", "[]"),
            ("NULL", "[]"),
            ("'[0:2]={4,5,6}'", "[4, 5, 6]"),
            ("'{12,3}'", "[12, 3]"),
            ("'{7}'", "[7]"),
        ],
        spoiled: &[(0, "[1, 0, 3]"), (1, "[NULL]"), (2, "[0]"), (3, "[4, 6, 5]"), (4, "[1, 23]"), (5, "[7, 7]")],
        policy: 1,
    },
    case(
        "text[]",
        "Array(Nullable(String))",
        &[
            ("'{\"a,b\",\"NULL\",NULL,\"\"}'", "['a,b', 'NULL', NULL, '']"),
            ("'{\"};{\",\"1:x;\"}'", "['};{', '1:x;']"),
            ("ARRAY['a', 'b']", "['a', 'b']"),
        ],
        &[(0, "['a', 'b', 'NULL', NULL, '']"), (1, "['};{', '1:x']"), (2, "['ab']")],
    ),
    case("char(3)[]", "Array(Nullable(String))", &[("'{a,bc}'", "['a  ', 'bc ']")], &[(0, "['a', 'bc']")]),
    Case {
        source: "timestamptz[]",
        target: "Array(Nullable(DateTime64(6, 'UTC')))",
        rows: &[
            (
                "'{2024-02-29 12:00:00.000001+00,infinity,NULL}'",
                "[toDateTime64('2024-02-29 12:00:00.000001', 6, 'UTC'), NULL, NULL]",
            ),
            ("'{1999-01-01+00}'", "[toDateTime64('1999-01-01 00:00:00', 6, 'UTC')]"),
        ],
        spoiled: &[(1, "[toDateTime64('1999-01-01 00:00:01', 6, 'UTC')]")],
        policy: 1,
    },
    Case {
        source: "date[]",
        target: "Array(Nullable(Date32))",
        rows: &[("'{2024-02-29,-infinity}'", "[toDate32('2024-02-29'), NULL]")],
        spoiled: &[(0, "[NULL, toDate32('2024-02-29')]")],
        policy: 1,
    },
    Case {
        source: "numeric(10,2)[]",
        target: "Array(Nullable(Decimal(10, 2)))",
        rows: &[("'{1.10,-2,NaN}'", "[1.1, -2, NULL]")],
        spoiled: &[(0, "[1.1, 2, NULL]")],
        policy: 1,
    },
    case(
        "float8[]",
        "Array(Nullable(Float64))",
        &[("'{-0,NaN,Infinity,0.5}'", "[reinterpretAsFloat64(0x8000000000000000), nan, inf, 0.5]")],
        &[(0, "[0, nan, inf, 0.5]")],
    ),
    case("bool[]", "Array(Nullable(Bool))", &[("'{t,f,NULL}'", "[true, false, NULL]")], &[(0, "[true, false, false]")]),
    case(
        "bytea[]",
        "Array(Nullable(String))",
        &[("ARRAY['\\x00ff'::bytea, '']", "[unhex('00ff'), '']")],
        &[(0, "[unhex('00'), '']")],
    ),
    case(
        "uuid[]",
        "Array(Nullable(UUID))",
        &[("'{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}'", "[toUUID('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11')]")],
        &[(0, "[toUUID('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12')]")],
    ),
    case(
        "mood[]",
        "Array(Nullable(String))",
        &[("'{sad,very happy}'", "['sad', 'very happy']")],
        &[(0, "['very happy', 'sad']")],
    ),
    case(
        "inet[]",
        "Nullable(String)",
        &[("'{10.0.0.1,::1}'", "'{10.0.0.1,::1}'"), ("NULL", "NULL")],
        &[(0, "'{10.0.0.1}'"), (1, "'{}'")],
    ),
    case(
        "int4[][]",
        "Nullable(String)",
        &[("'{{1,2},{3,4}}'", "'{{1,2},{3,4}}'"), ("'{}'", "'{}'")],
        &[(0, "'{1,2,3,4}'"), (1, "NULL")],
    ),
];

/// Types that the configuration can ask for instead.
pub(super) const OVERRIDES: &[Case] = &[
    case("int4", "Nullable(Int64)", &[("-5", "-5")], &[(0, "5")]),
    case("int4", "Nullable(Float64)", &[("-5", "-5")], &[(0, "-5.5")]),
    case("int8", "Nullable(String)", &[("-5", "'-5'")], &[(0, "'5'")]),
    Case {
        source: "int8",
        target: "Nullable(Decimal(10, 2))",
        rows: &[("-500", "-500"), ("9223372036854775807", "NULL"), ("-9223372036854775808", "NULL")],
        spoiled: &[(0, "-500.01")],
        policy: 2,
    },
    Case {
        source: "jsonb",
        target: "Nullable(JSON)",
        rows: &[
            (r#"'{"b": [1, 2], "a": {"c": 1.10}, "n": null}'"#, r#"'{"a": {"c": 1.1}, "b": [1, 2]}'::JSON"#),
            ("'[]'", "NULL"),
        ],
        spoiled: &[(0, r#"'{"a": {"c": 1.1}, "b": [2, 1]}'::JSON"#), (1, "'{}'::JSON")],
        policy: 1,
    },
    case("float4", "Nullable(Float64)", &[("0.1", "toFloat64(toFloat32(0.1))")], &[(0, "0.1")]),
    Case {
        source: "numeric",
        target: "Nullable(Decimal(20, 4))",
        rows: &[
            ("1.10", "1.1"),
            ("'NaN'", "NULL"),
            ("'Infinity'", "NULL"),
            ("1e30", "NULL"),
            ("0.00001", "NULL"),
            ("9999999999999999.9999", "CAST('9999999999999999.9999' AS Decimal(20, 4))"),
        ],
        spoiled: &[(0, "1.1001"), (4, "0")],
        policy: 4,
    },
    case(
        "numeric",
        "Nullable(Float64)",
        &[("0.1", "0.1"), ("'NaN'", "nan"), ("'-Infinity'", "-inf"), ("0", "0"), ("1e-300", "1e-300")],
        &[(0, "0.10000000000000002")],
    ),
    case(
        "timestamp",
        "Nullable(DateTime64(3, 'UTC'))",
        &[
            ("'2024-02-29 12:34:56.789'", "toDateTime64('2024-02-29 12:34:56.789', 3, 'UTC')"),
            ("'1969-12-31 23:59:59.998'", "toDateTime64('1970-01-01 00:00:00', 3, 'UTC') - toIntervalMillisecond(2)"),
        ],
        &[(0, "toDateTime64('2024-02-29 12:34:56.788', 3, 'UTC')")],
    ),
    case(
        "timestamp",
        "Nullable(DateTime64(9, 'UTC'))",
        &[
            ("'2024-02-29 12:34:56.789012'", "toDateTime64('2024-02-29 12:34:56.789012', 9, 'UTC')"),
            ("'1969-12-31 23:59:59.999999'", "fromUnixTimestamp64Nano(-1000, 'UTC')"),
        ],
        &[(0, "toDateTime64('2024-02-29 12:34:56.789012001', 9, 'UTC')")],
    ),
    case(
        "timestamp",
        "Nullable(DateTime('UTC'))",
        &[("'2024-02-29 12:34:56'", "toDateTime('2024-02-29 12:34:56', 'UTC')")],
        &[(0, "toDateTime('2024-02-29 12:34:57', 'UTC')")],
    ),
    case(
        "date",
        "Nullable(String)",
        &[("'infinity'", "'infinity'"), ("'0044-03-15 BC'", "'0044-03-15 BC'")],
        &[(0, "NULL")],
    ),
    case(
        "timestamptz",
        "Nullable(String)",
        &[("'2024-01-01 01:00:00+01'", "'2024-01-01 00:00:00+00'")],
        &[(0, "'2024-01-01 00:00:00'")],
    ),
    case("text", "LowCardinality(Nullable(String))", &[("'a'", "'a'"), ("NULL", "NULL")], &[(0, "'b'"), (1, "''")]),
    case("mood", "Enum8('sad' = 1, 'very happy' = 2)", &[("'sad'", "'sad'")], &[(0, "'very happy'")]),
    case("int4[]", "Nullable(String)", &[("'[0:1]={1,2}'", "'[0:1]={1,2}'"), ("NULL", "NULL")], &[(0, "'{1,2}'")]),
];
