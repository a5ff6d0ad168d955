//! `boundgate explain`: what the filter would make of one request. In: a configuration and a request, its token, certificate and time; the
//! keys of the issuer. Out: each check in its order with what it saw and where its rule is written, and the verdict.
//!
//! The verdict is that of the filter's own core, with a new worker: a proxy that has just started and has fetched its keys.
//! Not here: what is told of each check (`asked`), what stands in for the proxy (`proxy`).

use std::io::{self, Write};
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use boundgate::config::files::documents::Document;
use boundgate::exchange::{AuditFacts, Exchange, Step, Surroundings};
use boundgate::http::{HeaderMap, encode};
use boundgate::jose::KeySet;
use boundgate::observe::{Decision, audit_record};
use boundgate::policy::{FilterId, Policy};
use boundgate::reason::Reason;
use boundgate::time::{MonoNanos, Now, UnixMillis};
use boundgate::verdict::Verdict;
use boundgate::worker::{Answered, Batch, ExchangeId, Fetch, HttpAnswer, Message, Worker};
use clap::Args;
use serde_json::{Value, json};
use x509_cert::der::DateTime;

use crate::asked::{Asked, told};
use crate::certificate::First;
use crate::checks::Told;
use crate::facts::date;
use crate::proxy::{self, Process, Tls};
use crate::token::read;
use crate::{Configuration, configurations, from_stdin};

#[derive(Args)]
pub struct ExplainOptions {
    /// The configuration; `-` for what comes by standard input
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Which of several configurations in the file, as `check` calls it: "filter boundgate"
    #[arg(long, value_name = "PLACE")]
    within: Option<String>,
    /// The request: 'GET /orders/7'
    #[arg(long, value_name = "METHOD PATH")]
    request: String,
    /// The host it is for, as in `:authority`
    #[arg(long, value_name = "HOST")]
    host: String,
    /// A header field; several may be given
    #[arg(long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// The access token; `-` reads it from standard input, so that it stands in no list of processes
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
    /// The client certificate of the connection (PEM); it counts as validated by the proxy
    #[arg(long, value_name = "FILE")]
    peer: Option<PathBuf>,
    /// The address that the request comes from; by default 192.0.2.1
    #[arg(long, value_name = "ADDRESS")]
    source: Option<IpAddr>,
    /// What the mesh has found out of the caller, where `peer.from` is mesh-principal: a SPIFFE ID
    #[arg(long, value_name = "ID")]
    principal: Option<String>,
    /// The issuer's key set, where the proxy would fetch it
    #[arg(long, value_name = "FILE")]
    jwks: Option<PathBuf>,
    /// What the issuer would answer about the token (JSON), where the proxy would ask it
    #[arg(long, value_name = "FILE")]
    introspection: Option<PathBuf>,
    /// The time of the request, as 2026-11-28T07:00:00Z or in seconds since 1970; by default now
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Could not be asked: neither yes nor no.
pub const NOT_ASKED: u8 = 2;

/// Prints what becomes of the request. Success where it would go upstream, failure where it is refused.
pub fn explain(options: &ExplainOptions, out: &mut impl Write, err: &mut impl Write) -> io::Result<ExitCode> {
    let Some(configurations) = configurations(&options.config, err)? else { return Ok(ExitCode::from(NOT_ASKED)) };
    match asked(options, &configurations) {
        Ok(answer) => {
            let text = if options.json { format!("{:#}", answer.json()) } else { answer.text() };
            writeln!(out, "{}", text.trim_end())?;
            Ok(if matches!(answer.verdict, Verdict::Refuse(_)) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
        }
        Err(fault) => {
            writeln!(err, "{fault}")?;
            Ok(ExitCode::from(NOT_ASKED))
        }
    }
}

/// What became of a request.
struct Answer {
    now: UnixMillis,
    facts: AuditFacts,
    verdict: Verdict,
    checks: Vec<Told>,
}

/// `Err` says why it could not be asked, and what to write instead.
fn asked(options: &ExplainOptions, configurations: &[Configuration]) -> Result<Answer, String> {
    let (document, policy) = chosen(options, configurations)?;
    let reads_stdin = |file: &PathBuf| file.as_os_str() == "-";
    let token = match options.token.as_deref() {
        Some("-") if reads_stdin(&options.config) => {
            return Err("--token: standard input is the configuration already. Put one of both into a file.".to_owned());
        }
        Some("-") => Some(from_stdin().map_err(|fault| format!("--token: {fault}."))?.trim().to_owned()),
        other => other.map(str::to_owned),
    };
    let head = head(options, token.as_deref())?;
    let certificate = match &options.peer {
        Some(file) => {
            let first = First::of(&read("--peer", file)?);
            Some(first.ok_or_else(|| format!("--peer {}: no certificate in PEM.", file.display()))?)
        }
        None => None,
    };
    let keys = match &options.jwks {
        Some(file) => {
            let text = read("--jwks", file)?;
            KeySet::parse(text.as_bytes()).map_err(|fault| format!("--jwks {}: {fault}.", file.display()))?;
            Some(text.into_bytes())
        }
        None => None,
    };
    let said = match &options.introspection {
        Some(file) => Some(read("--introspection", file)?.into_bytes()),
        None => None,
    };
    // The monotonic clock means nothing here: nothing has happened before.
    let now = Now { wall: time(options)?, mono: MonoNanos::from_nanos(1_000_000_000_000) };
    let connection =
        Tls { certificate: certificate.as_ref(), principal: options.principal.as_deref(), source: options.source };
    let (facts, verdict) = decide(policy, head, &connection, &Answers { keys, said }, now)?;
    let places = document.places();
    let asked = Asked {
        policy,
        places: &places,
        facts: &facts,
        verdict: &verdict,
        request: &options.request,
        host: &options.host,
    };
    let checks = told(&asked);
    Ok(Answer { now: now.wall, facts, verdict, checks })
}

/// The one configuration that is meant.
fn chosen<'c>(options: &ExplainOptions, configurations: &'c [Configuration]) -> Result<&'c Configuration, String> {
    let meant = |document: &Document| match &options.within {
        Some(within) => document.place.as_ref() == Some(within),
        None => true,
    };
    let mut all = configurations.iter().filter(|(document, _)| meant(document));
    match (all.next(), all.next()) {
        (Some(one), None) => Ok(one),
        (found, _) => {
            let places =
                configurations.iter().map(|(document, _)| document.place.as_deref().unwrap_or("without a place"));
            let places: Vec<String> = places.map(|place| format!("{place:?}")).collect();
            let what = if found.is_some() { "more than one is meant" } else { "no such one" };
            Err(format!("--within: {what}. In the file are {}.", places.join(", ")))
        }
    }
}

