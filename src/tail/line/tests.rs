use super::*;
use crate::change::Lsn;
use crate::tail::entry::Place;

fn column(name: &str, json: &str) -> Column {
    let shown = crate::tail::json::unquoted(json).into_owned();
    Column { name: name.to_owned(), json: json.to_owned(), shown, unchanged: false }
}

fn entry(what: What) -> Entry {
    Entry {
        place: Some(Place { topic: "shop.public.orders".to_owned(), partition: 1, offset: 12 }),
        timestamp: Some(1_795_341_600_000),
        schema: "public".to_owned(),
        table: "orders".to_owned(),
        lsn: Some(Lsn(0x16_B374_D848)),
        xid: Some(991),
        key: vec![column("id", "7")],
        what,
        ..Entry::default()
    }
}

fn update() -> Change {
    let before = vec![column("id", "7"), column("status", "\"new\""), column("note", "null"), column("long", "\"a\"")];
    let after = vec![
        column("id", "7"),
        column("status", "\"paid\""),
        column("note", "\"two words\""),
        Column { unchanged: true, ..column("long", "\"?\"") },
    ];
    Change { op: Op::Update, before: Some(before), before_is_real: true, after: Some(after), ..Change::default() }
}

fn line(entry: &Entry, style: Style) -> String {
    Lines::new(style).line(entry)
}

#[test]
fn an_update_shows_what_changed() {
    let head = "2026-11-22 10:00:00.000 UPDATE    orders";
    let changed = entry(What::Change(update()));
    assert_eq!(
        line(&changed, Style::default()),
        format!("{head} id=7 16/B374D848 status=new→paid note=null→\"two words\"")
    );
    let full = Style { full: true, ..Style::default() };
    assert_eq!(
        line(&changed, full),
        format!(
            "{head} shop.public.orders[1]@12 id=7 16/B374D848 xid=991 id=7 status=new→paid note=null→\"two words\" long=«unchanged»"
        )
    );
    let unknown = entry(What::Change(Change { before: None, before_is_real: false, ..update() }));
    assert_eq!(
        line(&unknown, Style::default()),
        format!("{head} id=7 16/B374D848 status=paid note=\"two words\" long=«unchanged»")
    );
}

#[test]
fn a_delete_shows_the_old_row_only_where_it_is_real() {
    let before = Some(vec![column("id", "7"), column("status", "\"new\"")]);
    let delete = Change { op: Op::Delete, before, ..Change::default() };
    let head = "2026-11-22 10:00:00.000 DELETE    orders id=7 16/B374D848";
    assert_eq!(line(&entry(What::Change(delete.clone())), Style::default()), head);
    let real = Change { before_is_real: true, ..delete };
    assert_eq!(line(&entry(What::Change(real.clone())), Style::default()), format!("{head} status=new"));
    let moved = Change { before: None, other_key: Some("{\"id\":8}".to_owned()), ..real };
    assert_eq!(line(&entry(What::Change(moved)), Style::default()), format!("{head} moves to {{\"id\":8}}"));
}

#[test]
fn nothing_in_a_value_reaches_the_terminal_as_a_command() {
    let after = Some(vec![column("note", "\"\\u001b[31mred\\u0007\\u202e\""), column("a b", "\"x\\ny\"")]);
    let change = Change { op: Op::Create, after, ..Change::default() };
    let text = line(&entry(What::Change(change)), Style::default());
    assert!(text.ends_with(r#"note=\u{1b}[31mred\u{7}\u{202e} "a b"="x\ny""#), "{text}");
}

#[test]
fn lines_are_cut_to_the_width_and_colours_take_no_room() {
    let long = entry(What::Change(Change {
        op: Op::Create,
        after: Some(vec![column("note", &format!("\"{}\"", "漢".repeat(100)))]),
        ..Change::default()
    }));
    let codes = regex::Regex::new("\x1b\\[[0-9;]*m").unwrap();
    for color in [false, true] {
        let text = line(&long, Style { width: Some(70), color, ..Style::default() });
        let bare = codes.replace_all(&text, "").into_owned();
        assert!(width_of(&bare) <= 70 && width_of(&bare) >= 69 && bare.ends_with('…'), "{bare}");
    }
    assert!(!line(&long, Style::default()).contains('…'));
    for width in 0..30 {
        assert!(width_of(&line(&long, Style { width: Some(width), ..Style::default() })) <= width);
    }
}

#[test]
fn the_day_stands_on_a_line_of_its_own() {
    let mut lines = Lines::new(Style { day_apart: true, ..Style::default() });
    let first = lines.line(&entry(What::Tombstone));
    assert_eq!(first, "-- 2026-11-22 (UTC)\n10:00:00.000 TOMBSTONE orders id=7 16/B374D848");
    assert!(lines.line(&entry(What::Heartbeat)).starts_with("10:00:00.000 HEARTBEAT"));
}
