//! The README and the pages of `docs/` against the binary and the files: what they name exists, and what exists they name.

use crate::support::{Directory, Invocation, Stage};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const PAGES: [&str; 14] = [
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "docs/architecture.md",
    "docs/changes.md",
    "docs/compose.md",
    "docs/guarantees.md",
    "docs/kafka.md",
    "docs/operations.md",
    "docs/seed-mapping.md",
    "docs/stored-format.md",
    "docs/tail.md",
    "docs/tutorial.md",
    "docs/types.md",
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The answer to `--help`, of pipectl itself or of a verb.
fn help(arguments: &[&str]) -> String {
    let outcome = Invocation::new(&Directory::new("docs_help"), &[arguments, &["--help"]].concat()).run();
    assert_eq!(outcome.status, Some(0), "{arguments:?}: {outcome}");
    outcome.stdout
}

/// The verbs, each with the options that it takes, those of its own verbs included: the long ones and the letters.
fn verbs() -> BTreeMap<String, BTreeSet<String>> {
    commands(&help(&[])).into_iter().map(|name| (name.clone(), all_options(&[&name]))).collect()
}

fn all_options(verb: &[&str]) -> BTreeSet<String> {
    let help = help(verb);
    let below = commands(&help).into_iter().flat_map(|name| all_options(&[verb, &[name.as_str()]].concat()));
    options(&help).into_iter().chain(below).collect()
}

/// The names in a list of commands; none where there is no list.
fn commands(help: &str) -> Vec<String> {
    let Some((_, list)) = help.split_once("Commands:\n") else { return Vec::new() };
    let names = list.lines().take_while(|line| !line.is_empty()).filter(|line| !line.starts_with("   "));
    let names = names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help");
    names.map(str::to_owned).collect()
}

fn options(help: &str) -> BTreeSet<String> {
    let lines = help.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
    let words = lines.flat_map(|line| line.split_whitespace().take_while(|word| word.starts_with('-')));
    words.map(|word| word.trim_end_matches(['.', ',']).to_owned()).collect()
}

/// What is written as code: lines of fenced blocks, and what stands between backticks.
fn code(text: &str) -> Vec<String> {
    let (mut fenced, mut found) = (false, Vec::new());
    let mut prose = String::new();
    for line in text.lines() {
        if line.starts_with("```") {
            fenced = !fenced;
        } else if fenced {
            found.push(line.split_once(" # ").map_or(line, |(code, _)| code).to_owned());
        } else {
            prose.push_str(line);
            prose.push(' ');
        }
    }
    found.extend(prose.split('`').skip(1).step_by(2).map(str::to_owned));
    found
}

/// The calls of pipectl in a page, each as the words behind the name.
fn calls(text: &str) -> Vec<Vec<String>> {
    let words_of = |code: &str| code.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    code(text)
        .iter()
        .map(|code| words_of(code))
        .filter_map(|words| {
            let at = words.iter().position(|word| word == "pipectl" || word.ends_with("/pipectl"))?;
            // Behind a prompt or in a unit's file; the word also stands in titles and sentences of configurations.
            let called = at == 0 || words.first().is_some_and(|word| word == "$" || word.starts_with("ExecStart="));
            called.then(|| words.get(at + 1..).unwrap_or_default().to_vec())
        })
        .filter(|words| !words.is_empty())
        .collect()
}

#[test]
fn commands_of_the_pages_exist() {
    let verbs = verbs();
    let (mut wrong, mut count) = (Vec::new(), 0);
    for page in PAGES {
        for call in calls(&read(page)) {
            count += 1;
            let verb = call.first().unwrap();
            if verb == "--version" {
                continue;
            }
            let Some(known) = verbs.get(verb) else {
                wrong.push(format!("{page}: there is no \"pipectl {verb}\""));
                continue;
            };
            let flags = call.iter().filter(|word| word.starts_with('-'));
            let unknown =
                flags.map(|flag| flag.split('=').next().unwrap_or(flag)).filter(|flag| !known.contains(*flag));
            wrong.extend(unknown.map(|flag| format!("{page}: \"pipectl {verb}\" has no {flag}")));
        }
    }
    assert!(count > 40, "only {count} calls were found: are they read rightly?");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_verb_and_its_options_are_in_the_readme() {
    let readme = read("README.md");
    let common = ["-h", "--help", "-V", "--version"];
    let mut missing = Vec::new();
    for (verb, options) in verbs() {
        if !readme.contains(&format!("| `pipectl {verb}` |")) {
            missing.push(format!("the table of commands lacks {verb}"));
        }
        let long = options.iter().filter(|option| option.starts_with("--") && !common.contains(&option.as_str()));
        missing.extend(
            long.filter(|option| !readme.contains(option.as_str()))
                .map(|option| format!("README.md lacks {option} of {verb}")),
        );
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn the_configuration_of_the_readme_is_taken() {
    let readme = read("README.md");
    let (_, rest) = readme.split_once("```yaml\n").expect("a configuration");
    let (yaml, _) = rest.split_once("```").expect("its end");
    let stage = Stage::new("docs_readme");
    stage.directory.write("clickhouse_config.yml", yaml);
    let seeded = stage.pipectl(&["seed", "--create", "--yes"]);
    assert_eq!(seeded.status, Some(0), "{seeded}");
    let planned = stage.pipectl(&["create-tables", "--dry-run"]);
    assert_eq!(planned.status, Some(0), "{planned}");
    assert!(planned.stdout.contains("`shop`.`orders_current`"), "{planned}");
}

/// Targets of Markdown links, with the page they stand in.
fn links(page: &str, text: &str) -> Vec<(String, String)> {
    text.split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'))
        .map(|(target, _)| (page.to_owned(), target.to_owned()))
        .collect()
}

/// A heading as GitHub names its anchor.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase().replace(' ', "-");
    kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect()
}

#[test]
fn links_lead_somewhere() {
    let mut wrong = Vec::new();
    for (page, target) in PAGES.iter().flat_map(|page| links(page, &read(page))) {
        if target.starts_with("https://") {
            continue;
        }
        let (file, place) = target.split_once('#').unwrap_or((&target, ""));
        let file = if file.is_empty() { PathBuf::from(&page) } else { Path::new(&page).with_file_name(file) };
        let Ok(bytes) = fs::read(root().join(&file)) else {
            wrong.push(format!("{page}: {target} is not there"));
            continue;
        };
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let mut headings = text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#'));
        if !place.is_empty() && !headings.any(|heading| anchor(heading) == place) {
            wrong.push(format!("{page}: {target}: no such heading"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn paths_of_the_pages_exist() {
    let heads = ["src/", "sql/", "dev/", "tests/", "docs/", ".ci/"];
    let mut wrong = Vec::new();
    for page in PAGES {
        for code in code(&read(page)) {
            let Some(word) = code.trim_start_matches("$ ").split_whitespace().next() else { continue };
            let file = word.trim_start_matches("./");
            if heads.iter().any(|head| file.starts_with(head)) && !root().join(file).exists() {
                wrong.push(format!("{page}: {file} is not there"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_key_of_the_configuration_is_in_the_readme() {
    let readme = read("README.md");
    let named: BTreeSet<String> = code(&readme)
        .iter()
        .flat_map(|code| {
            code.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').map(str::to_owned).collect::<Vec<_>>()
        })
        .collect();
    let mut keys = BTreeSet::new();
    for line in read("clickhouse_config.yml").lines() {
        let line = line.replace("#: ", "");
        let line = line.split_once(" #").map_or(line.as_str(), |(code, _)| code);
        // Inside of a statement's text a colon has no meaning.
        if line.trim_start().starts_with(['#']) || line.contains("sql:") {
            continue;
        }
        keys.extend(
            line.split(['{', ',', '-'])
                .filter_map(|part| part.split_once(": ").or(part.strip_suffix(':').map(|key| (key, ""))))
                .map(|(key, _)| key.trim().to_owned())
                .filter(|key| !key.is_empty() && key.chars().all(|c| c.is_ascii_lowercase() || c == '_')),
        );
    }
    assert!(keys.len() > 40, "only {keys:?} were found: are they read rightly?");
    // Names of columns in the examples, not keys.
    let examples = ["status", "card_number", "phone", "note"];
    let missing: Vec<&String> =
        keys.iter().filter(|key| !named.contains(*key) && !examples.contains(&key.as_str())).collect();
    assert!(missing.is_empty(), "README.md lacks the keys {missing:?}");
}

#[test]
fn every_exit_code_is_in_the_readme() {
    let readme = read("README.md");
    let (_, table) = readme.split_once("### Exit codes").expect("the table of exit codes");
    for code in 0..=7 {
        assert!(table.contains(&format!("\n| {code} | ")), "exit code {code} is not documented");
    }
    assert!(table.contains("\n| 129, 130, 143 | "));
}

/// The files of tests that a page names, each with the tests that are named behind it.
fn named_tests(page: &str) -> Vec<(String, Vec<String>)> {
    let mut found: Vec<(String, Vec<String>)> = Vec::new();
    for part in page.split('`').skip(1).step_by(2) {
        let is_test = part.matches('_').count() > 1 && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if part.starts_with("tests/it/") || part.starts_with("src/") {
            found.push((part.to_owned(), Vec::new()));
        } else if let (true, Some((_, tests))) = (is_test, found.last_mut()) {
            tests.push(part.to_owned());
        }
    }
    found
}

/// The text of a file, or of all files of a folder.
fn sources(path: &str) -> String {
    let file = root().join(path);
    if !file.is_dir() {
        return read(path);
    }
    let files = fs::read_dir(file).unwrap().map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap());
    files.collect::<Vec<_>>().concat()
}

/// A row of these pages is held by a test, and the test is there.
#[test]
fn what_is_held_by_a_test_has_that_test() {
    for (name, least) in [("docs/types.md", 8), ("docs/changes.md", 45)] {
        let page = read(name);
        let (rows, list) = page.split_once("| | Test |").expect("the list of tests");
        let list = list.split("\n\n").next().unwrap();
        let tests = named_tests(list);
        assert!(tests.iter().map(|(_, tests)| tests.len()).sum::<usize>() >= least, "{name}: {tests:?}");
        for (file, tests) in tests {
            let text = sources(&file);
            for test in tests {
                assert!(
                    text.contains(&format!("#[test]\nfn {test}()")) || text.contains(&format!("    fn {test}()")),
                    "{name}: {file} has no test {test}"
                );
            }
        }
        let labels = |text: &str| -> BTreeSet<String> {
            let parts = text.split('*').skip(1).step_by(2).map(str::to_owned);
            parts.filter(|part| part.len() < 20 && part.chars().all(|c| c.is_ascii_lowercase() || c == ' ')).collect()
        };
        let held = labels(&rows.replace("**", ""));
        assert_eq!(held, labels(list), "{name}: what the rows name, and what the list has");
        for row in rows.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| ---")) {
            let holder = row.trim_end_matches(['|', ' ']).rsplit('|').next().unwrap();
            assert!(holder.contains('*') || holder.contains("Held by"), "{name}: no test holds {row}");
        }
    }
}

/// The statements of a page's section, in their order.
fn statements(page: &str, heading: &str) -> Vec<String> {
    let page = read(page);
    let (_, section) = page.split_once(&format!("\n## {heading}\n")).expect("the section");
    let section = section.split("\n## ").next().unwrap();
    section.split("```sql\n").skip(1).map(|block| block.split("```").next().unwrap().trim().to_owned()).collect()
}

#[test]
fn what_operations_says_of_logs_is_so() {
    let stage = Stage::new("docs_logs");
    stage.postgres.execute(
        "CREATE TABLE moves (id int PRIMARY KEY, place text NOT NULL); ALTER TABLE moves ALTER place SET STORAGE EXTERNAL; INSERT INTO moves VALUES (1, 'a'), (2, 'b'), (4, 'd');
         CREATE TABLE clicks (page text); ALTER TABLE clicks REPLICA IDENTITY FULL; INSERT INTO clicks VALUES ('/'), ('/'), ('/x')",
    );
    stage
        .config("tables:\n  - source: public.moves\n    mode: log\n  - source: public.clicks\n    keyless: multiset\n");
    stage.catch_up_and_verify();
    stage.postgres.execute("UPDATE moves SET place = 'c' WHERE id = 1; DELETE FROM moves WHERE id = 2; INSERT INTO moves VALUES (3, 'e'); UPDATE moves SET id = 5 WHERE id = 4");
    stage.postgres.execute("DELETE FROM clicks WHERE ctid = '(0,1)'; UPDATE clicks SET page = '/y' WHERE page = '/x'");
    stage.catch_up_and_verify();
    let name = stage.name.clone();
    let run = |sql: &str| stage.clickhouse.value(&sql.replace("shop", &name));
    let [history, then, multiset, disk, ttl, keep, fill] = &statements("docs/operations.md", "Logs and multisets")[..]
    else {
        panic!("seven statements")
    };
    assert!(run(history).ends_with("\tu\tc") && run(history).starts_with("\\N\tr\ta\n"), "{}", run(history));
    stage.wait_until("a second is over", |_| run(then) == "1\tc\n3\te\n5\td");
    assert_eq!(run(multiset), "6\t2");
    let tables = run(disk);
    assert!(tables.contains("moves\t") && tables.contains("clicks__log\t"), "{tables}");
    stage.clickhouse.execute(&keep.replace("shop", &name));
    stage.clickhouse.execute(&fill.replace("shop", &name));
    assert_eq!(run("SELECT count() FROM shop.moves_kept"), run("SELECT count() FROM shop.moves FINAL"));
    // Changes of long ago go, copied rows and young changes stay; it is the owner's, and nothing that differs.
    stage.clickhouse.execute("INSERT INTO {db}.moves (id, _version, _ordinal, _op, _committed_at) VALUES (9, 1, 0, 'd', '2020-01-01 00:00:00')");
    stage.clickhouse.execute(&format!("{} SETTINGS mutations_sync = 2", ttl.replace("shop", &name)));
    stage.clickhouse.execute("OPTIMIZE TABLE {db}.moves FINAL");
    assert_eq!(run("SELECT count(), countIf(_op = 'r'), countIf(id = 9) FROM shop.moves FINAL"), "8\t3\t0");
    let checked = stage.pipectl(&["create-tables", "--check"]);
    assert_eq!(checked.status, Some(0), "{checked}");
    stage.catch_up_and_verify();
    let outcome = stage.pipectl(&["resync", "public.clicks"]);
    assert_eq!(outcome.status, Some(0), "{outcome}");
    assert_eq!(run(multiset), "2\t2");
}

#[test]
fn every_metric_is_documented() {
    let page = read("docs/operations.md");
    let source = read("src/http.rs");
    let metrics: BTreeSet<&str> = source.split('"').filter(|text| text.starts_with("pipectl_")).collect();
    assert!(metrics.len() > 10, "only {metrics:?} were found");
    let missing: Vec<&&str> = metrics.iter().filter(|name| !page.contains(**name)).collect();
    assert!(missing.is_empty(), "docs/operations.md lacks {missing:?}");
}

#[test]
fn the_reading_of_pages_tells_code_from_words() {
    let text = "`pipectl doctor --fix` and pipectl sync\n```console\n$ pipectl init --env  # a word\nsome pipectl words\n```\n";
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    assert_eq!(calls(text), [words(&["init", "--env"]), words(&["doctor", "--fix"])]);
    assert_eq!(anchor("Schema changes"), "schema-changes");
    assert_eq!(
        options("  -c, --config <FILE>\n      --wait <TIME>  text --no\n"),
        BTreeSet::from(["-c", "--config", "--wait"].map(str::to_owned))
    );
}
