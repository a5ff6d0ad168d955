//! Documents of revocations against a fake host and fake clocks.

use super::*;
use crate::fake::{FakeHost, at};
use crate::policy::OnStale;
use crate::worker::fetch::AnswerFields;

const ID: &str = "revoked";

fn documents(host: &FakeHost) -> RevocationDocuments {
    let mut documents = RevocationDocuments::new(host);
    let source = RevocationSource::example();
    let document = RevocationDocument {
        document: Document::new(NewsOf::revocations(ID), schedule(&source), 7),
        source,
        place: "issuers.main.revocation".into(),
        etag: None,
        digest: 0,
    };
    documents.documents.insert(ID.into(), document);
    documents
}

fn named(documents: &RevocationDocuments, id: &str, cleared: Edition, seconds: f64) -> Named {
    let token = || Revocable { values: [Some(id.as_bytes()), None, None, None, None, None], issued: None };
    documents.name(&RevocationSource::example(), cleared, token, at(seconds).mono)
}

fn answer(body: &str, etag: Option<&str>) -> Result<HttpAnswer, FetchFailed> {
    let fields = AnswerFields { etag: etag.map(|etag| etag.as_bytes().to_vec()), ..AnswerFields::default() };
    Ok(HttpAnswer { status: 200, fields, body: body.as_bytes().to_vec(), ..HttpAnswer::default() })
}

/// Fetches at this second; the `if-none-match` of the fetch.
fn fetch(
    documents: &mut RevocationDocuments,
    host: &FakeHost,
    seconds: f64,
    answer: Result<HttpAnswer, FetchFailed>,
) -> Option<String> {
    let now = at(seconds).mono;
    assert_eq!(documents.due(now), [ID.into()], "at {seconds}");
    let fetch = documents.begin(ID, host, now).unwrap();
    assert_eq!((&*fetch.cluster, &*fetch.path, fetch.max_bytes), ("as", "/revoked", 65_536));
    assert!(documents.due(now).is_empty() && documents.begin(ID, host, now).is_none(), "one at a time");
    documents.answer(ID, answer, host, now).unwrap();
    let field = fetch.headers.into_iter().find(|(name, _)| **name == *"if-none-match");
    field.map(|(_, value)| value.into())
}

