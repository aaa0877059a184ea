//! What no compiler checks: which module may speak which language, and which functions a suite has to touch.
//! An exception is a line here, with its reason.

use std::path::{Path, PathBuf};

use regex_lite::Regex;

use crate::support::repository;

fn crate_folder() -> PathBuf {
    repository().join("crates/server")
}

/// A file of the server's source, by its path below `src`.
pub fn read_source(path: &str) -> String {
    let file = crate_folder().join("src").join(path);
    std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("`{}`: {error}", file.display()))
}

/// The names of a file's public functions, without those of its tests.
pub fn public_functions(source: &str) -> Vec<String> {
    let source = source.split("#[cfg(test)]\nmod ").next().unwrap_or(source);
    let pattern = Regex::new(r"(?m)^\s*pub (?:async )?fn (\w+)").expect("a valid pattern");
    pattern.captures_iter(source).map(|found| found[1].to_owned()).collect()
}

/// Which of these functions none of the texts calls.
pub fn missing_from(functions: &[String], texts: &[&str]) -> Vec<String> {
    let called = |name: &str| {
        let call = Regex::new(&format!(r"(?:\.|::){name}(?:\(|\b)")).expect("a valid pattern");
        texts.iter().any(|text| call.is_match(text))
    };
    functions.iter().filter(|name| !called(name)).cloned().collect()
}

/// Rust files below a folder of the crate, as paths relative to it, and their texts.
fn sources(folder: &str) -> Vec<(String, String)> {
    fn walk(folder: &Path, root: &Path, found: &mut Vec<(String, String)>) {
        for entry in std::fs::read_dir(folder).expect("a folder of sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                walk(&path, root, found);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let name = path.strip_prefix(root).expect("below the root").display().to_string();
                let text = std::fs::read_to_string(&path).expect("a readable source");
                found.push((name, text));
            }
        }
    }
    let root = crate_folder().join(folder);
    let mut found = Vec::new();
    walk(&root, &root, &mut found);
    found.sort();
    assert!(found.len() > 3, "too few sources below `{}`", root.display());
    found
}

/// The text without comments, and without the unit tests at its end.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(text);
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// Modules that are compiled for tests only.
fn is_test(path: &str) -> bool {
    let names = ["tests.rs", "table_tests.rs", "twin_tests.rs", "random.rs", "testing.rs"];
    path.contains("/tests/") || path.contains("/testing/") || names.iter().any(|name| path.ends_with(name))
}

/// Where the server's own code speaks `pattern`, as `path: line`, but for the files that may.
fn speakers(pattern: &str, may: &[&str]) -> Vec<String> {
    let pattern = Regex::new(pattern).expect("a valid pattern");
    let mut found = Vec::new();
    let mut used: Vec<&str> = Vec::new();
    for (path, text) in sources("src") {
        if is_test(&path) {
            continue;
        }
        let code = code(&text);
        let mut lines = code.lines().filter(|line| pattern.is_match(line)).peekable();
        if lines.peek().is_none() {
            continue;
        }
        match may
            .iter()
            .find(|allowed| path == **allowed || (allowed.ends_with('/') && path.starts_with(**allowed)))
        {
            Some(allowed) => used.push(allowed),
            None => found.extend(lines.map(|line| format!("{path}: {}", line.trim()))),
        }
    }
    for allowed in may {
        if !used.contains(allowed) {
            found.push(format!("`{allowed}` does not do it: the exception can go"));
        }
    }
    found
}

const NOTHING: [String; 0] = [];

#[test]
fn sql_is_spoken_only_by_the_catalog() {
    let statements = r#"(?i)("|^\s*)(select\s.*\sfrom\b|insert into |update \w+ set |delete from |create (table|index|unique)|begin\b|commit\b|rollback\b|savepoint )"#;
    assert_eq!(speakers(statements, &["catalog/", "catalog.rs"]), NOTHING);
    let drivers = r"\b(rusqlite|tokio_postgres|deadpool_postgres)\b";
    assert_eq!(speakers(drivers, &["catalog/", "catalog.rs"]), NOTHING);
}

#[test]
fn conditions_as_sql_are_made_by_the_query_language_only() {
    // A filter becomes a condition over the columns that `library/page.rs` names; the statement around it is the
    // catalog's. What `$search` asks for is a condition on the index that the catalog keeps.
    let may = ["odata/", "catalog/search.rs"];
    assert_eq!(speakers(r"is not distinct from|nulls (first|last)|\bcast\(\$", &may), NOTHING);
}

