//! What is stored of a table otherwise than as a copy of it: hashed and masked columns.

use crate::sync_changes::{Pipeline, long};

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
    let outcome = pipeline.stage.pipectl(&["resync", "public.items"]);
    assert_eq!(outcome.status, Some(0), "{outcome}");
    pipeline.sync();
    all(pipeline);
    assert_eq!(pipeline.ch(times), before);
    // Deleted while nobody followed, and then copied: it is gone since then at the latest.
    pipeline.pg("DELETE FROM items WHERE id = 20");
    let outcome = pipeline.stage.pipectl(&["resync", "public.items"]);
    assert_eq!(outcome.status, Some(0), "{outcome}");
    pipeline.equal();
    assert_eq!(
        pipeline.ch("SELECT count() FROM {db}.items FINAL WHERE id = 20 AND _source_deleted_at IS NOT NULL"),
        "1"
    );
    pipeline.stage.config("tables:\n  - source: public.*\n    current_view: true\n");
    let outcome = pipeline.try_sync();
    assert!(outcome.status == Some(7) && outcome.stderr.contains("deletes: apply"), "{outcome}");
    let outcome = pipeline.stage.pipectl(&["resync", "public.items", "public.emptied"]);
    assert_eq!(outcome.status, Some(0), "{outcome}");
    pipeline.equal();
    assert_eq!(pipeline.ch("SELECT count() FROM {db}.items FINAL"), "7");
}
