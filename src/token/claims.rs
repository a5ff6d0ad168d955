//! The claims of an access token (RFC 9068 §2.2, RFC 7519 §4.1), parsed once into types that cannot be wrong.
//! In: a strict JSON object and the issuer whose it is. Out: [`Claims`], or the reason. Nothing here knows the time.

use crate::json::{Object, Value, allocation, allocation_of};
use crate::policy::{ClaimPlace, Issuer, OptionalClaim, ScopePlaces, SubjectKind};
use crate::reason::Reason;
use crate::time::UnixMillis;
use crate::token::confirmation::Confirmation;
use crate::token::subject;

/// More audiences than this in one token are refused.
const MAX_AUDIENCES: usize = 32;
/// More scopes than this in one token are refused.
const MAX_SCOPES: usize = 256;
/// The earliest `exp` and `iat`, in milliseconds: zero is a mistake, not a date.
const EARLIEST: u64 = 1;

pub(super) const MISSING: &str = "missing";
const NO_TEXTS: &str = "a list of other things than texts";

/// The claims that decisions rest on.
#[derive(Debug)]
pub struct Claims {
    /// `sub`, or what stands in for it.
    pub subject: Box<str>,
    /// Whether that is a user or the client itself, where it can be told.
    pub subject_kind: Option<SubjectKind>,
    /// `client_id`, or what stands in for it.
    pub client_id: Box<str>,
    /// `jti`.
    pub token_id: Option<Box<str>>,
    /// `aud`; one or many. None only where the issuer's tokens may lack it.
    pub audiences: Vec<Box<str>>,
    /// Each scope.
    pub scopes: Vec<Box<str>>,
    /// `exp`.
    pub expires: UnixMillis,
    /// `iat`.
    pub issued: Option<UnixMillis>,
    /// `nbf`.
    pub not_before: Option<UnixMillis>,
    /// `cnf` (RFC 7800).
    pub confirmation: Confirmation,
    /// All claims at the top, except that those which the configuration names have what stands in their places.
    others: Object,
}

/// Why claims are refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimsFault {
    /// `iss` is another issuer's.
    OtherIssuer,
    /// The claim at this place of the token is not what it must be, but that.
    Claim(String, &'static str),
    /// `cnf`, for this reason.
    Confirmation(Reason),
}

impl From<ClaimsFault> for Reason {
    fn from(fault: ClaimsFault) -> Self {
        match fault {
            ClaimsFault::OtherIssuer => Reason::IssuerUntrusted,
            ClaimsFault::Claim(..) => Reason::ClaimsMalformed,
            ClaimsFault::Confirmation(reason) => reason,
        }
    }
}

impl ClaimsFault {
    fn at(places: &[ClaimPlace], found: &'static str) -> Self {
        let names: Vec<String> = places.iter().map(|place| place.0.join("/")).collect();
        ClaimsFault::Claim(names.join(" or "), found)
    }

    fn of(name: &str, found: &'static str) -> Self {
        ClaimsFault::Claim(name.to_owned(), found)
    }
}

/// What is found where something else must be, in words.
fn found(value: Option<&Value>) -> &'static str {
    match value {
        None => MISSING,
        Some(Value::Null) => "null",
        Some(Value::Bool(_)) => "true or false",
        Some(Value::Integer(_) | Value::Decimal(_)) => "a number",
        Some(Value::Text(text)) if text.is_empty() => "empty text",
        Some(Value::Text(_)) => "text",
        Some(Value::Array(items)) if items.is_empty() => "an empty list",
        Some(Value::Array(_)) => "a list",
        Some(Value::Object(_)) => "an object",
    }
}

/// `iss`, before anything is verified: only good for choosing whose keys to ask.
pub fn claimed_issuer(payload: &Object) -> Result<&str, ClaimsFault> {
    let value = payload.get("iss");
    let text = value.and_then(Value::as_text).filter(|text| !text.is_empty());
    text.ok_or_else(|| ClaimsFault::of("iss", found(value)))
}

