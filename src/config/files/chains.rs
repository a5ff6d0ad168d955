//! Filter chains of one listener that trust different CAs. In: a configuration of Envoy. Out: a finding for each wasm
//! filter whose document stands in a chain of another trust as well: who the client of a connection is would be
//! decided by the CA of one chain, and what it may do by rules that were written for another.
//! Not here: whether the document asks who anybody is (`documents`).

use crate::config::files::documents::{at, filters};
use crate::config::reading::finding::{Findings, Place, quoted};
use crate::json::{Object, Value};

const REMEDY: &str = "Give each of these chains a document of its own, which lists only the hosts of that chain.";

/// One filter chain that checks client certificates.
struct Chain<'v> {
    at: Place,
    trust: Vec<&'v Value>,
    filters: Vec<&'v Object>,
}

/// The wasm filters in `value` whose document is carried by an earlier chain of another trust, each with its finding.
pub(in crate::config) fn of_mixed_trust(value: &Value) -> Vec<(&Object, Findings)> {
    let mut found = Vec::new();
    listeners(value, &mut found);
    found
}

/// Looks into `value`, however deep. As deep as the file, which is bounded.
fn listeners<'v>(value: &'v Value, found: &mut Vec<(&'v Object, Findings)>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| listeners(item, found)),
        Value::Object(object) if object.get("filter_chains").is_some() => listener(value, found),
        Value::Object(object) => object.members().for_each(|(_, member)| listeners(member, found)),
        Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Decimal(_) | Value::Text(_) => {}
    }
}

fn listener<'v>(value: &'v Value, found: &mut Vec<(&'v Object, Findings)>) {
    let name = at(value, &["name"]).and_then(Value::as_text).unwrap_or_default();
    let listed = at(value, &["filter_chains"]).and_then(Value::as_array).unwrap_or_default();
    let listed =
        listed.iter().enumerate().map(|(index, chain)| (Place::root().key("filter_chains").item(index), chain));
    let default = at(value, &["default_filter_chain"]).map(|chain| (Place::root().key("default_filter_chain"), chain));
    let chains: Vec<Chain<'_>> = listed.chain(default).filter_map(|(at, value)| chain(at, value)).collect();
    for (index, chain) in chains.iter().enumerate() {
        for filter in &chain.filters {
            let earlier = chains.iter().take(index).find(|earlier| {
                earlier.trust != chain.trust && earlier.filters.iter().any(|other| document(other) == document(filter))
            });
            if let Some(earlier) = earlier {
                let (listener, other) = (quoted(name), earlier.at.as_str());
                let finding =
                    format!("of listener {listener} trusts other CAs than {other}, and both carry this document");
                let mut findings = Findings::default();
                findings.add(&chain.at, finding, REMEDY);
                found.push((filter, findings));
            }
        }
    }
}

/// `None` for a chain that trusts no CA: it has no peers.
fn chain(place: Place, value: &Value) -> Option<Chain<'_>> {
    let socket = at(value, &["transport_socket", "typed_config"])?;
    // QUIC wraps what TLS has.
    let tls = at(socket, &["downstream_tls_context"]).unwrap_or(socket);
    let context = at(tls, &["common_tls_context"])?;
    let trusts: [&[&str]; 6] = [
        &["validation_context", "trusted_ca"],
        &["validation_context", "custom_validator_config"],
        &["validation_context_sds_secret_config"],
        &["combined_validation_context", "default_validation_context", "trusted_ca"],
        &["combined_validation_context", "default_validation_context", "custom_validator_config"],
        &["combined_validation_context", "validation_context_sds_secret_config"],
    ];
    let trust: Vec<&Value> = trusts.into_iter().filter_map(|path| at(context, path)).collect();
    let mut found = Vec::new();
    filters(value, &mut found);
    (!trust.is_empty()).then_some(Chain { at: place, trust, filters: found })
}

fn document(filter: &Object) -> Option<&Value> {
    at(filter.get("config")?, &["configuration"])
}

#[cfg(test)]
mod tests {
    use crate::config::files::documents::documents;

    const PEERS: &str =
        r#"{ "resources": [{ "hosts": ["a"], "routes": [{ "path": "/", "access": "peer", "peers": ["*"] }] }] }"#;
    const OTHERS: &str =
        r#"{ "resources": [{ "hosts": ["b"], "routes": [{ "path": "/", "access": "peer", "peers": ["*"] }] }] }"#;
    const PUBLIC: &str = r#"{ "resources": [{ "hosts": ["a"], "routes": [{ "path": "/", "access": "public" }] }] }"#;

    fn ca(file: &str) -> String {
        format!(r#"{{ "validation_context": {{ "trusted_ca": {{ "filename": "{file}" }} }} }}"#)
    }

    fn sds(name: &str) -> String {
        format!(
            r#"{{ "combined_validation_context": {{ "validation_context_sds_secret_config": {{ "name": "{name}" }} }} }}"#
        )
    }

    fn chain(common_tls_context: &str, document: &str) -> String {
        let config = format!(
            r#"{{ "name": "boundgate", "configuration": {{ "@type": "type.googleapis.com/google.protobuf.Struct", "value": {document} }} }}"#
        );
        format!(
            r#"{{ "transport_socket": {{ "typed_config": {{ "common_tls_context": {common_tls_context} }} }},
                 "filters": [{{ "http_filters": [{{ "typed_config": {{
                     "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm", "config": {config} }} }}] }}] }}"#
        )
    }

    /// What is said about the filters of a listener with these chains; nothing for one that is good.
    fn said(chains: &[String], default: Option<&String>) -> Vec<String> {
        let default = default.map(|chain| format!(r#", "default_filter_chain": {chain}"#)).unwrap_or_default();
        let listener = format!(r#"{{ "name": "main", "filter_chains": [{}]{default} }}"#, chains.join(", "));
        let file = format!(r#"{{ "static_resources": {{ "listeners": [{listener}] }} }}"#);
        let documents = documents(&file).unwrap().documents;
        documents
            .iter()
            .map(|document| document.policy().err().map(|findings| findings.to_string()).unwrap_or_default())
            .collect()
    }

    #[test]
    fn one_document_in_chains_of_different_trust_is_a_finding() {
        let mixed = said(&[chain(&ca("a.pem"), PEERS), chain(&ca("b.pem"), PEERS)], None);
        let finding = "filter_chains[1]: of listener \"main\" trusts other CAs than filter_chains[0], and both carry this document. \
                       Give each of these chains a document of its own, which lists only the hosts of that chain.";
        assert_eq!(mixed, ["", finding]);
        let mixed = said(&[chain(&sds("a"), PEERS)], Some(&chain(&sds("b"), PEERS)));
        assert!(mixed[1].starts_with("default_filter_chain: "), "{mixed:?}");
    }

    #[test]
    fn chains_of_one_trust_or_with_documents_of_their_own_are_good() {
        let (a, b) = (ca("a.pem"), ca("b.pem"));
        for chains in [
            [chain(&a, PEERS), chain(&a, PEERS)],
            [chain(&a, PEERS), chain(&b, OTHERS)],
            [chain(&a, PEERS), chain("{}", PEERS)],
            [chain(&a, PUBLIC), chain(&b, PUBLIC)],
        ] {
            assert_eq!(said(&chains, None), ["", ""], "{chains:?}");
        }
    }
}
