//! Verification of one access token. In: bytes, the trusted issuers, their keys. Out: [`AccessToken`], which only
//! [`Unverified::verify`] makes, and an answer of the issuer (`introspection`). What depends on the moment or on the resource is asked of the verified token on
//! every request, also when it comes from the cache.

use std::cell::{Cell, OnceCell};
use std::rc::Rc;
use std::time::Duration;

use crate::host::Host;
use sha2::{Digest, Sha256};

use crate::jose::{Algorithm, Compact, Header, JwsFault, KeySet, Native, VerifyingKey, base64url};
use crate::json::{Object, Value};
use crate::policy::{Issuer, RequiredClaim, Resource, Says, TokenForm, TypRule};
use crate::reason::Reason;
use crate::revocation::{Edition, Revocable, RevokedBy};
use crate::time::{MonoNanos, Now};
use crate::token::RawToken;
use crate::token::claims::{Claims, MISSING, claimed_issuer};

/// The bytes of an `ath`.
const ATH: usize = 43;

/// A well-formed token whose signature was not looked at yet.
pub struct Unverified<'t> {
    jws: Compact<'t>,
    issuer: Rc<Issuer>,
}

impl<'t> Unverified<'t> {
    /// Parses the token and finds its issuer among those trusted by `resource`; then what kind of token it is, and `alg`, by
    /// the rules of that issuer and of the resource (RFC 9068 §4, RFC 8725 §3.1, §3.8, §3.11, §3.12).
    pub fn parse(token: &'t [u8], resource: &Resource) -> Result<Self, Reason> {
        let jws = Compact::parse(token).map_err(reason)?;
        let claimed = claimed_issuer(&jws.payload)?;
        let trusted = resource.issuers.iter().find(|issuer| &*issuer.issuer == claimed);
        let issuer = trusted.ok_or(Reason::IssuerUntrusted)?.clone();
        if other_kind(&issuer.form, jws.header.typ.as_deref(), &jws.payload).is_some() {
            return Err(Reason::TypUnacceptable);
        }
        let algorithm = jws.header.algorithm;
        if !issuer.algorithms.contains(&algorithm) || !resource.profile.admits(algorithm) {
            return Err(Reason::AlgorithmNotAllowed);
        }
        Ok(Self { jws, issuer })
    }

    /// Whose keys are needed.
    pub fn issuer(&self) -> &Rc<Issuer> {
        &self.issuer
    }

    /// What the keys are looked up by.
    pub fn header(&self) -> &Header {
        &self.jws.header
    }

    /// Verifies with the first of `keys` that fits (RFC 7515 §5.2), then reads the claims.
    pub fn verify(self, keys: &[Rc<VerifyingKey>], host: &dyn Host, native: Native) -> Result<AccessToken, Reason> {
        let key = keys.iter().find(|key| key.verify(&self.jws, host, native)).ok_or(Reason::SignatureInvalid)?.clone();
        let algorithm = self.jws.header.algorithm;
        let claims = Claims::parse(self.jws.payload, &self.issuer)?;
        let evidence = Evidence::Signature { key, algorithm };
        Ok(AccessToken { issuer: self.issuer, evidence, claims, cleared: Default::default(), ath: OnceCell::new() })
    }
}

/// What shows that an issuer stands by a token.
#[derive(Debug)]
enum Evidence {
    /// A signature that this key of the issuer made: good as long as the key is the issuer's.
    Signature {
        /// The key.
        key: Rc<VerifyingKey>,
        /// What it was used with: some keys are good for several.
        algorithm: Algorithm,
    },
    /// The issuer's own word: good as long as it is configured to be.
    Introspected {
        /// When it was asked for.
        asked: MonoNanos,
    },
}

/// A token that its issuer was found to stand by.
#[derive(Debug)]
pub struct AccessToken {
    issuer: Rc<Issuer>,
    evidence: Evidence,
    claims: Claims,
    /// The documents of revocations that it was last looked for in, and not found: of its issuer, and of a resource.
    cleared: [Cell<Edition>; 2],
    /// The digest of its text, once a proof was held to it.
    ath: OnceCell<Box<str>>,
}

impl AccessToken {
    /// Who issued it.
    pub fn issuer(&self) -> &Rc<Issuer> {
        &self.issuer
    }

    /// What it says.
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// That `issuer` said of when it was asked at that time.
    pub(super) fn introspected(issuer: Rc<Issuer>, asked: MonoNanos, claims: Claims) -> Self {
        Self {
            issuer,
            evidence: Evidence::Introspected { asked },
            claims,
            cleared: Default::default(),
            ath: OnceCell::new(),
        }
    }

