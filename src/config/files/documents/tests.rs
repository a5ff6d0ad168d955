//! Documents of a configuration inside files of Envoy, in each of their forms.

use super::filters::{STRING, STRUCT, WASM};
use super::*;

const CONFIG: &str = "{ resources: [{ hosts: [a], routes: [{ path: /, access: public }] }] }";

fn places(text: &str) -> Vec<(Option<String>, Result<(), String>)> {
    let judged = |document: Document| {
        (document.place.clone(), document.policy().map(drop).map_err(|findings| findings.to_string()))
    };
    documents(text).unwrap().documents.into_iter().map(judged).collect()
}

fn filter(configuration: &str) -> String {
    format!("a: [{{ b: {{ \"@type\": {WASM}, config: {{ name: ours, configuration: {configuration} }} }} }}]")
}

#[test]
fn every_configuration_of_a_file_is_found_where_it_stands() {
    let file = format!(
        "# a comment\n---\n{CONFIG}\n---\nkind: WasmPlugin\nmetadata: {{ name: gateway }}\nspec: {{ pluginConfig: {CONFIG} }}\n\
         ---\nkind: Service\n---\n{}\n---\n{}\n",
        filter(&format!("{{ \"@type\": {STRUCT}, value: {CONFIG} }}")),
        filter(&format!("{{ \"@type\": {STRING}, value: '{{\"resources\": 1}}' }}")),
    );
    let wrong =
        "resources: this is a number, not a list. Write a list of tables, each behind a dash, like - hosts: ..."
            .to_owned();
    assert_eq!(
        places(&file),
        [
            (None, Ok(())),
            (Some("WasmPlugin gateway".into()), Ok(())),
            (Some("filter ours".into()), Ok(())),
            (Some("filter ours".into()), Err(wrong)),
        ]
    );
}

#[test]
fn the_wasm_filters_of_others_are_passed_over_by_name_where_one_is_or_looks_like_ours() {
    let ours = format!("{{ \"@type\": {STRUCT}, value: {CONFIG} }}");
    let other = "{ \"@type\": type.googleapis.com/google.protobuf.StringValue, value: other }";
    let both = |name: &str| {
        let ours = filter(&ours).replace("name: ours", name);
        places(&format!("all: {{ x: {{ {} }}, y: {{ {} }} }}", ours, filter(other)))
    };
    for name in [
        "name: boundgate",
        "root_id: boundgate",
        "vm_config: { code: { local: { filename: /a/boundgate.wasm } } }",
        "name: gate",
    ] {
        assert!(matches!(&both(name)[..], [(_, Ok(()))]), "{name}");
    }
    let file = documents(&format!("all: [{}, {}]", filter(&ours), filter(other).replace("ours", "stamp"))).unwrap();
    assert!(matches!(&file.passed_over[..], [other] if other.starts_with("filter stamp was not judged: ")));
    assert!(file.is_envoys && !documents(CONFIG).unwrap().is_envoys);
}

#[test]
fn a_second_filter_with_another_name_is_judged_too() {
    let ours = |name: &str, config: &str| {
        let configuration = format!("{{ \"@type\": {STRUCT}, value: {config} }}");
        filter(&configuration).replace("name: ours", name)
    };
    let wrong = CONFIG.replace("path", "pth");
    let file =
        format!("all: {{ x: {{ {} }}, y: {{ {} }} }}", ours("name: boundgate", CONFIG), ours("name: gate", &wrong));
    assert!(matches!(&places(&file)[..], [(_, Ok(())), (_, Err(_))]));
    let nobodys = filter("{ \"@type\": type.googleapis.com/google.protobuf.StringValue, value: other }");
    assert!(matches!(&places(&nobodys)[..], [(_, Err(_))]), "where none looks like ours, all are judged");
}

