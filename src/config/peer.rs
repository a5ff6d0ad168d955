//! Where the client's certificate is read. In: the keys `peer.from` and `resources[].peer`. Out: a [`PeerSource`], or
//! findings.

use std::rc::Rc;

use crate::config::finding::{Findings, Place, quoted};
use crate::config::keys::{ConfigTable, PeerFromTable, ResourceTable, TrustedHopsTable};
use crate::config::peer_text::PeerText;
use crate::config::table::{Key, Written, not_what};
use crate::json::Value;
use crate::policy::{ConveyedIn, PeerPattern, PeerRule, PeerSource, TrustedHops};

/// Where the client's certificate is read.
#[derive(Debug)]
pub(super) enum PeerFrom {
    /// The TLS connection that ends at this proxy.
    Tls,
    /// A header of a hop in front.
    Hop(Box<PeerFromTable>),
}

const REMEDY: &str = "Write \"tls\" or { xfcc: { trusted: [...] } }.";

impl Key for PeerFrom {
    fn read(value: &Value, at: &Place, findings: &mut Findings) -> Option<Self> {
        match value {
            Value::Object(_) => return PeerFromTable::read(value, at, findings).map(Box::new).map(Self::Hop),
            Value::Text(word) => match word.as_str() {
                "tls" => return Some(Self::Tls),
                "xfcc" => {
                    let remedy =
                        "Write { xfcc: { trusted: [\"spiffe://...\"] } }, with the SPIFFE IDs of the hops in front.";
                    findings.add(at, "\"xfcc\" lacks the hops whose word is taken", remedy);
                }
                "mesh-principal" => findings.add(at, format!("\"{word}\" is not supported yet"), REMEDY),
                _ => findings.add(at, format!("{} is unknown here", quoted(word)), REMEDY),
            },
            other => findings.add(at, not_what(other, "a word or a table"), REMEDY),
        }
        None
    }

    fn schema() -> serde_json::Value {
        serde_json::json!({ "oneOf": [{ "const": "tls" }, PeerFromTable::schema()] })
    }
}

impl Written for PeerFrom {
    fn written(&self) -> serde_json::Value {
        match self {
            Self::Tls => "tls".into(),
            Self::Hop(_) => serde_json::json!({}),
        }
    }
}

/// The source of all resources that have none of their own.
pub(super) fn default(config: &ConfigTable, findings: &mut Findings) -> Rc<PeerSource> {
    Rc::new(source(&config.peer.from, findings).unwrap_or_default())
}

/// The source of a resource.
pub(super) fn of_resource(table: &ResourceTable, default: &Rc<PeerSource>, findings: &mut Findings) -> Rc<PeerSource> {
    let from = table.peer.as_ref().and_then(|peer| peer.from.as_ref());
    from.and_then(|from| source(from, findings)).map_or_else(|| default.clone(), Rc::new)
}

/// The header that some source reads, if any does: then the proxy lets it pass from everybody.
pub(super) fn headers_read(config: &ConfigTable) -> Vec<ConveyedIn> {
    let own = config.resources.iter().flatten().filter_map(|table| table.value.peer.as_ref()?.from.as_ref());
    let reads = |from: &PeerFrom| matches!(from, PeerFrom::Hop(table) if table.xfcc.is_some());
    let read = own.chain([&config.peer.from]).any(reads);
    read.then_some(ConveyedIn::Xfcc).into_iter().collect()
}

fn source(from: &PeerFrom, findings: &mut Findings) -> Option<PeerSource> {
    let PeerFrom::Hop(table) = from else { return Some(PeerSource::Tls) };
    let Some(hops) = &table.xfcc else {
        if !findings.touch(&table.at) {
            findings.add(&table.at, "names no source", REMEDY);
        }
        return None;
    };
    Some(PeerSource::Hop(TrustedHops {
        header: ConveyedIn::Xfcc,
        trusted: trusted(hops, findings)?,
        direct: hops.direct,
    }))
}

fn trusted(hops: &TrustedHopsTable, findings: &mut Findings) -> Option<PeerRule> {
    const HOPS: &str = "Write the SPIFFE IDs of the proxies in front.";
    let at = hops.at.key("trusted");
    let written = hops.trusted.as_deref()?;
    if written.is_empty() && !findings.touch(&at) {
        findings.add(&at, "an empty list, so that nobody would be believed", HOPS);
    }
    for hop in written {
        let PeerText(pattern) = &hop.value;
        if *pattern == PeerPattern::Any {
            findings.add(&hop.at, "lets every client with a certificate speak for all others", HOPS);
        }
    }
    Some(PeerRule(written.iter().map(|hop| hop.value.0.clone()).collect()))
}
