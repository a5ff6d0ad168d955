//! Proxies in front of the one with the filter: an Envoy of its own that ends the clients' TLS and shows a certificate of its
//! own, and listeners of the same Envoy. In: how they treat certificates. Out: configurations and running proxies.

use boundgate_testbed::{EnvoyConfig, Testbed};
use serde_json::{Value, json};

use crate::expectations::config;

/// By which the log of the proxy behind tells requests apart: it sees the proxy in front only.
const CLIENT: &str = "x-client";

/// The connection manager of each listener.
pub fn managers(envoy: &mut Value) -> impl Iterator<Item = &mut Value> {
    let listeners = envoy["static_resources"]["listeners"].as_array_mut().unwrap();
    listeners.iter_mut().map(|listener| &mut listener["filter_chains"][0]["filters"][0]["typed_config"])
}

/// What the proxy does with `x-forwarded-client-cert` before the filter sees it.
pub fn handles(envoy: &mut Value, forward: &str, details: &Value) {
    for manager in managers(envoy) {
        manager["forward_client_cert_details"] = forward.into();
        manager["set_current_client_cert_details"] = details.clone();
    }
}

/// The log names the client that the proxy in front has told.
pub fn logs_clients_in_front(envoy: &mut Value) {
    for manager in managers(envoy) {
        let format = &mut manager["access_log"][0]["typed_config"]["log_format"]["json_format"];
        format["client"] = format!("%REQ({CLIENT})%").into();
    }
}

/// Tells the proxy behind who the client is, for its log.
pub fn tells_its_clients(manager: &mut Value) {
    manager["route_config"]["request_headers_to_add"] = json!([{
        "header": {"key": CLIENT, "value": "%DOWNSTREAM_REMOTE_ADDRESS%"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"
    }]);
}

/// An Envoy in front that shows the certificate of `gateway`, changed by `edit`.
pub async fn in_front_of(bed: &Testbed, edit: impl Fn(&mut Value) + Send + Sync + 'static) -> Testbed {
    let (inner, gateway) = (bed.envoy.address("boundgate"), bed.pki.client("gateway"));
    let (chain, key) = (gateway.certificate_pem(), gateway.key_pem());
    let edge = EnvoyConfig::new(config()).without_filter().without_interlock().edit(move |envoy| {
        managers(envoy).for_each(tells_its_clients);
        let clusters = envoy["static_resources"]["clusters"].as_array_mut().unwrap();
        let cluster = clusters.iter_mut().find(|cluster| cluster["name"] == "upstream").unwrap();
        let endpoint = &mut cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"];
        endpoint["address"]["socket_address"] = json!({"address": inner.ip(), "port_value": inner.port()});
        cluster["transport_socket"] = json!({"name": "envoy.transport_sockets.tls", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            "common_tls_context": {"tls_certificates": [{
                "certificate_chain": {"inline_string": chain}, "private_key": {"inline_string": key}
            }]}
        }});
        edit(envoy);
    });
    Testbed::start(edge).await
}

/// Writes `Client-Cert` (RFC 9440) of the client, and throws away what that wrote: what a balancer does that is no Envoy.
pub fn writes_client_cert(envoy: &mut Value) {
    // Between the lines that begin and end it, a PEM is the base64 of the certificate.
    const CODE: &str = r#"
        function envoy_on_request(handle)
          handle:headers():remove("client-cert")
          handle:headers():remove("client-cert-chain")
          local tls = handle:streamInfo():downstreamSslConnection()
          if tls ~= nil and tls:peerCertificateValidated() then
            local pem = tls:urlEncodedPemEncodedPeerCertificate()
            pem = pem:gsub("%%0A", ""):gsub("%%20", " "):gsub("%%2B", "+"):gsub("%%2F", "/"):gsub("%%3D", "=")
            pem = pem:gsub("%-%-%-%-%-[A-Z ]+%-%-%-%-%-", "")
            handle:headers():replace("client-cert", ":" .. pem .. ":")
          end
        end"#;
    for manager in managers(envoy) {
        let filters = manager["http_filters"].as_array_mut().unwrap();
        filters.insert(
            0,
            json!({"name": "client-cert", "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
                "default_source_code": {"inline_string": CODE}
            }}),
        );
    }
}

/// As in a waypoint: the listener with TLS puts the name in the client's certificate into the filter state of a connection to
/// another listener, which has no TLS, and the filter.
pub fn as_waypoint(envoy: &mut Value) {
    envoy["bootstrap_extensions"] = json!([{"name": "envoy.bootstrap.internal_listener", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.bootstrap.internal_listener.v3.InternalListener"
    }}]);
    logs_clients_in_front(envoy);
    let listeners = envoy["static_resources"]["listeners"].as_array_mut().unwrap();
    let mut inner = listeners[0].clone();
    inner["name"] = "main_internal".into();
    inner["internal_listener"] = json!({});
    let table = inner.as_object_mut().unwrap();
    table.remove("address");
    table.remove("per_connection_buffer_limit_bytes");
    inner["filter_chains"][0].as_object_mut().unwrap().remove("transport_socket");
    listeners.push(inner);

    let manager = &mut listeners[0]["filter_chains"][0]["filters"][0]["typed_config"];
    tells_its_clients(manager);
    manager["access_log"] = json!([]);
    manager["route_config"]["virtual_hosts"] = json!([{"name": "all", "domains": ["*"], "routes": [
        {"match": {"prefix": "/"}, "route": {"cluster": "main_internal"}}
    ]}]);
    manager["http_filters"] = json!([
        {"name": "principal", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.set_filter_state.v3.Config",
            "on_request_headers": [{
                "object_key": "io.istio.peer_principal", "factory_key": "envoy.string", "shared_with_upstream": "ONCE",
                "format_string": {"text_format_source": {"inline_string": "%DOWNSTREAM_PEER_URI_SAN%"}, "omit_empty_values": true}
            }]
        }},
        {"name": "envoy.filters.http.router", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
        }}
    ]);
    envoy["static_resources"]["clusters"].as_array_mut().unwrap().push(json!({
        "name": "main_internal", "type": "STATIC", "connect_timeout": "1s",
        // The principal is that of one connection.
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "common_http_protocol_options": {"max_requests_per_connection": 1},
            "explicit_http_config": {"http_protocol_options": {}}
        }},
        "load_assignment": {"cluster_name": "main_internal", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {
            "envoy_internal_address": {"server_listener_name": "main_internal"}
        }}}]}]},
        "transport_socket": {"name": "internal", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.internal_upstream.v3.InternalUpstreamTransport",
            "transport_socket": {"name": "envoy.transport_sockets.raw_buffer", "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer"
            }}
        }}
    }));
}
