//! docs/standards.md against the tests: every clause has an answer, and every test that it names is there. In: the page,
//! and the sources of all tests of this repository. In the last column of its tables, whatever stands in backticks is
//! the name of a test.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|fault| panic!("{}: {fault}", path.display()))
}

/// The rows of all tables of the page: the line, and its cells.
fn rows(page: &str) -> Vec<(usize, Vec<String>)> {
    let lines = page.lines().enumerate().filter(|(_, line)| line.starts_with('|'));
    let cells = lines.map(|(number, line)| {
        let inner = line.trim().trim_start_matches('|').strip_suffix('|').unwrap_or_default();
        (number.saturating_add(1), inner.split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>())
    });
    let is_head = |cells: &[String]| cells[0] == "clause" || cells[0].starts_with("---");
    cells.filter(|(_, cells)| !is_head(cells)).collect()
}

/// What stands in backticks.
fn names(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

/// The tests of a source, whatever runs them.
fn tests_of(source: &str) -> Vec<&str> {
    let mut tests = Vec::new();
    let mut marked = false;
    for line in source.lines().map(str::trim_start) {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            marked = true;
        } else if let Some((_, signature)) =
            line.split_once("fn ").filter(|(before, _)| matches!(*before, "" | "async "))
        {
            let end = signature.find(['(', '<']).unwrap_or(signature.len());
            tests.extend(marked.then_some(&signature[..end]));
            marked = false;
        }
    }
    tests
}

/// Every test of the repository by its name: the files that have one of it, without ending, from below `src` or `tests`.
fn all_tests() -> BTreeMap<String, Vec<String>> {
    let mut tests: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut folders = vec![root().join("src"), root().join("tests")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                // What a test server of the workspace builds is not its source.
                folders.extend((!path.ends_with("target")).then_some(path));
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let file = path.strip_prefix(root()).unwrap().with_extension("").display().to_string();
                for test in tests_of(&read(&path)) {
                    tests.entry(test.to_owned()).or_default().push(file.clone());
                }
            }
        }
    }
    tests
}

/// What is wrong with the name of a test: `name`, or `file::name` where several files have one of that name.
fn fault(name: &str, tests: &BTreeMap<String, Vec<String>>) -> Option<String> {
    let (file, test) = match name.rsplit_once("::") {
        Some((file, test)) => (Some(file), test),
        None => (None, name),
    };
    let Some(files) = tests.get(test) else { return Some(format!("no test is called {name:?}")) };
    let meant = |path: &&String| file.is_none_or(|file| Path::new(path.as_str()).ends_with(file));
    match files.iter().filter(meant).count() {
        1 => None,
        0 => Some(format!("{name:?} stands in {}", files.join(", "))),
        _ => Some(format!("{name:?} stands in several files: write one of {}", files.join(", "))),
    }
}

#[test]
fn every_clause_of_the_standards_has_a_test_that_is_there_or_a_reason() {
    let page = read(&root().join("docs/standards.md"));
    let tests = all_tests();
    assert!(tests.len() > 500, "only {} tests were found", tests.len());
    let mut clauses = BTreeSet::new();
    let mut named = BTreeSet::new();
    let mut faults = Vec::new();
    for (line, cells) in rows(&page) {
        let [clause, asks, answer] = &cells[..] else {
            faults.push(format!("line {line}: {} cells, not 3", cells.len()));
            continue;
        };
        if !clauses.insert(clause.clone()) {
            faults.push(format!("line {line}: {clause} stands here twice"));
        }
        // Shorter than any reason.
        if clause.is_empty() || asks.len() < 5 || answer.len() < 10 {
            faults.push(format!("line {line}: {clause:?} has an empty cell"));
        }
        let names = names(answer);
        faults.extend(names.iter().filter_map(|name| fault(name, &tests)).map(|fault| format!("line {line}: {fault}")));
        named.extend(names.into_iter().map(str::to_owned));
    }
    assert!(faults.is_empty(), "docs/standards.md:\n{}", faults.join("\n"));
    for (table, last) in [("A", 15), ("S", 7), ("E", 15), ("C", 16), ("T", 18)] {
        let missing: Vec<_> =
            (1..=last).map(|row| format!("{table}-{row:02}")).filter(|row| !clauses.contains(row)).collect();
        assert_eq!(missing, Vec::<String>::new(), "rows of the table of attacks");
    }
    assert!(clauses.len() > 200 && named.len() > 100, "{} clauses, {} tests", clauses.len(), named.len());
}

#[test]
fn a_test_that_is_missing_or_ambiguous_is_told() {
    let source = "#[test]\nfn one() {\n#[tokio::test(flavor = \"x\")]\n  async fn two() {\n    #[test]\n    /// Doc.\n    fn three(a: u8) {\nfn helper() {}\nconst fn four() {}";
    assert_eq!(tests_of(source), ["one", "two", "three"]);
    let tests = BTreeMap::from([
        ("one".to_owned(), vec!["src/a/b".to_owned()]),
        ("two".to_owned(), vec!["src/a/b".to_owned(), "tests/e2e/b".to_owned(), "src/c".to_owned()]),
    ]);
    for good in ["one", "b::one", "c::two", "e2e/b::two", "a/b::two"] {
        assert_eq!(fault(good, &tests), None, "{good}");
    }
    for wrong in ["onee", "c::one", "two", "b::two", "d::two", ""] {
        assert!(fault(wrong, &tests).is_some(), "{wrong}");
    }
    assert_eq!(names("`a`, `b::c`; not d"), ["a", "b::c"]);
}
