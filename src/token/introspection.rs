//! What an authorization server says of a token (RFC 7662). In: the token, to find whom to ask; the server's answer. Out: the
//! issuer to ask; an [`AccessToken`] as a signature makes one, or why it is none, or that the answer is no answer.
//!
//! That a token is active is no authorisation (RFC 7662 §4): its claims are judged as a JWT's are, by the same names, and
//! everything behind knows no difference. Not here: asking (`worker`).

use std::fmt;
use std::rc::Rc;

use crate::jose::{Compact, base64url};
use crate::json::{Bounds, Object, Value, parse};
use crate::policy::{AskedTokens, Issuer, Resource};
use crate::reason::Reason;
use crate::time::MonoNanos;
use crate::token::AccessToken;
use crate::token::access_token::other_claims;
use crate::token::claims::{Claims, ClaimsFault, claimed_issuer};
use crate::token::confirmation::Confirmation;

/// The longest answer that is read, in bytes.
pub const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// The issuer that is asked about `token`; `None` where it is judged as a JWT. A JWT is shown to the issuer that it names and to
/// nobody else: it may be good there.
pub fn asked_about<'r>(token: &[u8], resource: &'r Resource) -> Option<&'r Rc<Issuer>> {
    let mut asking = resource.issuers.iter().filter(|issuer| issuer.introspection.is_some());
    if !is_jwt(token) {
        return asking.next();
    }
    let asks_about_all = |issuer: &&Rc<Issuer>| {
        issuer.introspection.as_ref().is_some_and(|introspection| introspection.tokens == AskedTokens::All)
    };
    let issuer = asking.find(asks_about_all)?;
    let jws = Compact::parse(token).ok()?;
    claimed_issuer(&jws.payload).is_ok_and(|claimed| claimed == &*issuer.issuer).then_some(issuer)
}

/// Whether it says nothing by itself: what is written in a JWT can be read.
pub fn is_opaque(token: &[u8]) -> bool {
    !is_jwt(token)
}

/// Whether it looks like a JWS, well-formed or not: three parts, the first of them JSON.
fn is_jwt(token: &[u8]) -> bool {
    let mut parts = token.split(|byte| *byte == b'.');
    let (Some(header), Some(_), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    // The rest may be anything: what begins like a JWT is none that a server has made opaque.
    let beginning = header.get(..4).unwrap_or(header);
    base64url::decode(beginning).is_ok_and(|bytes| bytes.trim_ascii_start().starts_with(b"{"))
}

/// A token that is not accepted, whatever it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Why.
    pub reason: Reason,
    /// What of the answer is wrong, and how; nothing where the server itself says no.
    pub because: Option<(Box<str>, &'static str)>,
}

impl From<Reason> for Rejected {
    fn from(reason: Reason) -> Self {
        Self { reason, because: None }
    }
}

impl From<ClaimsFault> for Rejected {
    fn from(fault: ClaimsFault) -> Self {
        let reason = Reason::from(fault.clone());
        let because = match fault {
            ClaimsFault::Claim(place, what) => Some((place.into(), what)),
            ClaimsFault::OtherIssuer => Some(("iss".into(), "another issuer's")),
            ClaimsFault::Confirmation(_) => Some(("cnf".into(), Confirmation::UNUSABLE)),
        };
        Self { reason, because }
    }
}

/// Why an answer says nothing about the token.
#[derive(Debug, PartialEq, Eq)]
pub enum AnswerFault {
    /// Longer than [`MAX_ANSWER_BYTES`].
    TooLarge,
    /// No strict JSON object.
    NotJson(String),
    /// `active` is missing, or neither true nor false.
    NoActive,
    /// It is signed, and nobody asked for that.
    Signed,
    /// It is not signed, where it must be.
    NotSigned,
    /// What is wrong with its signature, or with what is signed.
    Jws(&'static str),
}

impl fmt::Display for AnswerFault {
    /// What is wrong, and what to do.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AnswerFault::TooLarge => write!(f, "the answer is larger than {MAX_ANSWER_BYTES} bytes. Is \"uri\" right?"),
            AnswerFault::NotJson(fault) => write!(f, "the answer is no JSON object ({fault}). Is \"uri\" right?"),
            AnswerFault::NoActive => f.write_str(
                "the answer has no \"active\" that is true or false, so that it is none of RFC 7662. Is \"uri\" right?",
            ),
            AnswerFault::Signed => f.write_str(
                "the answer is signed (RFC 9701), which was not asked for. Write signed: true, or have the server answer this client in plain JSON",
            ),
            AnswerFault::NotSigned => f.write_str(
                "the answer is not signed (RFC 9701). Have the server sign what it answers this client, or remove \"signed\"",
            ),
            AnswerFault::Jws(fault) => write!(
                f,
                "the signed answer is not accepted: {fault}. See \"algorithms\" and the keys of the issuer, and \"client\""
            ),
        }
    }
}

