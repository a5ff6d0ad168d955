//! The documentation against the code: every key is described with its default, and every example passes the check.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{policy, with};

use crate::config::files::documents::documents;
use crate::config::schema;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|fault| panic!("{}: {fault}", path.display()))
}

/// README.md and everything below docs/.
fn pages() -> Vec<PathBuf> {
    let mut pages = vec![root().join("README.md")];
    let mut folders = vec![root().join("docs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => pages.extend(path.extension().is_some_and(|ending| ending == "md").then_some(path)),
            }
        }
    }
    pages
}

/// The blocks of a page that are fenced as `yaml`, with the line each begins in.
fn yaml_blocks(page: &str) -> Vec<(usize, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (index, line) in page.lines().enumerate() {
        match (&mut open, line.trim_end()) {
            (None, "```yaml") => open = Some((index.saturating_add(1), String::new())),
            (Some(_), "```") => blocks.extend(open.take()),
            (Some((_, text)), _) => *text += &format!("{line}\n"),
            (None, _) => {}
        }
    }
    assert!(open.is_none(), "a block is not closed");
    blocks
}

#[test]
fn every_yaml_block_of_the_documentation_passes_the_check() {
    let mut number = 0;
    for page in pages() {
        for (line, text) in yaml_blocks(&read(&page)) {
            let place = format!("{}:{line}", page.display());
            for document in documents(&text).unwrap_or_else(|fault| panic!("{place}: {fault}")).documents {
                let policy = document.policy().unwrap_or_else(|findings| panic!("{place}: {findings}"));
                assert_eq!(policy.doubts, Vec::<String>::new(), "{place}");
                number += 1;
            }
        }
    }
    assert!(number > 1, "only {number} blocks were found");
}

#[test]
fn every_shipped_configuration_passes_the_check() {
    for folder in ["envoy", "istio"] {
        for entry in fs::read_dir(root().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|ending| ending != "yaml") {
                continue;
            }
            let file = documents(&read(&path)).unwrap_or_else(|fault| panic!("{}: {fault}", path.display()));
            for document in file.documents {
                let policy = document.policy().unwrap_or_else(|findings| panic!("{}: {findings}", path.display()));
                assert_eq!(policy.doubts, Vec::<String>::new(), "{}", path.display());
            }
        }
    }
}

/// `issuers.<name>.jwks.refresh` and what the schema says about it, for every key.
fn keys(schema: &Value, path: &str, required: bool, found: &mut Vec<(String, Value, bool)>) {
    if !path.is_empty() {
        found.push((path.to_owned(), schema.clone(), required));
    }
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    if let Some(properties) = schema["properties"].as_object().filter(|_| schema["additionalProperties"] == false) {
        for (name, property) in properties {
            let required =
                schema["required"].as_array().is_some_and(|names| names.iter().any(|required| required == name));
            keys(property, &below(name), required, found);
        }
    }
    for (rule, suffix) in [("additionalProperties", ".<name>"), ("items", "[]")] {
        if schema[rule].is_object() {
            inside(&schema[rule], &format!("{path}{suffix}"), found);
        }
    }
    for choice in schema["oneOf"].as_array().into_iter().flatten() {
        inside(choice, path, found);
    }
}

/// Keys of the tables in a list or under names of the operator's choice; these are no keys themselves.
fn inside(schema: &Value, path: &str, found: &mut Vec<(String, Value, bool)>) {
    let mut below = Vec::new();
    keys(schema, path, false, &mut below);
    found.extend(below.into_iter().filter(|(key, ..)| key != path));
}

#[test]
fn every_key_stands_in_the_reference_with_its_default() {
    let page = read(&root().join("docs/configuration.md"));
    let mut found = Vec::new();
    keys(&schema(), "", false, &mut found);
    assert!(found.len() > 50, "only {} keys were found", found.len());
    let missing: Vec<String> = found
        .into_iter()
        .map(|(key, schema, required)| match (&schema["default"], required) {
            (Value::String(default), _) => (key, format!("default `{default}`")),
            (Value::Null, true) => (key, "required".to_owned()),
            (Value::Null, false) => (key, "optional".to_owned()),
            (default, _) => (key, format!("default `{default}`")),
        })
        .filter(|(key, need)| {
            let heading = format!("`{key}` – ");
            !page.lines().any(|line| {
                line.trim_start_matches(['#', ' ', '*']).starts_with(&heading) && line.contains(need.as_str())
            })
        })
        .map(|(key, need)| format!("`{key}` – …, {need}"))
        .collect();
    assert!(missing.is_empty(), "docs/configuration.md lacks:\n{}", missing.join("\n"));
}

#[test]
fn every_key_stands_in_an_example_of_the_reference() {
    let blocks: String =
        yaml_blocks(&read(&root().join("docs/configuration.md"))).into_iter().map(|(_, text)| text).collect();
    let mut found = Vec::new();
    keys(&schema(), "", false, &mut found);
    let names =
        found.iter().filter_map(|(key, ..)| key.rsplit('.').next()).filter(|name| !name.starts_with("insecure_"));
    let missing: Vec<&str> = names.filter(|name| !blocks.contains(&format!("{name}:"))).collect();
    assert_eq!(missing, Vec::<&str>::new());
}

#[test]
fn what_each_profile_means_stands_in_the_page_about_servers() {
    let page = read(&root().join("docs/issuers.md"));
    for profile in ["keycloak", "entra", "okta", "auth0", "cognito"] {
        let config = with("/issuers/main/profile", profile.into());
        let printed: Vec<String> = policy(&config).unwrap().profiles().collect();
        let (_, meaning) = printed[0].split_once(" means ").unwrap();
        assert!(page.contains(&format!("means `{meaning}`")), "docs/issuers.md lacks: means `{meaning}`");
    }
}

#[test]
fn every_word_that_answers_a_warning_stands_in_the_reference() {
    let page = read(&root().join("docs/configuration.md"));
    let schema = schema();
    let words =
        schema["properties"]["limits"]["additionalProperties"]["properties"]["meant"]["items"]["oneOf"].as_array();
    let words: Vec<&str> = words.unwrap().iter().filter_map(|word| word["const"].as_str()).collect();
    assert!(words.len() > 5, "{words:?}");
    let missing: Vec<&&str> = words.iter().filter(|word| !page.contains(&format!("| `{word}` |"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn no_example_shows_what_is_insecure() {
    for page in pages() {
        for (line, text) in yaml_blocks(&read(&page)) {
            assert!(!text.contains("insecure_"), "{}:{line}", page.display());
        }
    }
}