/// The header map as the proxy would hand it over.
fn head(options: &ExplainOptions, token: Option<&str>) -> Result<HeaderMap, String> {
    let (method, path) = options
        .request
        .split_once(' ')
        .ok_or("--request: a method and a path with a space between them, like 'GET /orders/7'.")?;
    let pseudo = [(":method", method), (":scheme", "https"), (":authority", &*options.host), (":path", path)];
    let mut fields: Vec<(String, String)> =
        pseudo.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    for header in &options.headers {
        let (name, value) = header.split_once(':').ok_or("--header: a name, a colon and a value.")?;
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if name.is_empty() || !name.bytes().all(letter) {
            return Err("--header: the name before the colon is no name of a header field.".to_owned());
        }
        fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    fields.extend(token.map(|token| ("authorization".to_owned(), format!("Bearer {token}"))));
    let bytes = encode(fields.iter().map(|(name, value)| (name.as_str(), value.as_bytes())));
    HeaderMap::decode(bytes).map_err(|_| "--header: no header fields.".to_owned())
}

fn time(options: &ExplainOptions) -> Result<UnixMillis, String> {
    let since = match &options.at {
        // The companion asks the clock; the core is told.
        #[expect(clippy::disallowed_methods)]
        None => SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
        Some(text) => match (text.parse(), text.parse::<DateTime>()) {
            (Ok(seconds), _) => Duration::from_secs(seconds),
            (Err(_), Ok(date)) => date.unix_duration(),
            (Err(_), Err(_)) => return Err("--at: write 2026-11-28T07:00:00Z, or seconds since 1970.".to_owned()),
        },
    };
    Ok(UnixMillis::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX)))
}

/// The most turns of waiting and being told: keys, keys again for an unknown `kid`, permits of services.
const MOST_TURNS: usize = 100;

/// What servers would answer.
struct Answers {
    keys: Option<Vec<u8>>,
    /// About the token.
    said: Option<Vec<u8>>,
}

impl Answers {
    /// To this fetch. `Err` says what is missing.
    fn to(&self, fetch: &Fetch, policy: &Policy) -> Result<Answered, String> {
        let url = format!("https://{}{}", fetch.authority, fetch.path);
        match (fetch.method, &self.keys, &self.said) {
            ("POST", _, Some(said)) => {
                Ok(Answered::Http(HttpAnswer { status: 200, body: said.clone(), ..HttpAnswer::default() }))
            }
            ("POST", _, None) => Err(format!(
                "the verdict needs what the issuer says of the token, which the proxy asks at {url}. Ask it and add --introspection FILE."
            )),
            (_, Some(keys), _) => Ok(proxy::answer(fetch, policy, keys)),
            (_, None, _) => Err(format!(
                "the verdict needs the issuer's keys, which the proxy gets by way of {url}. Fetch them and add --jwks FILE."
            )),
        }
    }
}

