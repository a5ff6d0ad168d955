//! Finding the API key in a request. In: the request head, the keys that are good for the route. Out: whose key it is, or why there is
//! none. Only the one header counts: never the query, which stands in logs.
//! Not here: what the client may do with it (`authz`).

use std::rc::Rc;

use sha2::{Digest, Sha256};

use crate::host::Host;
use crate::http::Head;
use crate::policy::{ApiKey, ApiKeys, KeyDigest};
use crate::reason::Reason;
use crate::time::UnixMillis;

/// The longest key, in bytes.
const MAX_BYTES: usize = 512;

/// A key that a request presented. Made only by this module.
#[derive(Debug)]
pub struct PresentedKey(Rc<ApiKey>);

impl PresentedKey {
    /// Whose key it is.
    pub fn key(&self) -> &Rc<ApiKey> {
        &self.0
    }
}

/// A header that may be an API key, and is never printed.
#[derive(Clone, Copy)]
pub struct RawKey<'h>(&'h [u8]);

impl<'h> RawKey<'h> {
    /// The one field of that name. Envoy joins none of a name that HTTP does not define, so that a comma belongs to the key.
    pub fn of(head: &'h Head, header: &'h str) -> Result<Self, Reason> {
        let mut fields = head.headers(header);
        let Some(field) = fields.next() else { return Err(Reason::ApiKeyMissing) };
        let fits = (1..=MAX_BYTES).contains(&field.len()) && fields.next().is_none();
        if fits { Ok(Self(field)) } else { Err(Reason::ApiKeyInvalid) }
    }

    /// Whose key it is. All keys are compared, however early one fits: how long it takes tells nothing.
    pub fn find(self, keys: &ApiKeys, host: &dyn Host, wall: UnixMillis) -> Result<PresentedKey, Reason> {
        let digest = KeyDigest::from_bytes(Sha256::digest(self.0).into());
        let mut found = None;
        for key in &keys.keys {
            if key.digest.digest(host) == Some(digest) {
                found = Some(key);
            }
        }
        let key = found.ok_or(Reason::ApiKeyInvalid)?;
        if key.is_over(wall) { Err(Reason::ApiKeyExpired) } else { Ok(PresentedKey(key.clone())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{FakeHost, at};
    use crate::http::{HeaderMap, encode};
    use crate::policy::{KeyDigestSource, Origin};

    fn keys() -> ApiKeys {
        let key = |name: &str, text: &str, not_after| ApiKey {
            origin: Origin { name: name.into(), path: name.into() },
            digest: KeyDigestSource::Here(KeyDigest::from_bytes(Sha256::digest(text).into())),
            client_id: name.into(),
            scopes: Vec::new(),
            peers: None,
            not_after,
        };
        let keys = [key("one", "first", None), key("two", "second", None), key("old", "third", Some(at(1.0).wall))];
        ApiKeys { header: "x-api-key".into(), keys: keys.map(Rc::new).into() }
    }

    fn found(fields: &[&[u8]], seconds: f64) -> Result<String, Reason> {
        let pseudo: [(&str, &[u8]); 3] =
            [(":method", b"GET"), (":authority", b"a.example"), (":path", b"/?x-api-key=first&api_key=first")];
        let fields = pseudo.into_iter().chain(fields.iter().map(|value| ("x-api-key", *value)));
        let head = Head::parse(HeaderMap::decode(encode(fields)).unwrap()).unwrap();
        let found = RawKey::of(&head, "x-api-key")?.find(&keys(), &FakeHost::default(), at(seconds).wall)?;
        Ok(found.key().client_id.to_string())
    }

    #[test]
    fn a_key_is_that_of_its_client_and_no_other_spelling_is() {
        assert_eq!(found(&[b"first"], 0.0), Ok("one".into()));
        assert_eq!(found(&[b"second"], 0.0), Ok("two".into()));
        for wrong in [b"First".as_slice(), b"firs", b"first ", b"first,second", b"", b"\xff", &[b'a'; 513]] {
            assert_eq!(found(&[wrong], 0.0), Err(Reason::ApiKeyInvalid), "{wrong:?}");
        }
    }

    #[test]
    fn a_key_comes_once_and_never_in_the_query() {
        assert_eq!(found(&[], 0.0), Err(Reason::ApiKeyMissing));
        assert_eq!(found(&[b"first", b"first"], 0.0), Err(Reason::ApiKeyInvalid));
    }

    #[test]
    fn a_key_ends_at_its_moment() {
        assert_eq!(found(&[b"third"], 0.999), Ok("old".into()));
        assert_eq!(found(&[b"third"], 1.0), Err(Reason::ApiKeyExpired));
    }
}
