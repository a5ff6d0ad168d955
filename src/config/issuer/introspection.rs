//! How an issuer is asked about tokens. In: its table; the names of variables in the environment of the VM. Out: an
//! [`Introspection`], what the trust in the issuer says about it, and a finding for each secret that is not there.
//! Not here: which of a resource's issuers is asked (`resources`).

use crate::config::issuer::jwks::metadata_word;
use crate::config::issuer::keys::{AskingClientTable, IntrospectionTable};
use crate::config::keys::EnvironmentTable;
use crate::config::reading::finding::{Findings, Place, quoted};
use crate::config::reading::table::{
    Key, Mistake, TextKey, Written, config_settings, described, not_what, unknown_word,
};
use crate::config::resource::keys::ResourceTable;
use crate::json::Value;
use crate::policy::{AskedTokens, AskingClient, ClientAuth, ClientSecret, Endpoint, Introspection, Issuer, Policy};

config_settings! {
    /// Which tokens an issuer is asked about.
    AskedSetting {
        /// Those that are no JWT.
        Opaque = "opaque",
        /// All: also JWTs that name it as their issuer.
        Always = "always",
    }
    refused {}
}

config_settings! {
    /// How a client shows its secret.
    ClientAuthSetting {
        /// HTTP Basic, with name and secret form-encoded first, as RFC 6749 has it.
        Basic = "basic",
        /// HTTP Basic with both as they are, for servers that do not decode them.
        BasicRaw = "basic-raw",
        /// `client_id` and `client_secret` in the body.
        Body = "body",
    }
    refused {
        "client_secret_basic" => "\"client_secret_basic\" has a shorter name here", "Write basic.";
        "client_secret_post" => "\"client_secret_post\" has a shorter name here", "Write body.";
        "tls_client_auth" => "\"tls_client_auth\" needs no secret", "Leave auth and secret out: the client certificate of the cluster proves who asks.";
    }
}

/// Where the secret of a client is.
#[derive(Debug)]
pub(in crate::config) struct SecretSetting(EnvironmentTable);

impl Key for SecretSetting {
    fn read(value: &Value, at: &Place, findings: &mut Findings) -> Option<Self> {
        if let Value::Text(_) = value {
            // It may be the secret: it is not repeated.
            findings.add(
                at,
                not_what(value, "a table"),
                "Write { env: NAME }, with the variable of the VM that holds it. No secret stands in a configuration: one that did is to be replaced.",
            );
            return None;
        }
        EnvironmentTable::read(value, at, findings).map(Self)
    }

    fn schema() -> serde_json::Value {
        EnvironmentTable::schema()
    }
}

/// The `client_id` of this proxy at an authorization server: printable ASCII (RFC 6749 §A.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) struct OwnClientId(Box<str>);

impl TextKey for OwnClientId {
    const WHAT: &'static str = "a client_id";
    const EXAMPLE: &'static str = "the client_id that the server knows this proxy by";
    const LOOKS_LIKE_ANYTHING: bool = true;

    fn parse(text: &str) -> Result<Self, Mistake> {
        if (1..=256).contains(&text.len()) && text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            return Ok(Self(text.into()));
        }
        Err(Mistake::new(format!("{} is no client_id", quoted(text)), "Write 1 to 256 printable ASCII characters."))
    }
}

/// What was written, and the text that the trust says about it.
pub(in crate::config) fn compile(
    table: &IntrospectionTable,
    findings: &mut Findings,
) -> Option<(Introspection, String)> {
    if table.timeout.0.is_zero() && !findings.touch(&table.at.key("timeout")) {
        findings.add(&table.at.key("timeout"), "zero, which would be no time-out at all", "Write one, like 2s.");
    }
    if table.signed && !table.wrote("client") {
        findings.add(
            &table.at.key("signed"),
            "needs client, because a signed answer says whom it is for",
            "Write client: { id: ... }, or remove it.",
        );
    }
    let client = match &table.client {
        Some(client) => Some(asking_client(client, findings)?),
        None if table.wrote("client") => return None,
        None => None,
    };
    let (cluster, uri) = (table.cluster.as_ref()?, table.uri.as_ref()?);
    if metadata_word(&uri.path).is_some() {
        findings.add(
            &table.at.key("uri"),
            "the metadata of the issuer, which nobody can ask about tokens",
            "Write what its \"introspection_endpoint\" says.",
        );
    }
    let endpoint =
        Endpoint { cluster: cluster.0.clone(), authority: uri.authority.as_str().into(), path: uri.path.clone() };
    let tokens = match table.tokens {
        AskedSetting::Opaque => AskedTokens::Opaque,
        AskedSetting::Always => AskedTokens::All,
    };
    // Whom the server takes this for may decide what it says.
    let signed = if table.signed { " signed" } else { "" };
    let text = format!("asked {tokens:?}{signed} at {:?} {endpoint} as {client:?}", endpoint.cluster);
    let (ttl, negative_ttl, timeout) = (table.ttl.0, table.negative_ttl.0, table.timeout.0);
    Some((Introspection { endpoint, client, tokens, signed: table.signed, ttl, negative_ttl, timeout }, text))
}

