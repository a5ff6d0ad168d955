//! Requests that are explained: what is told of each, and the exit status.

use std::fs;

use boundgate::jose::base64url;
use clap::Parser;
use rcgen::{CertificateParams, KeyPair, SanType};

use super::*;
use crate::token::{TokenOptions, token};

#[derive(Parser)]
struct TokenLine {
    #[command(flatten)]
    options: TokenOptions,
}

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    options: ExplainOptions,
}

const CONFIG: &str = r#"issuers:
  main:
    issuer: https://as.example.com
    jwks: { cluster: as, uri: https://as.example.com/jwks }
    algorithms: [ES256, ES512]
    max_lifetime: 15m
resources:
- hosts: [api.example.com]
  audiences: [https://api.example.com]
  issuers: [main]
  forward: { headers: { x-client-id: client_id } }
  routes:
  - { path: /healthz, access: public, limits: none }
  - { path: "/orders/{id}", methods: [GET], scopes: [read:orders], limits: [per-client] }
  - { path: /orders, methods: [POST], scopes: [write:orders], limits: [per-client], preflight: true }
  - { path: /mesh, access: peer, peers: ["spiffe://example.org/client/*"], limits: none }
limits:
  per-client: { key: [client_id], rate: 100/s, burst: 200 }
"#;

/// Files for one test.
struct Scene {
    folder: PathBuf,
}

/// Exit status, standard output, standard error.
type Said = (ExitCode, String, String);

impl Scene {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("boundgate-explain-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let scene = Self { folder };
        scene.write("config.yaml", CONFIG);
        for who in ["alice", "bob"] {
            let mut params = CertificateParams::new(vec![format!("{who}.example.org")]).unwrap();
            let id = format!("spiffe://example.org/client/{who}");
            params.subject_alt_names.push(SanType::URI(id.as_str().try_into().unwrap()));
            scene.write(who, &params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem());
        }
        scene
    }

    fn path(&self, name: &str) -> String {
        self.folder.join(name).to_str().unwrap().to_owned()
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.join(name), text).unwrap();
    }

    /// Alice's, with the key set beside it.
    fn token(&self, more: &[&str]) -> String {
        let (keys, alice) = (self.path("keys.json"), self.path("alice"));
        let mut line = vec!["token", "--issuer", "https://as.example.com", "--jwks", &keys, "--cert", &alice];
        line.extend(["--scope", "read:orders"]);
        if !more.contains(&"--audience") {
            line.extend(["--audience", "https://api.example.com"]);
        }
        line.extend(more);
        let (mut out, mut err) = (Vec::new(), Vec::new());
        assert!(token(&TokenLine::try_parse_from(line).unwrap().options, &mut out, &mut err).unwrap());
        String::from_utf8(out).unwrap().trim().to_owned()
    }

    fn explain(&self, request: &str, more: &[&str]) -> Said {
        let (config, keys) = (self.path("config.yaml"), self.path("keys.json"));
        let mut line = vec!["explain", "--config", &config, "--request", request];
        if !more.contains(&"--host") {
            line.extend(["--host", "api.example.com"]);
        }
        if fs::exists(&keys).unwrap() {
            line.extend(["--jwks", &keys]);
        }
        line.extend(more);
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let exit = explain(&Line::try_parse_from(&line).unwrap().options, &mut out, &mut err).unwrap();
        let (out, err) = (String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap());
        for part in more.iter().filter(|text| text.matches('.').count() == 2).flat_map(|token| token.split('.')) {
            let secret = part.len() > 20 && (out.contains(part) || err.contains(part));
            assert!(!secret, "a part of the token is told: {out}{err}");
        }
        (exit, out, err)
    }

    /// Alice's request with her certificate and this token.
    fn of_alice(&self, request: &str, token: &str) -> Said {
        self.explain(request, &["--token", token, "--peer", &self.path("alice")])
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The line of a check, and those of its rules.
fn check<'o>(out: &'o str, name: &str) -> Vec<&'o str> {
    let from = out.lines().skip_while(|line| !line.starts_with(name));
    let rules = from.clone().skip(1).take_while(|line| line.starts_with("     "));
    from.take(1).chain(rules).map(str::trim).collect()
}

#[track_caller]
fn refused(said: &Said, by: &str, reason: &str, place: &str) {
    let (exit, out, err) = said;
    assert_eq!((format!("{exit:?}"), err.as_str()), (format!("{:?}", ExitCode::FAILURE), ""), "{out}");
    let lines = check(out, by);
    assert!(lines[0].contains("REFUSED") && lines[0].contains(reason), "{out}");
    assert!(lines.concat().contains(place), "{place}: {out}");
    assert_eq!(out.matches("REFUSED").count(), 1);
    assert!(out.lines().any(|line| line.starts_with("refused at ") && line.contains(reason)), "{out}");
}

#[track_caller]
fn passes(said: &Said) {
    let (exit, out, err) = said;
    assert_eq!((format!("{exit:?}"), err.as_str()), (format!("{:?}", ExitCode::SUCCESS), ""), "{out}");
    assert!(!out.contains("REFUSED"), "{out}");
}

#[track_caller]
fn not_asked(said: &Said, remedy: &str) {
    let (exit, out, err) = said;
    assert_eq!((format!("{exit:?}"), out.as_str()), (format!("{:?}", ExitCode::from(NOT_ASKED)), ""));
    assert!(err.contains(remedy), "{err}");
}

#[test]
fn the_own_token_passes_and_each_check_says_what_it_saw_and_where_its_rule_is_written() {
    let scene = Scene::new("own");
    let token = scene.token(&["--client-id", "partner-7"]);
    let said = scene.of_alice("GET /orders/7", &token);
    passes(&said);
    let out = &said.1;
    for (name, saw, place) in [
        ("request", "passed    GET /orders/7 at api.example.com", ""),
        ("resource", "passed", "resources[0].hosts (8:3)"),
        ("route", "passed    route GET /orders/{id}", "resources[0].routes[1] (14:5)"),
        ("peer", "certificate", ""),
        ("credential", "Authorization: Bearer", ""),
        ("token", "client_id partner-7", "issuers.main.issuer (3:5)"),
        ("token", "signed by issuer main with ES256", "resources[0].audiences (9:3)"),
        ("binding", "the token is bound to", "bound: mtls (default)  <- resources[0].routes[1] (14:5)"),
        ("policy", "scopes read:orders", "resources[0].routes[1].scopes (14:45)"),
        ("upstream", "sets x-client-id", "resources[0].forward (11:3)"),
        ("limits", "depends", "per-client: 100/s, burst 200, for client_id  <- limits.per-client (18:3)"),
    ] {
        let lines = check(out, name).join("\n");
        assert!(lines.contains(saw) && lines.contains(place), "{name} {saw} {place}: {out}");
    }
    assert!(out.contains("unless a limit is spent"));
}

#[test]
fn the_refusals_of_the_tour_are_explained() {
    let scene = Scene::new("tour");
    let other = scene.token(&["--audience", "https://other.example.com"]);
    refused(&scene.of_alice("GET /orders/7", &other), "token", "audience-mismatch", "resources[0].audiences (9:3)");
    let token = scene.token(&[]);
    let bob = scene.path("bob");
    let stolen = scene.explain("GET /orders/7", &["--token", &token, "--peer", &bob]);
    refused(&stolen, "binding", "binding-mismatch", "resources[0].routes[1] (14:5)");
    assert!(stolen.1.contains("401 binding-mismatch"), "{}", stolen.1);
    assert!(stolen.1.contains("www-authenticate: Bearer realm=\"api.example.com\", error=\"invalid_token\""));
    refused(&scene.explain("GET /orders/7", &["--token", &token]), "binding", "certificate-missing", "bound: mtls");
    refused(&scene.explain("GET /orders/7", &[]), "credential", "token-missing", "");
    let scope = scene.of_alice("POST /orders", &token);
    refused(&scope, "policy", "scope-missing", "resources[0].routes[2].scopes (15:39)");
    assert!(scope.1.contains("missing write:orders"), "{}", scope.1);
    let alice = scene.path("alice");
    let late = scene.explain("GET /orders/7", &["--token", &token, "--peer", &alice, "--at", "2040-01-01T00:00:00Z"]);
    refused(&late, "token", "token-expired", "leeway");
    assert!(late.1.contains("refused at 2040-01-01T00:00:00Z") && late.1.contains("exp "));
    for (path, check) in [("/orders/../healthz", "request"), ("//orders/7", "request"), ("/Healthz", "route")] {
        let said = scene.of_alice(&format!("GET {path}"), &token);
        assert!(said.1.contains("REFUSED"), "{}", said.1);
        assert!(super::tests::check(&said.1, check)[0].contains("REFUSED"), "{}", said.1);
    }
    refused(&scene.of_alice("DELETE /orders/7", &token), "route", "method-not-allowed", "resources[0].routes (12:3)");
    refused(
        &scene.explain("GET /", &["--host", "other.example.com"]),
        "resource",
        "host-unknown",
        "resources[0].hosts (8:3)",
    );
    let forged = format!("{}A", &token[..token.len() - 1]);
    let forged = if forged == token { format!("{}B", &token[..token.len() - 1]) } else { forged };
    let forged = scene.of_alice("GET /orders/7", &forged);
    assert!(forged.1.contains("unverified, alg ES256") && forged.1.contains("REFUSED"), "{}", forged.1);
}

#[test]
fn what_asks_for_no_token_says_so() {
    let scene = Scene::new("public");
    let public = scene.explain("GET /healthz", &[]);
    passes(&public);
    for name in ["credential", "token", "binding", "policy", "limits"] {
        assert!(check(&public.1, name)[0].contains("unasked"), "{}", public.1);
    }
    let peer = scene.explain("GET /mesh", &["--peer", &scene.path("alice")]);
    passes(&peer);
    assert!(check(&peer.1, "policy")[0].contains("peer spiffe://example.org/client/alice"), "{}", peer.1);
    refused(&scene.explain("GET /mesh", &[]), "policy", "peer-missing", "resources[0].routes[3].peers (16:34)");
    let preflight = ["--header", "Origin: https://app.example.com", "--header", "access-control-request-method: POST"];
    let preflight = scene.explain("OPTIONS /orders", &preflight);
    passes(&preflight);
    assert!(check(&preflight.1, "token").join(" ").contains("preflight: true  <- resources[0].routes[2].preflight"));
}

#[test]
fn callers_behind_a_hop_or_of_a_mesh_are_told_with_the_source_and_why_a_word_is_not_used() {
    let scene = Scene::new("hops");
    let (alice, bob) = (scene.path("alice"), fs::read_to_string(scene.path("bob")).unwrap());
    let peer = "peer:\n  from: { client_cert: { trusted: [\"dns:alice.example.org\"] } }\n";
    scene.write("config.yaml", &format!("{peer}{CONFIG}"));
    let bob: String = bob.lines().filter(|line| !line.starts_with('-')).collect();
    let field = format!("Client-Cert: :{bob}:");
    let told = scene.explain("GET /mesh", &["--peer", &alice, "--header", &field]);
    passes(&told);
    let lines = check(&told.1, "peer").concat();
    assert!(lines.contains("client/bob") && lines.contains("the word of the hop"), "{lines}");
    assert!(lines.contains("peer.from: client-cert  <- peer"), "{lines}");
    let other = scene.path("bob");
    let told = scene.explain("GET /mesh", &["--peer", &other, "--header", &field]);
    refused(&told, "policy", "peer-missing", "resources[0].routes[3].peers");
    assert!(check(&told.1, "peer")[0].ends_with("no client certificate; what was conveyed is not used: hop-untrusted"));

    let waypoint =
        "peer: { from: mesh-principal }\n".to_owned() + &CONFIG.replace("scopes:", "bound: when-bound, scopes:");
    scene.write("config.yaml", &waypoint);
    passes(&scene.explain("GET /mesh", &["--principal", "spiffe://example.org/client/web"]));
    let told = scene.explain("GET /mesh", &["--principal", "spiffe://example.org/web"]);
    refused(&told, "policy", "peer-not-allowed", "resources[0].routes[3].peers");
    assert!(check(&told.1, "peer")[0].contains("no certificate: spiffe://example.org/web"), "{}", told.1);
}

#[test]
fn api_keys_are_explained_and_not_repeated() {
    const KEY: &str = "key-of-the-shop";
    let scene = Scene::new("api-keys");
    let digest = "d0ddc66349f3b4f5e52d479167db0408480e105b7813f91ffc99be06f9c63ffb";
    let config = CONFIG.replace("  routes:\n", "  api_keys: [shop]\n  routes:\n  - { path: /stock, access: key, limits: none }\n  - { path: /stock, methods: [PUT], access: key, scopes: [write:stock], peers: [\"*\"], limits: none }\n");
    let config = config.replace("{ path: /stock, access", "{ path: /stock, methods: [GET], access");
    let keys = format!("api_keys:\n  shop: {{ sha256: {digest}, client_id: shop-7, scopes: [read:stock] }}\n");
    scene.write("config.yaml", &format!("{config}{keys}"));
    let field = format!("x-api-key: {KEY}");
    let passed = scene.explain("GET /stock", &["--header", &field]);
    passes(&passed);
    let credential = check(&passed.1, "credential").join(" ");
    assert!(
        credential.contains("API key shop of client shop-7") && credential.contains("api_keys.shop ("),
        "{credential}"
    );
    assert!(check(&passed.1, "token")[0].contains("unasked"), "{}", passed.1);
    let lacking = scene.explain("PUT /stock", &["--header", &field]);
    refused(&lacking, "policy", "api-key-scope-missing", "resources[0].routes[1].scopes");
    assert!(lacking.1.contains("missing write:stock") && lacking.1.contains("routes[1].peers"), "{}", lacking.1);
    let wrong = scene.explain("GET /stock", &["--header", "x-api-key: wrong-key"]);
    refused(&wrong, "credential", "api-key-invalid", "api_key_header: x-api-key (default)");
    refused(&scene.explain("GET /stock", &[]), "credential", "api-key-missing", "");
    for told in [passed, lacking, wrong] {
        assert!(!told.1.contains(KEY) && !told.1.contains("wrong-key"), "{}", told.1);
    }
}

#[test]
fn in_report_mode_it_passes_and_the_refusal_is_told() {
    let scene = Scene::new("report");
    scene.write("config.yaml", &format!("mode: report\n{CONFIG}"));
    let token = scene.token(&[]);
    let (exit, out, _) = scene.of_alice("POST /orders", &token);
    assert_eq!(format!("{exit:?}"), format!("{:?}", ExitCode::SUCCESS));
    assert!(out.contains("reported at ") && out.contains("403 scope-missing"), "{out}");
    assert!(check(&out, "policy")[0].contains("REFUSED"));
}

#[test]
fn keys_may_stand_in_the_configuration_or_be_discovered_and_services_grant() {
    let scene = Scene::new("keys");
    let token = scene.token(&[]);
    let discovered = CONFIG.replace("uri: https://as.example.com/jwks", "discovery: openid-configuration");
    scene.write("config.yaml", &discovered);
    passes(&scene.of_alice("GET /orders/7", &token));
    let service = "services: { rls: { kind: ratelimit, cluster: rls, domain: d, on_error: refuse } }\n";
    let shared = CONFIG.replace("rate: 100/s, burst: 200 }", "rate: 100/min, service: rls }");
    scene.write("config.yaml", &format!("{shared}{service}"));
    let shared = scene.of_alice("GET /orders/7", &token);
    passes(&shared);
    assert!(shared.1.contains("counted by service rls"), "{}", shared.1);
    let keys = fs::read_to_string(scene.path("keys.json")).unwrap();
    fs::remove_file(scene.path("keys.json")).unwrap();
    not_asked(&scene.of_alice("GET /orders/7", &token), "https://as.example.com/jwks. Fetch them and add --jwks FILE");
    let report = format!("mode: report\n{CONFIG}");
    scene.write("config.yaml", &report);
    not_asked(&scene.of_alice("GET /orders/7", &token), "add --jwks FILE");
    let inline = CONFIG.replace(
        "jwks: { cluster: as, uri: https://as.example.com/jwks }",
        &format!("keys: {}", keys.replace('\n', "")),
    );
    scene.write("config.yaml", &inline);
    passes(&scene.of_alice("GET /orders/7", &token));
}

#[test]
fn json_has_the_checks_and_the_audit_record_that_the_proxy_would_write() {
    let scene = Scene::new("json");
    let token = scene.token(&[]);
    let (_, out, _) = scene.explain("GET /orders/7", &["--token", &token, "--peer", &scene.path("bob"), "--json"]);
    let told: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&told["decision"], &told["reason"]), (&"refused".into(), &"binding-mismatch".into()));
    assert_eq!((&told["status"], &told["record"]["reason"]), (&401.into(), &"binding-mismatch".into()));
    let binding = told["checks"].as_array().unwrap().iter().find(|told| told["check"] == "binding").unwrap();
    assert_eq!((&binding["outcome"], &binding["rules"][0]["line"]), (&"refused".into(), &14.into()));
    assert_eq!(told["checks"].as_array().unwrap().len(), 11);
}

