//! Why a fetch of keys brought none, and what the operator can do about it. In: the end of a fetch. Out: the key set, or a
//! fault whose text names the remedy. What the server sent is quoted, short and without what could forge a log line.

use std::fmt;

use crate::jose::{KeySet, KeySetFault};
use crate::worker::fetch::{FetchFailed, HttpAnswer};

/// The most characters of an answer that are quoted.
const MAX_QUOTE: usize = 120;
/// RFC 1952 §2.3.1.
const GZIP: &[u8] = &[0x1f, 0x8b];

/// See the module.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum FetchFault {
    Call(FetchFailed),
    /// A status that says no; with the beginning of the body, where the proxy writes why it got no answer.
    Status(u16, String),
    /// To there.
    Redirect(String),
    /// In this coding.
    Encoded(String),
    Keys(KeySetFault, String),
}

impl FetchFault {
    /// The key set that a fetch brought.
    pub(super) fn or_keys(answer: Result<HttpAnswer, FetchFailed>) -> Result<KeySet, Self> {
        let answer = answer.map_err(FetchFault::Call)?;
        match answer.status {
            200 => {}
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
        KeySet::parse(&answer.body).map_err(|fault| FetchFault::Keys(fault, quote(&answer.body)))
    }
}

/// The beginning of what a server sent, in characters that a log line may have.
fn quote(bytes: &[u8]) -> String {
    let beginning = bytes.get(..MAX_QUOTE).unwrap_or(bytes);
    let plain = |byte: &u8| if matches!(byte, b' '..=b'~') { char::from(*byte) } else { '.' };
    beginning.iter().map(plain).collect()
}

impl fmt::Display for FetchFault {
    /// What happened, and what to do.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FetchFault::Call(FetchFailed::NotSent) => {
                f.write_str("the fetch was not sent. Is the cluster defined and has it an endpoint?")
            }
            FetchFault::Call(FetchFailed::NoAnswer) => f.write_str(
                "the fetch was reset or its answer too large. Does the server speak the cluster's protocol, and is \"uri\" right?",
            ),
            FetchFault::Call(FetchFailed::Lost) => f.write_str("the fetch never ended"),
            FetchFault::Redirect(place) => write!(
                f,
                "the server redirects to \"{place}\", and redirects are not followed. Write where the keys are into \"uri\", and let the cluster lead there"
            ),
            FetchFault::Encoded(coding) => write!(
                f,
                "the answer has the content coding \"{coding}\", which was not asked for and is not read. Switch off compression for it at the server or at what stands before it"
            ),
            FetchFault::Status(status, body) => {
                let remedy = match status {
                    401 | 403 => "The server must let everybody read its keys, or at least this proxy",
                    400..=499 => "Is \"uri\" right?",
                    504 => "Nothing came within \"timeout\": raise it, or see why the server is slow",
                    503 => {
                        "Is the server up, and does the cluster lead to it, with its TLS, its \"sni\" and a \"connect_timeout\" that is long enough?"
                    }
                    _ => "See the server's log; it is asked again",
                };
                write!(f, "the fetch was answered with status {status}")?;
                if !body.is_empty() {
                    write!(f, " and \"{body}\"")?;
                }
                write!(f, ". {remedy}")
            }
            FetchFault::Keys(fault @ KeySetFault::TooLarge, _) => {
                write!(f, "{fault}. Is \"uri\" right? Else have the server publish only what verifies access tokens")
            }
            FetchFault::Keys(fault @ (KeySetFault::NotJson(_) | KeySetFault::NotKeySet), body) => {
                write!(f, "{fault}. Is \"uri\" right? The answer begins with \"{body}\"")
            }
            FetchFault::Keys(fault @ KeySetFault::TooMany, _) => {
                write!(f, "{fault}. Have the server withdraw those that no longer sign")
            }
            FetchFault::Keys(fault @ KeySetFault::NoUsableKey(_), _) => {
                write!(f, "{fault}. Have the server sign with one of the issuer's \"algorithms\" and publish that key")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worker::fetch::AnswerFields;

    fn text(status: u16, fields: AnswerFields, body: &[u8]) -> String {
        FetchFault::or_keys(Ok(HttpAnswer { status, fields, body: body.to_vec() })).unwrap_err().to_string()
    }

    fn none() -> AnswerFields {
        AnswerFields::default()
    }

    #[test]
    fn every_way_to_fail_names_its_remedy() {
        let location = AnswerFields { location: Some(b"https://login.example.com/keys".to_vec()), ..none() };
        let gzip = AnswerFields { content_encoding: Some(b"gzip".to_vec()), ..none() };
        for (text, what, remedy) in [
            (
                text(504, none(), b"upstream request timeout"),
                "status 504 and \"upstream request timeout\"",
                "\"timeout\"",
            ),
            (text(503, none(), b"reset reason: connection timeout"), "connection timeout", "\"connect_timeout\""),
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
    fn what_is_quoted_is_short_and_forges_no_line_of_the_log() {
        let text = text(500, none(), &[b"\nerror: forged \x1b[31m\xff".to_vec(), vec![b'x'; 100_000]].concat());
        assert!(text.len() < 300 && text.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{text}");
    }
}
