//! What is stored of a table otherwise than as a copy of it: hashed and masked columns.

use crate::support::Stage;
use crate::sync_changes::{Pipeline, long};
use crate::sync_recovery::DOCS;

const HASHED: &str = "tables:
  - source: public.*
    columns:
      email: {hash: sha256, hash_salt: '${SALT}'}
      long: {hash: sha256, hash_salt: '${SALT}'}
      born: {hash: sha256}
      active: {hash: sha256}
      code: {hash: sha256}
      raw: {hash: sha256}
      amount: {hash: sha256}
      doc: {hash: sha256, type: LowCardinality(String)}
      note: {mask: \"it's ***\"}
      later: {hash: sha256, hash_salt: '${SALT}'}
";

/// The same pipeline with a salt in its environment.
fn salted(pipeline: &Pipeline, salt: &str) {
    pipeline.stage.directory.write(".env", &format!("SALT={salt}\n"));
}

#[test]
fn hashed_and_masked_columns_hold_no_values() {
    let pipeline = Pipeline::new(
        "hashed_and_masked",
        &format!(
            "CREATE TABLE people (id int PRIMARY KEY, email text, long text NOT NULL, born date NOT NULL, active boolean, code char(6), raw bytea,
                 amount numeric(8, 2), doc jsonb, note text);
             INSERT INTO people SELECT i, CASE i % 5 WHEN 0 THEN NULL ELSE 'user' || i || '@example.com' END, {}, '2000-01-01'::date + i, i % 2 = 0,
                 'c' || i, '\\xdeadbeef', i, '{{\"b\": 1, \"a\": 2}}', 'note ' || i FROM generate_series(1, 10) i;
             UPDATE people SET note = NULL, born = 'infinity', amount = 'NaN' WHERE id = 7;
             CREATE TABLE cards (email text PRIMARY KEY, v int, long text NOT NULL);
             INSERT INTO cards SELECT 'card' || i, i, {} FROM generate_series(1, 10) i;",
            long("p"),
            long("c"),
        ),
        HASHED,
    );
    salted(&pipeline, "pepper");
    let outcome = pipeline.sync();
    assert!(outcome.stderr.contains("hashed without a salt") && outcome.stderr.contains("\"born\""), "{outcome}");
    pipeline.verify();
    let mark = pipeline.mark();
    let sha = |salt: &str, value: &str| {
        pipeline.stage.postgres.value(&format!("SELECT encode(sha256(convert_to('{salt}{value}', 'UTF8')), 'hex')"))
    };
    let of = |id: u8| {
        pipeline.ch(&format!(
            "SELECT email, born, active, code, raw, amount, doc, note FROM {{db}}.people FINAL WHERE id = {id}"
        ))
    };
    let (email, born, active) = (sha("pepper", "user1@example.com"), sha("", "2000-01-02"), sha("", "f"));
    let (code, raw, amount) = (sha("", "c1    "), sha("", "\\xdeadbeef"), sha("", "1.00"));
    let doc = sha("", "{\"a\": 2, \"b\": 1}");
    assert_eq!(of(1), format!("{email}\t{born}\t{active}\t{code}\t{raw}\t{amount}\t{doc}\tit\\'s ***"));
    // Changes, also of values that are left out because they did not change, and keys that are hashes.
    pipeline.pg("UPDATE people SET email = 'new@example.com' WHERE id = 2; UPDATE people SET id = 100 WHERE id = 3; DELETE FROM people WHERE id = 4;
         INSERT INTO people (id, long, born, note) VALUES (50, 'x', '1999-12-31', '');
         UPDATE cards SET v = v + 1 WHERE v < 5; UPDATE cards SET email = 'moved' WHERE v = 7; DELETE FROM cards WHERE v = 8;
         UPDATE cards SET v = 90 WHERE v = 9; UPDATE cards SET v = 91 WHERE v = 90");
    pipeline.equal();
    // Rows older than a column hold what stands for its default.
    pipeline.pg("ALTER TABLE people ADD COLUMN later text NOT NULL DEFAULT 'secret'; INSERT INTO people (id, long, born) VALUES (51, 'y', '1999-12-31')");
    pipeline.equal();
    assert_eq!(
        pipeline.ch("SELECT uniq(later), any(later) FROM {db}.people FINAL"),
        format!("1\t{}", sha("pepper", "secret"))
    );
    pipeline.replay(&mark);
    pipeline.verify();
    assert_eq!(
        pipeline
            .ch("SELECT countIf(length(email) != 64), countIf(email LIKE '%@%') FROM {db}.people WHERE _deleted = 0"),
        "0\t0"
    );
    assert_eq!(pipeline.ch("SELECT count(), countIf(length(email) = 64) FROM {db}.cards FINAL"), "9\t9");
    // A value that is wrong is found, and not shown.
    pipeline.ch("INSERT INTO {db}.people (id, email, long, born, later, _version) SELECT 1, 'wrong', long, born, later, _version + 1 FROM {db}.people FINAL WHERE id = 1");
    let outcome = pipeline.stage.pipectl(&["verify", "--show-values"]);
    assert_eq!(outcome.status, Some(4), "{outcome}");
    assert!(outcome.stdout.contains("wrong") && outcome.stdout.contains(&email), "{outcome}");
    assert!(!outcome.stdout.contains("user1@"), "{outcome}");
    changes_of_salt(&pipeline);
}

/// Another salt, or none, does not fit the rows that are there.
fn changes_of_salt(pipeline: &Pipeline) {
    salted(pipeline, "other");
    let outcome = pipeline.try_sync();
    assert_eq!(outcome.status, Some(7), "{outcome}");
    assert!(outcome.stderr.contains("pipectl resync public.") && outcome.stderr.contains("salt"), "{outcome}");
    assert_eq!(pipeline.stage.pipectl(&["create-tables", "--check"]).status, Some(4));
    let outcome = pipeline.stage.pipectl(&["resync", "public.people", "public.cards"]);
    assert_eq!(outcome.status, Some(0), "{outcome}");
    pipeline.equal();
    let doctor = pipeline.stage.pipectl(&["doctor"]);
    assert!(doctor.stdout.contains("hashed without a salt"), "{doctor}");
    pipeline.stage.config("tables:\n  - source: public.people\n    columns: {id: {mask: x}}\n");
    let outcome = pipeline.stage.pipectl(&["create-tables", "--dry-run"]);
    assert!(outcome.status == Some(3) && outcome.stderr.contains("cannot be masked"), "{outcome}");
}

const KEPT: &str =
    "tables:\n  - source: public.*\n    deletes: keep\n    current_view: true\nsync:\n  batch: {max_rows: 3}\n";

#[test]
fn rows_stay_that_are_deleted_at_the_source() {
    let pipeline = Pipeline::new(
        "rows_stay",
        &format!(
            "CREATE TABLE items (id int, kind text, v text, long text NOT NULL, PRIMARY KEY (kind, id));
             INSERT INTO items SELECT i, 'k', 'v' || i, {} FROM generate_series(1, 20) i;
             CREATE TABLE emptied (id int PRIMARY KEY, v text); INSERT INTO emptied SELECT i, 'e' || i FROM generate_series(1, 5) i;",
            long("i")
        ),
        KEPT,
    );
    pipeline.equal();
    let mark = pipeline.mark();
    let before = pipeline
        .stage
        .postgres
        .value("SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')");
    pipeline.pg(
        "DELETE FROM items WHERE id = 1; BEGIN; UPDATE items SET v = 'last' WHERE id = 2; DELETE FROM items WHERE id = 2; COMMIT;
         BEGIN; DELETE FROM items WHERE id = 3; INSERT INTO items VALUES (3, 'k', 'again', 'short'); COMMIT;
         UPDATE items SET id = 40 WHERE id = 4; DELETE FROM items WHERE id = 6; DELETE FROM items WHERE id = 7; INSERT INTO items VALUES (7, 'k', 'anew', 'short');
         DELETE FROM items WHERE id BETWEEN 11 AND 19; DELETE FROM emptied WHERE id = 1; TRUNCATE emptied; INSERT INTO emptied VALUES (2, 'anew')",
    );
    pipeline.sync();
    let kept = "SELECT id, v, length(long) > 9000 FROM {db}.items FINAL WHERE _source_deleted_at IS NOT NULL AND id < 11 ORDER BY id";
    let rows = "1\tv1\t1\n2\tlast\t1\n6\tv6\t1";
    let all = |pipeline: &Pipeline| {
        pipeline.verify();
        assert_eq!(pipeline.ch(kept), rows);
        let counts = "SELECT count(), countIf(_source_deleted_at IS NULL), (SELECT count() FROM {db}.items_current), (SELECT groupArray((id, v)) FROM {db}.emptied_current) FROM {db}.items FINAL";
        assert_eq!(pipeline.ch(counts), "20\t8\t8\t[(2,'anew')]");
        let gone = "SELECT groupArray((id, v)) FROM (SELECT * FROM {db}.emptied FINAL WHERE _source_deleted_at IS NOT NULL ORDER BY id)";
        assert_eq!(pipeline.ch(gone), "[(1,'e1'),(3,'e3'),(4,'e4'),(5,'e5')]");
    };
    all(&pipeline);
    let times = "SELECT countIf(_source_deleted_at < '{before}' OR _source_deleted_at > now64(6) + 1) FROM {db}.items"
        .replace("{before}", &before);
    assert_eq!(pipeline.ch(&times), "0");
    let stored = pipeline.ch("SELECT groupBitXor(cityHash64(*)) FROM {db}.items FINAL");
    pipeline.replay(&mark);
    all(&pipeline);
    assert_eq!(
        pipeline.ch("SELECT groupBitXor(cityHash64(*)) FROM {db}.items FINAL"),
        stored,
        "the same again changes nothing"
    );
    pipeline.ch("OPTIMIZE TABLE {db}.items FINAL");
    pipeline.replay(&mark);
    all(&pipeline);
    kept_by_a_copy(&pipeline, &all);
}

/// A copy shows only what is there, so what is not is taken over.
fn kept_by_a_copy(pipeline: &Pipeline, all: &dyn Fn(&Pipeline)) {
    let times = "SELECT groupArray(_source_deleted_at) FROM (SELECT * FROM {db}.items FINAL WHERE id < 11 ORDER BY id)";
    let before = pipeline.ch(times);
    for arguments in [["resync", "public.items"], ["resync", "--all"]] {
        let outcome = pipeline.stage.pipectl(&arguments);
        assert_eq!(outcome.status, Some(0), "{outcome}");
        pipeline.sync();
        all(pipeline);
        assert_eq!(pipeline.ch(times), before);
    }
    // Deleted while nobody followed, and then copied: it is gone since then at the latest.
    pipeline.pg("DELETE FROM items WHERE id = 20");
    let outcome = pipeline.stage.pipectl(&["resync", "public.items"]);
    assert_eq!(outcome.status, Some(0), "{outcome}");
    pipeline.equal();
    assert_eq!(
        pipeline.ch("SELECT count() FROM {db}.items FINAL WHERE id = 20 AND _source_deleted_at IS NOT NULL"),
        "1"
    );
    // A row that Postgres does not have, and nobody told of: a repair marks it.
    pipeline.ch("INSERT INTO {db}.items (id, kind, v, long, _version) VALUES (77, 'k', 'stray', '', 5)");
    let outcome = pipeline.stage.pipectl(&["verify", "--repair", "--yes"]);
    assert_eq!(outcome.status, Some(0), "{outcome}");
    assert_eq!(pipeline.ch("SELECT v FROM {db}.items FINAL WHERE id = 77 AND _source_deleted_at IS NOT NULL"), "stray");
    pipeline.stage.config("tables:\n  - source: public.*\n    current_view: true\n");
    let outcome = pipeline.try_sync();
    assert!(outcome.status == Some(7) && outcome.stderr.contains("deletes: apply"), "{outcome}");
    let outcome = pipeline.stage.pipectl(&["resync", "public.items", "public.emptied"]);
    assert_eq!(outcome.status, Some(0), "{outcome}");
    pipeline.equal();
    assert_eq!(pipeline.ch("SELECT count() FROM {db}.items FINAL"), "7");
}

#[test]
fn a_log_has_every_change() {
    let pipeline = Pipeline::new(
        "a_log_has_every_change",
        &format!(
            "CREATE TABLE t (id int PRIMARY KEY, v text NOT NULL, tags text[], long text NOT NULL); INSERT INTO t SELECT i, 'v' || i, '{{a}}', {} FROM generate_series(1, 3) i;
             CREATE TABLE whole (a int, b text); ALTER TABLE whole REPLICA IDENTITY FULL; INSERT INTO whole VALUES (1, 'x'), (1, 'x');
             CREATE TABLE inserted (a int); INSERT INTO inserted VALUES (1), (1);
             CREATE TABLE other (id int PRIMARY KEY); INSERT INTO other VALUES (1);",
            long("l")
        ),
        "tables:
  - source: public.*
    mode: log
  - source: public.inserted
    mode: log
    keyless: insert_only
  - source: public.other
sync:
  batch: {max_rows: 2}
",
    );
    pipeline.sync();
    assert_eq!(
        pipeline.ch("SELECT count(), uniq(_ordinal), uniq(_version), any(_op), any(_committed_at) FROM {db}.t"),
        "3\t3\t1\tr\t\\N"
    );
    let mark = pipeline.mark();
    pipeline.pg("INSERT INTO t VALUES (4, 'new', NULL, 'short'); UPDATE t SET v = 'changed' WHERE id = 1; UPDATE t SET id = 20 WHERE id = 2; DELETE FROM t WHERE id = 3");
    pipeline.pg("BEGIN; INSERT INTO whole VALUES (2, 'y'), (2, 'y'), (3, NULL); UPDATE whole SET b = 'z' WHERE a = 1; DELETE FROM whole WHERE a = 3; COMMIT; TRUNCATE whole; INSERT INTO whole VALUES (9, 'after')");
    pipeline.pg("INSERT INTO inserted VALUES (2), (2); UPDATE inserted SET a = 7; INSERT INTO other VALUES (2)");
    pipeline.sync();
    let t = "SELECT _op, id, v, tags, _unsent, _committed_at > now() - 3600 FROM {db}.t FINAL WHERE _op != 'r' ORDER BY _version, _ordinal";
    let wanted = "c\t4\tnew\t[]\t[]\t1\n\
                  u\t1\tchanged\t['a']\t['long']\t1\n\
                  b\t2\t\\N\t[]\t['v','tags','long']\t1\n\
                  u\t20\tv2\t['a']\t['long']\t1\n\
                  d\t3\t\\N\t[]\t['v','tags','long']\t1";
    let whole = "SELECT arrayStringConcat(groupArray(concat(_op, ifNull(toString(a), '-'), ifNull(b, '-'))), ' ') FROM (SELECT * FROM {db}.whole FINAL ORDER BY _version, _ordinal)";
    let told = "r1x r1x c2y c2y c3- b1x u1z b1x u1z d3- t-- c9after";
    for _ in 0..2 {
        assert_eq!(pipeline.ch(t), wanted);
        assert_eq!(pipeline.ch(whole), told);
        assert_eq!(
            pipeline.ch("SELECT groupArray((_op, a)) FROM (SELECT * FROM {db}.inserted FINAL ORDER BY _version, a)"),
            "[('r',1),('r',1),('c',2),('c',2)]"
        );
        // The same again is the same.
        pipeline.replay(&mark);
    }
    what_a_log_comes_to(&pipeline);
    assert_eq!(pipeline.stage.pipectl(&["create-tables", "--check"]).status, Some(0));
    // A copy begins the log anew; what the stream had before it is not told twice.
    pipeline.pg("INSERT INTO t VALUES (5, 'before the copy', NULL, 'short')");
    let asked = pipeline.stage.pipectl(&["resync", "public.t"]);
    assert!(asked.status == Some(2) && asked.stderr.contains("public.t goes, and begins anew"), "{asked}");
    let outcome = pipeline.stage.pipectl(&["resync", "public.t", "--yes"]);
    assert_eq!(outcome.status, Some(0), "{outcome}");
    pipeline.pg("INSERT INTO t VALUES (6, 'behind it', NULL, 'short')");
    pipeline.sync();
    assert_eq!(
        pipeline.ch("SELECT groupArray((_op, id)) FROM (SELECT * FROM {db}.t FINAL ORDER BY id)"),
        "[('r',1),('r',3),('r',4),('r',5),('c',6),('r',20)]"
    );
}

/// `verify` makes the rows of a log and compares them with the source's; what it finds, no repair can mend.
fn what_a_log_comes_to(pipeline: &Pipeline) {
    let verify = |more: &[&str]| {
        let tables = ["verify", "--table", "public.t", "--table", "public.whole", "--table", "public.other"];
        pipeline.stage.pipectl(&[&tables, more].concat())
    };
    // The long value of 2 went on to 20 and was not sent with it.
    let outcome = verify(&[]);
    assert_eq!(outcome.status, Some(4), "{outcome}");
    let found = format!("{}{}", outcome.stdout, outcome.stderr);
    assert!(found.contains("id=20: different: long") && found.matches("different:").count() == 1, "{outcome}");
    pipeline.pg(&format!("UPDATE t SET long = {} WHERE id = 20", long("again")));
    // Left out again, by a key that has it now; and a key that was there before, with other long values.
    pipeline.pg(&format!(
        "UPDATE t SET v = 'n' WHERE id = 20; UPDATE t SET tags = '{{}}' WHERE id = 20; INSERT INTO t VALUES (3, 'again', NULL, {}); UPDATE t SET v = 'm' WHERE id = 3",
        long("third")
    ));
    pipeline.sync();
    let outcome = verify(&["--show-values"]);
    assert_eq!(outcome.status, Some(0), "{outcome}");
    pipeline.ch("INSERT INTO {db}.t (id, v, long, _version, _ordinal, _op) SELECT 77, 'nobody', '', max(_version), 9, 'c' FROM {db}.t");
    pipeline.ch("INSERT INTO {db}.whole (a, b, _version, _ordinal, _op) SELECT 9, 'after', max(_version), 9, 'c' FROM {db}.whole");
    pipeline.ch("INSERT INTO {db}.t (id, _version, _ordinal, _op) SELECT 1, max(_version), 10, 'd' FROM {db}.t");
    let outcome = verify(&["--repair", "--yes"]);
    assert_eq!(outcome.status, Some(4), "{outcome}");
    let found = format!("{}{}", outcome.stdout, outcome.stderr);
    assert_eq!(found.matches("it is a log of changes").count(), 2, "{outcome}");
    assert!(found.contains("id=77: ") && found.contains("id=1: "), "{outcome}");
    pipeline.ch("ALTER TABLE {db}.t DELETE WHERE _ordinal IN (9, 10) SETTINGS mutations_sync = 2");
    pipeline.ch("ALTER TABLE {db}.whole DELETE WHERE _ordinal = 9 SETTINGS mutations_sync = 2");
    let outcome = verify(&[]);
    assert_eq!(outcome.status, Some(0), "{outcome}");
}

/// Rows that change while they are compared are no differences.
#[test]
fn a_log_is_compared_while_it_grows() {
    let stage = Stage::new("a_log_that_grows");
    stage.config("tables:\n  - source: public.*\n    mode: log\n");
    stage.postgres.execute(DOCS);
    stage.catch_up_and_verify();
    let mut running = stage.invocation(&["sync"]).spawn();
    running.wait_for("streaming from");
    let mut number = 0;
    for _ in 0..2 {
        let mut comparing = stage.invocation(&["verify"]).spawn();
        // Each change waits for the one before to be stored, so that sync is never far behind.
        while !comparing.has_ended() {
            number += 1;
            let id = 100_000 + number;
            stage.postgres.execute(&format!(
                "INSERT INTO public.docs (id, n, body) VALUES ({id}, 0, repeat(md5('{number}'), 80)); UPDATE public.docs SET n = n + 1 WHERE id IN (1, {id});
                 DELETE FROM public.docs WHERE id = {id} - 3; UPDATE public.scratch SET id = -id WHERE id IN (1, -1)",
            ));
            stage.wait_until("the change is stored", |stage| {
                stage.clickhouse.value(&format!("SELECT count() > 0 FROM {{db}}.docs WHERE id = {id}")) == "1"
            });
        }
        let outcome = comparing.ended();
        assert_eq!(outcome.status, Some(0), "{outcome}");
    }
    assert!(number > 3, "{number} changes");
    running.signal("TERM");
    assert_eq!(running.ended().status, Some(0));
    stage.catch_up_and_verify();
}

#[test]
fn rows_without_a_key_are_there_as_often_as_in_the_source() {
    let pipeline = Pipeline::new(
        "rows_without_a_key_counted",
        "CREATE TABLE bag (a int, b text, at timestamptz, tags text[]); ALTER TABLE bag REPLICA IDENTITY FULL;
         INSERT INTO bag SELECT i % 3, 'b', '2026-01-01', '{x,NULL}' FROM generate_series(1, 9) i; INSERT INTO bag VALUES (NULL, NULL, NULL, NULL), (NULL, NULL, NULL, NULL);
         CREATE TABLE emptied (v float8 NOT NULL); ALTER TABLE emptied REPLICA IDENTITY FULL; INSERT INTO emptied VALUES (1), (1);
         CREATE TABLE bare (a int);",
        "tables:\n  - source: public.*\n    keyless: multiset\nsync:\n  batch: {max_rows: 4}\n",
    );
    let outcome = pipeline.sync();
    assert!(
        outcome.stderr.contains("public.bare is left out") && outcome.stderr.contains("REPLICA IDENTITY FULL"),
        "{outcome}"
    );
    pipeline.verify();
    assert_eq!(pipeline.ch("SELECT count(), countIf(a = 1), countIf(a IS NULL) FROM {db}.bag"), "11\t3\t2");
    let mark = pipeline.mark();
    pipeline.pg("INSERT INTO bag SELECT 5, 'five', NULL, NULL FROM generate_series(1, 6); UPDATE bag SET b = 'c' WHERE a = 1; DELETE FROM bag WHERE ctid IN (SELECT ctid FROM bag WHERE a = 5 LIMIT 2);
         BEGIN; UPDATE bag SET a = a + 1; UPDATE bag SET a = a - 1; DELETE FROM bag WHERE a IS NULL; INSERT INTO bag VALUES (NULL, 'late', NULL, NULL); COMMIT;
         INSERT INTO emptied VALUES ('NaN'), ('-0'), (0); TRUNCATE emptied; INSERT INTO emptied VALUES (2), (2), (2); DELETE FROM emptied WHERE ctid = '(0,1)'");
    pipeline.equal();
    assert_eq!(pipeline.ch("SELECT count() FROM {db}.emptied"), "2");
    pipeline.replay(&mark);
    pipeline.verify();
    // Killed while it stores.
    let mut running = pipeline.stage.invocation(&["sync"]).spawn();
    running.wait_for("streaming from");
    for _ in 0..20 {
        pipeline.pg("INSERT INTO bag SELECT i % 7, 'k', NULL, NULL FROM generate_series(1, 50) i; UPDATE bag SET b = 'm' WHERE a = 3; DELETE FROM bag WHERE a = 4");
    }
    pipeline.stage.wait_until("some of it is stored", |stage| {
        stage.clickhouse.value("SELECT count() > 500 FROM {db}.bag__log") == "1"
    });
    running.signal("KILL");
    running.finish(std::time::Duration::from_secs(60));
    pipeline.equal();
    pipeline.replay(&mark);
    pipeline.verify();
    // A row too many is found, and a copy mends it.
    pipeline.ch("INSERT INTO {db}.bag__log (a, b, _version, _ordinal, _sign) SELECT 0, 'b', max(_version), 1000000, 1 FROM {db}.bag__log");
    assert_eq!(pipeline.stage.pipectl(&["verify"]).status, Some(4));
    let outcome = pipeline.stage.pipectl(&["resync", "public.bag"]);
    assert_eq!(outcome.status, Some(0), "{outcome}");
    pipeline.pg("ALTER TABLE bag ADD COLUMN later int DEFAULT 7; INSERT INTO bag (a) VALUES (1), (1); UPDATE bag SET later = 8 WHERE a = 2");
    pipeline.equal();
    assert_eq!(pipeline.ch("SELECT countIf(later = 7) > 0, countIf(later = 8) > 0 FROM {db}.bag"), "1\t1");
    assert_eq!(pipeline.stage.pipectl(&["create-tables", "--check"]).status, Some(0));
    let doctor = pipeline.stage.pipectl(&["doctor"]);
    assert!(doctor.stdout.contains("public.bare"), "{doctor}");
    let outcome = pipeline.stage.pipectl(&["drop", "--yes", "--tables"]);
    assert!(outcome.stdout.contains("view \"bag\"") || outcome.stderr.contains("view \"bag\""), "{outcome}");
    assert_eq!(
        pipeline.ch("SELECT groupArray(name) FROM system.tables WHERE database = '{db}' AND name != 'pipectl_state'"),
        "[]"
    );
}

/// The configuration asks for another form than the table has: that is said, and `resync` is the way.
#[test]
fn verify_names_a_table_that_is_stored_in_another_form() {
    let stage = Stage::new("another_form");
    stage.postgres.execute(
        "CREATE TABLE public.t (id int PRIMARY KEY, v text); ALTER TABLE public.t REPLICA IDENTITY FULL; INSERT INTO public.t VALUES (1, 'a'), (2, 'b')",
    );
    let rule = |rest: &str| stage.config(&format!("tables:\n  - source: public.t\n{rest}"));
    rule("");
    stage.catch_up_and_verify();
    for (form, column) in [("    mode: log\n", "_ordinal"), ("", "_deleted")] {
        rule(form);
        let sync = stage.pipectl(&["sync", "--until-caught-up"]);
        assert_eq!(sync.status, Some(7), "{form}: {sync}");
        let verify = stage.pipectl(&["verify"]);
        assert_eq!(verify.status, Some(4), "{form}: {verify}");
        let told = "public.t: it is stored in another form than the configuration asks for: it has no column";
        assert!(verify.stdout.contains(&format!("{told} \"{column}\"")), "{form}: {verify}");
        assert!(verify.stdout.contains("public.t: it is parked: "), "{form}: {verify}");
        let resync = stage.pipectl(&["resync", "public.t", "--yes"]);
        assert_eq!(resync.status, Some(0), "{form}: {resync}");
        stage.catch_up_and_verify();
    }
}
