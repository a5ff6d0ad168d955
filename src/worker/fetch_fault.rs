//! Why a fetch of keys, of the metadata that says where they are, or of another document, brought none, and what the operator can do about it. In: the end of
//! a fetch. Out: what it was for, or a fault whose text names the remedy. What the server sent is quoted, short and without what
//! could forge a log line.

use std::fmt;
use std::rc::Rc;

use crate::jose::{KeySet, KeySetFault};
use crate::policy::{Discovery, Endpoint, Issuer};
use crate::revocation::RevocationsFault;
use crate::time::MonoNanos;
use crate::token::AccessToken;
use crate::token::introspection::{AnswerFault, Rejected, judge};
use crate::worker::fetch::{FetchFailed, HttpAnswer};
use crate::worker::metadata::{MetadataFault, keys_endpoint};

/// The most characters of an answer that are quoted.
const MAX_QUOTE: usize = 120;
/// RFC 1952 §2.3.1.
const GZIP: &[u8] = &[0x1f, 0x8b];

/// What was fetched, and by which key of the configuration.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sought {
    /// Keys, at `uri`.
    Keys,
    /// Keys, where the metadata says.
    DiscoveredKeys,
    /// Metadata, which `discovery` names.
    Metadata,
    /// An answer about a token, at `uri`.
    Answer,
    /// A document of revocations, at `uri`.
    Revocations,
    /// A status list, where a token says.
    StatusList,
}

impl Sought {
    /// What may be wrong where something else than expected is found.
    fn place(self) -> &'static str {
        match self {
            Sought::Keys | Sought::Answer | Sought::Revocations => "\"uri\"",
            Sought::StatusList => "the \"uri\" in the issuer's tokens",
            Sought::DiscoveredKeys => "the \"jwks_uri\" of the issuer's metadata",
            Sought::Metadata => "\"discovery\"",
        }
    }
}

impl fmt::Display for Sought {
    /// What it is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Sought::Keys | Sought::DiscoveredKeys => "keys",
            Sought::Metadata => "metadata",
            Sought::Answer => "the answer about a token",
            Sought::Revocations => "revocations",
            Sought::StatusList => "status list",
        })
    }
}

/// See the module.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum FetchFault {
    Call(FetchFailed),
    /// The proxy answered with this status because no server did, and wrote why.
    Unreachable(u16, String),
    /// A status that says no; with the beginning of the body.
    Status(u16, String),
    /// To there.
    Redirect(String),
    /// In this coding.
    Encoded(String),
    Keys(KeySetFault, String),
    Metadata(MetadataFault),
    Answer(AnswerFault),
    Revocations(RevocationsFault, String),
    StatusList(&'static str),
}

impl FetchFault {
    /// The key set that a fetch brought.
    pub(super) fn or_keys(answer: Result<HttpAnswer, FetchFailed>) -> Result<KeySet, Self> {
        let body = Self::or_body(answer)?;
        KeySet::parse(&body).map_err(|fault| FetchFault::Keys(fault, quote(&body)))
    }

    /// Where the metadata that a fetch brought says that keys are.
    pub(super) fn or_endpoint(
        answer: Result<HttpAnswer, FetchFailed>,
        discovery: &Discovery,
    ) -> Result<Endpoint, Self> {
        keys_endpoint(&Self::or_body(answer)?, discovery).map_err(FetchFault::Metadata)
    }

    /// What the answer of `issuer` says, which was asked about a token at `asked`.
    pub(super) fn or_told(
        answer: Result<HttpAnswer, FetchFailed>,
        issuer: &Rc<Issuer>,
        asked: MonoNanos,
    ) -> Result<Result<AccessToken, Rejected>, Self> {
        judge(&Self::or_answer(answer)?, issuer, asked).map_err(FetchFault::Answer)
    }

    /// The body of an answer about a token. Bodies that say no are not repeated: they may have the token in them.
    pub(super) fn or_answer(answer: Result<HttpAnswer, FetchFailed>) -> Result<Vec<u8>, Self> {
        Self::or_body(answer).map_err(|fault| match fault {
            FetchFault::Status(status, _) => FetchFault::Status(status, String::new()),
            fault => fault,
        })
    }

