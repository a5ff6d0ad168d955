//! What clients cannot be told, as `docs/clients.md` has it: one row for each cell, with reason and cure.

use std::fs;
use std::path::Path;

use crate::cells::Case;
use crate::clients::CLIENTS;

/// A cell that is not right, and known not to be.
#[derive(Debug)]
pub struct Exception {
    pub client: String,
    pub case: Case,
    /// Whether it depends on who is faster.
    pub sometimes: bool,
}

/// Those in the table with the columns client, case, what happens, what to do.
pub fn documented() -> Vec<Exception> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/clients.md");
    let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let table = text.lines().skip_while(|line| *line != "| client | case | what happens | what to do |");
    let rows: Vec<_> = table.skip(2).take_while(|line| line.starts_with('|')).flat_map(exceptions).collect();
    rows
}

/// A row may name several cases, and begin to say what happens with "sometimes: ".
fn exceptions(row: &str) -> Vec<Exception> {
    let [client, cases, what, cure] = row.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>()[..] else {
        panic!("a row of docs/clients.md that has not four columns: {row}");
    };
    assert!(!what.is_empty() && !cure.is_empty(), "a row of docs/clients.md without reason or cure: {row}");
    let known = CLIENTS.iter().find(|known| known.name == client);
    let known = known.unwrap_or_else(|| panic!("docs/clients.md names a client that is not tried: {client}"));
    let case = |name: &str| {
        let case = known.cases.iter().find(|case| case.name() == name);
        *case.unwrap_or_else(|| panic!("docs/clients.md names a case that {client} is not tried in: {name}"))
    };
    cases
        .split(", ")
        .map(|name| Exception {
            client: client.to_owned(),
            case: case(name),
            sometimes: what.starts_with("sometimes: "),
        })
        .collect()
}
