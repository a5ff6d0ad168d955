//! The claims of an access token (RFC 9068 §2.2, RFC 7519 §4.1), parsed once into types that cannot be wrong.
//! In: a strict JSON object and the issuer whose it is. Out: [`Claims`], or the reason. Nothing here knows the time.

use crate::json::{Object, Value, allocation, allocation_of};
use crate::policy::Issuer;
use crate::reason::Reason;
use crate::time::UnixMillis;
use crate::token::confirmation::Confirmation;

/// More audiences than this in one token are refused.
const MAX_AUDIENCES: usize = 32;
/// More scopes than this in one token are refused.
const MAX_SCOPES: usize = 256;

/// The claims that decisions rest on.
#[derive(Debug)]
pub struct Claims {
    /// `sub`.
    pub subject: Box<str>,
    /// `client_id`.
    pub client_id: Box<str>,
    /// `jti`.
    pub token_id: Box<str>,
    /// `aud`; one or many.
    pub audiences: Vec<Box<str>>,
    /// `scope`, split at spaces.
    pub scopes: Vec<Box<str>>,
    /// `exp`.
    pub expires: UnixMillis,
    /// `iat`.
    pub issued: UnixMillis,
    /// `nbf`.
    pub not_before: Option<UnixMillis>,
    /// `cnf` (RFC 7800).
    pub confirmation: Confirmation,
    /// Top-level claims with a text or number value, for limits and forwarding.
    pub others: Object,
}

/// `iss`, before anything is verified: only good for choosing whose keys to ask.
pub fn claimed_issuer(payload: &Object) -> Result<&str, Reason> {
    text(payload, "iss")
}

impl Claims {
    /// Reads the claims that RFC 9068 §2.2 requires, and those optional ones that decisions rest on, as `issuer` writes
    /// them. They are remembered parsed: what this goes by belongs to the issuer's trust.
    pub fn parse(payload: Object, issuer: &Issuer) -> Result<Self, Reason> {
        if claimed_issuer(&payload)? != &*issuer.issuer {
            return Err(Reason::IssuerUntrusted);
        }
        Ok(Self {
            subject: text(&payload, "sub")?.into(),
            client_id: text(&payload, "client_id")?.into(),
            token_id: text(&payload, "jti")?.into(),
            audiences: audiences(payload.get("aud"))?,
            scopes: scopes(payload.get("scope"))?,
            expires: date(payload.get("exp"))?,
            issued: date(payload.get("iat"))?,
            not_before: payload.get("nbf").map(|nbf| date(Some(nbf))).transpose()?,
            confirmation: Confirmation::parse(payload.get("cnf"))?,
            others: payload,
        })
    }

    /// The bytes of memory they take besides themselves.
    pub fn memory(&self) -> usize {
        let texts = [&self.subject, &self.client_id, &self.token_id].into_iter();
        let texts = texts.chain(&self.audiences).chain(&self.scopes);
        let lists = [&self.audiences, &self.scopes].map(|list| allocation_of::<Box<str>>(list.capacity()));
        texts.map(|text| allocation(text.len())).chain(lists).fold(self.others.memory(), usize::saturating_add)
    }
}

fn text<'o>(payload: &'o Object, name: &str) -> Result<&'o str, Reason> {
    match payload.get(name).and_then(Value::as_text) {
        Some(text) if !text.is_empty() => Ok(text),
        _ => Err(Reason::ClaimsMalformed),
    }
}

/// A NumericDate (RFC 7519 §2). Zero is a mistake, not a date.
fn date(value: Option<&Value>) -> Result<UnixMillis, Reason> {
    value
        .and_then(Value::as_number)
        .filter(|seconds| *seconds > 0.0)
        .and_then(UnixMillis::from_numeric_date)
        .ok_or(Reason::ClaimsMalformed)
}

/// A string or an array of strings (RFC 7519 §4.1.3).
fn audiences(value: Option<&Value>) -> Result<Vec<Box<str>>, Reason> {
    let audiences: Option<Vec<Box<str>>> = match value {
        Some(Value::Text(one)) => Some(vec![one.as_str().into()]),
        Some(Value::Array(many)) if (1..=MAX_AUDIENCES).contains(&many.len()) => {
            many.iter().map(|audience| audience.as_text().map(Into::into)).collect()
        }
        _ => None,
    };
    audiences.ok_or(Reason::ClaimsMalformed)
}