#[test]
fn what_undoes_a_filter_from_around_it_is_a_finding() {
    let ours = |more: &str, mark: &str| {
        let config = format!("{{ mark: {mark}, {}", &CONFIG[1..]).replace("mark: none, ", "");
        let config = format!("{{ name: ours, {more} configuration: {{ \"@type\": {STRUCT}, value: {config} }} }}");
        format!("{{ name: x, typed_config: {{ \"@type\": {WASM}, config: {config} }} }}")
    };
    let judged = |chains: &[&[String]]| {
        let chains: Vec<String> =
            chains.iter().map(|chain| format!("{{ http_filters: [{}] }}", chain.join(", "))).collect();
        let judged = places(&format!("listeners: [{}]", chains.join(", ")));
        judged.into_iter().map(|(_, judged)| judged.err().unwrap_or_default()).collect::<Vec<_>>()
    };
    let (alone, edge) = (ours("", "none"), ours("", "edge"));
    let [first, second] = &judged(&[&[alone.clone(), alone.clone()]])[..] else { panic!() };
    assert!(first.is_empty() && second.starts_with("mark: the same as that of another filter"), "{second}");
    assert_eq!(judged(&[&[alone.clone(), edge.clone()]]), ["", ""]);
    let alone = std::slice::from_ref(&alone);
    assert_eq!(judged(&[alone, alone]), ["", ""], "two chains");
    assert_eq!(judged(&[&[edge.clone(), edge]])[0], "");
    let [goes_on] = &judged(&[&[ours("allow_on_headers_stop_iteration: true,", "none")]])[..] else { panic!() };
    assert!(goes_on.starts_with("allow_on_headers_stop_iteration: set"), "{goes_on}");
    assert_eq!(judged(&[&[ours("allow_on_headers_stop_iteration: false,", "none")]]), [""]);
}

