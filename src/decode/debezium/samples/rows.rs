use super::*;

/// What Postgres writes for the first six rows of `all_types`, by row and column.
fn expected() -> BTreeMap<(i64, String), Option<String>> {
    let text = String::from_utf8(fixture("all_types.tsv")).unwrap();
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().unwrap().split('\t').collect();
    let mut expected = BTreeMap::new();
    for line in lines {
        let values: Vec<Option<String>> = line.split('\t').map(copied).collect();
        let row: i64 = values[0].as_deref().unwrap().parse().unwrap();
        for (name, value) in names.iter().zip(values) {
            expected.insert((row, (*name).to_owned()), value);
        }
    }
    expected
}

/// A value of COPY's text format.
fn copied(value: &str) -> Option<String> {
    if value == "\\N" {
        return None;
    }
    let mut characters = value.chars();
    let mut text = String::new();
    while let Some(character) = characters.next() {
        match character {
            '\\' => text.push(match characters.next().unwrap() {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                other => other,
            }),
            other => text.push(other),
        }
    }
    Some(text)
}

/// How the rows of `all_types` came through.
#[derive(Debug, Default, PartialEq)]
struct Findings {
    /// Values that are not Postgres': `column r6` of the snapshot, `column c6` of the same row from the stream.
    different: BTreeSet<String>,
    /// Columns that are told to lose something.
    losing: BTreeSet<String>,
    /// Columns that the records have.
    present: BTreeSet<String>,
}

impl Findings {
    fn columns(&self) -> BTreeSet<&str> {
        self.different.iter().map(|found| found.split_once(' ').unwrap().0).collect()
    }
}

/// What is found in records: JSON, with the schema that they have or that `schema` gives.
fn find(values: &[Vec<u8>], forms: &Forms, schema: Option<&ConnectSchema>) -> Result<Findings, Guesswork> {
    let expected = expected();
    let reading = Reading::of(forms.clone());
    let mut found = Findings::default();
    let mut seen = BTreeSet::new();
    for value in values {
        let Some(change) = change(value) else { continue };
        let (Some(after), "all_types") = (change.after, &*change.source.table) else { continue };
        let own = match change.schema {
            SchemaText::New(text) => Some(ConnectSchema::parse(text).unwrap()),
            _ => None,
        };
        let shape = reading.shape("all_types", after, own.as_ref().or(schema))?;
        let row = read(after, &shape);
        let id: i64 = row["id"].as_deref().unwrap().parse().unwrap();
        if change.op == Op::Update || !seen.insert((change.op == Op::Read, id)) {
            continue;
        }
        for field in &shape.fields {
            found.present.insert(field.name.clone());
            if field.form.loss().is_some() {
                found.losing.insert(field.name.clone());
            }
        }
        let letter = if change.op == Op::Read { 'r' } else { 'c' };
        for (name, value) in row {
            if name != "id" && expected[&(id % 100, name.clone())] != value {
                found.different.insert(format!("{name} {letter}{}", id % 100));
            }
        }
    }
    assert_eq!(seen.len(), 12);
    Ok(found)
}

fn set<'a>(lists: &[&'a str]) -> BTreeSet<&'a str> {
    lists.iter().flat_map(|list| list.split_whitespace()).collect()
}

/// What no mode carries: arrays of several dimensions, microseconds in arrays of times, dates before Christ of a snapshot.
const NEVER: &str = "a_int2d a_time c_date";
const PRECISE: &str = "a_numeric c_numeric";
const DOUBLE: &str = "a_numeric c_numeric_big c_numeric_ps c_money";
const CONNECT: &str = "a_ts c_time c_ts";
const UTC: &str = "c_timetz";
const NUMERIC_INTERVAL: &str = "c_interval";
/// `name` from the stream, where unknown types are left out.
const NAME: &str = "c_name";

