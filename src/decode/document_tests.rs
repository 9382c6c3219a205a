use super::*;
use proptest::prelude::*;

fn holds(text: &str) -> Result<bool, Malformed> {
    Documents::default().holds(text.as_bytes())
}

/// Documents of which one reader says the same, whatever it read before.
fn all(documents: &[&str], expected: Result<bool, Malformed>) {
    let mut reader = Documents::default();
    for document in documents {
        assert_eq!(reader.holds(document.as_bytes()), expected, "{document}");
        assert_eq!(holds(document), expected, "{document}, alone");
    }
}

#[test]
fn holds_what_has_paths() {
    let documents = [
        "{}",
        " { \"a\" : 1 , \"b\" : [ true , null ] , \"c\":{ } }\n",
        r#"{"a": {"a": {"a": "x"}}, "b": {"a": 1}}"#,
        r#"{"": 1, "a": {"": null}, "null": 5, "é": "\u00e9\ud83c\udf88", "\u0062": "\"\\\/\b\f\n\r\t\u0000"}"#,
        r#"{"a": [1, "x", true, null, 1.5, {"b": null}, {}], "b": [], "c": [[], [[1]]], "d": [null, {"a": [1]}]}"#,
        r#"{"a": [[1, null], [null]], "b": [[null], [1]], "c": [null, {"d": [[1]]}]}"#,
    ];
    all(&documents, Ok(true));
}

#[test]
fn what_is_no_object_has_none() {
    all(&["null", "1", "\"x\"", "[]", "[{}]", "true"], Ok(false));
}

#[test]
fn keys_that_make_two_paths_one() {
    let documents = [
        r#"{"a": 1, "a": 2}"#,
        r#"{"a": 1, "b": 2, "a": {}}"#,
        r#"{"a": null, "\u0061": 1}"#,
        r#"{"\u00e9": 1, "é": 1}"#,
        r#"{"b": [{"c": {"x": 1, "y": 2, "x": 1}}]}"#,
        r#"{"a.b": 1}"#,
        r#"{"a": {"b\u002e": 1}}"#,
        r#"{"a": [{".": 1}]}"#,
    ];
    all(&documents, Ok(false));
    let many: Vec<String> = (0..500).map(|number| format!("\"k{number}\": 1")).collect();
    assert_eq!(holds(&format!("{{{}}}", many.join(","))), Ok(true));
    assert_eq!(holds(&format!("{{{}, \"k250\": 1}}", many.join(","))), Ok(false));
}

#[test]
fn numbers_come_back_digit_by_digit() {
    let number = |text: &str| holds(&format!("{{\"a\": {text}}}"));
    let held = [
        "0",
        "-0",
        "-0.0",
        "0e5",
        "0.000",
        "1.10",
        "1e2",
        "1E+2",
        "100.0",
        "-9223372036854775808",
        "18446744073709551615",
        "0.30000000000000004",
        "1.7976931348623157e308",
        "5e-324",
        "1e300",
        "-1.5e-7",
        "123456789012345.0",
        "0.1000000000000000000",
        "9007199254740993",
        "1e22",
        "1e21",
        "9.2e18",
        "-9223372036854775000.0",
    ];
    for text in held {
        assert_eq!(number(text), Ok(true), "{text}");
    }
    let lost = [
        "-9223372036854775809",
        "18446744073709551616",
        "12345678901234567890123",
        "1e400",
        "1e-400",
        "-1e99999999999999999999",
        "0.1234567890123456789",
        "2.2250738585072011e-308",
        "123456789012345678.0",
        "9007199254740993.0",
        "1.7976931348623159e308",
        "1e20",
        "-9.3e18",
        "18446744073709551616.0",
        "999999999999999900000.0",
    ];
    for text in lost {
        assert_eq!(number(text), Ok(false), "{text}");
    }
    for text in ["01", "-", "1.", ".5", "1e", "+1", "1e+", "NaN", "--1"] {
        assert_eq!(number(text), Err(BAD), "{text}");
    }
}

#[test]
fn arrays_that_would_be_others() {
    all(&[r#"{"a": [9007199254740992, -9007199254740992, 1.5]}"#, r#"{"a": [{"b": 9007199254740993}]}"#], Ok(true));
    all(
        &[
            r#"{"a": [9007199254740993]}"#,
            r#"{"a": [[-9007199254740993]]}"#,
            r#"{"a": [null, [1]]}"#,
            r#"{"a": [[], null]}"#,
            r#"{"a": [[null], [[1]]]}"#,
            r#"{"a": [{"b": [1, [], null]}]}"#,
        ],
        Ok(false),
    );
}

#[test]
fn halves_of_characters_and_bytes_that_are_no_text() {
    all(&[r#"{"a": "\ud800"}"#, r#"{"a": "\udc00x"}"#, r#"{"a": "\ud800\u0041"}"#, r#"{"\ud800": 1}"#], Ok(false));
    assert_eq!(Documents::default().holds(b"{\"a\": \"\xff\"}"), Ok(false));
}

#[test]
fn levels_are_counted() {
    let nested = |count: usize| format!("{{\"a\": {}1{}}}", "[".repeat(count), "]".repeat(count));
    assert_eq!((holds(&nested(MAX_DEPTH - 1)), holds(&nested(MAX_DEPTH))), (Ok(true), Ok(false)));
    assert_eq!(holds(&nested(1_000_000)), Ok(false));
}

#[test]
fn what_is_no_document_is_told() {
    let texts = [
        "",
        " ",
        "{",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":1",
        "{\"a\":1,}",
        "{a:1}",
        "{\"a\" 1}",
        "{}x",
        "{\"a\":[1,]}",
        "{\"a\":[1}",
        "{\"a\":tru}",
        "{\"a\":\"\\x\"}",
        "{\"a\":\"\\u12\"}",
        "{\"a\":\"\t\"}",
        "{,}",
        "{\"a\":}",
        "{\"a\":\"",
    ];
    all(&texts, Err(BAD));
}

proptest! {
    #[test]
    fn never_panics(text in r#"\{["a.:\\u\[\]{}, 0-9eEntrufalsd+-]{0,40}"#) {
        std::hint::black_box(holds(&text)).ok();
    }

    /// A float's own text, and an integer's, are held; a digit more than a float has is not.
    #[test]
    fn floats_are_held_as_they_are_written(bits: u64, whole: i64) {
        let float = f64::from_bits(bits);
        prop_assume!(float.is_finite() && !MISREAD.contains(&float.abs()));
        prop_assert_eq!(holds(&format!("{{\"a\": {float:e}, \"b\": {whole}}}")), Ok(true));
        if float != 0.0 {
            let longer = format!("{:.19e}", float.abs() * 1.000_000_01);
            let (digits, exponent) = longer.split_once('e').unwrap();
            let text = format!("{digits}1e{exponent}");
            prop_assert_eq!(holds(&format!("{{\"a\": {text}}}")), Ok(false));
        }
    }
}