#[test]
fn object_stores_are_known_only_to_the_blob_store() {
    assert_eq!(speakers(r"\bobject_store\b", &["blobs.rs"]), NOTHING);
}

#[test]
fn the_http_framework_stays_at_the_edge() {
    // `error.rs` gives failures their status: the one place that does.
    let may = ["http.rs", "http/", "error.rs"];
    assert_eq!(speakers(r"\b(axum|tower_http|tower)\b", &may), NOTHING);
}

#[test]
fn only_the_edge_reads_a_clock() {
    // Requests and commands begin there; everything else takes `now` as an argument.
    let may = ["http/", "command/", "command.rs"];
    assert_eq!(speakers(r"\b(Timestamp|SystemTime|Utc|Local)::now\b", &may), NOTHING);
}

#[test]
fn statements_within_a_transaction_touch_no_blobs() {
    // A transaction that waits for a bucket would hold its locks for as long.
    assert_eq!(speakers(r"\bblobs::|\bBlobStore\b", EDGES_OF_BLOBS), NOTHING);
    let touch =
        Regex::new(r"\bblobs\s*\.\s*(create|open|delete|copy_to|probe|list)\(").expect("a valid pattern");
    for (path, text) in sources("src") {
        let code = code(&text);
        let transactions = Regex::new(r"(?s)async fn \w+\(\s*tx: &mut (?:crate::catalog::)?Tx\b.*?\n}")
            .expect("a valid pattern");
        for function in transactions.find_iter(&code) {
            assert!(
                !touch.is_match(function.as_str()),
                "`{path}` touches blobs within a transaction:\n{}",
                function.as_str()
            );
        }
    }
}

/// Who may hold a blob store: the library, actions for what commands put out, and those who make one or look at all
/// of one.
const EDGES_OF_BLOBS: &[&str] =
    &["actions.rs", "app.rs", "blobs.rs", "command.rs", "command/", "error.rs", "library.rs", "library/"];

#[test]
fn no_test_sleeps() {
    // A test waits for a state, a line or a channel. The machinery of the tests may have to ask again and again.
    let sleep = Regex::new(r"\bsleep(_until)?\(").expect("a valid pattern");
    let mut found = Vec::new();
    let in_sources = sources("src").into_iter().filter(|(path, _)| is_test(path));
    let in_tests = sources("tests/it").into_iter();
    for (path, text) in in_sources.chain(in_tests) {
        if path == "invariants.rs" {
            continue;
        }
        let lines = text.lines().filter(|line| sleep.is_match(line));
        found.extend(lines.map(|line| format!("{path}: {}", line.trim())));
    }
    assert_eq!(found, NOTHING);
}

#[test]
fn no_test_is_skipped() {
    let ignored = Regex::new(r"#\[ignore\b").expect("a valid pattern");
    let all = sources("src").into_iter().chain(sources("tests/it"));
    let found: Vec<_> = all
        .filter(|(path, text)| path != "invariants.rs" && ignored.is_match(text))
        .map(|(path, _)| path)
        .collect();
    assert_eq!(found, NOTHING);
}

#[test]
fn nothing_unfinished_is_in_the_tree() {
    let unfinished = Regex::new(r"\b(TODO|FIXME|XXX|HACK)\b").expect("a valid pattern");
    let all = sources("src").into_iter().chain(sources("tests/it"));
    let mut found = Vec::new();
    for (path, text) in all.filter(|(path, _)| path != "invariants.rs") {
        let lines = text.lines().filter(|line| unfinished.is_match(line));
        found.extend(lines.map(|line| format!("{path}: {}", line.trim())));
    }
    assert_eq!(found, NOTHING);
}

#[test]
fn the_checks_see_what_they_look_for() {
    assert!(!speakers(r"\bobject_store\b", &[]).is_empty());
    assert!(!speakers(r"(?i)insert into ", &[]).is_empty());
    let source = "    pub fn one(&self) {}\npub async fn two() {}\nfn three() {}\n#[cfg(test)]\nmod tests {\n    pub fn four() {}\n}";
    let functions = public_functions(source);
    assert_eq!(functions, ["one", "two"]);
    assert_eq!(missing_from(&functions, &["x.one()", "twofold"]), ["two"]);
    // A comment is no speech.
    assert_eq!(code("// axum\nlet a = 1; // b"), "let a = 1; // b");
}