fn asking_client(table: &AskingClientTable, findings: &mut Findings) -> Option<AskingClient> {
    let auth = match table.auth {
        ClientAuthSetting::Basic => ClientAuth::Basic,
        ClientAuthSetting::BasicRaw => ClientAuth::BasicRaw,
        ClientAuthSetting::Body => ClientAuth::Body,
    };
    let secret = match &table.secret {
        Some(SecretSetting(secret)) => Some(ClientSecret { variable: secret.env.as_ref()?.0.clone(), auth }),
        None if table.wrote("secret") => return None,
        None => {
            if table.wrote("auth") && !findings.touch(&table.at.key("auth")) {
                findings.add(
                    &table.at.key("auth"),
                    "says how a secret is shown, and there is none",
                    "Write secret: { env: NAME } beside it, or remove it where the client certificate of the cluster proves who asks.",
                );
            }
            None
        }
    };
    Some(AskingClient { id: table.id.as_ref()?.0.clone(), secret })
}

/// What routes of a resource say about answers of the issuer that is `asked` there. `unclear`: whether one is, is not known.
pub(in crate::config) fn check_routes(
    table: &ResourceTable,
    asked: Option<&Issuer>,
    unclear: bool,
    findings: &mut Findings,
) {
    let written =
        table.routes.iter().flatten().filter_map(|route| Some((&route.at, route.value.introspection_ttl.as_ref()?)));
    for (at, within) in written {
        let at = at.key("introspection_ttl");
        let own = asked.and_then(|issuer| Some((issuer, issuer.introspection.as_ref()?.ttl)));
        match own {
            Some((issuer, ttl)) if within.0 >= ttl => {
                let own =
                    format!("no shorter than {}.introspection.ttl, so that it changes nothing", issuer.origin.path);
                findings.add(&at, own, "Lower it, or remove it.");
            }
            None if !unclear => {
                let remedy = "Remove it, or have an issuer asked: introspection: { cluster: ..., uri: ... }.";
                findings.add(&at, "means nothing, because no issuer of the resource is asked about tokens", remedy);
            }
            Some(_) | None => {}
        }
    }
}

/// Whether `environment` has the secrets that `policy` refers to. `Err`: those that it has not, each with what to do.
pub fn check_secrets(policy: &Policy, environment: &dyn Fn(&str) -> Option<String>) -> Result<(), Findings> {
    let mut findings = Findings::default();
    for issuer in &policy.issuers {
        let client = issuer.introspection.as_ref().and_then(|introspection| introspection.client.as_ref());
        let Some(secret) = client.and_then(|client| client.secret.as_ref()) else { continue };
        let at = Place::of(&issuer.origin);
        let at = ["introspection", "client", "secret", "env"].iter().fold(at, |at, key| at.key(key));
        let variable = quoted(&secret.variable);
        match environment(&secret.variable) {
            Some(text) if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) && !text.is_empty() => {}
            Some(_) => findings.add(
                &at,
                format!("the variable {variable} is empty, or holds more than printable ASCII"),
                "Set it to the secret alone, without the end of a line.",
            ),
            None => findings.add(
                &at,
                format!("the VM's environment has no variable {variable}"),
                "Name it in vm_config.environment_variables.host_env_keys of the filter, and set it where the proxy is started; in Istio, in spec.vmConfig.env of the WasmPlugin.",
            ),
        }
    }
    if findings.is_empty() { Ok(()) } else { Err(findings) }
}
