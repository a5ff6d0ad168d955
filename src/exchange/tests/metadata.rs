//! The metadata of a resource, which the filter itself serves.

use super::*;
use crate::observe::audit_record;

fn with_metadata(mode: &str) -> Value {
    let mut config = config();
    let resource = &mut config["resources"][0];
    resource.as_object_mut().unwrap().remove("resource_metadata");
    resource["metadata"] = json!("https://api.example.com");
    resource["mode"] = json!(mode);
    resource["routes"].as_array_mut().unwrap().push(json!({"path": "/**", "scopes": ["admin"]}));
    config
}

const PATH: &str = "/.well-known/oauth-protected-resource";

#[test]
fn it_is_served_to_everybody_whatever_the_mode_and_the_record_says_by_whom() {
    for mode in ["enforce", "report"] {
        for method in ["GET", "HEAD"] {
            let mut scene = Scene::new(&with_metadata(mode));
            let request = request(method, PATH);
            let mut exchange = scene.exchange(&request);
            let Step::Done(verdict) = scene.poll(&mut exchange, None) else { panic!("it waits") };
            let record: Value = serde_json::from_str(&audit_record(exchange.facts(), (&verdict).into())).unwrap();
            assert_eq!((&record["decision"], &record["route"]), (&"answered".into(), &"metadata".into()));
            let document: Value = serde_json::from_str(forwarded(verdict).document().unwrap()).unwrap();
            assert_eq!(document["scopes_supported"], json!(["a", "admin", "b", "read:orders"]));
        }
    }
}

#[test]
fn other_methods_and_other_paths_are_not_the_document() {
    let mut scene = Scene::new(&with_metadata("enforce"));
    assert_eq!(refused(scene.run(&get(&format!("{PATH}/v1")))).reason, Reason::TokenMissing);
    let post = refused(scene.run(&request("POST", PATH)));
    assert_ne!(post.answer(AnswerForm::Problem, TOLD, at(0.0).wall).status, 200);
    let challenge = header(&refused(scene.run(&get("/orders/7"))), "www-authenticate").unwrap();
    assert!(challenge.contains(METADATA), "{challenge}");
}
