//! A question about a token as it is sent (RFC 7662 §2.1): a form, with the token in its body, from a client that says who it is.
//! In: the token, how its issuer is asked, the environment that holds the secret. Out: a [`Fetch`].

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::VERSION;
use crate::host::Host;
use crate::policy::{ClientAuth, Introspection};
use crate::token::introspection::MAX_ANSWER_BYTES;
use crate::token::signed_answer::SIGNED_ANSWER;
use crate::worker::fetch::Fetch;

/// `None` if the secret is not there.
pub(super) fn fetch(token: &[u8], introspection: &Introspection, host: &dyn Host) -> Option<Fetch> {
    let mut body = String::from("token=");
    form_encoded(token, &mut body);
    body.push_str("&token_type_hint=access_token");
    let accept = if introspection.signed { SIGNED_ANSWER } else { "application/json" };
    let mut headers: Vec<(Box<str>, Box<str>)> =
        [("accept", accept), ("accept-encoding", "identity"), ("content-type", "application/x-www-form-urlencoded")]
            .map(|(name, value)| (name.into(), value.into()))
            .into();
    headers.push(("user-agent".into(), format!("boundgate/{VERSION}").into()));
    if let Some(client) = &introspection.client {
        let secret = match &client.secret {
            Some(secret) => Some((host.variable(&secret.variable)?, secret.auth)),
            None => None,
        };
        let mut in_body = |name: &str, value: &str| {
            body.push_str(name);
            form_encoded(value.as_bytes(), &mut body);
        };
        match secret {
            Some((secret, ClientAuth::Basic)) => {
                let mut credentials = String::new();
                form_encoded(client.id.as_bytes(), &mut credentials);
                credentials.push(':');
                form_encoded(secret.as_bytes(), &mut credentials);
                headers.push(basic(&credentials));
            }
            Some((secret, ClientAuth::BasicRaw)) => headers.push(basic(&format!("{}:{secret}", client.id))),
            Some((secret, ClientAuth::Body)) => {
                in_body("&client_id=", &client.id);
                in_body("&client_secret=", &secret);
            }
            None => in_body("&client_id=", &client.id),
        }
    }
    let endpoint = &introspection.endpoint;
    Some(Fetch {
        cluster: endpoint.cluster.clone(),
        method: "POST",
        authority: endpoint.authority.clone(),
        path: endpoint.path.clone(),
        headers,
        body: body.into_bytes(),
        timeout: introspection.timeout,
        max_bytes: MAX_ANSWER_BYTES,
    })
}

fn basic(credentials: &str) -> (Box<str>, Box<str>) {
    ("authorization".into(), format!("Basic {}", STANDARD.encode(credentials)).into())
}

/// `application/x-www-form-urlencoded`, as RFC 6749 (appendix B) has it for names, secrets and parameters.
fn form_encoded(bytes: &[u8], out: &mut String) {
    for byte in bytes {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'*' | b'-' | b'.' | b'_' => out.push(char::from(*byte)),
            b' ' => out.push('+'),
            other => {
                let hex = |digit: u8| char::from_digit(u32::from(digit), 16).unwrap_or('0').to_ascii_uppercase();
                out.extend(['%', hex(other >> 4), hex(other & 15)]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeHost;
    use crate::policy::{AskingClient, ClientSecret};

    const AWKWARD: (&str, &str) = ("1PpG/Q 1", "z/t+ud:X2=%#");

    fn asked(auth: Option<ClientAuth>) -> Fetch {
        let host = FakeHost::default();
        host.set_variable("SECRET", AWKWARD.1);
        let secret = auth.map(|auth| ClientSecret { variable: "SECRET".into(), auth });
        let client = Some(AskingClient { id: AWKWARD.0.into(), secret });
        fetch(b"a+b/c~d=", &Introspection { client, ..Introspection::example() }, &host).unwrap()
    }

    fn header<'f>(fetch: &'f Fetch, name: &str) -> Option<&'f str> {
        fetch.headers.iter().find(|(header, _)| **header == *name).map(|(_, value)| &**value)
    }

    fn decoded(fetch: &Fetch) -> String {
        let text = header(fetch, "authorization").unwrap().strip_prefix("Basic ").unwrap();
        String::from_utf8(STANDARD.decode(text).unwrap()).unwrap()
    }

    #[test]
    fn the_token_goes_into_the_body_of_a_form_and_never_into_the_path() {
        let fetch = fetch(b"a+b/c~d=", &Introspection::example(), &FakeHost::default()).unwrap();
        assert_eq!(fetch.body, b"token=a%2Bb%2Fc%7Ed%3D&token_type_hint=access_token");
        assert_eq!((fetch.method, &*fetch.path), ("POST", "/introspect"));
        assert_eq!(header(&fetch, "content-type"), Some("application/x-www-form-urlencoded"));
        assert_eq!(header(&fetch, "authorization"), None);
    }

    #[test]
    fn a_client_is_encoded_before_it_goes_into_basic_unless_it_is_to_go_as_it_is() {
        assert_eq!(decoded(&asked(Some(ClientAuth::Basic))), "1PpG%2FQ+1:z%2Ft%2Bud%3AX2%3D%25%23");
        assert_eq!(decoded(&asked(Some(ClientAuth::BasicRaw))), "1PpG/Q 1:z/t+ud:X2=%#");
        let in_body = asked(Some(ClientAuth::Body));
        assert_eq!(header(&in_body, "authorization"), None);
        let body = String::from_utf8(in_body.body).unwrap();
        assert!(body.ends_with("&client_id=1PpG%2FQ+1&client_secret=z%2Ft%2Bud%3AX2%3D%25%23"), "{body}");
    }

    #[test]
    fn a_client_with_a_certificate_says_its_name_and_nothing_more() {
        let fetch = asked(None);
        assert!(fetch.body.ends_with(b"&client_id=1PpG%2FQ+1"));
        assert_eq!(header(&fetch, "authorization"), None);
    }

    #[test]
    fn without_its_secret_nothing_is_asked() {
        let secret = Some(ClientSecret { variable: "MISSING".into(), auth: ClientAuth::Basic });
        let client = Some(AskingClient { id: "c".into(), secret });
        let introspection = Introspection { client, ..Introspection::example() };
        assert!(fetch(b"t", &introspection, &FakeHost::default()).is_none());
    }
}
