//! A request that was asked about. In: the verdict, what the core has seen on the way, the policy. Out: of each check what it saw, what came of it,
//! and where its rule is written.
//!
//! Nothing is judged here: what came of a check follows from the reason of the refusal, and which check that belongs to.
//! Not here: asking (`explain`), which check refuses for what (`checks`), how rules and facts are worded (`rules`, `facts`).

use std::time::Duration;

use boundgate::authz::{missing_scopes, scopes_missing_of_key};
use boundgate::config::Position;
use boundgate::config::files::documents::Places;
use boundgate::exchange::AuditFacts;
use boundgate::policy::{Access, Charge, Issuer, KeyRule, PeerRule, Policy, Resource, Route, TokenRule};
use boundgate::reason::Reason;
use boundgate::verdict::{Detail, Refusal, Upstream, Verdict};

use crate::checks::{Check, Outcome, Rule, Told};
use crate::facts::{self, date, list, shown, unverified, verified};
use crate::rules;

/// A request that was asked about, and what became of it.
pub struct Asked<'a> {
    pub policy: &'a Policy,
    pub places: &'a Places<'a>,
    pub facts: &'a AuditFacts,
    pub verdict: &'a Verdict,
    pub request: &'a str,
    pub host: &'a str,
}

/// Every check with what is told of it.
pub fn told(asked: &Asked<'_>) -> Vec<Told> {
    Check::ALL.into_iter().map(|check| asked.tell(check)).collect()
}

impl Asked<'_> {
    fn refusal(&self) -> Option<&Refusal> {
        match self.verdict {
            Verdict::Forward(_) => None,
            Verdict::Refuse(refusal) | Verdict::Report(refusal, _) => Some(refusal),
        }
    }

    fn tell(&self, check: Check) -> Told {
        let refusal = self.refusal();
        let refusing = refusal.map(|refusal| Check::refusing(refusal.reason, self.facts.path.is_some()));
        let unreached = refusing.is_some_and(|refusing| refusing < check);
        let (mut outcome, mut saw, rules) = match check {
            _ if unreached => (Outcome::Unreached, String::new(), Vec::new()),
            Check::Request => self.request(),
            Check::Resource => self.resource(),
            Check::Route => self.route(),
            Check::Peer => self.peer(),
            Check::Credential | Check::Token | Check::Binding | Check::Policy => self.authorisation(check),
            Check::Body => self.body(),
            Check::Upstream => self.upstream(),
            Check::Limits => self.limits(),
        };
        if let Some(refusal) = refusal.filter(|_| refusing == Some(check)) {
            outcome = Outcome::Refused;
            let denying = refusal.denying_rule().map(|denying| format!("{}: {}", denying.path, denying.because));
            let reason = refusal.reason.slug();
            let parts = denying.into_iter().chain((!saw.is_empty()).then_some(saw));
            saw = parts.collect::<Vec<_>>().join(", ");
            saw = if saw.is_empty() { reason.to_owned() } else { format!("{reason}: {saw}") };
        }
        Told { check, outcome, saw, rules }
    }

    fn rule(&self, path: &str, rule: impl Into<String>) -> Rule {
        let (line, column) = self.places.of(path).map(|Position { line, column }| (line, column)).unzip();
        Rule { rule: rule.into(), config: path.to_owned(), line, column }
    }

    /// A key of a table: where it is not written, its default counts, and the table is the place.
    fn key(&self, table: &str, key: &str, says: &str) -> Rule {
        let path = format!("{table}.{key}");
        match self.places.of(&path) {
            Some(_) => self.rule(&path, format!("{key}: {says}")),
            None => self.rule(table, format!("{key}: {says} (default)")),
        }
    }
}

/// What is told: what came of the check, what it saw, by which rules.
type Part = (Outcome, String, Vec<Rule>);

