//! The one-way street: no module imports a later one. The compiler does not hold this, so the imports are read here.

use std::fs;
use std::path::{Path, PathBuf};

/// The modules in the order of the data's way. What stands in one row knows nothing of each other.
const LAYERS: [&[&str]; 11] = [
    &["error"],
    &["failpoint"],
    &["change"],
    &["config", "decode"],
    &["batch"],
    &["flow", "server"],
    &["source", "sink", "checkpoint"],
    &["sync", "tables", "init", "seed", "tail", "verify", "dead_letters", "connector"],
    &["doctor", "http"],
    &["assemble"],
    &["cli"],
];
const MOST_LINES: usize = 500;

#[test]
fn no_module_imports_a_later_one() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    for file in sources(&root) {
        let relative = file.strip_prefix(&root).unwrap();
        let module = relative.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs").to_owned();
        if module == "lib" || module == "main" {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        wrong.extend(violations(&module, &text).into_iter().map(|what| format!("{}: {what}", relative.display())));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_file_is_long() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for file in sources(&root.join("src")).into_iter().chain(sources(&root.join("tests"))) {
        let lines = fs::read_to_string(&file).unwrap().lines().count();
        assert!(lines <= MOST_LINES, "{} has {lines} lines; split it by what it does", file.display());
    }
}

#[test]
fn a_wrong_import_is_named() {
    let text = "use crate::{change::{Lsn, TableName}, sync::Engine};\n// crate::cli is only spoken of\n\
                fn f() { crate::doctor::run() } pub(in crate::batch) mod m;";
    assert_eq!(
        violations("batch", text),
        ["\"batch\" imports \"sync\", which comes later", "\"batch\" imports \"doctor\", which comes later"]
    );
    assert_eq!(violations("source", "use crate::sink::X;"), ["\"source\" imports \"sink\", its neighbour"]);
    assert_eq!(violations("sync", "use crate::{\n    change,\n    flow::Sink,\n};"), Vec::<String>::new());
    assert_eq!(violations("error", "use crate::util;"), ["\"util\" has no place in the layers"]);
}

fn violations(module: &str, text: &str) -> Vec<String> {
    let rank = |module: &str| LAYERS.iter().position(|layer| layer.contains(&module));
    let Some(own) = rank(module) else { return vec![format!("\"{module}\" has no place in the layers")] };
    imports(text)
        .into_iter()
        .filter(|import| import != module)
        .filter_map(|import| match rank(&import) {
            None => Some(format!("\"{import}\" has no place in the layers")),
            Some(other) if other > own => Some(format!("\"{module}\" imports \"{import}\", which comes later")),
            Some(other) if other == own => Some(format!("\"{module}\" imports \"{import}\", its neighbour")),
            Some(_) => None,
        })
        .collect()
}

/// The first names behind every `crate::`, also inside of braces, comments left out.
fn imports(text: &str) -> Vec<String> {
    let code: Vec<&str> = text.lines().map(|line| line.split_once("//").map_or(line, |(code, _)| code)).collect();
    let code = code.join("\n");
    let mut found = Vec::new();
    for (at, word) in code.match_indices("crate::") {
        let (before, after) = code.split_at(at);
        let before = before.chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let rest = after.strip_prefix(word).unwrap();
        match rest.strip_prefix('{') {
            None => found.push(identifier(rest)),
            Some(group) => found.extend(first_names(group)),
        }
    }
    found
}

/// The first name of each path of a group, whose opening brace was read.
fn first_names(group: &str) -> Vec<String> {
    let (mut depth, mut begins, mut names) = (1, true, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => begins = true,
            c if begins && !c.is_whitespace() => {
                names.push(identifier(group.split_at(at).1));
                begins = false;
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    names
}

fn identifier(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}
