//! A JWS in compact serialisation (RFC 7515 §7.1), parsed strictly. In: the token's bytes. Out: [`Compact`], whose
//! signature nobody has verified yet, or the fault.

use crate::jose::{Algorithm, EmbeddedKey, base64url};
use crate::json::{Bounds, Object, Value, parse};

/// The longest `kid`.
const MAX_KID: usize = 128;
/// The longest `typ`.
const MAX_TYP: usize = 64;

/// Header members that offer a key (RFC 7515 §4.1.2–6), besides `jwk`. A key that comes with the token proves nothing. `x5t`
/// and `x5t#S256` only name one, as `kid` does: large issuers send them, and nothing here reads them.
const OFFERED_KEYS: [&str; 3] = ["jku", "x5u", "x5c"];
/// Header members of encrypted, compressed or detached content (RFC 7516 §4.1, RFC 7518 §4, RFC 7797 §3): not a plain JWS.
const OTHER_FORMS: [&str; 10] = ["enc", "zip", "epk", "apu", "apv", "iv", "tag", "p2s", "p2c", "b64"];

/// A well-formed JWS. It holds the whole token, so it cannot be printed.
pub struct Compact<'t> {
    /// The header's members that matter.
    pub header: Header,
    /// The payload, a JSON object.
    pub payload: Object,
    pub(super) signing_input: &'t [u8],
    pub(super) signature: Vec<u8>,
}

/// What the header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// `alg`.
    pub algorithm: Algorithm,
    /// `kid`: only ever compared for equality.
    pub kid: Option<Box<str>>,
    /// `typ`.
    pub typ: Option<Box<str>>,
}

/// Why bytes are no acceptable JWS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JwsFault {
    /// Not three parts of base64url.
    Parts,
    /// Header or payload is no strict JSON object.
    Json,
    /// `alg` is missing, no text, or none of [`Algorithm::ALL`].
    Algorithm,
    /// `crit` is there: nothing critical is understood here (RFC 7515 §4.1.11).
    Critical,
    /// The header offers a key.
    OfferedKey,
    /// The header lacks the public key that it must carry.
    NoKey,
    /// The header belongs to another form: encrypted, compressed, unencoded, nested.
    OtherForm,
    /// `kid`, `typ` or `cty` is no text, too long, or holds control characters.
    Member,
}

impl JwsFault {
    /// The same in words.
    pub const fn told(self) -> &'static str {
        match self {
            JwsFault::Parts => "not three parts of strict base64url",
            JwsFault::Json => "header or payload is no strict JSON object",
            JwsFault::Algorithm => "no known alg",
            JwsFault::Critical => "the header has crit",
            JwsFault::OfferedKey => "the header offers a key",
            JwsFault::NoKey => "the header has no jwk that is a public key",
            JwsFault::OtherForm => "encrypted, compressed, nested or in another form",
            JwsFault::Member => "kid, typ or cty is no short text",
        }
    }
}

impl<'t> Compact<'t> {
    /// Parses `header.payload.signature`. The caller bounds the length.
    pub fn parse(token: &'t [u8]) -> Result<Self, JwsFault> {
        let (header, rest) = Parts::of(token)?;
        if header.get("jwk").is_some() {
            return Err(JwsFault::OfferedKey);
        }
        rest.with(Header::read(&header)?)
    }

    /// The same for a JWS whose header must carry the public key that made it, and offers no other.
    pub fn parse_with_key(token: &'t [u8]) -> Result<(Self, EmbeddedKey), JwsFault> {
        let (header, rest) = Parts::of(token)?;
        let jwk = header.get("jwk").and_then(Value::as_object).ok_or(JwsFault::NoKey)?;
        let key = EmbeddedKey::from_jwk(jwk).map_err(|_| JwsFault::NoKey)?;
        Ok((rest.with(Header::read(&header)?)?, key))
    }
}

/// A JWS apart from its header.
struct Parts<'t> {
    payload: &'t [u8],
    signing_input: &'t [u8],
    signature: &'t [u8],
}

impl<'t> Parts<'t> {
    /// The header's members, and the rest.
    fn of(token: &'t [u8]) -> Result<(Object, Self), JwsFault> {
        let dot = |byte: &u8| *byte == b'.';
        let last = token.iter().rposition(dot).ok_or(JwsFault::Parts)?;
        let (signing_input, signature) = token.split_at_checked(last).ok_or(JwsFault::Parts)?;
        let mut parts = signing_input.split(dot);
        let (Some(header), Some(payload), None) = (parts.next(), parts.next(), parts.next()) else {
            return Err(JwsFault::Parts);
        };
        let signature = signature.get(1..).unwrap_or_default();
        if header.is_empty() || payload.is_empty() || signature.is_empty() {
            return Err(JwsFault::Parts);
        }
        Ok((object(header)?, Self { payload, signing_input, signature }))
    }