impl Asked<'_> {
    fn request(&self) -> Part {
        // What stands in the query is nobody's business here, and may be a token.
        let request = self.request.split('?').next().unwrap_or_default();
        let fault = self.refusal().and_then(|refusal| match &refusal.detail {
            Detail::Path(fault) => Some(format!(": {}", fault.told())),
            _ => None,
        });
        (
            Outcome::Passed,
            format!("{} at {}{}", shown(request), shown(self.host), fault.unwrap_or_default()),
            Vec::new(),
        )
    }

    fn resource(&self) -> Part {
        let of = |resource: &Resource| {
            let hosts: Vec<String> = resource.hosts.iter().map(ToString::to_string).collect();
            self.rule(&format!("{}.hosts", resource.origin.path), format!("hosts: {}", hosts.join(", ")))
        };
        match &self.facts.resource {
            Some(resource) => {
                let report = match rules::mode(resource.mode) {
                    "report" => ", which only reports refusals",
                    _ => "",
                };
                let floor =
                    resource.require_tls.map(|floor| self.key(&resource.origin.path, "require_tls", floor.name()));
                let rules = [of(resource)].into_iter().chain(floor).collect();
                (Outcome::Passed, format!("resource {}{report}", shown(&resource.origin.name)), rules)
            }
            None => {
                let rules = self.policy.resources.iter().map(|resource| of(resource)).collect();
                (Outcome::Passed, format!("no resource has {}", shown(self.host)), rules)
            }
        }
    }

    fn route(&self) -> Part {
        if let Some(route) = &self.facts.route {
            let access = rules::access(&route.access);
            let rule = self.rule(&route.origin.path, format!("path: {}, access: {access}", route.pattern));
            return (Outcome::Passed, format!("route {}", shown(&route.origin.name)), vec![rule]);
        }
        let saw = match self.refusal().map(|refusal| &refusal.detail) {
            Some(Detail::Allow(methods, path)) => format!("{path} is there for {}", methods.join(", ")),
            Some(Detail::Path(fault)) => fault.told().to_owned(),
            _ => format!("path {}", shown(self.facts.path.as_deref().unwrap_or_default())),
        };
        let routes = self.facts.resource.iter();
        (
            Outcome::Passed,
            saw,
            routes.map(|resource| self.rule(&format!("{}.routes", resource.origin.path), "routes")).collect(),
        )
    }

    fn peer(&self) -> Part {
        let resource = self.facts.resource.as_deref();
        let from = format!("peer.from: {}", self.policy.peer_of(resource).slug());
        let own = resource.map(|resource| format!("{}.peer", resource.origin.path));
        let place = own.into_iter().chain(["peer".to_owned()]).find(|place| self.places.of(place).is_some());
        let rules = place.map(|place| self.rule(&place, from)).into_iter().collect();
        let unused = self.facts.conveyed_unused.map(|why| format!("; what was conveyed is not used: {}", why.slug()));
        let names = || match &self.facts.identity {
            Some(peer) => facts::identity(peer, self.facts.peer_source.unwrap_or_default()),
            None => "nothing on this route asks who that is".to_owned(),
        };
        let saw = match (self.facts.thumbprint, self.facts.peer_source) {
            (Some(thumbprint), _) => format!("certificate {}: {}", thumbprint.to_x5t_s256(), names()),
            (None, Some(_)) => format!("no certificate: {}", names()),
            (None, None) => "no client certificate".to_owned(),
        };
        (Outcome::Passed, format!("{saw}{}", unused.unwrap_or_default()), rules)
    }

    /// What depends on the access of the route.
    fn authorisation(&self, check: Check) -> Part {
        let Some(route) = &self.facts.route else { return (Outcome::Unreached, String::new(), Vec::new()) };
        match (&route.access, self.verdict) {
            (Access::Token(_) | Access::Key(_), Verdict::Forward(forward)) if forward.grant().is_of_nobody() => {
                let rule = self.key(&route.origin.path, "preflight", "true");
                (Outcome::Unasked, "a CORS preflight, which has no credentials".to_owned(), vec![rule])
            }
            (Access::Token(rule), _) => match check {
                Check::Credential => self.credential(),
                Check::Token => self.token(),
                Check::Binding => self.binding(route, rule),
                _ => self.policy(route, rule),
            },
            (Access::Key(rule), _) if check == Check::Credential => self.api_key(rule),
            (Access::Key(rule), _) if check == Check::Policy => self.policy_of_key(route, rule),
            (Access::Peer(peers), _) if check == Check::Policy => {
                let peers = rules::peers(peers).join(", ");
                let rule = self.rule(&format!("{}.peers", route.origin.path), format!("peers: {peers}"));
                (Outcome::Passed, self.identity(), vec![rule])
            }
            (access @ (Access::Public | Access::Peer(_) | Access::Key(_)), _) => {
                (Outcome::Unasked, format!("the route has access: {}", rules::access(access)), Vec::new())
            }
        }
    }

    fn identity(&self) -> String {
        match &self.facts.identity {
            Some(peer) => format!("peer {}", peer.name()),
            None => "no peer".to_owned(),
        }
    }

    fn credential(&self) -> Part {
        let reason = self.refusal().map(|refusal| refusal.reason);
        let rules = match reason {
            Some(Reason::TokenTooLarge) => {
                let bound = format!("max_token_bytes: {}", self.policy.max_token_bytes);
                vec![self.rule("max_token_bytes", bound)]
            }
            _ => Vec::new(),
        };
        let refused = reason.is_some_and(|reason| Check::refusing(reason, true) == Check::Credential);
        (Outcome::Passed, if refused { String::new() } else { "Authorization: Bearer".to_owned() }, rules)
    }

    fn api_key(&self, rule: &KeyRule) -> Part {
        let (saw, rules) = match &self.facts.api_key {
            Some(key) => (format!("API key {} of client {}", key.origin.name, shown(&key.client_id)), {
                vec![self.rule(&key.origin.path, format!("client_id: {}", shown(&key.client_id)))]
            }),
            None => {
                let table = self.facts.resource.iter().map(|resource| &resource.origin.path);
                let of = |table| self.key(table, "api_key_header", &rule.keys.header);
                (format!("header {}", rule.keys.header), table.map(|table| of(table)).collect())
            }
        };
        (Outcome::Passed, saw, rules)
    }

    fn policy_of_key(&self, route: &Route, rule: &KeyRule) -> Part {
        let table = &route.origin.path;
        let key = self.facts.api_key.as_deref();
        let listed = |table: &str, peers: &Option<PeerRule>| {
            let says = peers.as_ref().map(|peers| format!("peers: {}", rules::peers(peers).join(", ")));
            says.map(|says| self.rule(&format!("{table}.peers"), says))
        };
        let peers = [listed(table, &rule.peers), key.and_then(|key| listed(&key.origin.path, &key.peers))];
        let peers: Vec<Rule> = peers.into_iter().flatten().collect();
        let has = key.map(|key| {
            let scopes: Vec<&str> = key.scopes.iter().map(|scope| &**scope).collect();
            let missing = match self.refusal().map(|refusal| refusal.reason) {
                Some(Reason::ApiKeyScopeMissing) => {
                    format!(", missing {}", scopes_missing_of_key(rule, key).join(" "))
                }
                _ => String::new(),
            };
            format!("scopes {}{missing}", list(&scopes))
        });
        let identity = (!peers.is_empty()).then(|| self.identity());
        let saw = has.into_iter().chain(identity).collect::<Vec<_>>().join(", ");
        let scopes = rules::scopes(&rule.scopes).unwrap_or_else(|| "none".to_owned());
        let narrowed = rule.only.is_some().then(|| {
            let says = format!("api_keys: {}", rules::api_keys(&route.access).join(", "));
            self.rule(&format!("{table}.api_keys"), says)
        });
        let own = narrowed.into_iter().chain([self.key(table, "scopes", &scopes)]);
        (Outcome::Passed, saw, own.chain(peers).collect())
    }

    fn token(&self) -> Part {
        let reason = self.refusal().map(|refusal| refusal.reason);
        let resource = self.facts.resource.as_deref();
        let (saw, issuer) = match (&self.facts.token, self.facts.claimed.as_deref()) {
            (Some(token), _) => (verified(token), Some(&**token.issuer())),
            (None, Some(claimed)) => {
                let says = claimed.issuer.as_deref();
                let trusted = resource.into_iter().flat_map(|resource| &resource.issuers);
                let trusted = trusted.map(|issuer| &**issuer).find(|issuer| says == Some(&*issuer.issuer));
                (unverified(claimed), trusted)
            }
            (None, None) => (String::new(), None),
        };
        (Outcome::Passed, saw, self.token_rules(reason, issuer, resource))
    }

    /// The rules that a token is refused by; of one that passed, whose it is and whom it is for.
    fn token_rules(&self, reason: Option<Reason>, issuer: Option<&Issuer>, resource: Option<&Resource>) -> Vec<Rule> {
        let seconds = |duration: Duration| format!("{} s", duration.as_secs());
        let of_issuer = |issuer: &Issuer, key: &str, says: &str| self.key(&issuer.origin.path, key, says);
        let written_of = |path: &str, keys: &[&str]| -> Vec<Rule> {
            let paths = keys.iter().map(|key| (format!("{path}.{key}"), *key));
            paths.filter(|(path, _)| self.places.of(path).is_some()).map(|(path, key)| self.rule(&path, key)).collect()
        };
        let audiences = |resource: &Resource| {
            let audiences = resource.audiences.join(", ");
            self.rule(&format!("{}.audiences", resource.origin.path), format!("audiences: {audiences}"))
        };
        match (reason, issuer, resource) {
            (Some(Reason::IssuerUntrusted), _, Some(resource)) => {
                resource.issuers.iter().map(|issuer| of_issuer(issuer, "issuer", &issuer.issuer)).collect()
            }
            (Some(Reason::AudienceMismatch), _, Some(resource)) => vec![audiences(resource)],
            (Some(Reason::AlgorithmNotAllowed), Some(issuer), Some(resource)) => {
                let names: Vec<&str> = issuer.algorithms.iter().map(|algorithm| algorithm.name()).collect();
                let profile = written_of(&resource.origin.path, &["profile"]);
                [of_issuer(issuer, "algorithms", &names.join(", "))].into_iter().chain(profile).collect()
            }
            (Some(Reason::KeyUnknown | Reason::SignatureInvalid), Some(issuer), _) => {
                written_of(&issuer.origin.path, &["jwks", "keys"])
            }
            (Some(Reason::TypUnacceptable | Reason::ClaimsMalformed), Some(issuer), _) => {
                const FORM: [&str; 7] = [
                    "profile",
                    "typ",
                    "claims",
                    "required_claims",
                    "forbidden_claims",
                    "optional_claims",
                    "insecure_no_audience",
                ];
                let form = written_of(&issuer.origin.path, &FORM);
                if form.is_empty() { vec![self.rule(&issuer.origin.path, "RFC 9068 (default)")] } else { form }
            }
            (Some(Reason::TokenExpired | Reason::TokenNotYetValid), Some(issuer), _) => {
                vec![of_issuer(issuer, "leeway", &seconds(issuer.leeway))]
            }
            (Some(Reason::LifetimeTooLong), Some(issuer), _) => {
                vec![of_issuer(issuer, "max_lifetime", &seconds(issuer.max_lifetime))]
            }
            (Some(Reason::IssuedTooEarly), Some(issuer), _) => {
                let bound = issuer.not_issued_before.map(date).unwrap_or_default();
                vec![of_issuer(issuer, "not_issued_before", &bound)]
            }
            (_, issuer, resource) => {
                let issuer = issuer.map(|issuer| of_issuer(issuer, "issuer", &issuer.issuer));
                issuer.into_iter().chain(resource.map(audiences)).collect()
            }
        }
    }

    fn binding(&self, route: &Route, rule: &TokenRule) -> Part {
        let bound = self.facts.token.as_ref().map(|token| {
            let told = token.claims().confirmation.told();
            format!("the token is bound to {}", told.as_deref().unwrap_or("nothing"))
        });
        let certificate = match self.facts.thumbprint {
            Some(thumbprint) => format!("the certificate is {}", thumbprint.to_x5t_s256()),
            None => "there is no certificate".to_owned(),
        };
        let saw = bound.into_iter().chain([certificate]).collect::<Vec<_>>().join(", ");
        let source = rule.source_ip.iter().map(|source| self.rule(&source.path, rules::source_ip(source)));
        let bound = self.key(&route.origin.path, "bound", rules::binding(rule.binding));
        (Outcome::Passed, saw, [bound].into_iter().chain(source).collect())
    }

    fn policy(&self, route: &Route, rule: &TokenRule) -> Part {
        let table = &route.origin.path;
        let scopes = rules::scopes(&rule.scopes);
        let peers = rule
            .peers
            .as_ref()
            .map(|peers| self.rule(&format!("{table}.peers"), format!("peers: {}", rules::peers(peers).join(", "))));
        let has = self.facts.token.as_ref().map(|token| {
            let scopes: Vec<&str> = token.claims().scopes.iter().map(|scope| &**scope).collect();
            let missing = match self.refusal().map(|refusal| refusal.reason) {
                Some(Reason::ScopeMissing) => format!(", missing {}", missing_scopes(rule, token).join(" ")),
                _ => String::new(),
            };
            format!("scopes {}{missing}", list(&scopes))
        });
        let identity = rule.peers.as_ref().map(|_| self.identity());
        let saw = has.into_iter().chain(identity).collect::<Vec<_>>().join(", ");
        let demanded = match &scopes {
            Some(scopes) => self.key(table, "scopes", scopes),
            None => self.key(table, "scopes", "none"),
        };
        let others = rules::of_token(rule).into_iter().map(|(path, says)| self.rule(path, says));
        (Outcome::Passed, saw, [demanded].into_iter().chain(peers).chain(others).collect())
    }

    fn body(&self) -> Part {
        let Some(route) = &self.facts.route else { return (Outcome::Unreached, String::new(), Vec::new()) };
        let table = &route.origin.path;
        let accepts: Vec<String> = route.body.accepts.iter().map(ToString::to_string).collect();
        let accepts = (!accepts.is_empty()).then(|| self.key(table, "accepts", &accepts.join(", ")));
        let longest = route.body.max_bytes.map(|bytes| self.key(table, "max_body", &bytes.to_string()));
        let rules: Vec<Rule> = accepts.into_iter().chain(longest).collect();
        match rules.is_empty() {
            true => (Outcome::Unasked, "the route takes any".to_owned(), rules),
            false => (Outcome::Passed, "what the head says of it".to_owned(), rules),
        }
    }

    fn upstream(&self) -> Part {
        let names = |upstream: &Upstream| {
            let set: Vec<&str> = upstream.set.iter().map(|(name, _)| name.as_str()).collect();
            let remove: Vec<&str> = upstream.remove.iter().map(String::as_str).collect();
            let parts = [("sets", set), ("removes", remove)].into_iter().filter(|(_, names)| !names.is_empty());
            let parts: Vec<String> = parts.map(|(what, names)| format!("{what} {}", list(&names))).collect();
            if parts.is_empty() { "nothing is told it".to_owned() } else { parts.join(", ") }
        };
        let saw = match self.verdict {
            Verdict::Forward(forward) => names(forward.upstream()),
            Verdict::Report(_, upstream) => names(upstream),
            Verdict::Refuse(_) => String::new(),
        };
        let forward = self.facts.resource.as_ref().map(|resource| format!("{}.forward", resource.origin.path));
        let forward = forward.filter(|path| self.places.of(path).is_some());
        (Outcome::Passed, saw, forward.map(|path| self.rule(&path, "forward")).into_iter().collect())
    }

    fn limits(&self) -> Part {
        let charges: Vec<&Charge> = self.facts.route.iter().flat_map(|route| route.limits.iter()).collect();
        if charges.is_empty() {
            return (Outcome::Unasked, "no limit counts this".to_owned(), Vec::new());
        }
        let rule = |charge: &&Charge| {
            let says = format!("{}: {}", rules::charge(charge), rules::limit(&charge.limit));
            self.rule(&charge.limit.origin.path, says)
        };
        let saw = "what is left of these only the running proxy knows".to_owned();
        (Outcome::Depends, saw, charges.iter().map(rule).collect())
    }
}
