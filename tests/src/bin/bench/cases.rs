//! What is compared. In: a case. Out: its listener, the tokens of its requests, and the case it is held against.
//!
//! Not here: sending and measuring.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use boundgate_testbed::{Algorithm, Answer, App, Client, KeyExchange, PluginConfig, SigningKeys, Testbed};
use serde_json::{Value, json};

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Case {
    NoFilter,
    /// No filter and a new connection for each request.
    Connection(KeyExchange),
    Known(Counted),
    /// Counted once, the token signed by another algorithm than ES256.
    KnownSigned(Algorithm),
    /// Counted once, the token opaque: its issuer was asked about it.
    KnownOpaque,
    /// Counted once, at an issuer with a document of revocations that does not name it.
    KnownRevocable,
    /// Counted once, bound to a key, with a new proof each time.
    KnownProven,
    /// By its place in `BENCH_MODULE`.
    KnownOther(usize, Counted),
    FirstSeen(Algorithm),
    /// Each token is new, and its signature is not the issuer's.
    Forged(Algorithm),
    /// Posts of a client that is over its limit and resumes TLS sessions.
    OverLimit(Refusals),
    OwnChain,
    OwnChainFirstSeen(Algorithm),
}

/// What a request is counted by: its route.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Counted {
    /// One rate.
    Once,
    /// Two rates of one key.
    Twice,
    /// One rate, and answers.
    WithAnswers,
}

/// When a refused request with a body is answered.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Refusals {
    /// When its body has come; the connection goes on.
    AwaitBody,
    /// At once; the connection ends.
    AtOnce,
}

/// What such a client posts.
const BODY: usize = 3_000;

/// Seconds that a token lives: longer than one Envoy, on the slowest machine.
const LIFETIME: i64 = 36_000;

const COUNTED: [Counted; 3] = [Counted::Once, Counted::Twice, Counted::WithAnswers];

impl Counted {
    fn path(self) -> &'static str {
        match self {
            Self::Once => "/orders/7",
            Self::Twice => "/twice/7",
            Self::WithAnswers => "/answers/7",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Once => "one limit",
            Self::Twice => "two limits",
            Self::WithAnswers => "one limit and one on answers",
        }
    }
}

const CASES: [Case; 21] = [
    Case::NoFilter,
    Case::Connection(KeyExchange::X25519),
    Case::Connection(KeyExchange::X25519MlKem768),
    Case::Known(Counted::Once),
    Case::Known(Counted::Twice),
    Case::Known(Counted::WithAnswers),
    Case::KnownSigned(Algorithm::MlDsa65),
    Case::KnownOpaque,
    Case::KnownRevocable,
    Case::KnownProven,
    Case::FirstSeen(Algorithm::Es256),
    Case::FirstSeen(Algorithm::Rs256),
    Case::FirstSeen(Algorithm::MlDsa65),
    Case::Forged(Algorithm::Es256),
    Case::Forged(Algorithm::Rs256),
    Case::Forged(Algorithm::MlDsa65),
    Case::OverLimit(Refusals::AtOnce),
    Case::OverLimit(Refusals::AwaitBody),
    Case::OwnChain,
    Case::OwnChainFirstSeen(Algorithm::Es256),
    Case::OwnChainFirstSeen(Algorithm::Rs256),
];

impl Case {
    /// Those whose names contain one of `only`, which commas separate, in the order of the table.
    pub fn wanted(only: &str) -> Vec<Self> {
        let other = |number| COUNTED.map(|counted| Self::KnownOther(number, counted));
        let others = (0..other_modules().len()).flat_map(other);
        let wanted = |case: &Self| only.split(',').any(|part| case.name().contains(part));
        CASES.into_iter().chain(others).filter(wanted).collect()
    }

    pub fn name(self) -> String {
        match self {
            Self::NoFilter => String::from("no filter"),
            Self::Connection(group) => format!("no filter, new connection by {}", group.name()),
            Self::Known(counted) => format!("Boundgate, known token, {}, fields on", counted.name()),
            Self::KnownSigned(algorithm) => {
                format!("Boundgate, known {} token, one limit, fields on", algorithm.name())
            }
            Self::KnownOpaque => String::from("Boundgate, known opaque token, one limit, fields on"),
            Self::KnownRevocable => String::from("Boundgate, known revocable token, one limit, fields on"),
            Self::KnownProven => String::from("Boundgate, known token of a key, new proof, one limit, fields on"),
            Self::KnownOther(number, counted) => {
                format!("{}, known token, {}", other_modules()[number].display(), counted.name())
            }
            Self::FirstSeen(algorithm) => format!("Boundgate, first-seen {} token", algorithm.name()),
            Self::Forged(algorithm) => format!("Boundgate, forged {} token, each another", algorithm.name()),
            Self::OverLimit(Refusals::AwaitBody) => String::from("Boundgate, refused post, its body awaited"),
            Self::OverLimit(Refusals::AtOnce) => String::from("Boundgate, refused post, answered at once"),
            Self::OwnChain => String::from("Envoy's own chain, known token"),
            Self::OwnChainFirstSeen(algorithm) => format!("Envoy's own chain, first-seen {} token", algorithm.name()),
        }
    }