/// The columns that differ, in some row, from what Postgres itself says; all others are the same. What a column loses by the connector's
/// settings, its form tells.
const DIFFERING: &[(&str, &[&str])] = &[
    ("adaptive_us_unknown", &[NEVER, PRECISE, UTC, NUMERIC_INTERVAL]),
    // The snapshot of 2.7 has money by way of a double, and years before the Gregorian calendar by the Julian one.
    ("debezium2.7.4-default", &[NEVER, PRECISE, UTC, NUMERIC_INTERVAL, NAME, "c_money c_ts c_tstz"]),
    ("default", &[NEVER, PRECISE, UTC, NUMERIC_INTERVAL, NAME]),
    ("double_isostring_hex", &[NEVER, DOUBLE, UTC, NAME, "c_time"]),
    ("string_connect", &[NEVER, CONNECT, UTC, NAME]),
    ("time_microseconds", &[NEVER, PRECISE, UTC, NUMERIC_INTERVAL, NAME]),
    ("time_nanoseconds", &[NEVER, PRECISE, UTC, NUMERIC_INTERVAL, NAME, "c_ts"]),
    ("time_structured", &[NEVER, PRECISE, NAME, "c_time"]),
    ("unknown_bytes", &[NEVER, PRECISE, UTC, NUMERIC_INTERVAL]),
];

/// Columns that the connector leaves out of the records, with `include.unknown.datatypes` and without.
const ABSENT: &str = "a_interval";
const UNKNOWN: &str = "c_composite c_int4mrange c_tsquery c_pg_lsn c_txid_snap";
const UNKNOWN_TO_2_7: &str = "c_line c_lseg c_box c_path c_polygon c_circle c_tsvector";

fn json(name: &str) -> (Vec<Vec<u8>>, Forms) {
    let sample = fixture(&format!("{name}.json"));
    (values(&sample).into_iter().flatten().collect(), Forms::from_connector(&config(&sample)))
}

#[test]
fn values_are_those_of_postgres() {
    let all: BTreeSet<String> = expected().into_keys().map(|(_, name)| name).collect();
    for (name, lists) in DIFFERING {
        for kind in ["noschema", "schema"] {
            let name = format!("{name}-{kind}");
            let (values, forms) = json(&name);
            let found = find(&values, &forms, None).unwrap();
            assert_eq!(found.columns(), set(lists), "{name}: {:?}", found.different);
            let absent = match &*name {
                _ if forms.unknown == Some(true) => set(&[ABSENT]),
                name if name.starts_with("debezium2.7") => set(&[ABSENT, UNKNOWN, UNKNOWN_TO_2_7]),
                _ => set(&[ABSENT, UNKNOWN]),
            };
            let missing: BTreeSet<&str> = all.difference(&found.present).map(String::as_str).collect();
            assert_eq!(missing, absent, "{name}");
            told(&name, &found);
        }
    }
}

/// What the connector's settings lose is told by the column's form; what it does by mistake, no setting tells of.
fn told(name: &str, found: &Findings) {
    let old = name.starts_with("debezium2.7");
    for different in &found.different {
        let (column, row) = different.split_once(' ').unwrap();
        let mistake = column == "c_date" && row == "r6"
            || old && row.starts_with('r') && set(&["c_money c_ts c_tstz"]).contains(column);
        assert!(mistake || found.losing.contains(column), "{name}: {different} is not told");
    }
}

#[test]
fn a_schema_says_what_the_settings_would() {
    for (name, lists) in DIFFERING {
        let (values, known) = json(&format!("{name}-schema"));
        match find(&values, &Forms::default(), None) {
            Ok(found) => assert_eq!(found.columns(), set(lists), "{name}"),
            // A string says that it is bytes, not how it spells them.
            Err(guesswork) => {
                assert_eq!(guesswork.setting, "binary.handling.mode", "{name}");
                assert!(["string_connect", "double_isostring_hex", "adaptive_us_unknown"].contains(name), "{name}");
                let forms = Forms { binary: known.binary, ..Forms::default() };
                assert_eq!(find(&values, &forms, None).unwrap().columns(), set(lists), "{name}");
            }
        }
    }
}

#[test]
fn nothing_is_guessed_without_schema_and_settings() {
    let columns = columns();
    let mut refused: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for ((table, name), column) in &columns {
        if let (Err(guesswork), "all_types") = (form(column, None, &Forms::default(), true), &**table) {
            refused.entry(guesswork.setting).or_default().insert(name);
        }
    }
    let expected = [
        ("binary.handling.mode", set(&["a_bytea c_bytea c_composite c_int4mrange c_tsquery c_pg_lsn c_txid_snap"])),
        ("decimal.handling.mode", set(&["a_numeric_ps c_domain_num c_money c_numeric_big c_numeric_p c_numeric_ps"])),
        ("time.precision.mode", set(&["a_time a_ts c_time c_time3 c_ts c_ts0 c_ts3"])),
    ];
    assert_eq!(refused, BTreeMap::from(expected));
}

