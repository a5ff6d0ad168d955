//! What goes upstream about a caller. In: nothing; `config` makes these values. Out: what is told, and which fields of a
//! caller never pass, listed here and nowhere else. Not here: the changes to one request (`verdict::upstream`).
//!
//! Not on the lists, because Envoy itself cleans or writes them by the operator's settings: `x-forwarded-for`,
//! `x-forwarded-proto`, `x-forwarded-client-cert`, `x-request-id`; but it does so in this spelling only. A field that only tells an address or a port
//! (`x-real-ip`, `x-forwarded-port`) is no identity and says nothing about what was judged.

use std::borrow::Cow;

use crate::policy::Fact;

/// What the upstream is told about the caller: nothing but this list (RFC 9700 §4.13).
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ForwardRule {
    /// Header name (lower case) and what it carries. A caller's own header of that name never passes.
    pub headers: Vec<(Box<str>, Fact)>,
    /// Filter-state key below `wasm.` and what it carries.
    pub filter_state: Vec<(Box<str>, Fact)>,
    /// Whether `Authorization` goes upstream.
    pub token: bool,
    /// Whether `DPoP` goes upstream: a proof that was used up here, or one that was not looked at.
    pub proof: bool,
    /// Headers removed from every request besides the built-in lists; lower case.
    pub strip: Vec<Box<str>>,
    /// Headers of the built-in lists that pass all the same, because a trusted hop in front sets them; lower case.
    pub keep: Vec<Box<str>>,
}

/// Names and beginnings of names, each list sorted.
struct Fields {
    /// What a caller would say with one of them.
    what: &'static str,
    names: &'static [&'static str],
    prefixes: &'static [&'static str],
}

/// Client certificates as proxies write them for what stands behind (RFC 9440, nginx, Apache, HAProxy, Traefik, AWS,
/// Azure): whoever believes these takes the caller for the subject.
const CERTIFICATES: Fields = Fields {
    what: "Client certificates",
    names: &["x-arr-clientcert", "x-client-dn", "x-client-s-dn", "x-client-verify"],
    prefixes: &["client-cert", "ssl-client-", "x-amzn-mtls-", "x-client-cert", "x-forwarded-tls-client-", "x-ssl-"],
};

/// Users and clients as authenticating proxies write them (CGI, oauth2-proxy, Grafana, Kong, AWS, Azure, Google, WSO2), and
/// transaction tokens.
const IDENTITIES: Fields = Fields {
    what: "Users and clients",
    names: &[
        "remote-user",
        "txn-token",
        "x-apigateway-api-userinfo",
        "x-authenticated-scope",
        "x-authenticated-user",
        "x-authenticated-userid",
        "x-credential-identifier",
        "x-endpoint-api-userinfo",
        "x-forwarded-access-token",
        "x-forwarded-email",
        "x-forwarded-groups",
        "x-forwarded-preferred-username",
        "x-forwarded-user",
        "x-goog-iap-jwt-assertion",
        "x-jwt-assertion",
        "x-remote-user",
    ],
    prefixes: &[
        "tailscale-user-",
        "x-amzn-oidc-",
        "x-auth-request-",
        "x-consumer-",
        "x-goog-authenticated-user-",
        "x-ms-client-principal",
        "x-webauth-",
    ],
};

/// Another method than the one that was judged.
const METHODS: Fields = Fields {
    what: "Another method",
    names: &["x-forwarded-method", "x-http-method", "x-http-method-override", "x-method-override", "x-original-method"],
    prefixes: &[],
};

/// Another host or path than the ones that were judged, for frameworks that take them from here (IIS, Symfony, Spring,
/// RFC 7239); and where an Envoy sends the request.
const TARGETS: Fields = Fields {
    what: "Another host or path",
    names: &[
        "forwarded",
        "x-envoy-original-dst-host",
        "x-forwarded-host",
        "x-forwarded-path",
        "x-forwarded-prefix",
        "x-forwarded-server",
        "x-forwarded-uri",
        "x-host",
        "x-http-host-override",
        "x-original-host",
        "x-original-uri",
        "x-original-url",
        "x-rewrite-url",
    ],
    prefixes: &[],
};

/// What must not come behind a body or spelled with `_`, where Envoy cleans nothing and nobody judges.
const HEAD_ONLY: Fields = Fields {
    what: "In request trailers, and spelled with _ for -",
    names: &["authorization", "x-real-ip"],
    prefixes: &["x-envoy-", "x-forwarded-"],
};

impl Fields {
    fn have(&self, name: &str) -> bool {
        self.names.binary_search(&name).is_ok() || self.prefixes.iter().any(|prefix| name.starts_with(prefix))
    }
}

impl ForwardRule {
    /// What never passes unless `keep` says so, for operators to read: what a caller would say with them, and the names, those in
    /// `…` being beginnings.
    pub fn never_passing() -> impl Iterator<Item = (&'static str, String)> {
        [CERTIFICATES, IDENTITIES, METHODS, TARGETS, HEAD_ONLY].into_iter().map(|fields| {
            let names = fields.names.iter().map(|name| format!("`{name}`"));
            let all: Vec<String> = names.chain(fields.prefixes.iter().map(|prefix| format!("`{prefix}…`"))).collect();
            (fields.what, all.join(", "))
        })
    }

