//! Finding the access token in a request (RFC 6750 §2, RFC 9449 §7.1). In: the request head. Out: the [`RawToken`] or why there is
//! none. Only `Authorization: Bearer`, and `DPoP` where proofs are known, counts: form, cookie and query are ignored
//! (OAuth 2.1 §5.1, FAPI 2.0 §5.3.4), and a query token beside one in the header is refused.

use std::fmt;

use crate::http::Head;
use crate::reason::Reason;

/// How a token was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Whoever has it may use it, as far as this says.
    Bearer,
    /// With a proof of the key that it names.
    Dpop,
}

/// A token as it was sent: unverified, and never printed.
#[derive(Clone, Copy)]
pub struct RawToken<'h> {
    scheme: Scheme,
    field: &'h [u8],
    token: &'h [u8],
}

impl<'h> RawToken<'h> {
    /// The token's bytes, whatever they are.
    pub fn as_bytes(self) -> &'h [u8] {
        self.token
    }

    /// How it was sent.
    pub fn scheme(self) -> Scheme {
        self.scheme
    }

    /// Whether the field is one credential of well-formed characters. Asked of tokens that are not known yet: the text
    /// of a known one was found right before.
    pub fn check_syntax(self) -> Result<(), Reason> {
        // Envoy joins repeated Authorization fields with a comma, which no token68 contains.
        if self.field.contains(&b',') {
            return Err(Reason::AuthorizationRepeated);
        }
        if is_token68(self.token) { Ok(()) } else { Err(Reason::AuthorizationMalformed) }
    }
}

impl fmt::Debug for RawToken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RawToken({} bytes)", self.token.len())
    }
}

/// The one token of the request, at most `max_bytes` long. `takes_proofs`: whether there is more than one scheme here.
pub fn presented(head: &Head, max_bytes: usize, takes_proofs: bool) -> Result<RawToken<'_>, Reason> {
    let mut fields = head.headers("authorization");
    let Some(field) = fields.next() else { return Err(Reason::TokenMissing) };
    if fields.next().is_some() {
        return Err(Reason::AuthorizationRepeated);
    }
    let (scheme, rest) = match field.iter().position(|byte| *byte == b' ') {
        Some(space) => field.split_at(space),
        None => (field, [].as_slice()),
    };
    let scheme = match scheme {
        bearer if bearer.eq_ignore_ascii_case(b"bearer") => Scheme::Bearer,
        dpop if takes_proofs && dpop.eq_ignore_ascii_case(b"dpop") => Scheme::Dpop,
        other => return Err(other_scheme(other, field)),
    };
    let token = rest.iter().position(|byte| *byte != b' ').and_then(|start| rest.get(start..)).unwrap_or_default();
    if token.len() > max_bytes {
        return Err(Reason::TokenTooLarge);
    }
    if head.path().has_query_parameter("access_token") {
        return Err(Reason::TokenInQuery);
    }
    Ok(RawToken { scheme, field, token })
}

/// What is wrong with a field of another scheme.
fn other_scheme(scheme: &[u8], field: &[u8]) -> Reason {
    let token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    if field.contains(&b',') {
        Reason::AuthorizationRepeated
    } else if !scheme.is_empty() && scheme.iter().all(token) {
        Reason::TokenMissing
    } else {
        Reason::AuthorizationMalformed
    }
}

/// `1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="` (RFC 6750 §2.1).
fn is_token68(token: &[u8]) -> bool {
    let body = token.iter().rposition(|byte| *byte != b'=').and_then(|last| token.get(..=last)).unwrap_or_default();
    !body.is_empty() && body.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{HeaderMap, encode};

    fn request(path: &str, authorization: &[&[u8]]) -> Result<Vec<u8>, Reason> {
        let pseudo = [(":method", "GET"), (":authority", "api.example.com"), (":path", path)];
        let fields = pseudo.iter().map(|(name, value)| (*name, value.as_bytes()));
        let fields = fields.chain(authorization.iter().map(|value| ("authorization", *value)));
        let head = Head::parse(HeaderMap::decode(encode(fields)).unwrap()).unwrap();
        let token = presented(&head, 40, true)?;
        token.check_syntax().map(|()| token.as_bytes().to_vec())
    }

    #[test]
    fn the_scheme_is_case_insensitive_and_spaces_may_repeat() {
        for field in ["Bearer a.b.c", "bEARER a.b.c", "Bearer   a.b.c"] {
            assert_eq!(request("/", &[field.as_bytes()]), Ok(b"a.b.c".to_vec()), "{field}");
        }
    }

    #[test]
    fn dpop_is_a_scheme_in_whatever_case_where_proofs_are_known_and_none_elsewhere() {
        for field in ["DPoP a.b.c", "dpop a.b.c", "DPOP  a.b.c"] {
            assert_eq!(request("/", &[field.as_bytes()]), Ok(b"a.b.c".to_vec()), "{field}");
            let fields = [(":method", "GET"), (":authority", "a"), (":path", "/"), ("authorization", field)];
            let fields = fields.iter().map(|(name, value)| (*name, value.as_bytes()));
            let head = Head::parse(HeaderMap::decode(encode(fields)).unwrap()).unwrap();
            assert_eq!(presented(&head, 40, true).map(RawToken::scheme).ok(), Some(Scheme::Dpop));
            assert_eq!(presented(&head, 40, false).err(), Some(Reason::TokenMissing));
        }
    }

    #[test]
    fn other_schemes_and_other_places_are_no_token() {
        assert_eq!(request("/", &[]), Err(Reason::TokenMissing));
        assert_eq!(request("/", &[b"Basic eDp5"]), Err(Reason::TokenMissing));
        assert_eq!(request("/?access_token=a.b.c", &[]), Err(Reason::TokenMissing));
    }

    #[test]
    fn several_credentials_are_an_invalid_request() {
        for fields in [
            &[b"Bearer a".as_slice(), b"Bearer b"][..],
            &[b"Bearer a,Bearer b"],
            &[b"Bearer a,"],
            &[b"Basic x, Bearer a"],
            &[b"Bearer a", b"DPoP b"],
            &[b"DPoP a,Bearer b"],
        ] {
            assert_eq!(request("/", fields), Err(Reason::AuthorizationRepeated));
        }
        assert_eq!(request("/?access_token=x", &[b"Bearer a"]), Err(Reason::TokenInQuery));
        assert_eq!(request("/?a=b&access%5Ftoken=x", &[b"Bearer a"]), Err(Reason::TokenInQuery));
    }

    #[test]
    fn what_is_not_token68_is_an_invalid_request() {
        for field in [
            b"Bearer".as_slice(),
            b"Bearer ",
            b"Bearer\ta",
            b"Bearer a b",
            b"Bearer a\"",
            b"Bearer \xff",
            b"Bearer ==",
            b"Bearer a=b",
            b"",
            b"\xff a",
        ] {
            assert_eq!(request("/", &[field]), Err(Reason::AuthorizationMalformed), "{field:?}");
        }
    }

    #[test]
    fn a_token_above_the_bound_is_not_looked_at() {
        assert_eq!(request("/", &[format!("Bearer {}", "a".repeat(41)).as_bytes()]), Err(Reason::TokenTooLarge));
    }

    #[test]
    fn a_token_is_never_printed() {
        assert_eq!(
            format!("{:?}", RawToken { scheme: Scheme::Bearer, field: b"Bearer secret", token: b"secret" }),
            "RawToken(6 bytes)"
        );
    }
}