    /// What is wrong with a document of revocations.
    pub(super) fn revocations(fault: RevocationsFault, body: &[u8]) -> Self {
        FetchFault::Revocations(fault, quote(body))
    }

    /// The body that a fetch brought.
    pub(super) fn or_body(answer: Result<HttpAnswer, FetchFailed>) -> Result<Vec<u8>, Self> {
        let answer = answer.map_err(FetchFault::Call)?;
        match answer.status {
            200 => {}
            status if answer.by_proxy => return Err(FetchFault::Unreachable(status, quote(cause(&answer.body)))),
            300..=399 => {
                return Err(FetchFault::Redirect(quote(answer.fields.location.as_deref().unwrap_or_default())));
            }
            status => return Err(FetchFault::Status(status, quote(&answer.body))),
        }
        let coding = answer.fields.content_encoding.as_deref().map(quote).unwrap_or_default();
        if !matches!(coding.as_str(), "" | "identity") {
            return Err(FetchFault::Encoded(coding));
        }
        if answer.body.starts_with(GZIP) {
            return Err(FetchFault::Encoded("gzip".to_owned()));
        }
        Ok(answer.body)
    }

    /// What happened, and what to do.
    pub(super) fn text(&self, sought: Sought) -> String {
        WaitEnd { fault: self, sought }.to_string()
    }
}

/// What the operator is told about a fault; `place`: what is fetched stands there in the configuration.
pub(super) fn told(place: &str, sought: Sought, endpoint: Option<&Endpoint>, fault: &FetchFault) -> String {
    let at = endpoint.map(|endpoint| format!(" at {endpoint} (cluster {})", endpoint.cluster)).unwrap_or_default();
    format!("{place}: {sought}{at}: {}", fault.text(sought))
}

/// The beginning of what a server sent, in characters that a log line may have.
pub(super) fn quote(bytes: &[u8]) -> String {
    let beginning = bytes.get(..MAX_QUOTE).unwrap_or(bytes);
    let plain = |byte: &u8| if matches!(byte, b' '..=b'~') { char::from(*byte) } else { '.' };
    beginning.iter().map(plain).collect()
}

/// What the proxy writes before the cause.
const BEFORE_CAUSE: &[u8] = b"upstream connect error or disconnect/reset before headers. reset reason: ";

/// The part of the proxy's own answer that tells one failure from another.
fn cause(body: &[u8]) -> &[u8] {
    body.strip_prefix(BEFORE_CAUSE).unwrap_or(body)
}

/// What to do where no server answered, by the proxy's words for it. It has the same for a port where nothing listens and for a
/// handshake that failed: its counters tell them apart.
fn unreachable_remedy(why: &str) -> &'static str {
    if why.contains("timeout") {
        "Nothing came in time: see the cluster's endpoint and what stands before it, then \"timeout\" here and \"connect_timeout\" of the cluster"
    } else if why.contains("connection failure") {
        "Nothing listens at the cluster's endpoint, or TLS failed: see its address, and \"sni\", \"trusted_ca\" and \"match_typed_subject_alt_names\" of its \"transport_socket\". Its counters ssl.fail_verify_san, ssl.fail_verify_error and ssl.connection_error tell which"
    } else {
        "See the cluster's endpoint and protocol, and whether the server wants TLS (\"transport_socket\")"
    }
}

struct WaitEnd<'f> {
    fault: &'f FetchFault,
    sought: Sought,
}

