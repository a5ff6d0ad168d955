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
    let mut table = header();
    let mut faults = Vec::new();
    for language in languages {
        let program = match Program::ready(*language) {
            Ok(program) => program,
            Err(why) => {
                tell(&format!("skipped: clients in {language:?}: {why}"));
                continue;
            }
        };
        for client in CLIENTS.iter().filter(|client| client.language == *language && program.has(client)) {
            if !asked_for("CLIENT", client.name) {
                continue;
            }
            let since = Instant::now();
            let _ = write!(table, "{:18}", client.name);
            for case in Case::ALL {
                let cell = cell(&service, &program, client, case, &exceptions).await;
                let _ = write!(table, "{:10}", cell.as_ref().copied().unwrap_or("WRONG"));
                faults.extend(cell.err());
            }
            let _ = writeln!(table, "{:4.1} s", since.elapsed().as_secs_f64());
        }
    }
    tell(&format!("{table}right; told: a documented exception (docs/clients.md); -: not tried\n"));
    // Its logs would only bury the table.
    drop(service);
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// A person may ask for some clients, or for one case.
fn asked_for(variable: &str, name: &str) -> bool {
    std::env::var(variable).map_or(true, |names| names.split(',').any(|asked| asked == name))
}

fn header() -> String {
    let mut line = format!("\n{:18}", "");
    for case in Case::ALL {
        let _ = write!(line, "{:10}", case.name());
    }
    line + "\n"
}

async fn cell(
    service: &Service,
    program: &Program,
    client: &Client,
    case: Case,
    exceptions: &[Exception],
) -> Result<&'static str, String> {
    if !client.cases.contains(&case) || !asked_for("CASE", case.name()) {
        return Ok("-");
    }
    let name = format!("{}/{}", client.name, case.name());
    let resumed = service.sessions_resumed().await;
    let told = program.run(client, case, &service.surroundings(&name)).await;
    let requests = if told.is_ok() { case.requests() } else { 0 };
    let seen = Seen {
        logged: service.logged(&name, requests).await,
        upstream: service.received(&name),
        resumed: service.sessions_resumed().await - resumed,
        told,
    };
    let known = exceptions.iter().any(|exception| exception.client == client.name && exception.case == case);
    match (judge(client, case, &seen), known) {
        (Ok(()), false) => Ok("right"),
        (Err(why), true) => {
            tell(&format!("{name}: {why}"));
            Ok("told")
        }
        (Ok(()), true) => Err(format!("{name}: right now, but docs/clients.md has an exception for it")),
        (Err(why), false) => {
            let statuses: Vec<_> = seen.logged.iter().map(|(status, _)| status).collect();
            let connections = seen.logged.iter().map(|(_, client)| client).collect::<HashSet<_>>().len();
            Err(format!("{name}: {why} (logged: {statuses:?} over {connections} connections)"))
        }
    }
}
