use super::*;

/// The fields of `toasted` that each of its updates left out of line, by the new row's key and counter.
const UNCHANGED: &[(&str, &str)] = &[("update 1", "a b h ia j t v x"), ("update 1", "a b h ia j v x"), ("create 2", "a b h ia j v x")];

#[test]
fn what_was_not_sent_is_unchanged_whatever_its_type() {
    for name in ["default-noschema", "default-schema", "string_connect-noschema", "double_isostring_hex-schema", "debezium2.7.4-default-noschema", "debezium1.9.8-default-noschema"] {
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
            let left: Vec<&str> =
                row.iter().filter(|(_, value)| value.as_deref() == Some("(unchanged)")).map(|(name, _)| &**name).collect();
            let op = match change.op {
                Op::Read => "read",
                Op::Update => "update",
                _ => "create",
            };
            found.push((format!("{op} {}", row["id"].as_deref().unwrap()), left.join(" ")));
        }
        println!("{name} {found:?}");
        assert_eq!(found.remove(0), ("read 1".to_owned(), String::new()), "{name}");
        let found: Vec<(&str, &str)> = found.iter().map(|(what, left)| (&**what, &**left)).collect();
        assert_eq!(found, UNCHANGED, "{name}");
    }
}

#[test]
fn a_placeholder_is_a_value_where_nothing_is_stored_out_of_line() {
    let columns = columns();
    let of = |table: &str, name: &str| columns[&(table.to_owned(), name.to_owned())].clone();
    let record = format!(r#"{{"v":"{DEFAULT_PLACEHOLDER}"}}"#);
    let read_as = |column: &Column, forms: &Forms| {
        let form = form(column, None, forms, true).unwrap();
        read(whole(record.as_bytes()), &RecordShape { fields: vec![ShapeField { name: "v".to_owned(), form }] })["v"].clone()
    };
    assert_eq!(read_as(&of("all_types", "c_text"), &Forms::default()).as_deref(), Some("(unchanged)"));
    assert_eq!(read_as(&of("all_types", "c_name"), &Forms::default()).as_deref(), Some(DEFAULT_PLACEHOLDER));
    let own = Forms { placeholder: b"gone".to_vec(), ..Forms::default() };
    assert_eq!(read_as(&of("all_types", "c_text"), &own).as_deref(), Some(DEFAULT_PLACEHOLDER));
}