/// One string of space-separated values (RFC 6749 §3.3); absent means none.
fn scopes(value: Option<&Value>) -> Result<Vec<Box<str>>, Reason> {
    let Some(value) = value else { return Ok(Vec::new()) };
    let text = value.as_text().ok_or(Reason::ClaimsMalformed)?;
    let scopes: Vec<Box<str>> = text.split(' ').filter(|scope| !scope.is_empty()).map(Into::into).collect();
    if scopes.len() > MAX_SCOPES { Err(Reason::ClaimsMalformed) } else { Ok(scopes) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::jose::Algorithm;
    use crate::json::{Bounds, parse};
    use crate::policy::{JwksSource, KeySource, Origin, TrustId, TypRule};

    const GOOD: &str = r#"{"iss":"https://as.example.com","sub":"s","client_id":"c","jti":"j","aud":"a","exp":2000000000,"iat":1999999000}"#;

    fn with(member: &str, value: &str) -> Result<Claims, Reason> {
        let good = parse(GOOD.as_bytes(), Bounds::TOKEN).unwrap();
        let mut object = Object::default();
        for (name, value) in good.as_object().unwrap().members().filter(|(name, _)| *name != member) {
            object.insert(name.to_owned(), value.clone()).unwrap();
        }
        if !value.is_empty() {
            // `1e400` is no JSON number for us: the parser refuses it before.
            let Ok(value) = parse(value.as_bytes(), Bounds::TOKEN) else { return Err(Reason::ClaimsMalformed) };
            object.insert(member.to_owned(), value).unwrap();
        }
        Claims::parse(object, &issuer())
    }

    fn issuer() -> Issuer {
        let source = JwksSource {
            cluster: "as".into(),
            authority: "as.example.com".into(),
            path: "/jwks".into(),
            refresh: Duration::from_secs(600),
            max_stale: Duration::from_secs(3600),
            timeout: Duration::from_secs(5),
        };
        Issuer {
            origin: Origin { name: "main".into(), path: "issuers.main".into() },
            issuer: "https://as.example.com".into(),
            algorithms: vec![Algorithm::Es256],
            keys: KeySource::Remote(source),
            typ: TypRule::AccessToken,
            max_lifetime: Duration::from_secs(900),
            leeway: Duration::from_secs(30),
            trust: TrustId::of("main"),
        }
    }

    #[test]
    fn memory_counts_whatever_is_kept() {
        let memory = |member: &str, value: &str| with(member, value).unwrap().memory();
        let plain = memory("none", "1");
        assert!(plain > GOOD.len(), "{plain}");
        let long = "x".repeat(1_000);
        for (member, copies) in [("sub", 2), ("client_id", 2), ("jti", 2), ("aud", 2), ("scope", 2), ("tenant", 1)] {
            let more = memory(member, &format!("\"{long}\"")) - plain;
            assert!((copies * 950..copies * 1_000 + 600).contains(&more), "{member}: {more}");
        }
        assert!(memory("scope", &format!("\"{}\"", "a ".repeat(200))) - plain > 200 * size_of::<Box<str>>());
    }

    #[test]
    fn claims_of_another_issuer_are_none_of_this_one() {
        assert!(matches!(with("iss", "\"https://as.example.com/\""), Err(Reason::IssuerUntrusted)));
        assert!(matches!(with("iss", "1"), Err(Reason::ClaimsMalformed)));
        assert!(with("name", "\"x\"").is_ok());
    }

    #[test]
    fn every_required_claim_must_be_there_and_of_its_type() {
        for member in ["sub", "client_id", "jti", "aud", "exp", "iat"] {
            for value in ["", "null", "{}", "[]", "true", "\"\""] {
                let lenient = member == "aud" && value == "\"\"";
                assert!(lenient || matches!(with(member, value), Err(Reason::ClaimsMalformed)), "{member}: {value}");
            }
        }
    }

    #[test]
    fn dates_are_numbers_within_reason() {
        for value in ["\"9999999999\"", "-1", "0", "1e400", "9e99", "9007199254740993", "253402300800"] {
            assert!(matches!(with("exp", value), Err(Reason::ClaimsMalformed)), "{value}");
        }
        for value in ["1893456000.5", "1.893456e9", "1893456000"] {
            assert!(with("exp", value).is_ok(), "{value}");
        }
        assert!(matches!(with("nbf", "\"1\""), Err(Reason::ClaimsMalformed)));
    }

    #[test]
    fn an_audience_is_a_string_or_strings() {
        for value in ["[\"a\",1]", "[[\"a\"]]", "1", "{\"a\":1}"] {
            assert!(matches!(with("aud", value), Err(Reason::ClaimsMalformed)), "{value}");
        }
        assert_eq!(with("aud", "[\"a\",\"b\"]").unwrap().audiences.len(), 2);
    }

    #[test]
    fn a_scope_is_one_string_split_at_spaces_only() {
        assert!(matches!(with("scope", "[\"read\"]"), Err(Reason::ClaimsMalformed)));
        assert_eq!(with("scope", "\"read  write\"").unwrap().scopes.len(), 2);
        assert_eq!(with("scope", "\"read\\twrite\"").unwrap().scopes.len(), 1);
        assert!(with("scope", "").unwrap().scopes.is_empty());
    }
}
