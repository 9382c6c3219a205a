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
