use super::*;
use crate::tail::entry::{Change, Op, Place};
use proptest::prelude::*;

fn column(name: &str, json: &str) -> Column {
    let shown = json::unquoted(json).into_owned();
    Column { name: name.to_owned(), json: json.to_owned(), shown, unchanged: false }
}

fn update() -> Entry {
    let before = vec![column("id", "7"), column("status", "\"new\""), column("total", "10.00"), column("note", "null")];
    let mut after =
        vec![column("id", "7"), column("status", "\"paid\""), column("total", "10.00"), column("note", "\"x y\"")];
    after.push(column("attributes", "\"{\\\"color\\\": \\\"red\\\"}\""));
    after.push(Column { unchanged: true, ..column("long", "\"?\"") });
    Entry {
        place: Some(Place { topic: "shop.public.orders".to_owned(), partition: 1, offset: 12 }),
        schema: "public".to_owned(),
        table: "orders".to_owned(),
        lsn: Some(Lsn(0x16_B374_D848)),
        xid: Some(991),
        key: vec![column("id", "7")],
        what: What::Change(Change {
            op: Op::Update,
            before: Some(before),
            before_is_real: true,
            after: Some(after),
            ..Change::default()
        }),
        ..Entry::default()
    }
}

#[test]
fn conditions_are_met_or_not() {
    let entry = update();
    for (text, met) in [
        ("op=u", true),
        ("op = update", true),
        ("op=d or op=u", true),
        ("op=u and after.status=paid", true),
        ("op=u and not after.status=paid", false),
        ("not (op=d or op=c) and table=orders", true),
        ("table=public.orders", true),
        ("table=sales.orders", false),
        ("schema=public and topic~'orders$' and topic !~ items", true),
        ("partition=1 and offset>=12 and offset<13", true),
        ("lsn=16/B374D848", true),
        ("lsn>16/0 and lsn<17/0", true),
        ("xid=991", true),
        ("key.id=7", true),
        ("before.status=new", true),
        ("before.note=null", true),
        ("before.note!=null", false),
        ("before.note", false),
        ("after.note='x y'", true),
        ("changed.status", true),
        ("changed.status=paid", true),
        ("changed.total", false),
        ("changed.note", true),
        ("after.total=10", true),
        ("after.total='10'", false),
        ("after.total>9.5", true),
        ("after.total<9", false),
        ("after.missing!=1", false),
        ("after.long", false),
        ("after.attributes.color=red", true),
        ("after.attributes.size=red", false),
        ("after.\"status\"=paid", true),
        ("op<>u", false),
        ("OP=u", false),
    ] {
        match Filter::parse(text) {
            Ok(filter) => assert_eq!(filter.takes(&entry), met, "{text}"),
            Err(_) => assert_eq!(text, "OP=u"),
        }
    }
}

#[test]
fn what_a_delete_does_not_know_is_not_there() {
    let mut entry = update();
    let before = vec![column("id", "7"), column("status", "\"new\"")];
    entry.what = What::Change(Change { op: Op::Delete, before: Some(before), ..Change::default() });
    let takes = |text: &str| Filter::parse(text).unwrap().takes(&entry);
    assert!(takes("before.id=7") && !takes("before.status=new") && !takes("before.status!=new"));
}

#[test]
fn mistakes_are_marked_where_they_are() {
    for (text, at) in [
        ("", 0),
        ("op", 2),
        ("op=", 3),
        ("op=u andd x", 5),
        ("(op=u", 0),
        ("op=u)", 4),
        ("status=paid", 0),
        ("after=1", 0),
        ("op.x=1", 0),
        ("after.=1", 0),
        ("op=u and after.a='x", 17),
        ("op ~ '('", 5),
        ("lsn=12x", 4),
        ("op=u or", 7),
        ("= u", 0),
        ("!op", 0),
    ] {
        match parse::parse(text) {
            Err(mistake) => assert_eq!(mistake.at, at, "{text}: {}", mistake.what),
            Ok(_) => assert_eq!(text, "op", "{text}"),
        }
    }
    let error = Filter::parse("op=u andd x").unwrap_err();
    assert_eq!(error.kind(), Kind::Usage);
    assert!(error.message().ends_with("    op=u andd x\n         ^ expected and, or, or the end"), "{error}");
}

proptest! {
    #[test]
    fn never_panics(text in "[a-z.=<>~!()'\" é0-9]{0,60}") {
        if let Ok(filter) = Filter::parse(&text) {
            filter.takes(&update());
        }
    }
}