impl fmt::Display for WaitEnd<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.sought.place();
        match self.fault {
            FetchFault::Call(FetchFailed::NotSent) => {
                f.write_str("the fetch was not sent. Is the cluster defined and has it an endpoint?")
            }
            FetchFault::Call(FetchFailed::NoAnswer) => write!(
                f,
                "the fetch was reset or its answer too large. Does the server speak the cluster's protocol, and is {place} right?"
            ),
            FetchFault::Call(FetchFailed::Lost) => f.write_str("the fetch never ended"),
            FetchFault::Redirect(to) => {
                let remedy = match self.sought {
                    Sought::DiscoveredKeys => "Have the metadata name",
                    Sought::StatusList => "Have tokens name",
                    Sought::Keys | Sought::Metadata | Sought::Answer | Sought::Revocations => "Write into \"uri\"",
                };
                let what = match self.sought {
                    Sought::Revocations => "the revocations are",
                    Sought::StatusList => "the list is",
                    Sought::Answer => "tokens are asked about",
                    Sought::Keys | Sought::DiscoveredKeys | Sought::Metadata => "the keys are",
                };
                write!(
                    f,
                    "the server redirects to \"{to}\", and redirects are not followed. {remedy} where {what}, and let the cluster lead there"
                )
            }
            FetchFault::Encoded(coding) => write!(
                f,
                "the answer has the content coding \"{coding}\", which was not asked for and is not read. Switch off compression for it at the server or at what stands before it"
            ),
            FetchFault::Unreachable(status, why) => {
                let remedy = unreachable_remedy(why);
                write!(f, "the server could not be reached: \"{why}\" (the proxy's own {status}). {remedy}")
            }
            FetchFault::Status(status, body) => {
                write!(f, "the fetch was answered with status {status}")?;
                if !body.is_empty() {
                    write!(f, " and \"{body}\"")?;
                }
                match status {
                    401 | 403 if matches!(self.sought, Sought::Answer) => f.write_str(
                        ". The server does not let this proxy ask: see \"client\", the secret in its variable, and the client certificate of the cluster",
                    ),
                    401 | 403 => {
                        let sought = self.sought;
                        write!(f, ". The server must let everybody read its {sought}, or at least this proxy")
                    }
                    400..=499 => write!(f, ". Is {place} right?"),
                    _ => f.write_str(". See the server's log; it is asked again"),
                }
            }
            FetchFault::Keys(fault @ KeySetFault::TooLarge, _) => {
                write!(f, "{fault}. Is {place} right? Else have the server publish only what verifies access tokens")
            }
            FetchFault::Keys(fault @ (KeySetFault::NotJson(_) | KeySetFault::NotKeySet), body) => {
                write!(f, "{fault}. Is {place} right? The answer begins with \"{body}\"")
            }
            FetchFault::Keys(fault @ KeySetFault::TooMany, _) => {
                write!(f, "{fault}. Have the server withdraw those that no longer sign")
            }
            FetchFault::Keys(fault @ KeySetFault::NoUsableKey(_), _) => {
                write!(f, "{fault}. Have the server sign with one of the issuer's \"algorithms\" and publish that key")
            }
            FetchFault::Metadata(fault) => fault.fmt(f),
            FetchFault::Answer(fault) => fault.fmt(f),
            FetchFault::StatusList(fault) => write!(f, "{fault}. See what the server signs for {place}"),
            FetchFault::Revocations(fault, body) => {
                write!(f, "{fault}. Is {place} right? The answer begins with \"{body}\"")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{JwksAt, JwksSource};
    use crate::worker::fetch::AnswerFields;

    fn text(status: u16, fields: AnswerFields, body: &[u8]) -> String {
        FetchFault::or_keys(answer(status, fields, body)).unwrap_err().text(Sought::Keys)
    }

    fn answer(status: u16, fields: AnswerFields, body: &[u8]) -> Result<HttpAnswer, FetchFailed> {
        Ok(HttpAnswer { status, fields, body: body.to_vec(), by_proxy: false })
    }

    fn none() -> AnswerFields {
        AnswerFields::default()
    }

    #[test]
    fn every_way_to_fail_names_its_remedy() {
        let location = AnswerFields { location: Some(b"https://login.example.com/keys".to_vec()), ..none() };
        let gzip = AnswerFields { content_encoding: Some(b"gzip".to_vec()), ..none() };
        for (text, what, remedy) in [
            (text(503, none(), b"in maintenance"), "answered with status 503 and \"in maintenance\"", "server's log"),
            (text(500, none(), b""), "status 500. ", "server's log"),
            (text(404, none(), b"nothing here"), "status 404", "\"uri\""),
            (text(403, none(), b""), "status 403", "read its keys"),
            (text(302, location, b""), "\"https://login.example.com/keys\"", "into \"uri\""),
            (text(200, gzip, b"{}"), "\"gzip\"", "compression"),
            (text(200, none(), b"\x1f\x8b\x08\x00"), "\"gzip\"", "compression"),
            (text(200, none(), b"<!DOCTYPE html>"), "not JSON", "begins with \"<!DOCTYPE html>\""),
            (text(200, none(), b"{}"), "no array \"keys\"", "\"uri\""),
            (text(200, none(), &[b' '; 300_000]), "larger than 262144 bytes", "publish only"),
            (text(200, none(), br#"{"keys":[{"kty":"oct","k":"AAAA"}]}"#), "no key of the set", "\"algorithms\""),
        ] {
            assert!(text.contains(what) && text.contains(remedy), "{text}");
            assert!(text.len() < 500, "{text}");
        }
    }

    #[test]
    fn what_the_proxy_answers_itself_is_told_as_a_server_that_cannot_be_reached() {
        let text = |status, why: &str| {
            let body = why.as_bytes().to_vec();
            let answer = HttpAnswer { status, by_proxy: true, fields: none(), body };
            FetchFault::or_keys(Ok(answer)).unwrap_err().text(Sought::Keys)
        };
        let reset = |why| format!("upstream connect error or disconnect/reset before headers. reset reason: {why}");
        for (text, what, remedy) in [
            (text(503, &reset("remote connection failure")), "\"remote connection failure\"", "ssl.fail_verify_san"),
            (text(503, &reset("connection timeout")), "\"connection timeout\"", "\"connect_timeout\""),
            (text(504, "upstream request timeout"), "own 504", "\"timeout\""),
            (text(502, &reset("protocol error")), "\"protocol error\"", "wants TLS"),
            (text(503, "no healthy upstream"), "\"no healthy upstream\"", "endpoint"),
            (text(503, ""), "own 503", "endpoint"),
        ] {
            assert!(text.starts_with("the server could not be reached: ") && text.contains(what), "{text}");
            assert!(text.contains(remedy) && text.len() < 500, "{text}");
        }
    }

    #[test]
    fn where_metadata_names_the_keys_the_remedy_is_not_in_the_uri() {
        let JwksAt::Discovered(discovery) = JwksSource::discovered().at else { panic!() };
        let metadata = |status, fields, body: &[u8]| {
            FetchFault::or_endpoint(answer(status, fields, body), &discovery).unwrap_err().text(Sought::Metadata)
        };
        let location = AnswerFields { location: Some(b"https://login.example.com/".to_vec()), ..none() };
        let keys = FetchFault::or_keys(answer(404, none(), b"")).unwrap_err().text(Sought::DiscoveredKeys);
        let other = br#"{"issuer":"https://as.example.com","jwks_uri":"https://evil.example.com/"}"#;
        for (text, what, remedy) in [
            (metadata(404, none(), b""), "status 404", "Is \"discovery\" right?"),
            (metadata(302, location, b""), "redirects to \"https://login.example.com/\"", "into \"uri\""),
            (metadata(403, none(), b""), "status 403", "read its metadata"),
            (metadata(200, none(), b"<html>"), "metadata is not JSON", "\"discovery\""),
            (metadata(200, none(), br#"{"keys":[]}"#), "no text \"issuer\"", "\"discovery\""),
            (metadata(200, none(), br#"{"issuer":"https://x"}"#), "that of \"https://x\"", "Write \"issuer\""),
            (metadata(200, none(), other), "at \"evil.example.com\"", "into \"hosts\""),
            (keys, "status 404", "Is the \"jwks_uri\" of the issuer's metadata right?"),
        ] {
            assert!(text.contains(what) && text.contains(remedy) && text.len() < 500, "{text}");
        }
    }

    #[test]
    fn what_is_quoted_is_short_and_forges_no_line_of_the_log() {
        let text = text(500, none(), &[b"\nerror: forged \x1b[31m\xff".to_vec(), vec![b'x'; 100_000]].concat());
        assert!(text.len() < 300 && text.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{text}");
    }
}