/// What the body of an answer says of the token that `issuer` was asked about at `asked`.
pub fn judge(body: &[u8], issuer: &Rc<Issuer>, asked: MonoNanos) -> Result<Result<AccessToken, Rejected>, AnswerFault> {
    if body.len() > MAX_ANSWER_BYTES {
        return Err(AnswerFault::TooLarge);
    }
    match parse(body, Bounds::TOKEN) {
        Ok(Value::Object(answer)) => judge_members(answer, issuer, asked),
        Ok(_) => Err(AnswerFault::NotJson("something else".to_owned())),
        Err(_) if is_jwt(body.trim_ascii()) => Err(AnswerFault::Signed),
        Err(fault) => Err(AnswerFault::NotJson(fault.to_string())),
    }
}

/// What an answer says whose members these are.
pub fn judge_members(
    mut answer: Object,
    issuer: &Rc<Issuer>,
    asked: MonoNanos,
) -> Result<Result<AccessToken, Rejected>, AnswerFault> {
    match answer.get("active") {
        Some(Value::Bool(true)) => {}
        Some(Value::Bool(false)) => return Ok(Err(Reason::TokenInactive.into())),
        _ => return Err(AnswerFault::NoActive),
    }
    answer.replace("active", None);
    Ok(claims(answer, issuer).map(|claims| AccessToken::introspected(issuer.clone(), asked, claims)))
}

/// Holds what an issuer said of a good token to what the token says itself: an answer that leaves out to whom a JWT is bound does not
/// make it everybody's (RFC 8705 §3.2, RFC 9449 §6.2).
pub fn held_to(token: &[u8], good: AccessToken) -> Result<AccessToken, Rejected> {
    let confirmation = &good.claims().confirmation;
    let is_bound = confirmation.certificate().is_some() || confirmation.key().is_some();
    if is_bound || !Compact::parse(token).is_ok_and(|jws| jws.payload.get("cnf").is_some()) {
        return Ok(good);
    }
    let because = Some(("cnf".into(), "in the token and not in the answer"));
    Err(Rejected { reason: Reason::ConfirmationUnusable, because })
}

/// The claims of an active token. Without `iss` it is the issuer's that was asked (RFC 7662 §2.2).
fn claims(mut answer: Object, issuer: &Issuer) -> Result<Claims, Rejected> {
    if answer.get("iss").is_none() {
        answer.replace("iss", Some(Value::Text(issuer.issuer.to_string())));
    }
    let other = |name: &str, what| Rejected { reason: Reason::TypUnacceptable, because: Some((name.into(), what)) };
    if let Some((name, what)) = other_claims(&issuer.form, &answer) {
        return Err(other(name, what));
    }
    if !is_of_type(&answer) {
        return Err(other("token_type", "another"));
    }
    if !is_of_use(&answer) {
        return Err(other("token_use", "another"));
    }
    Ok(Claims::parse(answer, issuer)?)
}

/// Whether `token_type`, if the answer has one, is that of an access token that is bound as its `cnf` says (RFC 9449 §6.2).
fn is_of_type(answer: &Object) -> bool {
    let Some(kind) = answer.get("token_type") else { return true };
    let has_key = answer.get("cnf").and_then(Value::as_object).is_some_and(|cnf| cnf.get("jkt").is_some());
    let wanted = if has_key { "dpop" } else { "bearer" };
    kind.as_text().is_some_and(|kind| kind.eq_ignore_ascii_case(wanted))
}