#[test]
fn what_cannot_be_asked_says_what_to_write_instead() {
    let scene = Scene::new("wrong");
    let token = scene.token(&[]);
    let text = |value: &Value| base64url::encode(value.to_string().as_bytes());
    let unknown = json!({"alg": "ES512", "typ": "at+jwt"});
    let claims = token.split('.').nth(1).unwrap();
    let es512 = format!("{}.{claims}.{}", text(&unknown), base64url::encode(&[1; 132]));
    not_asked(&scene.of_alice("GET /orders/7", &es512), "not verified here");
    for (request, more, remedy) in [
        ("GET", &[][..], "'GET /orders/7'"),
        ("GET /", &["--header", "no colon"], "a name, a colon and a value"),
        ("GET /", &["--header", ":path: /"], "no name of a header field"),
        ("GET /", &["--at", "yesterday"], "2026-11-28T07:00:00Z"),
        ("GET /", &["--peer", "/nonexistent"], "--peer /nonexistent"),
        ("GET /", &["--peer", &scene.path("config.yaml")], "no certificate in PEM"),
        ("GET /", &["--within", "filter other"], "no such one"),
    ] {
        not_asked(&scene.explain(request, more), remedy);
    }
    scene.write("keys.json", "[]");
    not_asked(&scene.of_alice("GET /orders/7", &token), "--jwks");
    scene.write("config.yaml", &CONFIG.replace("hosts", "host"));
    not_asked(&scene.of_alice("GET /orders/7", &token), ":8:3: resources[0].host: unknown key");
    scene.write("config.yaml", &format!("{CONFIG}---\n{CONFIG}"));
    not_asked(&scene.of_alice("GET /orders/7", &token), "more than one is meant");
}