fn edition(named: Named) -> Edition {
    match named {
        Named::No(edition) => edition,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_token_is_unknown_until_the_first_document_and_named_by_the_newest() {
    let host = FakeHost::default();
    let mut documents = documents(&host);
    assert_eq!(named(&documents, "a", Edition::default(), 0.0), Named::Unknown);
    fetch(&mut documents, &host, 0.0, answer(r#"{"jti":["a"]}"#, None));
    assert_eq!(named(&documents, "a", Edition::default(), 1.0), Named::Yes);
    let cleared = edition(named(&documents, "b", Edition::default(), 1.0));
    assert_eq!(
        named(&documents, "a", cleared, 1.0),
        Named::No(cleared),
        "one that was cleared is not looked for again"
    );
    fetch(&mut documents, &host, 30.0, answer(r#"{"jti":["b"]}"#, None));
    assert_eq!(named(&documents, "b", cleared, 31.0), Named::Yes, "but in the next edition it is");
    assert!(matches!(named(&documents, "a", Edition::default(), 31.0), Named::No(next) if next != cleared));
}

#[test]
fn a_document_that_is_stale_still_names_what_it_names_and_clears_nothing() {
    let host = FakeHost::default();
    let mut documents = documents(&host);
    fetch(&mut documents, &host, 0.0, answer(r#"{"jti":["a"]}"#, None));
    for (seconds, garbage) in [(30.0, "{}x"), (35.0, r#"{"keys":[]}"#), (40.0, "<html>")] {
        fetch(&mut documents, &host, seconds, answer(garbage, None));
    }
    fetch(&mut documents, &host, 60.0, Err(FetchFailed::NoAnswer));
    let cleared = edition(named(&documents, "b", Edition::default(), 119.0));
    assert_eq!(named(&documents, "a", Edition::default(), 119.0), Named::Yes);
    assert_eq!(named(&documents, "a", Edition::default(), 121.0), Named::Yes);
    assert_eq!(named(&documents, "b", cleared, 121.0), Named::Unknown);
}

#[test]
fn a_server_that_says_nothing_changed_is_believed_and_asked_by_the_name_it_gave() {
    let host = FakeHost::default();
    let mut documents = documents(&host);
    let not_modified = || Ok(HttpAnswer { status: 304, ..HttpAnswer::default() });
    assert_eq!(fetch(&mut documents, &host, 0.0, not_modified()), None);
    assert_eq!(named(&documents, "a", Edition::default(), 0.0), Named::Unknown, "nobody asked for that");
    fetch(&mut documents, &host, 5.0, answer(r#"{"jti":["a"]}"#, Some("\"v1\"")));
    let first = edition(named(&documents, "b", Edition::default(), 6.0));
    assert_eq!(fetch(&mut documents, &host, 35.0, not_modified()).as_deref(), Some("\"v1\""));
    assert_eq!(named(&documents, "b", first, 150.0), Named::No(first), "it counts as fetched anew");
    assert_eq!(fetch(&mut documents, &host, 151.0, answer(r#"{"jti":["a"]}"#, None)).as_deref(), Some("\"v1\""));
    assert_eq!(named(&documents, "b", first, 152.0), Named::No(first), "the same bytes are the same edition");
    fetch(&mut documents, &host, 182.0, answer(r#"{"jti":["a"]}"#, Some("\"v2\"")));
    let renamed = answer(r#"{"jti":["b"]}"#, Some("v\n2"));
    assert_eq!(fetch(&mut documents, &host, 213.0, renamed).as_deref(), Some("\"v2\""), "they have a new name");
    assert_eq!(named(&documents, "b", first, 214.0), Named::Yes);
    assert_eq!(fetch(&mut documents, &host, 244.0, not_modified()), None, "no line break is sent back");
}

#[test]
fn what_is_wrong_with_a_document_is_told_with_its_place_and_a_remedy() {
    let host = FakeHost::default();
    let mut documents = documents(&host);
    documents.begin(ID, &host, at(0.0).mono).unwrap();
    let outcome = documents.answer(ID, answer(r#"{"keys":[]}"#, None), &host, at(0.0).mono);
    let Some(Outcome::Failed(Some(text))) = outcome else { panic!() };
    assert_eq!(
        text,
        r#"issuers.main.revocation: revocations at https://as.example.com/revoked (cluster as): unknown member "keys" at line 1 column 7. Is "uri" right? The answer begins with "{"keys":[]}""#
    );
}

#[test]
fn a_document_that_no_policy_needs_is_dropped_and_its_answer_is_nobodys() {
    let host = FakeHost::default();
    let mut documents = documents(&host);
    documents.begin(ID, &host, at(0.0).mono).unwrap();
    documents.retain(|id| id != ID);
    assert!(documents.is_lost(ID, at(0.0).mono) && documents.due(at(0.0).mono).is_empty());
    assert!(documents.answer(ID, answer("{}", None), &host, at(0.0).mono).is_none());
}

#[test]
fn a_million_revoked_tokens_take_what_is_said_of_them() {
    let host = FakeHost::default();
    let mut documents = documents(&host);
    let ids: Vec<String> = (0..1_000_000).map(|id| format!("\"{id:022}\"")).collect();
    let body = format!(r#"{{"jti":[{}]}}"#, ids.join(","));
    let document = documents.documents.get_mut(ID).unwrap();
    document.source = RevocationSource { max_bytes: 25 << 20, on_stale: OnStale::Refuse, ..document.source.clone() };
    documents.begin(ID, &host, at(0.0).mono).unwrap();
    documents.answer(ID, answer(&body, None), &host, at(0.0).mono);
    let document = &documents.documents[ID];
    let (_, revocations) = document.document.last().unwrap();
    assert_eq!(revocations.len(), 1_000_000);
    let most = revocations.memory() * 2 + body.len();
    assert!(most <= document.source.memory(), "{most} bytes, {} said", document.source.memory());
    assert!(revocations.memory() < 25 << 20, "{}", revocations.memory());
    assert_eq!(named(&documents, "0000000000000000999999", Edition::default(), 1.0), Named::Yes);
    assert!(matches!(named(&documents, "0000000000000001000000", Edition::default(), 1.0), Named::No(_)));
}

#[test]
fn after_an_outage_requests_that_were_refused_bring_the_document_back_within_two_seconds() {
    let host = FakeHost::default();
    let mut documents = documents(&host);
    let mut back = None;
    for tenth in 0..1_000 {
        let seconds = f64::from(tenth) / 10.0;
        let known = named(&documents, "a", Edition::default(), seconds);
        if matches!(known, Named::No(_)) {
            back = Some(seconds);
            break;
        }
        if !documents.due(at(seconds).mono).is_empty() && documents.begin(ID, &host, at(seconds).mono).is_some() {
            let said = if seconds < 60.0 { Err(FetchFailed::NoAnswer) } else { answer("{}", None) };
            documents.answer(ID, said, &host, at(seconds).mono);
        }
    }
    assert!(back.is_some_and(|seconds| (60.0..62.0).contains(&seconds)), "{back:?}");
}