    /// Whether a field of this name is on the built-in lists.
    pub fn listed(name: &str) -> bool {
        [CERTIFICATES, IDENTITIES, METHODS, TARGETS].iter().any(|fields| fields.have(name))
    }

    /// Whether a caller's header of this name pretends to be something that only the proxy may say. Headers that are
    /// set anyway do not count.
    pub fn spoofs(&self, name: &str) -> bool {
        match plain(name) {
            Cow::Borrowed(name) => (self.strips(name) || Self::listed(name) && !self.keeps(name)) && !self.sets(name),
            // A trusted hop writes the name as it is, and Envoy cleans no other spelling.
            Cow::Owned(_) => self.spoofs_in_trailers(name),
        }
    }

    /// Whether a caller's trailer of this name must not pass: servers may read trailers as if they stood in the head.
    pub fn spoofs_in_trailers(&self, name: &str) -> bool {
        let name = plain(name);
        self.sets(&name) || self.strips(&name) || Self::listed(&name) || HEAD_ONLY.have(&name)
    }

    fn sets(&self, name: &str) -> bool {
        self.headers.iter().any(|(header, _)| **header == *name)
    }

    fn strips(&self, name: &str) -> bool {
        self.strip.iter().any(|strip| **strip == *name)
    }

    fn keeps(&self, name: &str) -> bool {
        self.keep.iter().any(|keep| **keep == *name)
    }

    /// Whether the upstream is told who the peer is.
    pub fn needs_identity(&self) -> bool {
        self.headers.iter().chain(&self.filter_state).any(|(_, fact)| fact.is_of_peer())
    }
}

/// Some servers read `_` as `-` (CGI does): `x_client_id` must not pass for `x-client-id`.
fn plain(name: &str) -> Cow<'_, str> {
    if name.contains('_') { Cow::Owned(name.replace('_', "-")) } else { Cow::Borrowed(name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Fields; 5] = [CERTIFICATES, IDENTITIES, METHODS, TARGETS, HEAD_ONLY];

    #[test]
    fn lists_are_sorted() {
        for fields in ALL {
            assert!(fields.names.is_sorted() && fields.prefixes.is_sorted(), "{:?}", fields.names);
        }
    }

    #[test]
    fn what_claims_an_identity_or_another_target_never_passes_in_either_spelling() {
        let rule = ForwardRule::default();
        for name in [
            "x-original-url",
            "x-rewrite-url",
            "x-ssl-client-s-dn",
            "x-ssl-client-verify",
            "ssl-client-cert",
            "remote-user",
            "x-forwarded-user",
            "x-forwarded-host",
            "x-forwarded-prefix",
            "x-forwarded-uri",
            "x-forwarded-method",
            "x-forwarded-path",
            "forwarded",
            "x-envoy-original-dst-host",
            "client-cert-chain",
            "x-http-method-override",
            "x-auth-request-email",
        ] {
            assert!(rule.spoofs(name) && rule.spoofs_in_trailers(name), "{name}");
            assert!(rule.spoofs(&name.replace('-', "_")), "{name}");
        }
        for name in [
            "x-forwarded-for",
            "x-forwarded-proto",
            "x-forwarded-port",
            "x-forwarded-client-cert",
            "x-request-id",
            "x-user",
            "x-client-id",
            "x-hosting",
            "user-agent",
            "forwarded-by",
        ] {
            assert!(!rule.spoofs(name), "{name}");
        }
        for name in ["authorization", "x-forwarded-for", "x-forwarded-client-cert", "x-envoy-max-retries"] {
            assert!(rule.spoofs_in_trailers(name), "{name}");
        }
        for name in [
            "x_forwarded_client_cert",
            "x-forwarded_client-cert",
            "x_forwarded_for",
            "x_forwarded_proto",
            "x_envoy_internal",
        ] {
            assert!(rule.spoofs(name), "{name}");
        }
        assert!(!rule.spoofs_in_trailers("grpc-timeout") && !rule.spoofs("x_trace"));
    }

    #[test]
    fn what_a_trusted_hop_sets_may_be_kept_as_it_is_written_and_in_the_head_only() {
        let rule = ForwardRule { keep: vec!["x-forwarded-host".into()], ..ForwardRule::default() };
        assert!(!rule.spoofs("x-forwarded-host") && rule.spoofs("x-forwarded-prefix"));
        assert!(rule.spoofs("x_forwarded_host") && rule.spoofs_in_trailers("x-forwarded-host"));
    }

    #[test]
    fn the_docs_name_every_field() {
        let docs = include_str!("../../docs/configuration.md");
        for (what, names) in ForwardRule::never_passing() {
            let line = format!("* **{what}**: {names}.");
            assert!(docs.lines().any(|written| written == line), "docs/configuration.md lacks:\n{line}");
        }
    }
}