    fn with(self, header: Header) -> Result<Compact<'t>, JwsFault> {
        let signature = base64url::decode(self.signature).map_err(|_| JwsFault::Parts)?;
        Ok(Compact { header, payload: object(self.payload)?, signing_input: self.signing_input, signature })
    }
}

impl Header {
    fn read(members: &Object) -> Result<Self, JwsFault> {
        let any = |names: &[&str]| names.iter().any(|name| members.get(name).is_some());
        if any(&["crit"]) {
            return Err(JwsFault::Critical);
        }
        if any(&OFFERED_KEYS) {
            return Err(JwsFault::OfferedKey);
        }
        if any(&OTHER_FORMS) || member(members, "cty", MAX_TYP)?.is_some_and(|cty| is_token(&cty)) {
            return Err(JwsFault::OtherForm);
        }
        let algorithm = members.get("alg").and_then(Value::as_text).and_then(Algorithm::from_name);
        Ok(Self {
            algorithm: algorithm.ok_or(JwsFault::Algorithm)?,
            kid: member(members, "kid", MAX_KID)?,
            typ: member(members, "typ", MAX_TYP)?,
        })
    }
}

/// Whether content of this type is a token itself: `JWT` (RFC 7519 §5.2), as media type or with a prefix, too.
fn is_token(cty: &str) -> bool {
    let kind = cty.split(';').next().unwrap_or_default().trim_ascii().to_ascii_lowercase();
    kind.ends_with("jwt")
}

fn member(members: &Object, name: &str, longest: usize) -> Result<Option<Box<str>>, JwsFault> {
    let Some(value) = members.get(name) else { return Ok(None) };
    let text = value.as_text().filter(|text| text.len() <= longest && !text.chars().any(char::is_control));
    text.map(|text| Some(text.into())).ok_or(JwsFault::Member)
}

