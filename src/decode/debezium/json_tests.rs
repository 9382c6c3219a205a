use super::*;
use proptest::prelude::*;

fn whole(text: &[u8]) -> Result<Json<'_>, Malformed> {
    let mut cursor = Cursor::new(text);
    let value = cursor.value()?;
    if cursor.ends() { Ok(value) } else { Err(Malformed("one value")) }
}

#[test]
fn reads_what_is_json_and_nothing_else() {
    for good in [
        "{}",
        "[]",
        " { \"a\" : [ 1 , -2.5e+3 , null , true , false , \"x\\\"y\" , { } ] } ",
        "\"\"",
        "0",
        "null",
        "{\"a\":{\"b\":[[],[{}]]}}",
    ] {
        assert!(whole(good.as_bytes()).is_ok(), "{good}");
    }
    for bad in [
        "",
        "{",
        "}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{a:1}",
        "[1,]",
        "[1 2]",
        "[,1]",
        "\"a",
        "\"a\\",
        "nul",
        "tru",
        "-",
        "+1",
        ".5",
        "{\"a\":1}x",
        "{\"a\":1]",
        "'a'",
        "{\"a\":1,,\"b\":2}",
        "[1}",
        "{,}",
    ] {
        assert!(whole(bad.as_bytes()).is_err(), "{bad}");
    }
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(whole(deep(60).as_bytes()).is_ok());
    assert!(whole(deep(100_000).as_bytes()).is_err());
}

#[test]
fn undoes_escapes() {
    let of = |text: &str| match whole(text.as_bytes()) {
        Ok(Json::String(text)) => text.string().map(Cow::into_owned),
        other => panic!("{other:?}"),
    };
    assert_eq!(of(r#""a\"b\\c\/d\n\t\r\b\f\u20ac\ud83c\udf89z""#).as_deref(), Ok("a\"b\\c/d\n\t\r\u{8}\u{c}€🎉z"));
    assert_eq!(of("\"€ plain\"").as_deref(), Ok("€ plain"));
    for bad in [r#""\x""#, r#""\u12""#, r#""\ud83c""#, r#""\ud83cx""#, r#""\udf89""#, r#""\ud83c\u0041""#] {
        assert!(of(bad).is_err(), "{bad}");
    }
}

#[test]
fn finds_marks_at_every_place() {
    for len in 0..80 {
        for at in 0..len {
            for (found, other) in [(b'"', b'\\'), (b'\\', b'"')] {
                let mut bytes = vec![b'#'; len];
                bytes[at] = found;
                bytes[len - 1] = if at == len - 1 { found } else { other };
                assert_eq!(mark(&bytes), Some(at), "{len} {at}");
            }
        }
        assert_eq!(mark(&vec![0xA2; len]), None);
    }
}

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(|float| serde_json::json!(float)),
        "\\PC*|[\\x00-\\x20\"\\\\é🎉]{0,20}".prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 30, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
            prop::collection::vec(("[a-z\"\\\\é]{0,9}", inner), 0..5)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
}

/// The value as another reader of JSON would have it.
fn rebuilt(value: Json<'_>) -> serde_json::Value {
    match value {
        Json::Null => serde_json::Value::Null,
        Json::Bool(value) => value.into(),
        Json::Number(token) => {
            let token = std::str::from_utf8(token).unwrap();
            token.parse::<i64>().map_or_else(|_| serde_json::json!(token.parse::<f64>().unwrap()), Into::into)
        }
        Json::String(text) => text.string().unwrap().into_owned().into(),
        Json::Array(array) => array.elements().map(|element| rebuilt(element.unwrap())).collect(),
        Json::Object(object) => object
            .members()
            .map(|member| member.unwrap())
            .map(|(name, value)| (name.string().unwrap().into_owned(), rebuilt(value)))
            .collect(),
    }
}

proptest! {
    #[test]
    fn reads_what_others_write(value in any_json()) {
        let written = serde_json::to_string(&value).unwrap();
        prop_assert_eq!(rebuilt(whole(written.as_bytes()).unwrap()), value.clone());
        let pretty = serde_json::to_string_pretty(&value).unwrap();
        prop_assert_eq!(rebuilt(whole(pretty.as_bytes()).unwrap()), value);
    }

    #[test]
    fn never_panics(bytes in prop::collection::vec(prop::sample::select(&b"{}[]\",:\\u0d8e1-.ntrf l"[..]), 0..60)) {
        if let Ok(Json::Object(object)) = whole(&bytes) {
            object.members().for_each(|member| drop(member.map(|(name, _)| name.string())));
        }
    }
}
