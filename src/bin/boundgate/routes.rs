//! `boundgate routes`: what is served and what each route demands, so that a reviewer sees what is open. In: the text of a file
//! with configurations. Out: the table as it was compiled, as text or JSON, or what is wrong with the file.
//! Not here: words for rules (`rules`), which request a route takes (`explain`).

use std::io::{self, Write};
use std::path::PathBuf;

use boundgate::config::Position;
use boundgate::config::files::documents::{Document, Places};
use boundgate::policy::{Access, Mode, Policy, Resource, Route, TlsFloor};
use clap::Args;
use serde::Serialize;

use crate::{configurations, rules};

#[derive(Args)]
pub struct RoutesOptions {
    /// The file; `-` for what comes by standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// A route as it is told.
#[derive(Debug, Serialize)]
struct Row {
    /// Which configuration of the file, where it has other things.
    #[serde(skip_serializing_if = "Option::is_none")]
    within: Option<String>,
    hosts: Vec<String>,
    /// `*` for all.
    methods: Vec<String>,
    path: String,
    access: &'static str,
    /// Of a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    bound: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scopes: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    peers: Vec<String>,
    /// What a token must say besides.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rules: Vec<String>,
    /// The API keys that are good, by their names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    api_keys: Vec<String>,
    limits: Vec<String>,
    /// Whether a CORS preflight passes without a token.
    preflight: bool,
    mode: &'static str,
    /// The oldest version of TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    require_tls: Option<&'static str>,
    /// Where it is written.
    config: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<u64>,
}

/// Prints the table. Whether the file could be read and all its configurations are good.
pub fn routes(options: &RoutesOptions, out: &mut impl Write, err: &mut impl Write) -> io::Result<bool> {
    let Some(configurations) = configurations(&options.file, err)? else { return Ok(false) };
    let rows: Vec<Row> = configurations.iter().flat_map(|(document, policy)| rows(document, policy)).collect();
    if options.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&rows)?)?;
        return Ok(true);
    }
    table(&rows, out)?;
    writeln!(out, "Whatever no row takes is refused.")?;
    if configurations.iter().any(|(_, policy)| policy.resources.iter().any(|resource| resource.mode == Mode::Report)) {
        writeln!(out, "But (report): there refusals are only reported, so that everything passes.")?;
    }
    if configurations.iter().any(|(_, policy)| policy.mode == Mode::Report) {
        writeln!(out, "And mode is report for a whole configuration: hosts that stand in no row pass as well.")?;
    }
    Ok(true)
}

/// Those of one configuration, in its order.
fn rows(document: &Document, policy: &Policy) -> Vec<Row> {
    let places = document.places();
    let all = policy.resources.iter().flat_map(|resource| resource.routes.iter().map(move |route| (resource, route)));
    let mut rows: Vec<Row> = all.map(|(resource, route)| row(document, &places, policy, resource, route)).collect();
    rows.sort_by_key(|row| (row.line, row.column));
    rows
}

fn row(document: &Document, places: &Places<'_>, policy: &Policy, resource: &Resource, route: &Route) -> Row {
    let (bound, scopes, peers) = match &route.access {
        Access::Public => (None, None, None),
        Access::Peer(peers) => (None, None, Some(peers)),
        Access::Token(rule) => (Some(rules::binding(rule.binding)), rules::scopes(&rule.scopes), rule.peers.as_ref()),
        Access::Key(rule) => (None, rules::scopes(&rule.scopes), rule.peers.as_ref()),
    };
    let rules = match &route.access {
        Access::Token(rule) => {
            let source = rule.source_ip.iter().map(rules::source_ip);
            source.chain(rules::of_token(rule).into_iter().map(|(_, says)| says)).collect()
        }
        Access::Public | Access::Peer(_) | Access::Key(_) => Vec::new(),
    };
    let (line, column) = places.of(&route.origin.path).map(|Position { line, column }| (line, column)).unzip();
    Row {
        within: document.place.clone(),
        hosts: resource.hosts.iter().map(ToString::to_string).collect(),
        methods: rules::methods(&route.methods),
        path: route.pattern.to_string(),
        access: rules::access(&route.access),
        bound,
        scopes,
        peers: peers.map(rules::peers).unwrap_or_default(),
        rules,
        api_keys: rules::api_keys(&route.access),
        limits: route.limits.iter().map(rules::charge).collect(),
        preflight: route.preflight,
        mode: rules::mode(policy.mode_of(Some(resource))),
        require_tls: resource.require_tls.map(TlsFloor::name),
        config: route.origin.path.to_string(),
        line,
        column,
    }
}