#[test]
fn a_filter_without_a_configuration_is_a_finding_that_says_what_it_has_instead() {
    let of = |configuration: &str| {
        let file = filter(configuration).replace("ours", "boundgate");
        places(&file).remove(0).1.unwrap_err()
    };
    let any =
        |kind: &str, rest: &str| of(&format!("{{ \"@type\": type.googleapis.com/google.protobuf.{kind}{rest} }}"));
    for (said, expected) in [
        (any("BytesValue", ", value: AA=="), r#"its @type is "type.googleapis.com/google.protobuf.BytesValue", which"#),
        (any("Struct", ""), "there is no value beside its @type. Write value: |"),
        (
            any("StringValue", ", value: { resources: [] }"),
            "the value of this google.protobuf.StringValue is no text. Write",
        ),
        (of("{ value: {} }"), "it has no @type. Write one under config.configuration"),
    ] {
        assert!(said.starts_with(&format!("configuration: {expected}")), "{said}");
    }
    for (file, expected) in [
        ("kind: WasmPlugin\nspec: {}\n", "Write the configuration as a table under spec.pluginConfig."),
        ("kind: WasmPlugin\nspec: { pluginconfig: {} }\n", "Write pluginConfig instead of pluginconfig."),
    ] {
        let said = places(file).remove(0).1.unwrap_err();
        assert_eq!(said, format!("configuration: spec.pluginConfig is missing. {expected}"));
    }
}

/// Position, path and finding of everything that is said about a file.
fn said(file: &str) -> Vec<(String, String, String)> {
    let mut said = Vec::new();
    for document in documents(file).unwrap().documents {
        for finding in document.policy().err().iter().flat_map(Findings::iter) {
            let position = finding.position.map_or_else(String::new, |position| position.to_string());
            said.push((position, finding.path.clone(), finding.finding.clone()));
        }
    }
    said
}

#[test]
fn a_finding_is_told_with_its_line_and_column() {
    let file = format!(
        "---\nlimts: {{}}\nresources:\n  - hosts: [a, b]\n    routes:\n      - {{ path: /, access: public }}\n  - routes: [{{ path: /x, acess: public }}]\n    \
         hosts:\n      - c\n      - b\n---\nkind: WasmPlugin\nspec:\n  pluginConfig:\n    resources: []\n---\n{}\n---\n{}\n",
        filter(&format!("{{ \"@type\": {STRUCT}, value: {{ resources: [{{ hosts: [] }}] }} }}")),
        filter(&format!("{{ \"@type\": {STRING}, value: '{{\"resources\": 1}}' }}")),
    );
    let column = |text: &str, line: usize| file.lines().nth(line - 1).unwrap().find(text).unwrap() + 1;
    let inside = |text: &str, line: usize| format!("{line}:{}", column(text, line));
    let expected = [
        ("2:1".to_owned(), "limts"),
        ("7:5".to_owned(), "resources[1].audiences"),
        ("7:5".to_owned(), "resources[1].issuers"),
        ("7:26".to_owned(), "resources[1].routes[0].acess"),
        ("10:9".to_owned(), "resources[1].hosts[1]"),
        ("15:5".to_owned(), "resources"),
        (inside("{ hosts", 17), "resources[0].routes"),
        (inside("hosts: [] }", 17), "resources[0].hosts"),
        (inside("\"resources\": 1", 19), "resources"),
    ];
    let told = said(&file);
    let told: Vec<(String, &str)> = told.iter().map(|(position, path, _)| (position.clone(), &**path)).collect();
    assert_eq!(told, expected);
}

/// `text` as a block, behind so many spaces.
fn block(text: &str, spaces: usize) -> String {
    text.lines().map(|line| format!("{}{line}\n", " ".repeat(spaces))).collect()
}

#[test]
fn a_finding_in_a_text_of_envoys_file_is_told_where_it_stands_in_the_file() {
    let text = "# ours\n\nresources:\n- hosts: [a]\n  routes: [{ pth: / }]\n";
    let at = |header: &str, spaces: usize| {
        let file = format!(
            "x:\n- \"@type\": {WASM}\n  config:\n    name: boundgate\n    configuration:\n      \"@type\": {STRING}\n      value: {header}\n{}",
            block(text, spaces)
        );
        let (position, path, _) = said(&file).into_iter().find(|(_, path, _)| path.ends_with("pth")).unwrap();
        assert_eq!(path, "resources[0].routes[0].pth");
        position
    };
    assert_eq!(at("|", 8), "12:22");
    assert_eq!(at("|2-   # a comment", 8), "12:22");
    assert_eq!(at("|", 9), "12:23");
    let folded =
        format!("x: [{}]", filter(&format!("{{ \"@type\": {STRING}, value: \"resources: [{{ hosts: \\x5b] }}]\" }}")));
    assert!(said(&folded).iter().all(|(position, ..)| *position == said(&folded)[0].0), "no lines of its own");
}

#[test]
fn a_text_of_a_config_map_is_read_as_the_file_that_it_is() {
    let envoy = format!(
        "listeners:\n- \"@type\": {WASM}\n  config:\n    name: boundgate\n    configuration:\n      \"@type\": {STRING}\n      value: |\n        resources:\n        - hosts: [a]\n          rotes: []\n"
    );
    let map = |kind: &str, data: &str| {
        format!(
            "apiVersion: v1\nkind: {kind}\nmetadata: {{ name: envoy }}\n{data}:\n  other.txt: \"a: {{\"\n  lds.yaml: |\n{}  policy.yaml: |\n    resources: 1\n",
            block(&envoy, 4)
        )
    };
    for (kind, data) in [("ConfigMap", "data"), ("Secret", "stringData")] {
        let file = map(kind, data);
        let found = documents(&file).unwrap();
        let found: Vec<String> = found.documents.into_iter().filter_map(|document| document.place).collect();
        let inside = |member: &str| format!("{kind} envoy, {data} \"{member}\"");
        assert_eq!(found, [inside("lds.yaml") + ": filter boundgate", inside("policy.yaml")]);
        let said = said(&file);
        let at = |path: &str| said.iter().find(|(_, other, _)| other == path).unwrap().0.clone();
        assert_eq!((at("resources[0].rotes").as_str(), at("resources").as_str()), ("16:15", "18:5"));
    }
    let list = format!("apiVersion: v1\nkind: List\nitems:\n- {}", block(&map("ConfigMap", "data"), 2).trim_start());
    assert_eq!(documents(&list).unwrap().documents.len(), 2);
    assert!(documents("kind: ConfigMap\ndata: { a: 'b: 1' }\n").is_err(), "texts of others");
    let broken = said("kind: ConfigMap\ndata:\n  boundgate.yaml: |\n    resources:\n    - {\n");
    assert_eq!(broken[0].0, "5:7");
}

#[test]
fn what_envoy_reads_differently_in_its_own_yaml_is_a_finding() {
    let config = "resources: [{ hosts: [a], realm: REALM, routes: [{ path: /, access: public, limits: [l] }] }], \
                  limits: { l: { key: [ip], rate: 1/s, burst: BURST } }";
    let of = |burst: &str, realm: &str| {
        let config = config.replace("BURST", burst).replace("REALM", realm);
        said(&filter(&format!("{{ \"@type\": {STRUCT}, value: {{ {config} }} }}")))
    };
    for burst in ["010", "1e3", "1_000", "0o10", "0x10", "!!int 10", "yes"] {
        let said = of(burst, "a");
        assert!(matches!(&said[..], [(_, path, _)] if path == "limits.l.burst"), "{burst} {said:?}");
    }
    assert_eq!(of("5.0", "a")[0].2, "this is text, not a whole number");
    assert!(of("10", "a, mode: report, mode: enforce")[0].2.starts_with("the same key stands in this table"));
    assert_eq!(of("10", "a, <<: { mode: report }")[0].1, "resources[0][\"<<\"]");
    for realm in ["1.10", "12345678901", "'010'"] {
        assert_eq!(of("10", realm), [], "{realm}");
    }
}

#[test]
fn a_repeated_key_and_a_file_without_configuration_are_errors() {
    let error = |text: &str| documents(text).err().unwrap().finding;
    assert_eq!(said("a: 1\na: 2\n")[1], ("2:1".into(), "a".into(), "the same key stands in this table already".into()));
    let envoys =
        format!("node: {{ id: a, id: b }}\nx: [{}]", filter(&format!("{{ \"@type\": {STRUCT}, value: {CONFIG} }}")));
    assert_eq!(said(&envoys), [("1:16".into(), "node.id".into(), "the same key stands in this table already".into())]);
    for text in ["", "# a comment\n---\n---\n", "kind: Service\n", "static_resources: {}\n"] {
        assert_eq!(error(text), "no Boundgate configuration is in it, no WasmPlugin, and no wasm filter of Envoy");
    }
}

#[test]
fn what_is_written_has_its_place_in_the_file_and_what_is_not_has_none() {
    let lines = "resources:\n- hosts: [a]\n  routes:\n  - { path: /, access: public }\n";
    let indented: String = lines.lines().map(|line| format!("      {line}\n")).collect();
    let map = format!("kind: ConfigMap\ndata:\n  a: |\n{indented}");
    let value = "\n'resources: [{ hosts: [a], routes: [{ path: /, access: public }] }]'";
    let filter = filter(&format!("{{ \"@type\": {STRING}, value: {value} }}"));
    for (text, path, told) in [
        (lines, "resources[0].routes[0].access", Some((4, 16))),
        (lines, "resources[0].routes[0].bound", None),
        (lines, "resources[1]", None),
        (&map, "resources[0].routes[0]", Some((7, 11))),
        (&filter, "resources[0].routes", Some((2, 28))),
    ] {
        let position = documents(text).unwrap().documents[0].places().of(path);
        assert_eq!(position, told.map(|(line, column)| Position { line, column }), "{text} {path}");
    }
}