impl Claims {
    /// Reads the claims that RFC 9068 §2.2 requires, and those optional ones that decisions rest on, where `issuer` writes
    /// them. They are remembered parsed: what this goes by belongs to the issuer's trust.
    pub fn parse(payload: Object, issuer: &Issuer) -> Result<Self, ClaimsFault> {
        if claimed_issuer(&payload)? != &*issuer.issuer {
            return Err(ClaimsFault::OtherIssuer);
        }
        let form = &issuer.form;
        let subject = first(&payload, &form.subject, form.may_lack(OptionalClaim::Sub))?;
        let client_id = first(&payload, &form.client_id, form.may_lack(OptionalClaim::ClientId))?;
        let issued = optional_date(&payload, "iat", EARLIEST)?;
        if issued.is_none() && !form.may_lack(OptionalClaim::Iat) {
            return Err(ClaimsFault::of("iat", MISSING));
        }
        let neither = || ClaimsFault::at(&[&*form.client_id, &*form.subject].concat(), MISSING);
        Ok(Self {
            subject_kind: subject::kind(&payload, form, subject, client_id),
            subject: subject.or(client_id).ok_or_else(neither)?.into(),
            client_id: client_id.or(subject).ok_or_else(neither)?.into(),
            token_id: first(&payload, &form.token_id, form.may_lack(OptionalClaim::Jti))?.map(Into::into),
            audiences: match payload.get("aud") {
                None if form.insecure_no_audience => Vec::new(),
                // As some servers write it.
                Some(Value::Array(nobody)) if nobody.is_empty() && form.insecure_no_audience => Vec::new(),
                audiences => self::audiences(audiences)?,
            },
            scopes: scopes(&payload, &form.scope)?,
            expires: optional_date(&payload, "exp", EARLIEST)?.ok_or_else(|| ClaimsFault::of("exp", MISSING))?,
            issued,
            // Zero is long past.
            not_before: optional_date(&payload, "nbf", 0)?,
            confirmation: confirmation(&payload).map_err(ClaimsFault::Confirmation)?,
            others: named(payload, &form.named),
        })
    }

    /// The claim that rules, limits and upstreams know by this name.
    pub fn claim(&self, name: &str) -> Option<&Value> {
        self.others.get(name)
    }

    /// The bytes of memory they take besides themselves.
    pub fn memory(&self) -> usize {
        let texts = [&self.subject, &self.client_id].into_iter().chain(&self.token_id);
        let texts = texts.chain(&self.audiences).chain(&self.scopes);
        let lists = [&self.audiences, &self.scopes].map(|list| allocation_of::<Box<str>>(list.capacity()));
        texts.map(|text| allocation(text.len())).chain(lists).fold(self.others.memory(), usize::saturating_add)
    }
}

/// The text in the first of these places that has one: only good for telling whose a token claims to be.
pub(super) fn claimed_text<'o>(payload: &'o Object, places: &[ClaimPlace]) -> Option<&'o str> {
    places.iter().find_map(|place| at(payload, place)?.as_text())
}

/// What stands at a place, if anything does.
fn at<'o>(payload: &'o Object, place: &ClaimPlace) -> Option<&'o Value> {
    let (last, path) = place.0.split_last()?;
    let inner = path.iter().try_fold(payload, |object, name| object.get(name)?.as_object());
    inner?.get(last).filter(|value| **value != Value::Null)
}

/// The text in the first place that has anything. `None` only if it may be missing.
fn first<'o>(payload: &'o Object, places: &[ClaimPlace], optional: bool) -> Result<Option<&'o str>, ClaimsFault> {
    match places.iter().find_map(|place| at(payload, place)) {
        None if optional => Ok(None),
        None => Err(ClaimsFault::at(places, MISSING)),
        Some(value) => match value.as_text() {
            Some(text) if !text.is_empty() => Ok(Some(text)),
            _ => Err(ClaimsFault::at(places, found(Some(value)))),
        },
    }
}

/// The payload, with what stands in the places of each of these names under that name, and nothing else under it.
fn named(mut payload: Object, names: &[(Box<str>, Vec<ClaimPlace>)]) -> Object {
    // A place may be inside a claim that has to give way to another.
    let values: Vec<_> = names.iter().map(|(name, places)| (name, united(&payload, places))).collect();
    for (name, value) in values {
        payload.replace(name, value);
    }
    payload
}

/// What stands at the one place as it is; at several places, the list of all texts there.
fn united(payload: &Object, places: &[ClaimPlace]) -> Option<Value> {
    let [place] = places else {
        let mut texts = places.iter().filter_map(|place| at(payload, place)).flat_map(texts).peekable();
        texts.peek()?;
        return Some(Value::Array(texts.map(|text| Value::Text(text.to_owned())).collect()));
    };
    at(payload, place).cloned()
}

/// The text, or the texts of a list.
fn texts(value: &Value) -> impl Iterator<Item = &str> {
    value.as_text().into_iter().chain(value.as_array().into_iter().flatten().filter_map(Value::as_text))
}

/// A NumericDate (RFC 7519 §2) from `earliest` on, if the claim is there.
fn optional_date(payload: &Object, name: &str, earliest: u64) -> Result<Option<UnixMillis>, ClaimsFault> {
    let Some(value) = payload.get(name) else { return Ok(None) };
    let number = value.as_number().ok_or_else(|| ClaimsFault::of(name, found(Some(value))))?;
    let date = UnixMillis::from_numeric_date(number).filter(|date| date.as_millis() >= earliest);
    date.map(Some).ok_or_else(|| ClaimsFault::of(name, "out of range"))
}

