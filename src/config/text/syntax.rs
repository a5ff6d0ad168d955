//! Why a text is no YAML. In: the text, and where its reader stopped. Out: a finding with the usual cause and its remedy.
//! Not here: what is YAML and yet wrong (`yaml`, `scalars`).

use boundgate_yaml::{ErrorKind, ScanError};

use crate::config::reading::finding::Finding;
use crate::config::text::scalars::{is_odd_space, is_typographic_quote};
use crate::config::text::spots::Position;

/// The finding for the place where `text` ends to be YAML.
pub(in crate::config) fn fault(text: &str, error: &ScanError) -> Finding {
    let from = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    let (line, column) = (error.marker().line(), error.marker().col());
    let (finding, otherwise) = by_kind(error.kind());
    Finding {
        path: String::new(),
        finding: format!("no YAML that could be read: {finding}"),
        remedy: usual_cause(text, line).unwrap_or_else(|| otherwise.to_owned()),
        position: Some(Position { line: from(line), column: from(column).saturating_add(1) }),
    }
}

/// What to do about a cause that shows in the line where the reader stopped, or in the one before.
fn usual_cause(text: &str, line: usize) -> Option<String> {
    let before = line.saturating_sub(1);
    // Tabs indent in JSON and in all that stands in brackets.
    let is_json = text.trim_start().starts_with(['{', '[']);
    let lines = text
        .lines()
        .map(|line| if is_json { line.trim_start() } else { line })
        .take(line)
        .enumerate()
        .skip(before.saturating_sub(1));
    let mut lines: Vec<(usize, &str)> = lines.collect();
    lines.reverse();
    lines.iter().find_map(|(index, here)| cause(here, if *index == before { "This line" } else { "The line before" }))
}

/// `which`: what the line is called, since its number may be another one in the file around the text.
fn cause(line: &str, which: &str) -> Option<String> {
    let indentation: &str = line.get(..line.len().saturating_sub(line.trim_start().len())).unwrap_or_default();
    if indentation.contains('\t') {
        return Some(format!("{which} begins with a tab: indent with spaces only."));
    }
    if let Some(space) = line.chars().find(|letter| is_odd_space(*letter)) {
        return Some(format!(
            "{which} has a space that is no ordinary one (U+{:04X}): write an ordinary one.",
            u32::from(space)
        ));
    }
    if let Some(quote) = line.chars().find(|letter| is_typographic_quote(*letter)) {
        return Some(format!(
            "{which} has a typographic quotation mark (U+{:04X}): write \" instead.",
            u32::from(quote)
        ));
    }
    if line.contains("{{") {
        return Some(format!("{which} has a template in it: render it first."));
    }
    let unquoted = unquoted(line);
    if unquoted.contains("/{") {
        return Some("Put paths with braces in quotation marks, like \"/orders/{id}\".".to_owned());
    }
    colon_without_space(&unquoted).map(|(key, rest)| {
        let rest: String = rest.chars().take(20).collect();
        format!("{which} has no space behind a colon: write {key}: {rest}")
    })
}

/// What of a line stands outside of quotation marks and before a comment.
fn unquoted(line: &str) -> String {
    let mut open = None;
    let mut before = ' ';
    let mut kept = String::new();
    for letter in line.chars() {
        match open {
            Some(quote) if letter == quote => open = None,
            Some(_) => {}
            None if letter == '#' && before == ' ' => break,
            None if matches!(letter, '"' | '\'') && matches!(before, ' ' | '[' | '{' | ',') => open = Some(letter),
            None => kept.push(letter),
        }
        before = letter;
    }
    kept
}