    /// What it is compared with, both over no filter.
    pub fn yardstick(self) -> Option<Self> {
        match self {
            Self::NoFilter
            | Self::OwnChain
            | Self::OwnChainFirstSeen(_)
            | Self::OverLimit(Refusals::AtOnce)
            | Self::Connection(KeyExchange::X25519) => None,
            Self::OverLimit(Refusals::AwaitBody) => Some(Self::OverLimit(Refusals::AtOnce)),
            Self::Connection(_) => Some(Self::Connection(KeyExchange::X25519)),
            Self::Known(_) | Self::KnownOther(..) => Some(Self::OwnChain),
            Self::KnownSigned(_) | Self::KnownOpaque | Self::KnownRevocable => Some(Self::Known(Counted::Once)),
            // Each takes one signature.
            Self::KnownProven => Some(Self::FirstSeen(Algorithm::Es256)),
            // The own chain has no ML-DSA.
            Self::FirstSeen(Algorithm::MlDsa65) => Some(Self::FirstSeen(Algorithm::Es256)),
            Self::FirstSeen(algorithm) => Some(Self::OwnChainFirstSeen(algorithm)),
            Self::Forged(algorithm) => Some(Self::FirstSeen(algorithm)),
        }
    }

    /// `main` as this case has it.
    pub fn listener(self, main: &Value, chain: &Value) -> Value {
        let mut listener = main.clone();
        listener["name"] = json!(self.name());
        let filters = manager(&mut listener)["http_filters"].as_array_mut().expect("a list");
        match self {
            Self::Known(_)
            | Self::KnownSigned(_)
            | Self::KnownOpaque
            | Self::KnownProven
            | Self::FirstSeen(_)
            | Self::Forged(_) => {}
            Self::KnownRevocable => configure(&mut filters[0], |plugin| {
                plugin["issuers"]["main"]["revocation"] =
                    json!({"cluster": "as", "uri": "https://as.example.com/documents/revoked"});
            }),
            Self::OverLimit(refusals) => configure(&mut filters[0], |plugin| {
                let await_body = if refusals == Refusals::AwaitBody { "64KiB" } else { "0" };
                plugin["refusals"] = json!({"await_body": await_body});
            }),
            Self::KnownOther(number, _) => {
                filters[0]["typed_config"]["config"]["vm_config"]["code"]["local"]["filename"] =
                    json!(other_modules()[number]);
            }
            // The router stays.
            Self::NoFilter | Self::Connection(_) => drop(filters.drain(..filters.len() - 1)),
            Self::OwnChain | Self::OwnChainFirstSeen(_) => {
                filters.splice(..filters.len() - 1, chain.as_array().expect("a list").iter().cloned());
            }
        }
        listener
    }

    /// Whether it has Boundgate in it, and so needs the keys.
    pub fn is_filtered(self) -> bool {
        !matches!(self, Self::NoFilter | Self::Connection(_) | Self::OwnChain | Self::OwnChainFirstSeen(_))
    }

    /// Whether a batch has tokens that nobody has seen.
    pub fn has_new_tokens(self) -> bool {
        matches!(self, Self::FirstSeen(_) | Self::Forged(_) | Self::OwnChainFirstSeen(_))
    }