    /// What it was signed with; `None` if its issuer was asked instead.
    pub fn algorithm(&self) -> Option<Algorithm> {
        match &self.evidence {
            Evidence::Signature { algorithm, .. } => Some(*algorithm),
            Evidence::Introspected { .. } => None,
        }
    }

    /// Whether it may serve another request without its issuer being asked again: no longer than `resource` has the answer count,
    /// and never beyond its own end (RFC 7662 §4).
    pub fn is_fresh(&self, resource: &Resource, now: Now) -> bool {
        let Evidence::Introspected { asked } = &self.evidence else { return true };
        let introspection = self.trusted_by(resource).and_then(|issuer| issuer.introspection.as_ref());
        introspection.is_some_and(|introspection| now.mono.since(*asked) < introspection.ttl)
            && now.wall < self.claims.expires
    }

    /// What a proof says that goes with this token, whose text is `raw` (`ath`, RFC 9449 §4.2).
    pub fn ath(&self, raw: RawToken<'_>) -> &str {
        self.ath.get_or_init(|| base64url::encode(&Sha256::digest(raw.as_bytes())).into())
    }

    /// Whether its issuer was asked about it so short a time ago, if it was asked at all.
    pub fn was_asked_within(&self, most: Duration, now: Now) -> bool {
        match &self.evidence {
            Evidence::Introspected { asked } => now.mono.since(*asked) < most,
            Evidence::Signature { .. } => true,
        }
    }

    /// What of it revocations may name.
    pub fn revocable(&self) -> Revocable<'_> {
        let claims = &self.claims;
        let certificate = claims.confirmation.certificate().map(|thumbprint| &thumbprint.as_bytes()[..]);
        let key = claims.confirmation.key().map(|thumbprint| &thumbprint.as_bytes()[..]);
        let session = claims.claim("sid").and_then(Value::as_text).map(str::as_bytes);
        let values = [
            claims.token_id.as_ref().map(|id| id.as_bytes()),
            Some(claims.subject.as_bytes()),
            Some(claims.client_id.as_bytes()),
            session,
            certificate,
            key,
        ];
        Revocable { values, issued: claims.issued }
    }

    /// The last edition of revocations that does not name it. Editions of several documents differ, so that one of another resource
    /// clears nothing here.
    pub fn cleared(&self, by: RevokedBy) -> Edition {
        self.of(by).get()
    }

    /// This edition does not name it: it need not be looked for there again.
    pub fn clear(&self, by: RevokedBy, edition: Edition) {
        self.of(by).set(edition);
    }

    fn of(&self, by: RevokedBy) -> &Cell<Edition> {
        let [issuer, resource] = &self.cleared;
        match by {
            RevokedBy::Issuer => issuer,
            RevokedBy::Resource => resource,
        }
    }

    /// The bytes of memory it takes. Issuer and key belong to others.
    pub fn memory(&self) -> usize {
        size_of::<Self>().saturating_add(ATH).saturating_add(self.claims.memory())
    }

    /// The issuer of `resource` by whose trust it was verified. With another trust, of the same `iss` too, it counts as
    /// not verified.
    pub fn trusted_by<'r>(&self, resource: &'r Resource) -> Option<&'r Rc<Issuer>> {
        resource.issuers.iter().find(|issuer| issuer.trust == self.issuer.trust)
    }

    /// Whether its evidence still holds, with the keys that its issuer has now, if there are any.
    pub fn still_vouched(&self, keys: Option<&KeySet>) -> bool {
        match &self.evidence {
            Evidence::Signature { key, .. } => keys.is_some_and(|keys| keys.contains(key)),
            Evidence::Introspected { .. } => true,
        }
    }

    /// Whether it is good now (RFC 7519 §4.1.4–6) and for this resource (RFC 9068 §4), whichever it was verified for.
    pub fn acceptable(&self, resource: &Resource, now: Now) -> Result<(), Reason> {
        let issuer = self.trusted_by(resource).ok_or(Reason::IssuerUntrusted)?;
        if self.algorithm().is_some_and(|algorithm| !resource.profile.admits(algorithm)) {
            return Err(Reason::AlgorithmNotAllowed);
        }
        let claims = &self.claims;
        if now.wall >= claims.expires.plus(issuer.leeway) {
            return Err(Reason::TokenExpired);
        }
        let latest = now.wall.plus(issuer.leeway);
        if claims.issued.into_iter().chain(claims.not_before).any(|date| date > latest) {
            return Err(Reason::TokenNotYetValid);
        }
        // Without `iat` nobody knows how long it has lived: then the rest of its life counts.
        if claims.expires.since(claims.issued.unwrap_or(latest)) > issuer.max_lifetime {
            return Err(Reason::LifetimeTooLong);
        }
        let too_early = |bound| claims.issued.is_none_or(|issued| issued < bound);
        if issuer.not_issued_before.is_some_and(too_early) {
            return Err(Reason::IssuedTooEarly);
        }
        let for_nobody = claims.audiences.is_empty() && issuer.form.insecure_no_audience;
        if !for_nobody && !claims.audiences.iter().any(|audience| resource.audiences.contains(audience)) {
            return Err(Reason::AudienceMismatch);
        }
        Ok(())
    }
}