const HEADINGS: [&str; 8] = ["HOST", "METHOD", "PATH", "ACCESS", "BINDING", "DEMANDS", "LIMITS", "WRITTEN IN"];

fn table(rows: &[Row], out: &mut impl Write) -> io::Result<()> {
    let mut lines = vec![HEADINGS.map(str::to_owned)];
    lines.extend(rows.iter().map(Row::cells));
    let widths = HEADINGS.iter().enumerate().map(|(column, _)| {
        lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max().unwrap_or_default()
    });
    let widths: Vec<usize> = widths.collect();
    for line in &lines {
        let cells = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}

impl Row {
    fn cells(&self) -> [String; HEADINGS.len()] {
        let nothing = || "-".to_owned();
        let report = if self.mode == rules::mode(Mode::Report) { " (report)" } else { "" };
        let tls = self.require_tls.map(|floor| format!(" (TLS {floor})")).unwrap_or_default();
        let preflight = if self.preflight { " (preflight open)" } else { "" };
        let peers = (!self.peers.is_empty()).then(|| format!("peers {}", self.peers.join(" ")));
        let keys = (!self.api_keys.is_empty()).then(|| format!("API keys {}", self.api_keys.join(" ")));
        let demanded = self.scopes.iter().chain(&peers).chain(&keys).chain(&self.rules);
        let demanded: Vec<&str> = demanded.map(String::as_str).collect();
        let line = self.line.zip(self.column).map(|(line, column)| format!(" ({line}:{column})"));
        let within = self.within.as_ref().map(|within| format!("{within}: ")).unwrap_or_default();
        [
            self.hosts.join(","),
            self.methods.join(","),
            self.path.clone(),
            format!("{}{tls}{preflight}{report}", self.access),
            self.bound.map_or_else(nothing, str::to_owned),
            if demanded.is_empty() { nothing() } else { demanded.join("; ") },
            if self.limits.is_empty() { nothing() } else { self.limits.join(", ") },
            format!("{within}{}{}", self.config, line.unwrap_or_default()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `name`: of the file that is written for it.
    fn told(name: &str, text: &str, json: bool) -> (bool, String, String) {
        let file = std::env::temp_dir().join(format!("boundgate-routes-{}-{name}.yaml", std::process::id()));
        std::fs::write(&file, text).unwrap();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let done = routes(&RoutesOptions { file: file.clone(), json }, &mut out, &mut err).unwrap();
        std::fs::remove_file(&file).unwrap();
        (done, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    }

    const CONFIG: &str = r#"
issuers:
  main: { issuer: https://as.example.com, jwks: { cluster: as, uri: https://as.example.com/jwks }, algorithms: [ES256] }
resources:
- hosts: [api.example.com, "*.example.org:8443"]
  audiences: [https://api.example.com]
  issuers: [main]
  routes:
  - { path: /orders, methods: [POST, PUT], scopes: { all: [a], any: [b, c] }, limits: [l], cost: 3, preflight: true }
  - { path: "/mesh/**", access: peer, peers: ["spiffe://a/b/*", "*"], limits: none }
  - { path: /plain, bound: when-bound, peers: ["spiffe://a/b"], limits: [s] }
  - { path: /stock, access: key, scopes: [r], limits: none }
  api_keys: [shop]
- hosts: [old.example.com]
  mode: report
  require_tls: "1.3"
  routes: [{ path: /, access: public, limits: none }]
limits:
  l: { key: [client_id], rate: 10/s, burst: 20 }
  s: { key: [source], rate: 10/s, shadow: true }
api_keys:
  shop: { sha256: { env: SHOP }, client_id: shop }
"#;

    #[test]
    fn every_route_stands_in_the_table_with_what_it_demands_and_where_it_is_written() {
        let (done, out, err) = told("table", CONFIG, false);
        assert!(done && err.is_empty(), "{err}");
        let cells = |line: &str| -> Vec<String> {
            line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).map(str::to_owned).collect()
        };
        let table: Vec<Vec<String>> = out.lines().map(cells).collect();
        let hosts = "api.example.com,*.example.org:8443";
        assert_eq!(table[0], HEADINGS);
        assert_eq!(
            table[1..6],
            [
                [hosts, "POST,PUT", "/orders", "token (preflight open)", "mtls", "a and one of b c", "l (cost 3)"],
                [hosts, "*", "/mesh/**", "peer", "-", "peers spiffe://a/b/* *", "-"],
                [hosts, "*", "/plain", "token", "when-bound", "peers spiffe://a/b", "s (shadow)"],
                [hosts, "*", "/stock", "key", "-", "r; API keys shop", "-"],
                ["old.example.com", "*", "/", "public (TLS 1.3) (report)", "-", "-", "-"],
            ]
            .into_iter()
            .zip([
                "resources[0].routes[0] (9:5)",
                "resources[0].routes[1] (10:5)",
                "resources[0].routes[2] (11:5)",
                "resources[0].routes[3] (12:5)",
                "resources[1].routes[0] (17:12)"
            ])
            .map(|(cells, written)| [&cells[..], &[written]].concat())
            .collect::<Vec<_>>()
        );
        assert!(
            out.ends_with("refused.\nBut (report): there refusals are only reported, so that everything passes.\n")
        );
    }

    #[test]
    fn rules_of_a_token_stand_with_what_a_route_demands() {
        let rules = "subject: user, source_ip: { claim: claim.ip, ipv6: /64 }, claims: { roles: { contains: clerk } }, \
                     where: { query.account: [sub, claim.accounts] }, step_up: { acr: [mfa], max_age: 5m }";
        let text = CONFIG.replace("scopes: { all: [a], any: [b, c] }", rules);
        let demands = [
            "source_ip claim.ip, IPv6 by its /64",
            "subject user",
            "claim.roles contains \"clerk\"",
            "query.account is sub or claim.accounts",
            "acr mfa, signed in within 300 s",
        ];
        let (_, out, err) = told("rules", &text, false);
        assert!(out.contains(&format!("  {}  ", demands.join("; "))), "{out}{err}");
        let (_, out, _) = told("rules-json", &text, true);
        let rows: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(rows[0]["rules"], serde_json::json!(demands));
    }

    #[test]
    fn json_has_the_same_and_a_file_with_a_mistake_has_no_table() {
        let (_, out, _) = told("json", CONFIG, true);
        let rows: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(rows.as_array().unwrap().len(), 5);
        assert_eq!((&rows[0]["access"], &rows[0]["line"]), (&"token".into(), &9.into()));
        assert_eq!((&rows[0]["require_tls"], &rows[4]["require_tls"]), (&serde_json::Value::Null, &"1.3".into()));
        assert_eq!((&rows[0]["scopes"], &rows[4]["mode"]), (&"a and one of b c".into(), &"report".into()));
        let (done, out, err) = told("wrong", &CONFIG.replace("access: peer", "access: pear"), false);
        assert!(!done && out.is_empty() && err.contains(":10:"), "{err}");
    }
}