/// A string or an array of strings (RFC 7519 §4.1.3).
fn audiences(value: Option<&Value>) -> Result<Vec<Box<str>>, ClaimsFault> {
    let fault = |found| Err(ClaimsFault::of("aud", found));
    match value {
        Some(Value::Text(one)) => Ok(vec![one.as_str().into()]),
        Some(Value::Array(many)) if many.len() > MAX_AUDIENCES => fault("too many"),
        Some(Value::Array(many)) if !many.is_empty() => {
            let texts: Option<Vec<Box<str>>> = many.iter().map(|audience| audience.as_text().map(Into::into)).collect();
            texts.map_or_else(|| fault(NO_TEXTS), Ok)
        }
        _ => fault(found(value)),
    }
}

/// The scopes of a token; nothing there means none.
fn scopes(payload: &Object, places: &ScopePlaces) -> Result<Vec<Box<str>>, ClaimsFault> {
    let mut scopes: Vec<Box<str>> = Vec::new();
    match places {
        // One string of space-separated values (RFC 6749 §3.3).
        ScopePlaces::Standard => {
            let Some(value) = payload.get("scope") else { return Ok(scopes) };
            let text = value.as_text().ok_or_else(|| ClaimsFault::of("scope", found(Some(value))))?;
            scopes.extend(separated(text));
        }
        ScopePlaces::United(places) => {
            for place in places {
                match at(payload, place) {
                    None => {}
                    Some(Value::Text(text)) => scopes.extend(separated(text)),
                    // An item with a space (a role may have one) is no scope, and must not become two.
                    Some(Value::Array(items)) if items.iter().all(|item| item.as_text().is_some()) => {
                        let items = items.iter().filter_map(Value::as_text);
                        scopes.extend(items.filter(|item| !item.is_empty() && !item.contains(' ')).map(Box::from));
                    }
                    Some(Value::Array(_)) => return Err(ClaimsFault::at(std::slice::from_ref(place), NO_TEXTS)),
                    other => return Err(ClaimsFault::at(std::slice::from_ref(place), found(other))),
                }
            }
        }
    }
    if scopes.len() > MAX_SCOPES { Err(ClaimsFault::of("scope", "too many")) } else { Ok(scopes) }
}

fn separated(text: &str) -> impl Iterator<Item = Box<str>> {
    text.split(' ').filter(|scope| !scope.is_empty()).map(Into::into)
}

