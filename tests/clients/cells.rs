//! The columns: what a client is asked to do, and what is right. In: what the client says it got, and what proxy and upstream
//! saw of it. Out: right, or what is wrong.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::clients::Client;

/// What a client is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// A request with a token that is bound to its certificate.
    Honest,
    /// Three connections, one after the other, to a route for peers.
    Resumed,
    /// 20 requests without a token, with 3 kB each.
    Small,
    /// 20 requests without a token with 30 kB each, and 20 with 60 kB.
    Medium,
    /// 2 requests without a token, with 20 MB each.
    Large,
    /// 3 refused ones with 3 kB, then an honest one.
    Kept,
    /// Two requests where one is allowed, with a library that tries again when it is told.
    Retry,
    /// Without a token, and with one that lacks the scope; a library reads the challenges.
    Challenge,
    /// A stream refused, and one that passes, whose end never comes.
    Stream,
}

impl Case {
    pub const ALL: [Self; 9] = {
        use Case::*;
        [Honest, Resumed, Small, Medium, Large, Kept, Retry, Challenge, Stream]
    };

    /// As the documentation and the programs name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Honest => "honest",
            Self::Resumed => "resumed",
            Self::Small => "small",
            Self::Medium => "medium",
            Self::Large => "large",
            Self::Kept => "kept",
            Self::Retry => "retry",
            Self::Challenge => "challenge",
            Self::Stream => "stream",
        }
    }

    /// How many requests there are, at least.
    pub fn requests(self) -> usize {
        let (statuses, _) = self.expected();
        // The one that is refused is tried again.
        statuses.len() + usize::from(self == Self::Retry)
    }

    /// The statuses that the client must have got, and how many requests the upstream.
    fn expected(self) -> (&'static [u16], usize) {
        match self {
            Self::Honest => (&[200], 1),
            Self::Resumed => (&[200; 3], 3),
            Self::Small => (&[401; 20], 0),
            Self::Medium => (&[401; 40], 0),
            Self::Large => (&[401; 2], 0),
            Self::Kept => (&[401, 401, 401, 200], 1),
            Self::Retry => (&[200; 2], 2),
            Self::Challenge => (&[401, 403], 0),
            Self::Stream => (&[401, 200], 1),
        }
    }
}

/// What was seen of one client in one case.
#[derive(Debug)]
pub struct Seen {
    /// What the client says, or why it says nothing.
    pub told: Result<Value, String>,
    /// The requests in the access log.
    pub logged: Vec<Logged>,
    /// How many requests the upstream received.
    pub upstream: usize,
    /// How many connections resumed a TLS session.
    pub resumed: u64,
}

/// A line of the access log.
#[derive(Debug)]
pub struct Logged {
    pub status: u64,
    /// The client's end of the connection.
    pub client: String,
    /// Whether the answer ended the connection.
    pub closes: bool,
}

/// Whether it is right.
pub fn judge(client: &Client, case: Case, seen: &Seen) -> Result<(), String> {
    let told = seen.told.as_ref().map_err(Clone::clone)?;
    let (statuses, upstream) = case.expected();
    let right = statuses.iter().map(|status| if client.grpc { code(*status) } else { json!(status) });
    let answers = told["answers"].as_array().cloned().unwrap_or_default();
    let wrong: Vec<_> = right.clone().zip(&answers).filter(|(right, answer)| right != *answer).collect();
    if let Some((right, answer)) = wrong.first() {
        return Err(format!("{} of {} wrong: {answer} for {right}", wrong.len(), statuses.len()));
    }
    check(answers.len() == statuses.len(), || format!("{} answers", answers.len()))?;
    // What is refused must not arrive, however often the client tried.
    check(seen.upstream == upstream, || format!("the upstream received {} instead of {upstream}", seen.upstream))?;
    let connections = seen.logged.iter().map(|line| &line.client).collect::<BTreeSet<_>>().len();
    match case {
        Case::Honest | Case::Small | Case::Medium | Case::Large => Ok(()),
        Case::Resumed => {
            check(connections == 3, || format!("{connections} connections"))?;
            check((seen.resumed > 0) == client.resumes, || format!("{} sessions resumed", seen.resumed))
        }
        Case::Kept => {
            let closed = seen.logged.iter().filter(|line| line.closes).count();
            // Some open a second one before they need it.
            check(closed == 0 && connections <= 2, || format!("{connections} connections, {closed} closed"))
        }
        Case::Retry => check(seen.logged.len() == case.requests(), || {
            format!("{} requests instead of {}", seen.logged.len(), case.requests())
        }),
        Case::Challenge => challenges(&told["challenges"]),
        Case::Stream => {
            // One message of a gRPC call, which is empty, or of a WebSocket.
            let events = match client.name {
                _ if client.grpc => json!([""]),
                "ws" => json!(["data: 1"]),
                _ => json!(["data: 1", "data: 2", "data: 3"]),
            };
            check(told["events"] == events, || format!("events: {}", told["events"]))
        }
    }
}

fn challenges(read: &Value) -> Result<(), String> {
    for (at, name, value) in [
        (0, "scheme", "Bearer"),
        (0, "realm", "api"),
        (0, "resource_metadata", "https://api.example.com/.well-known/oauth-protected-resource"),
        (1, "scheme", "Bearer"),
        (1, "realm", "api"),
        (1, "resource_metadata", "https://api.example.com/.well-known/oauth-protected-resource"),
        (1, "error", "insufficient_scope"),
        (1, "scope", "read:orders"),
    ] {
        let got = read[at][name].as_str().unwrap_or_default();
        check(got.eq_ignore_ascii_case(value), || format!("{name} is {got:?}"))?;
    }
    Ok(())
}

fn check(right: bool, wrong: impl FnOnce() -> String) -> Result<(), String> {
    if right { Ok(()) } else { Err(wrong()) }
}

/// The gRPC code of the refusals with this status.
fn code(status: u16) -> Value {
    match status {
        200 => json!(0),
        401 => json!(16),
        403 => json!(7),
        _ => json!(null),
    }
}