/// Whether `token_use`, if the answer has one, is that of an access token: some servers (Ory Hydra) answer for refresh tokens as they do for
/// access tokens, and say here which it is.
fn is_of_use(answer: &Object) -> bool {
    let Some(used) = answer.get("token_use") else { return true };
    used.as_text().is_some_and(|used| matches!(used, "access_token" | "access"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::at;
    use crate::policy::{OptionalClaim, RequiredClaim, Says, TokenForm};
    use crate::token::claims::tests::issuer;

    const GOOD: &str = r#""sub":"s","client_id":"c","jti":"j","aud":"a","exp":2000000000,"iat":1999999000,"scope":"x y","token_type":"Bearer""#;

    fn judged(body: &str, form: TokenForm) -> Result<Result<AccessToken, Rejected>, AnswerFault> {
        judge(body.as_bytes(), &Rc::new(Issuer { form, ..issuer() }), at(0.0).mono)
    }

    fn active(rest: &str) -> Result<AccessToken, Rejected> {
        judged(&format!(r#"{{"active":true,{rest}}}"#), TokenForm::default()).unwrap()
    }

    fn with(name: &str, value: &str) -> Result<AccessToken, Rejected> {
        let kept: Vec<&str> = GOOD.split(",\"").filter(|member| !member.contains(&format!("{name}\":"))).collect();
        let member = if value.is_empty() { String::new() } else { format!(",\"{name}\":{value}") };
        let kept = kept.join(",\"");
        let kept = if kept.starts_with('"') { kept } else { format!("\"{kept}") };
        active(&format!("{kept}{member}"))
    }

    #[test]
    fn an_active_token_is_the_same_as_one_that_was_verified() {
        let token = active(GOOD).unwrap();
        assert_eq!((&*token.claims().subject, &*token.claims().client_id, token.algorithm()), ("s", "c", None));
        assert_eq!(token.claims().scopes.len(), 2);
        assert!(token.claims().claim("active").is_none(), "what the server says about it is no claim of it");
    }

    #[test]
    fn only_true_is_active_and_whatever_is_neither_true_nor_false_is_no_answer() {
        let inactive = judged(r#"{"active":false}"#, TokenForm::default()).unwrap().unwrap_err();
        assert_eq!(inactive, Reason::TokenInactive.into());
        for answer in [
            r#"{"active":"true"}"#,
            r#"{"active":1}"#,
            r#"{"active":null}"#,
            r#"{"active":"false"}"#,
            "{}",
            r#"{"error":"invalid_token"}"#,
        ] {
            assert_eq!(judged(answer, TokenForm::default()).unwrap_err(), AnswerFault::NoActive, "{answer}");
        }
        for answer in ["", "null", "[]", "true", "<html>", "{", r#"{"active":true,"active":false}"#, "{} {}"] {
            assert!(matches!(judged(answer, TokenForm::default()), Err(AnswerFault::NotJson(_))), "{answer}");
        }
        assert_eq!(judged("eyJhbGciOiJFUzI1NiJ9.e30.AA\n", TokenForm::default()).unwrap_err(), AnswerFault::Signed);
        let huge = format!(r#"{{"active":true,"x":"{}"}}"#, "x".repeat(MAX_ANSWER_BYTES));
        assert_eq!(judged(&huge, TokenForm::default()).unwrap_err(), AnswerFault::TooLarge);
    }

    #[test]
    fn the_claims_of_an_active_token_are_judged_as_those_of_a_jwt() {
        for (name, value, reason) in [
            ("iss", "\"https://other.example.com\"", Reason::IssuerUntrusted),
            ("iss", "7", Reason::ClaimsMalformed),
            ("exp", "", Reason::ClaimsMalformed),
            ("exp", "\"2000000000\"", Reason::ClaimsMalformed),
            ("aud", "", Reason::ClaimsMalformed),
            ("aud", "null", Reason::ClaimsMalformed),
            ("client_id", "", Reason::ClaimsMalformed),
            ("scope", "[\"x\"]", Reason::ClaimsMalformed),
            ("nbf", "\"soon\"", Reason::ClaimsMalformed),
            ("cnf", "{}", Reason::ConfirmationUnusable),
        ] {
            let rejected = with(name, value).unwrap_err();
            assert_eq!(rejected.reason, reason, "{name} {value}");
            assert_eq!(rejected.because.unwrap().0, name.into(), "{name} {value}");
        }
        assert!(with("iss", "\"https://as.example.com\"").is_ok());
    }

    #[test]
    fn a_token_of_another_kind_is_no_access_token() {
        for kind in ["\"refresh_token\"", "\"N_A\"", "\"DPoP\"", "7", "null", "\"\""] {
            assert_eq!(with("token_type", kind).unwrap_err().reason, Reason::TypUnacceptable, "{kind}");
        }
        assert!(with("token_type", "\"bearer\"").is_ok() && with("token_type", "").is_ok());
        for used in ["\"refresh_token\"", "\"id\"", "7", "null", "\"\""] {
            let rejected = with("token_use", used).unwrap_err();
            assert_eq!(rejected.because, Some(("token_use".into(), "another")), "{used}");
        }
        assert!(with("token_use", "\"access_token\"").is_ok() && with("token_use", "\"access\"").is_ok());
        let required = RequiredClaim { name: "token_type".into(), says: Says::OneOf(vec!["Bearer".into()]) };
        let form = TokenForm { required: vec![required], optional: vec![OptionalClaim::Jti], ..TokenForm::default() };
        let without = format!(r#"{{"active":true,{}}}"#, GOOD.replace(r#","token_type":"Bearer""#, ""));
        assert_eq!(judged(&without, form).unwrap().unwrap_err().reason, Reason::TypUnacceptable);
    }

    #[test]
    fn what_real_servers_add_or_leave_out_is_no_fault() {
        for answer in [
            // Keycloak.
            r#"{"exp":2000000000,"iat":1999999000,"jti":"onrtac:1","iss":"https://as.example.com","aud":["a","account"],"sub":"s","typ":"Bearer","azp":"c","sid":"x","acr":"1","allowed-origins":["/*"],"realm_access":{"roles":["x"]},"scope":"x","client_id":"c","username":"u","token_type":"Bearer","active":true}"#,
            // Ory Hydra: no jti, and a list for each audience.
            r#"{"active":true,"scope":"x","client_id":"c","sub":"s","exp":2000000000,"iat":1999999000,"nbf":1999999000,"aud":["a"],"iss":"https://as.example.com","token_type":"Bearer","token_use":"access_token","ext":{}}"#,
            // No scope was asked for; numbers with a fraction.
            r#"{"active":true,"scope":"","client_id":"c","sub":"s","exp":2.0e9,"iat":1999999000.0,"aud":"a","username":null}"#,
            "\n {\"active\" : true, \"client_id\":\"c\",\"sub\":\"s\",\"exp\":2000000000,\"iat\":1999999000,\"aud\":\"a\"}\r\n",
        ] {
            let form = TokenForm { optional: vec![OptionalClaim::Jti], ..TokenForm::default() };
            let token = judged(answer, form).unwrap().unwrap();
            assert_eq!((&*token.claims().client_id, &*token.claims().audiences[0]), ("c", "a"), "{answer}");
        }
    }

    #[test]
    fn what_begins_like_a_jwt_is_one_however_it_ends() {
        for token in ["eyJhbGciOiJub25lIn0.e30.", "eyJh.x.y", "eyJhIjox.!.!", "IHsiYWxnIjoxfQ.e30.AA"] {
            assert!(is_jwt(token.as_bytes()), "{token}");
        }
        for token in [
            "",
            "opaque",
            "2YotnFZFEjr1zCsicMWpAA",
            "a.b.c",
            "eyJh.x",
            "eyJh.x.y.z",
            "eyJh.a.b.c.d",
            "..",
            "v4.public.x",
        ] {
            assert!(!is_jwt(token.as_bytes()), "{token}");
        }
    }
}