/// `mode` and `report` of `- { mode:report`.
fn colon_without_space(line: &str) -> Option<(&str, &str)> {
    let words = line.split([' ', '{', ',', '[']).filter(|word| !word.is_empty() && *word != "-");
    let mut pairs = words.filter_map(|word| word.split_once(':'));
    pairs.find(|(key, rest)| {
        let is_key = key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') && !key.is_empty();
        is_key && !rest.is_empty() && !rest.starts_with(['/', ':']) && !rest.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// Finding and remedy where nothing else tells the cause.
fn by_kind(kind: &ErrorKind) -> (&'static str, &'static str) {
    match kind {
        ErrorKind::UnknownAnchor | ErrorKind::MissingAnchorOrAliasName => {
            ("no anchor of that name stands before", "Put text that begins with * or & in quotation marks.")
        }
        ErrorKind::UnexpectedCharacter { character: '@' | '`' | '%' } => {
            ("a character that begins no text", "Put text that begins with @, ` or % in quotation marks.")
        }
        ErrorKind::UnexpectedCharacter { .. } | ErrorKind::BomInsideDocument => {
            ("a character that cannot stand there", "Remove it, or write it as an escape in quotation marks.")
        }
        ErrorKind::TabNotAllowed | ErrorKind::TabInBlockIndentation | ErrorKind::TabInIndentation => {
            ("a tab where only spaces can stand", "Write spaces instead of tabs.")
        }
        ErrorKind::DirectiveDisallowed => ("a directive", "Remove lines that begin with %."),
        ErrorKind::UnclosedQuotedScalar => ("a quotation mark that is never closed", "Close it."),
        ErrorKind::UnclosedFlowCollection { .. } => ("a bracket that is never closed", "Close it."),
        ErrorKind::MisplacedFlowCollectionEnd | ErrorKind::MismatchedFlowCollectionEnd { .. } => {
            ("a closing bracket without its opening one", "Write brackets in pairs.")
        }
        ErrorKind::BlockSequenceEntryNotAllowed => {
            ("a list that begins in the middle of a line", "Begin each item of a list in a line of its own.")
        }
        ErrorKind::ExpectedFlowMappingSeparator | ErrorKind::ExpectedFlowSequenceSeparator => (
            "a comma or a closing bracket was to come",
            "Write a comma between entries, and put text with brackets, braces, \": \" or \" #\" in it in quotation marks.",
        ),
        _ => (
            "a key, an item or a value was to come",
            "Let keys of one table begin in one column, write a space behind each colon, and put text with \": \", \" #\" or brackets \
             in it in quotation marks.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use crate::config::load;

    /// Position and remedy of the one finding about a text.
    fn said(text: &str) -> (String, String) {
        let findings = load(text.as_bytes()).unwrap_err();
        let all: Vec<_> = findings.iter().collect();
        let [only] = &all[..] else { panic!("{text}: {findings}") };
        assert!(only.finding.starts_with("no YAML that could be read: "), "{text}: {only}");
        (only.position.unwrap().to_string(), only.remedy.clone())
    }

    #[test]
    fn the_usual_causes_are_named() {
        let braces = "Put paths with braces in quotation marks, like \"/orders/{id}\".";
        for (text, position, remedy) in [
            ("resources:\n- routes:\n  - { path: /orders/{id}, methods: [GET] }\n", "3:21", braces),
            ("resources:\n- routes:\n  - { path: /a/{x}/b/{y} }  # \"\n", "3:16", braces),
            ("resources:\n\t- hosts: [a]\n", "2:2", "This line begins with a tab: indent with spaces only."),
            (
                "resources:\n-\u{a0}hosts: [a]\n  routes: []\n",
                "3:3",
                "The line before has a space that is no ordinary one (U+00A0): write an ordinary one.",
            ),
            (
                "resources:\n- { hosts: [a], realm: \u{201c}a, b\u{201d}: c d: e }\n",
                "2:35",
                "This line has a typographic quotation mark (U+201C): write \" instead.",
            ),
            ("mode:report\nresources: []\n", "2:10", "The line before has no space behind a colon: write mode: report"),
            ("a: 1\n- b: {{ .Values.x }}\n", "2:3", "This line has a template in it: render it first."),
            ("hosts: [*.example.com]\n", "1:9", "Put text that begins with * or & in quotation marks."),
            ("hosts: *\n", "1:8", "Put text that begins with * or & in quotation marks."),
            ("a: @b\n", "1:4", "Put text that begins with @, ` or % in quotation marks."),
            ("a: [b\n", "1:4", "Close it."),
            ("a: \"b\n", "1:4", "Close it."),
            ("a: - b\n", "1:4", "Begin each item of a list in a line of its own."),
        ] {
            assert_eq!(said(text), (position.to_owned(), remedy.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_only_looks_like_a_usual_cause_is_not_named() {
        for text in [
            "a: \"/orders/{id}\"\nb c\n",
            "a: https://x.example\nb c\n",
            "a: \"mode:report\"\nb c\n",
            "a: host:8443 # x:y\nb c\n",
        ] {
            let remedy = said(text).1;
            assert!(
                ["Let keys of one table", "Write a comma between"].iter().any(|usual| remedy.starts_with(usual)),
                "{text} {remedy}"
            );
        }
    }
}
