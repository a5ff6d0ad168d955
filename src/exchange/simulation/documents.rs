//! A version of a configuration as the operator would write it, and a request as the proxy would hand it in.
//! In: parts of a [`World`]. Out: JSON, headers, connections.

use serde_json::{Value, json};

use super::world::{Access, Caller, Counts, Limit, Part, Rate, Route, Shows, Version, When, World, token_text};
use crate::exchange::tests::jwk;
use crate::fake::FakeConnection;
use crate::host::ConnectionProperty;
use crate::http::{HeaderMap, encode};

/// Of the resource.
pub(super) const ORIGIN: &str = "https://api.example.com";

/// The keys of the issuer.
pub(super) fn keys() -> Value {
    json!({"keys": [jwk("k", 1)]})
}

pub(super) fn document(world: &World, version: &Version) -> Value {
    let mut issuer = json!({"issuer": "https://as.example.com", "algorithms": ["ES256"], "max_lifetime": "24h"});
    if world.remote_keys {
        issuer["jwks"] = json!({"cluster": "as", "uri": "https://as.example.com/jwks"});
    } else {
        issuer["keys"] = keys();
    }
    if world.asks {
        issuer["introspection"] = json!({"cluster": "as", "uri": "https://as.example.com/introspect"});
    }
    if let Some(on_stale) = world.revokes {
        issuer["revocation"] = json!({"cluster": "as", "uri": "https://as.example.com/revoked", "on_stale": on_stale});
    }
    let plain = Route { path: "/plain".into(), access: Access::Token, limits: Vec::new(), cost: 1 };
    let routes: Vec<Value> = version.routes.iter().chain([&plain]).map(|route| written_route(route, version)).collect();
    let limits = version.limits.iter().map(|limit| (limit.name.to_owned(), written_limit(limit)));
    let mut document = json!({
        "issuers": {"main": issuer},
        "resources": [{
            "hosts": ["api.example.com"], "audiences": ["https://api.example.com"], "issuers": ["main"], "routes": routes
        }],
        "limits": Value::Object(limits.collect()),
        // The smallest table, so that its slots fill up.
        "limit_table": {"identities": 1024}
    });
    if let Some(nonce) = world.proofs {
        document["resources"][0]["origin"] = json!(ORIGIN);
        document["resources"][0]["dpop"] = json!({"nonce": nonce});
    }
    if version.limits.iter().any(|limit| limit.counts == Counts::Fleet) {
        document["services"] = json!({"service": {
            "kind": "ratelimit", "cluster": "ratelimit", "timeout": "50ms", "lease": 20, "on_error": world.on_error
        }});
    }
    document
}

fn written_route(route: &Route, version: &Version) -> Value {
    let mut written = json!({"path": route.path});
    match route.access {
        Access::Public => written["access"] = json!("public"),
        Access::Peer => {
            written["access"] = json!("peer");
            written["peers"] = json!(["*"]);
        }
        Access::Token => written["bound"] = json!("when-bound"),
    }
    if !route.limits.is_empty() {
        let names: Vec<&str> = route.limits.iter().map(|place| version.limits[*place].name).collect();
        written["limits"] = json!(names);
        written["cost"] = json!(route.cost);
    }
    written
}

fn written_rate(rate: Rate) -> Value {
    let unit = match rate.seconds {
        1 => "s",
        60 => "min",
        _ => "h",
    };
    json!({"rate": format!("{}/{unit}", rate.permits), "burst": rate.burst})
}

fn written_limit(limit: &Limit) -> Value {
    let part = |part: &Part| match part {
        Part::Client => "client_id",
        Part::Constant => "const.x",
        Part::Header => "header.x-kind",
        Part::Ip => "ip",
        Part::Peer => "peer",
        Part::Route => "route",
        Part::Source => "source",
        Part::Tenant => "claim.tenant",
    };
    let key: Vec<&str> = limit.key.iter().map(part).collect();
    let mut written = written_rate(limit.rate);
    match limit.counts {
        Counts::Requests => {}
        Counts::Shadow => written["shadow"] = json!(true),
        Counts::Outcomes { status, undecided } => {
            written["on"] = json!([status]);
            written["undecided"] = json!(undecided);
        }
        Counts::AtOnce { most, heal } => written = json!({"in_flight": most, "heal": format!("{heal}s")}),
        Counts::Fleet => written["service"] = json!("service"),
    }
    if !limit.overrides.is_empty() {
        let other = |(when, rate): &(When, Rate)| {
            let mut written = written_rate(*rate);
            match when {
                When::Peer(peer) => written["peer"] = json!(spiffe(*peer)),
                When::Client(client) => written["client_id"] = json!(client),
                When::Minute(minute) => written["utc"] = json!(format!("00:{minute:02}-00:{:02}", minute + 1)),
            }
            written
        };
        written["overrides"] = limit.overrides.iter().map(other).collect();
    }
    written["key"] = json!(key);
    written
}

fn spiffe(peer: u8) -> String {
    format!("spiffe://example.org/client/{peer}")
}

pub(super) fn head(path: &str, caller: &Caller, with_token: bool, proof: Option<&str>) -> HeaderMap {
    let header = caller.header.map(|value| value.to_string());
    let scheme = if caller.shows == Shows::ForKey { "DPoP" } else { "Bearer" };
    let token = with_token.then(|| format!("{scheme} {}", token_text(caller)));
    let mut head = vec![(":method", "GET"), (":authority", "api.example.com"), (":path", path)];
    head.extend(header.as_ref().map(|header| ("x-kind", header.as_str())));
    head.extend(token.as_ref().map(|token| ("authorization", token.as_str())));
    head.extend(proof.map(|proof| ("dpop", proof)));
    let head = head.iter().map(|(name, value)| (*name, value.as_bytes()));
    HeaderMap::decode(encode(head)).unwrap()
}

pub(super) fn connection(caller: &Caller) -> FakeConnection {
    let mut connection = FakeConnection::default();
    connection.0.insert(ConnectionProperty::SourceAddress, format!("192.0.2.{}:50000", caller.ip).into_bytes());
    if let Some(peer) = caller.peer {
        let digest = format!("{peer:02x}").repeat(32);
        connection.0.insert(ConnectionProperty::PeerDigest, digest.into_bytes());
        connection.0.insert(ConnectionProperty::PeerCertificateValid, vec![1]);
        connection.0.insert(ConnectionProperty::PeerUriSan, spiffe(peer).into_bytes());
    }
    connection
}
