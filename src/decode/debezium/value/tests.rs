use super::super::json::Cursor;
use super::*;
use proptest::prelude::*;

fn read(decoder: &Decoder, json: &str) -> Option<String> {
    let (mut out, mut work) = (Vec::new(), Work::default());
    let value = Cursor::new(json.as_bytes()).value().unwrap();
    match decoder.read(value, &mut out, &mut work).unwrap_or_else(|error| panic!("{decoder:?} {json}: {error}")) {
        Put::Null => None,
        Put::Borrowed(text) => Some(String::from_utf8(text.to_vec()).unwrap()),
        Put::Text => Some(String::from_utf8(out).unwrap()),
        other => panic!("{other:?} {out:?}"),
    }
}

fn refused(decoder: &Decoder, json: &str) -> bool {
    let value = Cursor::new(json.as_bytes()).value().unwrap();
    decoder.read(value, &mut Vec::new(), &mut Work::default()).is_err()
}

fn all(decoder: &Decoder, cases: &[(&str, &str)]) {
    for (json, text) in cases {
        assert_eq!(read(decoder, json).as_deref(), Some(*text), "{decoder:?} {json}");
    }
}

#[test]
fn dates() {
    let date = Decoder::Date { text: true };
    all(
        &date,
        &[
            ("19782", "2024-02-29"),
            ("-625821272", "-infinity"),
            ("-2147472691", "-infinity"),
            ("-622191234", "infinity"),
            ("2146033979", "infinity"),
            ("-2147472692", "infinity"),
            ("-719162", "0001-01-01"),
            ("-2440550", "4713-01-01 BC"),
            ("\"2024-02-29Z\"", "2024-02-29"),
            ("\"+292269055-12-02Z\"", "-infinity"),
            ("\"-5877611-06-22Z\"", "-infinity"),
            ("\"+292278994-08-16Z\"", "infinity"),
            ("\"+5877611-06-21Z\"", "infinity"),
            ("\"-4712-01-01Z\"", "4713-01-01 BC"),
            (r#"{"year":2024,"month":2,"day":29,"specialValue":null}"#, "2024-02-29"),
            (r#"{"year":null,"month":null,"day":null,"specialValue":"NEGATIVE_INFINITY"}"#, "-infinity"),
        ],
    );
    assert_eq!(read(&date, "null"), None);
    for bad in ["\"2024-02\"", "1.5", "{}", "true", "\"2024-13-01Z\""] {
        assert!(refused(&date, bad), "{bad}");
    }
}

#[test]
fn timestamps() {
    let of = |unit| Decoder::Timestamp { unit, text: true };
    all(
        &of(Unit::Micro),
        &[
            ("1709212455123456", "2024-02-29 13:14:15.123456"),
            ("-1", "1969-12-31 23:59:59.999999"),
            ("-9223372036854775808", "-infinity"),
            ("9223372036854775807", "infinity"),
            ("-62135596800000000", "0001-01-01 00:00:00"),
            ("-210863520000000000", "4713-01-01 00:00:00 BC"),
            ("\"2024-02-29T13:14:15.123456Z\"", "2024-02-29 13:14:15.123456"),
            ("\"-292275055-05-16T23:00:00Z\"", "-infinity"),
            ("\"+292278994-08-16T23:00:00Z\"", "infinity"),
            (
                r#"{"year":2024,"month":2,"day":29,"hour":13,"minute":14,"second":15,"nanos":123456000,"specialValue":null,"precision":6}"#,
                "2024-02-29 13:14:15.123456",
            ),
            (r#"{"year":null,"specialValue":"POSITIVE_INFINITY"}"#, "infinity"),
        ],
    );
    all(
        &of(Unit::Milli),
        &[
            ("1709212455123", "2024-02-29 13:14:15.123"),
            ("9223372036825200000", "infinity"),
            ("-9223372036832400000", "-infinity"),
            ("-1", "1969-12-31 23:59:59.999"),
        ],
    );
    all(
        &of(Unit::Nano),
        &[("1709212455123456000", "2024-02-29 13:14:15.123456"), ("-9223372036854775808", "-infinity")],
    );
    let zoned = Decoder::TimestampTz { text: true };
    all(
        &zoned,
        &[
            ("\"2024-02-29T11:14:15.123456Z\"", "2024-02-29 11:14:15.123456+00"),
            ("\"2024-02-29T11:14:15.120000Z\"", "2024-02-29 11:14:15.12+00"),
            ("\"infinity\"", "infinity"),
            ("\"-infinity\"", "-infinity"),
            ("\"+99999-12-31T23:59:59.999999Z\"", "99999-12-31 23:59:59.999999+00"),
            ("\"-4712-01-01T00:00:00Z\"", "4713-01-01 00:00:00+00 BC"),
            ("\"2024-02-29T13:14:15+02:00\"", "2024-02-29 11:14:15+00"),
            (
                r#"{"year":2024,"month":2,"day":29,"hour":11,"minute":14,"second":15,"nanos":123456000,"offsetSeconds":0,"zoneId":"Z","specialValue":null,"precision":6}"#,
                "2024-02-29 11:14:15.123456+00",
            ),
        ],
    );
    let typed = Decoder::TimestampTz { text: false };
    all(&typed, &[("\"2024-02-29T11:14:15.123456Z\"", "2024-02-29T11:14:15.123456"), ("\"infinity\"", "infinity")]);
}

#[test]
fn binary_forms_are_those_of_postgres() {
    let bytes = |decoder: Decoder, json: &str| {
        let mut out = Vec::new();
        let value = Cursor::new(json.as_bytes()).value().unwrap();
        assert_eq!(decoder.read(value, &mut out, &mut Work::default()), Ok(Put::Binary), "{json}");
        out
    };
    let date = bytes(Decoder::Date { text: false }, "19782");
    assert_eq!(crate::decode::time::date_binary(&date), Ok(Some(19_782)));
    let micros = bytes(Decoder::Timestamp { unit: Unit::Micro, text: false }, "-62135596800000000");
    assert_eq!(crate::decode::time::timestamp_binary(&micros), Ok(Some(-62_135_596_800_000_000)));
    let zoned = bytes(Decoder::TimestampTz { text: false }, "\"+99999-12-31T23:59:59.999999Z\"");
    assert_eq!(crate::decode::time::timestamp_binary(&zoned), Ok(Some(3_093_527_980_799_999_999)));
    assert_eq!(bytes(Decoder::Bytes { mode: BinaryMode::Hex, text: false }, "\"deadBEEF\""), [0xde, 0xad, 0xbe, 0xef]);
}

#[test]
fn times() {
    let of = |unit| Decoder::Time { unit };
    all(
        &of(Unit::Micro),
        &[
            ("47655123456", "13:14:15.123456"),
            ("0", "00:00:00"),
            ("86400000000", "24:00:00"),
            ("\"13:14:15.123456Z\"", "13:14:15.123456"),
            (r#"{"hour":13,"minute":14,"second":15,"nanos":123456000,"precision":6}"#, "13:14:15.123456"),
            (r#"{"hour":24,"minute":0,"second":0,"nanos":0,"precision":6}"#, "24:00:00"),
        ],
    );
    all(&of(Unit::Milli), &[("47655123", "13:14:15.123")]);
    all(&of(Unit::Nano), &[("47655123456000", "13:14:15.123456")]);
    assert!(
        refused(&of(Unit::Micro), "86400000001")
            && refused(&of(Unit::Micro), "-1")
            && refused(&of(Unit::Micro), "\"25:00\"")
    );
    all(
        &Decoder::TimeTz,
        &[
            ("\"11:14:15.123456Z\"", "11:14:15.123456+00"),
            (
                r#"{"hour":13,"minute":14,"second":15,"nanos":123456000,"offsetSeconds":7200,"precision":6}"#,
                "13:14:15.123456+02",
            ),
            (r#"{"hour":0,"minute":0,"second":0,"nanos":0,"offsetSeconds":57540,"precision":6}"#, "00:00:00+15:59"),
            (r#"{"hour":24,"minute":0,"second":0,"nanos":0,"offsetSeconds":-57540,"precision":6}"#, "24:00:00-15:59"),
        ],
    );
}

#[test]
fn intervals() {
    all(
        &Decoder::Interval,
        &[
            ("\"P1Y2M3DT4H5M6.789012S\"", "1 year 2 mons 3 days 04:05:06.789012"),
            ("\"P0Y-1M2DT-3H0M0S\"", "-1 mons +2 days -03:00:00"),
            ("\"P-178000000Y0M0DT0H0M0S\"", "-178000000 years"),
            ("\"P0Y0M0DT0H0M0.000001S\"", "00:00:00.000001"),
            ("\"P0Y0M0DT0H0M0S\"", "00:00:00"),
            ("\"P1Y2M-3DT4H5M6.789S\"", "1 year 2 mons -3 days +04:05:06.789"),
            ("\"P0Y0M0DT1000000H0M0S\"", "1000000:00:00"),
            ("\"P0Y0M0DT0H0M-0.5S\"", "-00:00:00.5"),
            ("\"P1Y2M3DT4H5M6.789011999S\"", "1 year 2 mons 3 days 04:05:06.789012"),
            ("\"P0Y0M0DT0H0M-59.999999999S\"", "-00:01:00"),
            (
                r#"{"years":1,"months":2,"days":3,"hours":4,"minutes":5,"seconds":6,"nanos":789012000,"precision":6}"#,
                "1 year 2 mons 3 days 04:05:06.789012",
            ),
            ("37091106789012", "10303:05:06.789012"),
        ],
    );
    assert_eq!(read(&Decoder::Interval, "9223372036854775807"), None, "the connector's numbers end there");
    for bad in ["\"\"", "\"P1X\"", "\"P1\"", "\"1Y\"", "\"P1.5D\"", "\"PT1Y\"", "true"] {
        assert!(refused(&Decoder::Interval, bad), "{bad}");
    }
}

#[test]
fn bits_and_bytes() {
    all(
        &Decoder::Bits { length: Some(8) },
        &[("\"qg==\"", "10101010"), ("\"AQ==\"", "00000001"), ("\"\"", "00000000")],
    );
    all(
        &Decoder::Bits { length: Some(70) },
        &[("\"PDw8PDw8PDw8\"", "1111000011110000111100001111000011110000111100001111000011110000111100")],
    );
    all(&Decoder::Bits { length: None }, &[("\"FQ==\"", "10101"), ("\"\"", ""), ("true", "1"), ("false", "0")]);
    assert!(refused(&Decoder::Bits { length: Some(4) }, "\"qg==\""));
    let bytes = |mode| Decoder::Bytes { mode, text: true };
    all(&bytes(BinaryMode::Base64), &[("\"3q2+7wD/\"", "\\xdeadbeef00ff"), ("\"\"", "\\x")]);
    all(&bytes(BinaryMode::Base64UrlSafe), &[("\"3q2-7wD_\"", "\\xdeadbeef00ff")]);
    all(&bytes(BinaryMode::Hex), &[("\"deadbeef00ff\"", "\\xdeadbeef00ff")]);
    let text = Decoder::TextOfBytes { mode: BinaryMode::Base64 };
    all(&text, &[("\"KCJNYWluICIiU3QiIiwgMSIsMTIzNDUp\"", "(\"Main \"\"St\"\", 1\",12345)")]);
    assert!(refused(&text, "\"/w==\"") && refused(&text, "\"x\""));
}

#[test]
fn hstores() {
    all(
        &Decoder::Hstore,
        &[
            (r#""{\"k1\":\"v1\",\"k2\":null,\"k 3\":\"v\\\"3\"}""#, r#""k1"=>"v1", "k2"=>NULL, "k 3"=>"v\"3""#),
            (r#"{"k1":"v1","k2":null,"k 3":"v\"3"}"#, r#""k1"=>"v1", "k2"=>NULL, "k 3"=>"v\"3""#),
            (r#"{"long":"1","b":"\\","a":""}"#, r#""a"=>"", "b"=>"\\", "long"=>"1""#),
            ("\"{}\"", ""),
        ],
    );
    assert!(
        refused(&Decoder::Hstore, "\"[]\"")
            && refused(&Decoder::Hstore, "{\"a\":1}")
            && refused(&Decoder::Hstore, "\"{}x\"")
    );
}

#[test]
fn geometries() {
    all(
        &Decoder::Geometry,
        &[
            (r#"{"x":1.5,"y":-2.5,"wkb":"AQEAAAAAAAAAAAD4PwAAAAAAAATA","srid":null}"#, "(1.5,-2.5)"),
            (r#"{"a":1.0,"b":2.0,"c":3.0}"#, "{1,2,3}"),
            (
                r#"{"wkb":"AQIAAAACAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAPA/AAAAAAAA8D8=","srid":null,"extensions":{"type":"lseg"}}"#,
                "[(0,0),(1,1)]",
            ),
            (
                r#"{"wkb":"AQMAAAABAAAABQAAAAAAAAAAAABAAAAAAAAACEAAAAAAAAAAQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAACEAAAAAAAAAAQAAAAAAAAAhA","srid":null,"extensions":{"type":"box"}}"#,
                "(2,3),(0,0)",
            ),
            (
                r#"{"wkb":"AQIAAAADAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAPA/AAAAAAAA8D8AAAAAAAAAQAAAAAAAAAAA","srid":null,"extensions":{"type":"path","closed":"true"}}"#,
                "((0,0),(1,1),(2,0))",
            ),
            (
                r#"{"wkb":"AQIAAAADAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAPA/AAAAAAAA8D8AAAAAAAAAQAAAAAAAAAAA","extensions":{"type":"path","closed":"false"}}"#,
                "[(0,0),(1,1),(2,0)]",
            ),
            (
                r#"{"wkb":"AQMAAAABAAAABAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAADwPwAAAAAAAPA/AAAAAAAAAEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=","srid":null,"extensions":{"type":"polygon"}}"#,
                "((0,0),(1,1),(2,0))",
            ),
            (
                r#"{"center":{"x":1.0,"y":2.0,"wkb":"AQEAAAAAAAAAAADwPwAAAAAAAABA","srid":null},"radius":3.0}"#,
                "<(1,2),3>",
            ),
            (
                r#"{"wkb":"AQEAACDmEAAAzczMzMzMKkAAAAAAAEBKQA==","srid":4326}"#,
                "0101000020E6100000CDCCCCCCCCCC2A400000000000404A40",
            ),
        ],
    );
    for bad in ["{}", r#"{"wkb":"AQ==","extensions":{"type":"box"}}"#, r#"{"wkb":"x"}"#, r#"{"x":1}"#] {
        assert!(refused(&Decoder::Geometry, bad), "{bad}");
    }
}

#[test]
fn arrays() {
    let of = |element| Decoder::Array(Box::new(element));
    all(&of(Decoder::Integer), &[("[1,null,-3]", "{1,NULL,-3}"), ("[]", "{}")]);
    all(&of(Decoder::Bool), &[("[true,false,null]", "{t,f,NULL}")]);
    all(
        &of(Decoder::Text),
        &[
            (r#"["a","b,c","d\"q",null,"","NULL"," x","\\"]"#, r#"{a,"b,c","d\"q",NULL,"","NULL"," x","\\"}"#),
            (r#"[["a"],["b c"]]"#, r#"{{a},{"b c"}}"#),
        ],
    );
    all(&of(Decoder::Float { double: true, text: true }), &[(r#"[1.5,"NaN","Infinity",1.0]"#, "{1.5,NaN,Infinity,1}")]);
    all(&of(Decoder::Decimal { scale: 2, money: false }), &[(r#"["bg==","CKw="]"#, "{1.10,22.20}")]);
    all(
        &of(Decoder::AnyDecimal { money: false, scale: None }),
        &[
            (r#"[{"scale":1,"value":"Cw=="},{"scale":1,"value":"Fg=="}]"#, "{1.1,2.2}"),
            (r#"["1.10","2.200"]"#, "{1.10,2.200}"),
        ],
    );
    all(&of(Decoder::Bytes { mode: BinaryMode::Base64, text: true }), &[("[\"Af8=\"]", "{\"\\\\x01ff\"}")]);
    all(
        &of(Decoder::TimestampTz { text: true }),
        &[("[\"2024-02-29T11:14:15.1Z\"]", "{\"2024-02-29 11:14:15.1+00\"}")],
    );
    all(&of(Decoder::Hstore), &[(r#"[{"a":"1"}]"#, r#"{"\"a\"=>\"1\""}"#)]);
    all(&Decoder::Vector, &[("[1.0,2.5,0.1]", "[1,2.5,0.1]")]);
    all(&Decoder::SparseVector, &[(r#"{"dimensions":5,"vector":[[1,1.5],[3,2.0]]}"#, "{1:1.5,3:2}/5")]);
}

#[test]
fn what_a_changed_column_was_before() {
    all(&Decoder::Text, &[("5", "5"), ("true", "t"), ("\"x\"", "x"), ("[\"a\",\"b\"]", "{a,b}")]);
    assert!(refused(&Decoder::Text, "1.0E10"), "Postgres has another spelling of it");
    all(&Decoder::Integer, &[("5", "5"), ("\"six\"", "six")]);
    assert_eq!(read(&Decoder::Lost, "[null]"), None);
}

fn decoders() -> Vec<Decoder> {
    let scalar = vec![
        Decoder::Bool,
        Decoder::Integer,
        Decoder::Float { double: true, text: true },
        Decoder::Float { double: false, text: false },
        Decoder::Decimal { scale: 2, money: true },
        Decoder::Decimal { scale: -3, money: false },
        Decoder::AnyDecimal { money: false, scale: Some(3) },
        Decoder::Text,
        Decoder::Bytes { mode: BinaryMode::Base64, text: true },
        Decoder::Bytes { mode: BinaryMode::Hex, text: false },
        Decoder::TextOfBytes { mode: BinaryMode::Base64UrlSafe },
        Decoder::Bits { length: Some(9) },
        Decoder::Bits { length: None },
        Decoder::Date { text: true },
        Decoder::Date { text: false },
        Decoder::Time { unit: Unit::Milli },
        Decoder::TimeTz,
        Decoder::Timestamp { unit: Unit::Nano, text: true },
        Decoder::Timestamp { unit: Unit::Milli, text: false },
        Decoder::TimestampTz { text: true },
        Decoder::TimestampTz { text: false },
        Decoder::Interval,
        Decoder::Hstore,
        Decoder::Geometry,
        Decoder::Vector,
        Decoder::SparseVector,
    ];
    let arrays: Vec<Decoder> = scalar.iter().map(|element| Decoder::Array(Box::new(element.clone()))).collect();
    scalar.into_iter().chain(arrays).collect()
}

fn any_value() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>()
            .prop_filter("JSON has no such number", |number| number.is_finite())
            .prop_map(|number| format!("{number:e}")),
        "\"[-+]?[0-9]{1,9}-[0-9]{1,2}-[0-9]{1,2}(T[0-9:.]{0,12})?(Z|[-+][0-9:]{0,6})?\"",
        "\"P[-0-9YMDTHS.]{0,20}\"",
        "\"[A-Za-z0-9+/=_-]{0,40}\"",
        "\"[0-9.eE+-]{0,12}\"",
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("\"\\ud83c\\udf89\"".to_owned()),
    ];
    let name = prop::sample::select(
        &[
            "scale",
            "value",
            "x",
            "y",
            "wkb",
            "extensions",
            "type",
            "year",
            "month",
            "day",
            "hour",
            "nanos",
            "years",
            "vector",
            "dimensions",
        ][..],
    );
    part.prop_recursive(3, 20, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|elements| format!("[{}]", elements.join(","))),
            prop::collection::vec((name.clone(), inner), 0..4).prop_map(|members| {
                let members: Vec<String> = members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn no_value_makes_a_decoder_panic(json in any_value()) {
        let (mut out, mut work) = (Vec::new(), Work::default());
        for decoder in decoders() {
            out.clear();
            std::hint::black_box(decoder.read(Cursor::new(json.as_bytes()).value().unwrap(), &mut out, &mut work)).ok();
        }
    }
}
