//! Every cell of some languages, one after the other, and the table of them. Fails where a cell is neither right nor a
//! documented exception, and where an exception has become right. `CLIENT=httpx,got` and `CASE=large` in the environment try less.

use std::collections::HashSet;
use std::fmt::Write;
use std::time::Instant;

use crate::cells::{Case, Seen, judge};
use crate::clients::{CLIENTS, Client, Language};
use crate::exceptions::{Exception, documented};
use crate::languages::Program;
use crate::service::Service;

/// Says it also where the test passes, and nobody asked to see what it prints.
fn tell(line: &str) {
    use std::io::Write;
    // A closed stderr is the reader's decision.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// See the module.
pub async fn holds(languages: &[Language]) {
    let (exceptions, service) = (documented(), Service::start().await);
    tell(&header());
    let (mut known, mut faults) = (Vec::new(), Vec::new());
    for language in languages {
        let clients = CLIENTS.iter().filter(|client| client.language == *language && asked_for("CLIENT", client.name));
        let clients: Vec<_> = clients.collect();
        if clients.is_empty() {
            continue;
        }
        let program = match Program::ready(*language) {
            Ok(program) => program,
            Err(why) => {
                tell(&format!("skipped: clients in {language:?}: {why}"));
                continue;
            }
        };
        for client in clients.into_iter().filter(|client| program.has(client)) {
            let since = Instant::now();
            let mut row = format!("{:24}", client.name);
            for case in Case::ALL {
                let cell = cell(&service, &program, client, case, &exceptions).await;
                let _ = write!(row, "{:10}", cell.word());
                match cell {
                    Cell::Right | Cell::NotTried => {}
                    Cell::Known(why) => known.push(why),
                    Cell::Wrong(why) => faults.push(why),
                }
            }
            tell(&format!("{row}{:4.1} s", since.elapsed().as_secs_f64()));
        }
    }
    tell("known: an exception that docs/clients.md has, with what to do; -: not tried");
    tell(&format!("{}\n", known.join("\n")));
    // Its logs would only bury the table.
    drop(service);
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// A person may ask for some clients, or for one case.
fn asked_for(variable: &str, name: &str) -> bool {
    std::env::var(variable).map_or(true, |names| names.split(',').any(|asked| asked == name))
}

fn header() -> String {
    let mut line = format!("\n{:24}", "");
    for case in Case::ALL {
        let _ = write!(line, "{:10}", case.name());
    }
    line
}

/// What became of a cell.
enum Cell {
    NotTried,
    Right,
    Known(String),
    Wrong(String),
}

impl Cell {
    fn word(&self) -> &'static str {
        match self {
            Self::NotTried => "-",
            Self::Right => "right",
            Self::Known(_) => "known",
            Self::Wrong(_) => "WRONG",
        }
    }
}

async fn cell(service: &Service, program: &Program, client: &Client, case: Case, exceptions: &[Exception]) -> Cell {
    if !client.cases.contains(&case) || !asked_for("CASE", case.name()) {
        return Cell::NotTried;
    }
    let name = format!("{}/{}", client.name, case.name());
    let resumed = service.sessions_resumed().await;
    let told = program.run(client, case, &service.surroundings(&name).await).await;
    let requests = if told.is_ok() { case.requests() } else { 0 };
    let seen = Seen {
        logged: service.logged(&name, requests).await,
        upstream: service.received(&name),
        resumed: service.sessions_resumed().await - resumed,
        told,
    };
    let known = exceptions.iter().find(|exception| exception.client == client.name && exception.case == case);
    match (judge(client, case, &seen), known) {
        (Ok(()), None | Some(Exception { sometimes: true, .. })) => Cell::Right,
        (Err(why), Some(_)) => Cell::Known(format!("{name}: {why}")),
        (Ok(()), Some(_)) => Cell::Wrong(format!("{name}: right now, but docs/clients.md has an exception for it")),
        (Err(why), None) => {
            let statuses: Vec<_> = seen.logged.iter().map(|line| line.status).collect();
            let connections = seen.logged.iter().map(|line| &line.client).collect::<HashSet<_>>().len();
            Cell::Wrong(format!("{name}: {why} (logged: {statuses:?} over {connections} connections)"))
        }
    }
}