fn reason(fault: JwsFault) -> Reason {
    match fault {
        JwsFault::Algorithm => Reason::AlgorithmNotAllowed,
        JwsFault::Parts
        | JwsFault::Json
        | JwsFault::Critical
        | JwsFault::OfferedKey
        | JwsFault::NoKey
        | JwsFault::OtherForm
        | JwsFault::Member => Reason::TokenMalformed,
    }
}

/// What shows that a token is no access token of its issuer, because these say or never say it: the header's `typ` or a claim, by
/// its name, and what is wrong about it.
pub(super) fn other_kind<'f>(
    form: &'f TokenForm,
    typ: Option<&str>,
    payload: &Object,
) -> Option<(&'f str, &'static str)> {
    if !form.typ.iter().any(|rule| typ_is(rule, typ)) {
        return Some(("typ", typ.map_or(MISSING, |_| "another")));
    }
    other_claims(form, payload)
}

/// The same by claims alone.
pub(super) fn other_claims<'f>(form: &'f TokenForm, payload: &Object) -> Option<(&'f str, &'static str)> {
    let lacks = |claim: &'f RequiredClaim| match (&claim.says, payload.get(&claim.name)) {
        (_, None) => Some((&*claim.name, MISSING)),
        (Says::Anything, Some(value)) => (*value == Value::Null).then_some((&*claim.name, "null")),
        (Says::OneOf(texts), Some(value)) => {
            let says = value.as_text().is_some_and(|text| texts.iter().any(|one| **one == *text));
            (!says).then_some((&*claim.name, "another"))
        }
    };
    let forbidden = form.forbidden.iter().find(|name| payload.get(name).is_some());
    form.required.iter().find_map(lacks).or_else(|| forbidden.map(|name| (&**name, "forbidden")))
}

/// RFC 7515 §4.1.9: without a slash, `application/` stands before it; media types ignore ASCII case.
fn typ_is(rule: &TypRule, typ: Option<&str>) -> bool {
    match (rule, typ) {
        (TypRule::AccessToken, Some(typ)) => {
            typ.eq_ignore_ascii_case("at+jwt") || typ.eq_ignore_ascii_case("application/at+jwt")
        }
        (TypRule::Exactly(wanted), Some(typ)) => **wanted == *typ,
        (TypRule::Absent, None) => true,
        (TypRule::AccessToken | TypRule::Exactly(_), None) | (TypRule::Absent, Some(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_access_tokens_typ_passes() {
        for typ in ["at+jwt", "AT+JWT", "at+JWT", "application/at+jwt"] {
            assert!(typ_is(&TypRule::AccessToken, Some(typ)), "{typ}");
        }
        for typ in [
            "JWT",
            "id_token",
            "logout+jwt",
            "dpop+jwt",
            "wit+jwt",
            "txntoken+jwt",
            "at+jwt ",
            "application/at+jwt;v=1",
            "text/at+jwt",
            "",
        ] {
            assert!(!typ_is(&TypRule::AccessToken, Some(typ)), "{typ}");
        }
        assert!(!typ_is(&TypRule::AccessToken, None));
    }

    #[test]
    fn an_older_issuer_is_held_to_exactly_what_was_configured() {
        assert!(!typ_is(&TypRule::Absent, Some("JWT")));
        assert!(typ_is(&TypRule::Absent, None));
        assert!(typ_is(&TypRule::Exactly("JWT".into()), Some("JWT")));
        assert!(!typ_is(&TypRule::Exactly("JWT".into()), Some("jwt")));
    }
}