#[test]
fn every_row_of_every_sample_is_read() {
    for name in names() {
        let (values, forms) = json(&name);
        let reading = Reading::of(forms);
        let mut rows = 0;
        for value in &values {
            let Some(change) = change(value) else { continue };
            let schema = match change.schema {
                SchemaText::New(text) => Some(ConnectSchema::parse(text).unwrap()),
                _ => None,
            };
            for row in [change.before, change.after].into_iter().flatten() {
                let shape = reading.shape(&change.source.table, row, schema.as_ref()).unwrap();
                read(row, &shape);
                rows += 1;
            }
        }
        // Without its envelope a row is not read.
        assert!(rows > 0 || name == "cloudevents" || name.starts_with("unwrap"), "{name}");
    }
}

#[test]
fn rows_without_a_source_have_types_of_their_own() {
    for name in names().iter().filter(|name| name.ends_with("-schema")) {
        let (values, forms) = json(name);
        for value in &values {
            let Some(change) = change(value) else { continue };
            let (Some(row), SchemaText::New(text)) = (change.after, change.schema) else { continue };
            let fields = ConnectSchema::parse(text).unwrap().fields.into_iter().map(|field| {
                let form = form(&column(&field), Some(&field.connect_type), &forms, true).unwrap();
                ShapeField { name: field.name, form }
            });
            read(row, &RecordShape { fields: fields.collect() });
        }
    }
}

#[test]
fn avro_says_what_json_does() {
    let schemas = fixture("avro_schemas.json");
    for (name, registry) in
        [("avro_apicurio_confluent", "confluent_content_ids"), ("avro_apicurio_headers", "header_global_ids")]
    {
        let schemas = object(whole(&schemas), registry).unwrap();
        let sample = fixture(&format!("{name}.json"));
        let Some(Json::Array(messages)) = whole(&sample).get(b"messages").unwrap() else { panic!("{name}") };
        let headers: Vec<Vec<(String, Vec<u8>)>> =
            messages.elements().map(|message| headers(message.unwrap())).collect();
        let (mut records, mut all_types) = (Vec::new(), None);
        for (value, headers) in values(&sample).into_iter().zip(headers) {
            let Some(value) = value else { continue };
            let headers = headers.iter().map(|(name, value)| (&**name, &**value));
            let (id, body) = avro::framed(&value, headers, "value").unwrap();
            let id = match id {
                avro::SchemaId::Confluent(id) => u64::from(id),
                avro::SchemaId::Global(id) | avro::SchemaId::Content(id) => id,
            };
            let schema = avro::Schema::parse(object(schemas, &id.to_string()).unwrap().bytes()).unwrap();
            let mut json = Vec::new();
            avro::to_json(&schema, body, &mut json).unwrap();
            if change(&json).unwrap().source.table == "all_types" {
                all_types = Some(schema.connect().unwrap());
            }
            records.push(json);
        }
        assert!(!records.is_empty());
        let Some(schema) = all_types else { continue };
        let forms = Forms::from_connector(&config(&sample));
        let lists = &[NEVER, PRECISE, UTC, NUMERIC_INTERVAL, NAME];
        for (forms, schema) in [(&Forms::default(), Some(&schema)), (&forms, None)] {
            assert_eq!(find(&records, forms, schema).unwrap().columns(), set(lists), "{name}");
        }
    }
}

/// The headers of a message, their values in base64 where they are no text.
fn headers(message: Json<'_>) -> Vec<(String, Vec<u8>)> {
    let Json::Object(message) = message else { panic!("{message:?}") };
    let Some(Json::Array(headers)) = message.get(b"headers").unwrap() else { panic!("no headers") };
    headers
        .elements()
        .map(|pair| {
            let Ok(Json::Array(pair)) = pair else { panic!("{pair:?}") };
            let pair: Vec<Json<'_>> = pair.elements().map(|part| part.unwrap()).collect();
            let Json::String(name) = pair[0] else { panic!("{pair:?}") };
            let value = match pair[1] {
                Json::String(value) => value.unescaped().unwrap().into_owned(),
                Json::Object(value) => {
                    let mut bytes = Vec::new();
                    super::super::value::decode_base64(text(value, "$base64").as_bytes(), &mut bytes).unwrap();
                    bytes
                }
                other => panic!("{other:?}"),
            };
            (name.string().unwrap().into_owned(), value)
        })
        .collect()
}