#[test]
fn an_opaque_token_needs_what_its_issuer_would_say() {
    let scene = Scene::new("opaque");
    let config = CONFIG
        .replace(
            "jwks: { cluster: as, uri: https://as.example.com/jwks }",
            "introspection: { cluster: as, uri: https://as.example.com/i }",
        )
        .replace("    algorithms: [ES256, ES512]\n", "");
    scene.write("config.yaml", &config);
    let (exit, _, err) = scene.of_alice("GET /orders/7", "opaque");
    assert_eq!(exit, ExitCode::from(NOT_ASKED));
    assert!(err.contains("https://as.example.com/i. Ask it and add --introspection FILE."), "{err}");

    scene.write("answer.json", r#"{"active": false}"#);
    let answer = scene.path("answer.json");
    let said = |scene: &Scene| {
        let more = ["--token", "opaque", "--peer", &scene.path("alice"), "--introspection", &answer];
        scene.explain("GET /orders/7", &more)
    };
    let (exit, out, _) = said(&scene);
    assert!(exit == ExitCode::FAILURE && out.contains("401 token-inactive"), "{out}");
    scene.write(
        "answer.json",
        r#"{"active": true, "aud": "https://api.example.com", "client_id": "c", "sub": "s", "exp": 4000000000}"#,
    );
    let (exit, out, _) = said(&scene);
    assert!(exit == ExitCode::FAILURE && out.contains("401 claims-malformed") && out.contains("iat: missing"), "{out}");
    scene.write("answer.json", "{}");
    let (exit, _, err) = said(&scene);
    assert!(exit == ExitCode::from(NOT_ASKED) && err.contains("--introspection"), "{err}");
}

#[test]
fn each_rule_of_a_token_is_explained_with_its_line_and_no_value_of_the_token() {
    let scene = Scene::new("rules");
    let token = scene.token(&["--claims", r#"{"sub":"sub-1","tenant":"secretive","acr":"pwd","ip":"198.51.100.7"}"#]);
    for (rule, by, reason, told) in [
        (
            "claims: { tenant: acme }",
            "policy",
            "claim-refused",
            r#"claim.tenant is "acme"  <- resources[0].routes[1].claims.tenant (14:"#,
        ),
        ("where: { id: sub }", "policy", "object-mismatch", "id is sub  <- resources[0].routes[1].where.id (14:"),
        ("subject: client", "policy", "subject-refused", "subject client  <- resources[0].routes[1].subject (14:"),
        (
            "step_up: { acr: [mfa] }",
            "policy",
            "authentication-insufficient",
            "acr mfa  <- resources[0].routes[1].step_up (14:",
        ),
        (
            "source_ip: claim.ip",
            "binding",
            "source-mismatch",
            "source_ip claim.ip  <- resources[0].routes[1].source_ip (14:",
        ),
    ] {
        scene.write("config.yaml", &CONFIG.replace("scopes: [read:orders]", rule));
        let said = scene.of_alice("GET /orders/7", &token);
        refused(&said, by, reason, told);
        assert!(!said.1.contains("secretive") && !said.1.contains("198.51.100.7"), "{}", said.1);
        assert!(check(&said.1, by)[0].contains(&format!("{reason}: resources[0].routes[1].")), "{}", said.1);
    }
    scene.write("config.yaml", &CONFIG.replace("scopes: [read:orders]", "source_ip: claim.ip"));
    let (alice, from) = (scene.path("alice"), ["--source", "198.51.100.7"]);
    passes(&scene.explain("GET /orders/7", &[&["--token", &token, "--peer", &alice][..], &from].concat()));
}
