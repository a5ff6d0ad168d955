//! The files in `envoy/` repeat `boundgate.yaml`, because Envoy cannot include a part of another file. What is here
//! keeps them the same but for what each is about.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

/// Every value of a file by its place: names of map members, and of list entries their `name` or number.
fn values(file: &str) -> BTreeMap<String, Value> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let text = std::fs::read_to_string(root.join(file)).unwrap();
    let mut values = BTreeMap::new();
    collect(serde_saphyr::from_str(&text).unwrap(), String::new(), &mut values);
    values
}

fn collect(value: Value, place: String, into: &mut BTreeMap<String, Value>) {
    match value {
        // What the filter reads by itself.
        Value::Object(mut map) if map.get("@type").is_some_and(|kind| *kind == STRING) => {
            let text = map.remove("value").unwrap();
            collect(serde_saphyr::from_str(text.as_str().unwrap()).unwrap(), format!("{place}/value"), into);
        }
        Value::Object(map) => map.into_iter().for_each(|(name, value)| collect(value, format!("{place}/{name}"), into)),
        Value::Array(list) => list.into_iter().enumerate().for_each(|(number, value)| {
            let name = value["name"].as_str().map_or(number.to_string(), str::to_owned);
            collect(value, format!("{place}/{name}"), into);
        }),
        value => drop(into.insert(place, value)),
    }
}

/// The places where a file differs from `boundgate.yaml`, but for those that begin with one of `own`.
fn differences(file: &str, own: &[&str]) -> Vec<String> {
    let (usual, other) = (values("envoy/boundgate.yaml"), values(file));
    let places = usual.keys().chain(other.keys().filter(|place| !usual.contains_key(*place)));
    let differ = places.filter(|place| usual.get(*place) != other.get(*place));
    let unused: Vec<_> = own.iter().filter(|own| !differ.clone().any(|place| place.starts_with(**own))).collect();
    assert!(unused.is_empty(), "{file} is the same there: {unused:?}");
    differ.filter(|place| !own.iter().any(|own| place.starts_with(own))).cloned().collect()
}

const STRING: &str = "type.googleapis.com/google.protobuf.StringValue";
const LISTENER: &str = "/static_resources/listeners/boundgate";
const STAND_IN: &str = "/static_resources/listeners/stand-in";
const MANAGER: &str = "/static_resources/listeners/boundgate/filter_chains/0/filters/envoy.filters.network.http_connection_manager/typed_config";
const CLUSTERS: &str = "/static_resources/clusters";

#[test]
fn the_post_quantum_configuration_is_the_usual_one_but_for_that() {
    let tls = "transport_socket/typed_config/common_tls_context/tls_params/ecdh_curves";
    let log = "access_log/envoy.access_loggers.stdout/typed_config/log_format/json_format";
    let plugin = "http_filters/boundgate/typed_config/config/configuration/value";
    let own = [
        format!("{LISTENER}/address/socket_address/port_value"),
        format!("{MANAGER}/{log}/tls_group"),
        format!("{MANAGER}/{log}/upstream_tls_group"),
        format!("{MANAGER}/{plugin}/issuers/main/algorithms"),
        format!("{MANAGER}/{plugin}/resources/0/hosts/1"),
        format!("{STAND_IN}/address/socket_address/port_value"),
        format!("{STAND_IN}/filter_chains/0/transport_socket"),
        format!("{CLUSTERS}/upstream/transport_socket"),
        format!(
            "{CLUSTERS}/upstream/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address/socket_address/port_value"
        ),
        format!("{CLUSTERS}/as/{tls}"),
        format!(
            "{CLUSTERS}/as/transport_socket/typed_config/common_tls_context/tls_params/tls_maximum_protocol_version"
        ),
    ];
    let own = own.each_ref().map(String::as_str);
    assert_eq!(differences("envoy/post-quantum.yaml", &own), [""; 0]);
}

#[test]
fn the_configuration_for_browsers_is_the_usual_one_but_for_that() {
    let address = "address/socket_address/port_value";
    let resource = "http_filters/boundgate/typed_config/config/configuration/value/resources/0";
    let own = [
        format!("{LISTENER}/{address}"),
        format!("{MANAGER}/http_filters/envoy.filters.http.cors"),
        format!("{MANAGER}/route_config/virtual_hosts/all/typed_per_filter_config"),
        format!("{MANAGER}/{resource}/hosts/1"),
        format!("{MANAGER}/{resource}/origin"),
        format!("{MANAGER}/{resource}/dpop"),
        format!("{MANAGER}/{resource}/routes/1/bound"),
        format!("{MANAGER}/{resource}/routes/2/bound"),
        format!("{MANAGER}/{resource}/routes/3/bound"),
        format!("{STAND_IN}/{address}"),
        format!("{CLUSTERS}/upstream/load_assignment/endpoints/0/lb_endpoints/0/endpoint/{address}"),
    ];
    let own = own.each_ref().map(String::as_str);
    assert_eq!(differences("envoy/browsers.yaml", &own), [""; 0]);
}

#[test]
fn the_configuration_of_a_fleet_is_the_usual_one_but_for_its_limit() {
    let own = [
        format!("{LISTENER}/address"),
        format!("{MANAGER}/http_filters/boundgate/typed_config/config/configuration/value"),
        format!("{STAND_IN}/address"),
        format!("{CLUSTERS}/upstream/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address"),
        format!("{CLUSTERS}/as"),
        format!("{CLUSTERS}/ratelimit"),
    ];
    let own = own.each_ref().map(String::as_str);
    assert_eq!(differences("envoy/fleet.yaml", &own), [""; 0]);
}

#[test]
fn the_configuration_with_revocations_is_the_usual_one_but_for_that() {
    let address = "address/socket_address/port_value";
    let tls = "filter_chains/0/transport_socket/typed_config/common_tls_context";
    let plugin = "http_filters/boundgate/typed_config/config/configuration/value";
    let own = [
        format!("{LISTENER}/{address}"),
        "/node".to_owned(),
        format!("{LISTENER}/{tls}/validation_context/trusted_ca"),
        format!("{LISTENER}/{tls}/validation_context_sds_secret_config"),
        format!("{MANAGER}/common_http_protocol_options/max_connection_duration"),
        format!("{MANAGER}/{plugin}/issuers/main/revocation"),
        format!("{MANAGER}/{plugin}/resources/0/hosts/1"),
        format!("{MANAGER}/{plugin}/resources/0/revocation"),
        format!("{STAND_IN}/{address}"),
        format!("{CLUSTERS}/upstream/load_assignment/endpoints/0/lb_endpoints/0/endpoint/{address}"),
    ];
    let own = own.each_ref().map(String::as_str);
    assert_eq!(differences("envoy/revocation.yaml", &own), [""; 0]);
}