/// Keycloak writes `typ: DPoP` into a token that must come with a proof. One that says so and names no key would pass without.
fn confirmation(payload: &Object) -> Result<Confirmation, Reason> {
    let confirmation = Confirmation::parse(payload.get("cnf"))?;
    let says_key = payload.get("typ").and_then(Value::as_text).is_some_and(|typ| typ.eq_ignore_ascii_case("DPoP"));
    if says_key && confirmation.key().is_none() { Err(Reason::ConfirmationUnusable) } else { Ok(confirmation) }
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use super::*;
    use crate::jose::Algorithm;
    use crate::json::{Bounds, parse};
    use crate::policy::{JwksSource, KeySource, Origin, TokenForm, TrustId};

    const GOOD: &str = r#"{"iss":"https://as.example.com","sub":"s","client_id":"c","jti":"j","aud":"a","exp":2000000000,"iat":1999999000}"#;

    fn with(member: &str, value: &str) -> Result<Claims, Reason> {
        with_form(member, value, TokenForm::default())
    }

    fn with_form(member: &str, value: &str, form: TokenForm) -> Result<Claims, Reason> {
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
        Claims::parse(object, &Issuer { form, ..issuer() }).map_err(Reason::from)
    }

    pub(in crate::token) fn issuer() -> Issuer {
        Issuer {
            origin: Origin { name: "main".into(), path: "issuers.main".into() },
            issuer: "https://as.example.com".into(),
            algorithms: vec![Algorithm::Es256],
            keys: KeySource::Remote(JwksSource::example()),
            introspection: None,
            profile: "rfc9068",
            form: TokenForm::default(),
            not_issued_before: None,
            revocation: Default::default(),
            status_lists: None,
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
    fn an_audience_that_is_nobody_is_none_where_none_is_taken() {
        let audiences = |value: &str, insecure_no_audience: bool| {
            let form = TokenForm { insecure_no_audience, ..TokenForm::default() };
            with_form("aud", value, form).map(|claims| claims.audiences.len())
        };
        assert_eq!((audiences("", true), audiences("[]", true), audiences("[\"a\"]", true)), (Ok(0), Ok(0), Ok(1)));
        for value in ["", "[]", "null", "{}"] {
            assert_eq!(audiences(value, false), Err(Reason::ClaimsMalformed), "{value}");
        }
        assert_eq!(audiences("[1]", true), Err(Reason::ClaimsMalformed));
    }

    #[test]
    fn a_scope_is_one_string_split_at_spaces_only() {
        assert!(matches!(with("scope", "[\"read\"]"), Err(Reason::ClaimsMalformed)));
        assert_eq!(with("scope", "\"read  write\"").unwrap().scopes.len(), 2);
        assert_eq!(with("scope", "\"read\\twrite\"").unwrap().scopes.len(), 1);
        assert!(with("scope", "").unwrap().scopes.is_empty());
    }

    fn path(names: &[&str]) -> ClaimPlace {
        ClaimPlace(names.iter().map(|name| (*name).into()).collect())
    }

    #[test]
    fn a_scope_may_be_a_list_and_in_several_places_where_that_is_said() {
        let places = || vec![path(&["scp"]), path(&["roles"]), path(&["a", "b"])];
        let scopes = |member: &str, value: &str| {
            let form = TokenForm { scope: ScopePlaces::United(places()), ..TokenForm::default() };
            with_form(member, value, form).map(|claims| claims.scopes.join("|"))
        };
        for (member, value, expected) in [
            ("scp", "\"a b\"", "a|b"),
            ("scp", "[\"a\",\"b\"]", "a|b"),
            ("scp", "null", ""),
            ("scp", "[]", ""),
            ("roles", "[\"a\",\"clerk of orders\",\"\"]", "a"),
            ("a", "{\"b\":[\"c\"]}", "c"),
            ("a", "{\"c\":[\"b\"]}", ""),
            ("a", "[\"b\"]", ""),
            ("scope", "\"a\"", ""),
        ] {
            assert_eq!(scopes(member, value).as_deref(), Ok(expected), "{member}: {value}");
        }
        for value in ["1", "true", "{}", "[1]", "[\"a\",[\"b\"]]"] {
            assert_eq!(scopes("scp", value), Err(Reason::ClaimsMalformed), "{value}");
        }
        let many = format!("[{}\"a\"]", "\"a\",".repeat(MAX_SCOPES));
        assert_eq!(scopes("scp", &many), Err(Reason::ClaimsMalformed));
    }

    #[test]
    fn the_first_place_that_has_a_text_says_who_the_client_is() {
        let form = || TokenForm { client_id: vec![path(&["azp"]), path(&["client_id"])], ..TokenForm::default() };
        let client = |value: &str| with_form("azp", value, form()).map(|claims| claims.client_id.to_string());
        assert_eq!(client("\"a\"").as_deref(), Ok("a"));
        assert_eq!(client("null").as_deref(), Ok("c"));
        for value in ["\"\"", "1", "[\"a\"]", "{}"] {
            assert_eq!(client(value), Err(Reason::ClaimsMalformed), "{value}");
        }
    }

    #[test]
    fn a_name_of_ours_means_what_stands_in_its_place_and_nothing_else() {
        let claim = |places: Vec<ClaimPlace>, member: &str, value: &str| {
            let form = TokenForm { named: vec![("tenant".into(), places)], ..TokenForm::default() };
            with_form(member, value, form).unwrap().claim("tenant").cloned()
        };
        let text = |text: &str| Some(Value::Text(text.to_owned()));
        assert_eq!(claim(vec![path(&["a.b/c"])], "a.b/c", "\"t\""), text("t"));
        assert_eq!(
            claim(vec![path(&["https://example.com", "x.y"])], "https://example.com", "{\"x.y\":\"t\"}"),
            text("t")
        );
        assert_eq!(claim(vec![path(&["a", "b"])], "a.b", "\"t\""), None);
        assert_eq!(claim(vec![path(&["a"])], "tenant", "\"t\""), None, "the token's own claim of that name");
        assert_eq!(claim(vec![path(&["tenant", "id"])], "tenant", "{\"id\":\"t\"}"), text("t"));
        assert_eq!(claim(vec![path(&["tenant"])], "tenant", "7"), Some(Value::Integer(7)));
        let both = vec![path(&["a"]), path(&["sub"])];
        assert_eq!(
            claim(both, "a", "[\"x\",1]"),
            Some(Value::Array([text("x"), text("s")].into_iter().flatten().collect()))
        );
        assert_eq!(claim(vec![path(&["a"]), path(&["b"])], "c", "1"), None);
    }
}