fn object(part: &[u8]) -> Result<Object, JwsFault> {
    let bytes = base64url::decode(part).map_err(|_| JwsFault::Parts)?;
    match parse(&bytes, Bounds::TOKEN) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) | Err(_) => Err(JwsFault::Json),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn token(header: &str, payload: &str) -> String {
        format!("{}.{}.AAAA", base64url::encode(header.as_bytes()), base64url::encode(payload.as_bytes()))
    }

    fn fault(header: &str, payload: &str) -> Option<JwsFault> {
        Compact::parse(token(header, payload).as_bytes()).err()
    }

    #[test]
    fn three_parts_of_strict_base64url_are_a_jws() {
        let good = token(r#"{"alg":"ES256","kid":"k","typ":"at+jwt"}"#, "{}");
        let jws = Compact::parse(good.as_bytes()).unwrap();
        assert_eq!(
            jws.header,
            Header { algorithm: Algorithm::Es256, kid: Some("k".into()), typ: Some("at+jwt".into()) }
        );
        let (head, rest) = good.split_once('.').unwrap();
        for wrong in [
            "",
            ".",
            "..",
            "...",
            "a.b",
            "a.b.c.d",
            "a.b.c.d.e",
            head,
            rest,
            &format!(".{rest}"),
            &format!("{head}..AAAA"),
            &format!("{head}.e30."),
            &format!("{good}="),
            &format!(" {good}"),
            &format!("{good}\n"),
            &good.replace("AAAA", "AA?A"),
            &good.replace("AAAA", "AAB"),
            &good.replace("AAAA", "A"),
        ] {
            assert_eq!(Compact::parse(wrong.as_bytes()).err(), Some(JwsFault::Parts), "{wrong}");
        }
    }

    #[test]
    fn only_a_listed_algorithm_is_one() {
        for alg in [
            "\"none\"",
            "\"None\"",
            "\"nOnE\"",
            "\"\"",
            "\"rs256\"",
            "\"HS256\"",
            "\"ES256K\"",
            "\"ESP256\"",
            "\"RS256 \"",
            "null",
            "1",
            "[\"RS256\"]",
        ] {
            assert_eq!(fault(&format!("{{\"alg\":{alg}}}"), "{}"), Some(JwsFault::Algorithm), "{alg}");
        }
        assert_eq!(fault("{}", "{}"), Some(JwsFault::Algorithm));
    }

    #[test]
    fn headers_that_mean_something_else_are_refused() {
        for (member, expected) in [
            (r#""crit":["exp"]"#, JwsFault::Critical),
            (r#""crit":[]"#, JwsFault::Critical),
            (r#""crit":"b64""#, JwsFault::Critical),
            (r#""jku":"https://evil.example""#, JwsFault::OfferedKey),
            (r#""jwk":{}"#, JwsFault::OfferedKey),
            (r#""x5c":[]"#, JwsFault::OfferedKey),
            (r#""x5u":"x""#, JwsFault::OfferedKey),
            (r#""jku":null"#, JwsFault::OfferedKey),
            (r#""b64":false"#, JwsFault::OtherForm),
            (r#""b64":true"#, JwsFault::OtherForm),
            (r#""epk":{}"#, JwsFault::OtherForm),
            (r#""zip":"DEF""#, JwsFault::OtherForm),
            (r#""enc":"A128GCM""#, JwsFault::OtherForm),
            (r#""apu":"AAAA""#, JwsFault::OtherForm),
            (r#""apv":"AAAA""#, JwsFault::OtherForm),
            (r#""iv":"AAAA""#, JwsFault::OtherForm),
            (r#""tag":"AAAA""#, JwsFault::OtherForm),
            (r#""p2s":"AAAA""#, JwsFault::OtherForm),
            (r#""p2c":1000000"#, JwsFault::OtherForm),
            (r#""cty":"JWT""#, JwsFault::OtherForm),
            (r#""cty":"jwt""#, JwsFault::OtherForm),
            (r#""cty":"at+jwt""#, JwsFault::OtherForm),
            (r#""cty":"application/jwt ;v=1""#, JwsFault::OtherForm),
            (r#""cty":["JWT"]"#, JwsFault::Member),
            (r#""kid":1"#, JwsFault::Member),
            (r#""kid":{}"#, JwsFault::Member),
            (r#""kid":"a\nb""#, JwsFault::Member),
            (r#""kid":"a\u0085b""#, JwsFault::Member),
            (r#""typ":["at+jwt"]"#, JwsFault::Member),
            (r#""typ":"a\u007f""#, JwsFault::Member),
            (r#""alg":"ES256""#, JwsFault::Json),
            (r#""\u0061lg":"none""#, JwsFault::Json),
            (r#""typ":"a","typ":"b""#, JwsFault::Json),
        ] {
            assert_eq!(fault(&format!("{{\"alg\":\"ES256\",{member}}}"), "{}"), Some(expected), "{member}");
        }
    }

    #[test]
    fn a_kid_of_128_bytes_is_the_longest() {
        let with_kid = |length| fault(&format!("{{\"alg\":\"ES256\",\"kid\":\"{}\"}}", "k".repeat(length)), "{}");
        assert_eq!(with_kid(128), None);
        assert_eq!(with_kid(129), Some(JwsFault::Member));
    }

    #[test]
    fn members_that_only_inform_do_not_disturb() {
        for member in [
            r#""x5t":"AAAA""#,
            r#""x5t#S256":"AAAA""#,
            r#""org.example":[1]"#,
            r#""kid":"' OR 1=1--""#,
            r#""kid":"""#,
            r#""cty":"json""#,
            r#""cty":"application/json""#,
        ] {
            assert_eq!(fault(&format!("{{\"alg\":\"ES256\",{member}}}"), "{}"), None, "{member}");
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_in_is_answered(bytes: Vec<u8>, text in "[A-Za-z0-9._-]{0,60}", json in "[{}\\[\\]:,\"\\\\a-z0-9]{0,40}") {
            let _ = Compact::parse(&bytes);
            let _ = Compact::parse(text.as_bytes());
            let _ = Compact::parse(token(&json, "{}").as_bytes());
            let _ = Compact::parse(token(r#"{"alg":"ES256"}"#, &json).as_bytes());
        }
    }

    #[test]
    fn a_payload_is_a_strict_object() {
        for payload in ["[]", "1", "\"x\"", "{\"aud\":1,\"aud\":2}", "{} ", "\u{feff}{}", "{\"a\":\"\\ud800\"}"] {
            let accepted = payload == "{} ";
            assert_eq!(fault(r#"{"alg":"ES256"}"#, payload).is_none(), accepted, "{payload}");
        }
    }
}