    pub fn path(self) -> &'static str {
        match self {
            Self::Known(counted) | Self::KnownOther(_, counted) => counted.path(),
            Self::OverLimit(_) => "/spent",
            _ => Counted::Once.path(),
        }
    }

    /// The status of its answers.
    pub fn status(self) -> u16 {
        match self {
            Self::Forged(_) => 401,
            Self::OverLimit(_) => 429,
            _ => 200,
        }
    }

    /// Asks once, with this token, and a proof of its key where it has one.
    pub async fn ask(self, client: &Client, token: &str, keys: &Arc<SigningKeys>) -> Answer {
        match self {
            Self::KnownProven => {
                let app = App { keys: keys.clone(), token: token.to_owned() };
                let proof = app.proof(self.path(), &PROOFS.fetch_add(1, Ordering::Relaxed).to_string(), |_| {});
                app.get(client, self.path(), &proof).send().await
            }
            Self::OverLimit(_) => client.post(self.path()).token(token).body(vec![b'x'; BODY]).send().await,
            _ => client.get(self.path()).token(token).send().await,
        }
    }

    /// Somebody who calls as this case has it.
    pub fn caller(self, client: &Client) -> Client {
        match self {
            // What clients that can do it offer, too: both shares.
            Self::Connection(KeyExchange::X25519MlKem768) => {
                client.key_exchange(&[KeyExchange::X25519MlKem768, KeyExchange::X25519])
            }
            Self::Connection(group) => client.key_exchange(&[group]),
            Self::OverLimit(_) => client.resuming().kept(),
            _ => client.kept(),
        }
    }

    /// Tokens that nobody has seen.
    pub fn sign(self, bed: &Testbed, keys: &SigningKeys, count: usize) -> Vec<String> {
        let alice = bed.pki.client("alice");
        let algorithm = match self {
            Self::KnownSigned(algorithm)
            | Self::FirstSeen(algorithm)
            | Self::Forged(algorithm)
            | Self::OwnChainFirstSeen(algorithm) => algorithm,
            _ => Algorithm::Es256,
        };
        let claims = || {
            let claims = bed.authority.claims().algorithm(algorithm).scope("read:orders").lifetime(LIFETIME);
            if self == Self::KnownProven { claims.bound_to_key(keys) } else { claims.bound_to(&alice) }
        };
        let forged = matches!(self, Self::Forged(_));
        let token = |_| match self {
            Self::KnownOpaque => bed.authority.opaque(&claims()),
            _ if forged => forge(claims().sign()),
            _ => claims().sign(),
        };
        (0..count).map(token).collect()
    }
}

/// Numbers of proofs, so that no two are alike.
static PROOFS: AtomicU64 = AtomicU64::new(0);

/// Changes what a listener's filter is configured with.
fn configure(filter: &mut Value, change: impl FnOnce(&mut Value)) {
    let configuration = &mut filter["typed_config"]["config"]["configuration"]["value"];
    let text = configuration.as_str().expect("JSON text");
    let mut plugin: Value = serde_json::from_str(text).expect("JSON text");
    change(&mut plugin);
    *configuration = json!(plugin.to_string());
}

/// Another signature of the same form.
fn forge(token: String) -> String {
    let mut bytes = token.into_bytes();
    // Inside the signature, where every bit counts.
    let place = bytes.len() - 10;
    bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
    String::from_utf8(bytes).expect("base64url is text")
}

fn other_modules() -> Vec<PathBuf> {
    std::env::split_paths(&std::env::var_os("BENCH_MODULE").unwrap_or_default())
        .filter(|path| !path.as_os_str().is_empty())
        .collect()
}

pub fn plugin() -> PluginConfig {
    PluginConfig::from(json!({
        "issuers": {"main": {
            "issuer": "https://as.example.com", "algorithms": ["ES256", "RS256", "ML-DSA-65"], "max_lifetime": "12h",
            "jwks": {"cluster": "as", "uri": "https://as.example.com/jwks"},
            "introspection": {"cluster": "as", "uri": "https://as.example.com/introspect", "ttl": "1h", "timeout": "30s"}
        }},
        "resources": [{
            "hosts": ["api.example.com"], "origin": "https://api.example.com",
            "audiences": ["https://api.example.com"], "issuers": ["main"],
            "routes": [
                {"path": "/orders/{id}", "methods": ["GET"], "scopes": ["read:orders"], "limits": ["per-client"]},
                {"path": "/twice/{id}", "methods": ["GET"], "scopes": ["read:orders"], "limits": ["per-client", "by-hour"]},
                {"path": "/spent", "methods": ["POST"], "limits": ["spent"]},
                {"path": "/answers/{id}", "methods": ["GET"], "scopes": ["read:orders"], "limits": ["per-client", "guesses"]}
            ]
        }],
        "limits": {
            "per-client": {"key": ["client_id"], "rate": "1000000/s", "burst": 1000000},
            "spent": {"key": ["client_id"], "rate": "1/h"},
            "by-hour": {"key": ["client_id"], "rate": "1000000000/h", "burst": 1000000000},
            "guesses": {"key": ["client_id"], "rate": "1000/s", "on": [404]}
        }
    }))
}

/// The HTTP connection manager of a listener.
pub fn manager(listener: &mut Value) -> &mut Value {
    &mut listener["filter_chains"][0]["filters"][0]["typed_config"]
}

/// `benches/envoy-own-chain.yaml`, which stands before the router.
pub fn own_chain(jwks: &Value) -> Value {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../benches/envoy-own-chain.yaml");
    let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{file}: {error}"));
    let mut chain: Value = serde_saphyr::from_str(&text).expect("a list of filters");
    chain[0]["typed_config"]["providers"]["main"]["local_jwks"]["inline_string"] = json!(jwks.to_string());
    chain
}
