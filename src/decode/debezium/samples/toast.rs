use super::*;

/// Of each sample the fields of `toasted` that three updates left alone. Debezium 1.9 sends arrays as NULL then, and the modes of base64
/// bytes: what is lost so nobody can tell from a NULL that was meant.
const SAMPLES: &[(&str, &str)] = &[
    ("default-noschema", "a b h ia j t v x"),
    ("default-schema", "a b h ia j t v x"),
    ("string_connect-noschema", "a h ia j t v x"),
    ("double_isostring_hex-schema", "a b h ia j t v x"),
    ("debezium2.7.4-default-noschema", "a b h ia j t v x"),
    ("debezium1.9.8-default-schema", "b h j t v x"),
];

#[test]
fn what_was_not_sent_is_unchanged_whatever_its_type() {
    for (name, unchanged) in SAMPLES {
        let sample = fixture(&format!("{name}.json"));
        let reading = Reading::of(Forms::from_connector(&config(&sample)));
        let mut found = Vec::new();
        for value in values(&sample).into_iter().flatten() {
            let Some(change) = change(&value).filter(|change| change.source.table == "toasted") else { continue };
            let Some(after) = change.after else { continue };
            let schema = match change.schema {
                SchemaText::New(text) => Some(ConnectSchema::parse(text).unwrap()),
                _ => None,
            };
            let row = read(after, &reading.shape("toasted", after, schema.as_ref()).unwrap());
            let left: Vec<&str> = row
                .iter()
                .filter(|(_, value)| value.as_deref() == Some("(unchanged)"))
                .map(|(name, _)| &**name)
                .collect();
            found.push(left.join(" "));
        }
        // Read by the snapshot; the counter is set; `t` is set; the key is changed.
        let later = unchanged.replace("t ", "");
        assert_eq!(found, ["", unchanged, &*later, &*later], "{name}");
    }
}

#[test]
fn modes_that_hide_what_is_unchanged_are_told() {
    let column = &columns()[&("toasted".to_owned(), "b".to_owned())];
    for (mode, told) in [(BinaryMode::Bytes, false), (BinaryMode::Hex, false), (BinaryMode::Base64, true)] {
        let forms = Forms { binary: Some(mode), ..Forms::default() };
        assert_eq!(form(column, None, &forms, true).unwrap().loss().is_some(), told, "{mode:?}");
    }
}

#[test]
fn a_placeholder_is_a_value_where_nothing_is_stored_out_of_line() {
    let columns = columns();
    let of = |table: &str, name: &str| columns[&(table.to_owned(), name.to_owned())].clone();
    let record = format!(r#"{{"v":"{DEFAULT_PLACEHOLDER}"}}"#);
    let read_as = |column: &Column, forms: &Forms| {
        let form = form(column, None, forms, true).unwrap();
        read(whole(record.as_bytes()), &RecordShape { fields: vec![ShapeField { name: "v".to_owned(), form }] })["v"]
            .clone()
    };
    assert_eq!(read_as(&of("all_types", "c_text"), &Forms::default()).as_deref(), Some("(unchanged)"));
    assert_eq!(read_as(&of("all_types", "c_name"), &Forms::default()).as_deref(), Some(DEFAULT_PLACEHOLDER));
    let own = Forms { placeholder: b"gone".to_vec(), ..Forms::default() };
    assert_eq!(read_as(&of("all_types", "c_text"), &own).as_deref(), Some(DEFAULT_PLACEHOLDER));
}
