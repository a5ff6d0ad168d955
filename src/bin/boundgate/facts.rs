//! Facts about a token, a peer and a moment, as they are told. In: what the core has seen. Out: text that may stand on a terminal, bounded, with
//! nothing in it that could be used as a token. Not here: which check saw it (`asked`).

use std::time::Duration;

use boundgate::peer::PeerIdentity;
use boundgate::time::UnixMillis;
use boundgate::token::{AccessToken, Claimed};
use x509_cert::der::DateTime;

/// As dates are written (RFC 3339).
pub fn date(moment: UnixMillis) -> String {
    let date = DateTime::from_unix_duration(Duration::from_millis(moment.as_millis()));
    date.map_or_else(|_| format!("{} ms", moment.as_millis()), |date| date.to_string())
}

/// Who a peer is, read from the source of this name.
pub fn identity(peer: &PeerIdentity, source: &str) -> String {
    let id = peer.spiffe_id.as_ref().map(|id| id.as_str().to_owned());
    let subject = peer.subject.as_ref().map(|subject| format!("subject {}", shown(subject)));
    let certificate = peer.certificate.as_deref();
    let uris = certificate.filter(|_| peer.spiffe_id.is_none()).map(|certificate| match certificate.uri_sans.len() {
        1 if certificate.is_authority => "no SPIFFE ID: it may sign certificates".to_owned(),
        number => format!("no SPIFFE ID among its {number} URI names"),
    });
    let ends = certificate.map(|certificate| format!("ends {}", date(certificate.not_after)));
    let validated = match source {
        _ if !peer.validated => "not validated, or not valid at this time",
        "tls" => "validated (assumed of --peer)",
        "mesh-principal" => "validated (assumed of --principal)",
        _ => "validated (by the word of the hop)",
    };
    let names: Vec<&str> = peer.dns_sans.iter().map(String::as_str).collect();
    let names = (!names.is_empty()).then(|| format!("DNS names {}", list(&names)));
    let facts = id.into_iter().chain(subject).chain(uris).chain(names).chain(ends).chain([validated.to_owned()]);
    facts.collect::<Vec<_>>().join(", ")
}

/// What a verified token says.
pub fn verified(token: &AccessToken) -> String {
    let claims = token.claims();
    let audiences: Vec<&str> = claims.audiences.iter().map(|audience| &**audience).collect();
    let dates = [("iat", claims.issued), ("nbf", claims.not_before), ("exp", Some(claims.expires))];
    let dates = dates.into_iter().filter_map(|(name, moment)| Some(format!("{name} {}", date(moment?))));
    let issuer = shown(&token.issuer().origin.name);
    let facts = [
        match token.algorithm() {
            Some(algorithm) => format!("signed by issuer {issuer} with {}", algorithm.name()),
            None => format!("active, says issuer {issuer}"),
        },
        format!("client_id {}", shown(&claims.client_id)),
        format!("sub {}", shown(&claims.subject)),
        format!("aud {}", list(&audiences)),
    ];
    facts.into_iter().chain(dates).collect::<Vec<_>>().join(", ")
}

/// What a token says that nobody vouches for.
pub fn unverified(claimed: &Claimed) -> String {
    let text = |name: &str, text: &Option<Box<str>>| text.as_ref().map(|text| format!("{name} {}", shown(text)));
    let because = claimed.because.map(|because| match &claimed.member {
        Some(member) => format!("{}: {because}", shown(member)),
        None => because.to_owned(),
    });
    let audiences: Vec<&str> = claimed.audiences.iter().map(|audience| &**audience).collect();
    let facts = [
        Some("unverified".to_owned()),
        text("alg", &claimed.algorithm),
        text("kid", &claimed.key_id),
        text("typ", &claimed.typ),
        text("iss", &claimed.issuer),
        text("client_id", &claimed.client_id),
        (!audiences.is_empty()).then(|| format!("aud {}", list(&audiences))),
        because,
    ];
    facts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// The most characters of a text and items of a list that are told.
const MOST: (usize, usize) = (128, 8);

/// Text from outside, as it may stand on a terminal.
pub fn shown(text: &str) -> String {
    let (most, _) = MOST;
    let cut = text.char_indices().nth(most).and_then(|(end, _)| text.get(..end));
    let shown = cut.unwrap_or(text).escape_debug();
    format!("{shown}{}", if cut.is_some() { "…" } else { "" })
}

pub fn list(texts: &[&str]) -> String {
    let (_, most) = MOST;
    if texts.is_empty() {
        return "none".to_owned();
    }
    texts.iter().take(most).map(|text| shown(text)).collect::<Vec<_>>().join(" ")
}