/// Has the core decide. Services of limits grant what they are asked for.
fn decide(
    policy: &Rc<Policy>,
    head: HeaderMap,
    connection: &Tls<'_>,
    answers: &Answers,
    now: Now,
) -> Result<(AuditFacts, Verdict), String> {
    let host = Process::default();
    let mut worker = Worker::new(FilterId::new(b""), policy, &host);
    worker.tick(&host, now);
    let mut unanswered = None;
    // What of a body matters stands in the head.
    let mut exchange = Exchange::new(ExchangeId(1), policy.clone(), head, false);
    let mut verdict = None;
    for _ in 0..MOST_TURNS {
        while let Some(call) = worker.next_call(now) {
            let answer = match &call.message {
                Message::RateLimitCall(_) => Ok(proxy::granted()),
                Message::Fetch(fetch) => answers.to(fetch, policy),
            };
            match answer {
                Ok(answer) => worker.answered(call.id, Ok(answer), &host, now),
                Err(missing) => unanswered = Some(missing),
            }
        }
        let mut batch = Batch::begin(now.mono);
        while worker.next_woken(&mut batch, now).is_some() {}
        if verdict.is_some() {
            break;
        }
        let mut around = Surroundings { worker: &mut worker, host: &host, connection, now };
        match exchange.poll(&mut around) {
            Step::Done(done) => verdict = Some(done),
            Step::Wait if worker.has_calls() || unanswered.is_none() => {}
            Step::Wait => break,
        }
    }
    let refused = verdict.as_ref().and_then(|verdict| match verdict {
        Verdict::Forward(_) => None,
        Verdict::Refuse(refusal) | Verdict::Report(refusal, _) => Some(refusal.reason),
    });
    match (verdict, refused) {
        (Some(_), Some(Reason::IntrospectionUnavailable)) => Err(unanswered.unwrap_or_else(|| {
            "what the issuer says of the token is no answer of RFC 7662. See --introspection.".to_owned()
        })),
        (Some(_), Some(Reason::KeysUnavailable)) | (None, _) => {
            Err(unanswered.unwrap_or_else(|| "the issuer's keys could not be used. See --jwks.".to_owned()))
        }
        (Some(_), Some(Reason::FilterUnavailable)) => Err(format!(
            "the token's signature is of an algorithm that is not verified here. Envoy verifies it; this companion verifies PS, Ed25519, ML-DSA and {}.",
            worker.native()
        )),
        (Some(verdict), _) => Ok((exchange.take_facts(), verdict)),
    }
}

impl Answer {
    /// What it is called in the audit record, and in words.
    fn decision(&self) -> (&'static str, String) {
        let status = |reason: Reason| format!("{} {}: {}", reason.row().status, reason.slug(), reason.meaning().trim());
        match &self.verdict {
            Verdict::Forward(forward) if forward.document().is_some() => {
                ("answered", "the filter itself answers it, with the metadata of the resource.".to_owned())
            }
            Verdict::Forward(_) => match self.checks.iter().any(Told::depends) {
                true => ("forwarded", "it goes upstream, unless a limit is spent.".to_owned()),
                false => ("forwarded", "it goes upstream.".to_owned()),
            },
            Verdict::Refuse(refusal) => ("refused", status(refusal.reason)),
            Verdict::Report(refusal, _) => {
                ("reported", format!("it goes upstream, because mode is report. Else: {}", status(refusal.reason)))
            }
        }
    }

    fn text(&self) -> String {
        let checks: String = self.checks.iter().map(Told::text).collect();
        let (decision, words) = self.decision();
        let caller = self.to_caller().map(|(name, value)| format!("  {name}: {value}\n")).collect::<String>();
        format!("{checks}\n{decision} at {}: {words}\n{caller}", date(self.now))
    }

    /// The fields of the answer that explain it to the caller.
    fn to_caller(&self) -> impl Iterator<Item = (&'static str, String)> {
        let answer = match &self.verdict {
            Verdict::Refuse(refusal) => {
                Some(refusal.answer(self.facts.form, boundgate::policy::Dialects::NONE, self.now))
            }
            Verdict::Forward(_) | Verdict::Report(..) => None,
        };
        let fields = answer.into_iter().flat_map(|answer| answer.headers);
        fields.filter(|(name, _)| !matches!(*name, "cache-control" | "content-type"))
    }

    fn json(&self) -> Value {
        let (decision, words) = self.decision();
        let reason = match &self.verdict {
            Verdict::Forward(_) => None,
            Verdict::Refuse(refusal) | Verdict::Report(refusal, _) => Some(refusal.reason),
        };
        let record = audit_record(&self.facts, Decision::from(&self.verdict));
        json!({
            "decision": decision,
            "at": date(self.now),
            "reason": reason.map(Reason::slug),
            "status": reason.map(|reason| reason.row().status),
            "meaning": words,
            "to_caller": self.to_caller().map(|(name, value)| (name.to_owned(), Value::from(value))).collect::<serde_json::Map<_, _>>(),
            "checks": self.checks,
            "record": serde_json::from_str::<Value>(&record).unwrap_or_default(),
        })
    }
}

#[cfg(test)]
#[path = "explain_tests.rs"]
mod tests;
