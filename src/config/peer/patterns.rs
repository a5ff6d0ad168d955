//! Which peers are meant, as it is written: wherever the configuration names peers or hops. In: one text. Out: a
//! [`PeerPattern`] in its one spelling, or a finding.
//! Not here: what a pattern means (`policy`), whether a peer fits it (`peer`).

use crate::config::reading::finding::quoted;
use crate::config::reading::table::{Mistake, TextKey};
use crate::config::reading::values::set;
use crate::peer::Thumbprint;
use crate::policy::PeerPattern;
use crate::spiffe::{SpiffeFault, SpiffeId};

/// The longest name of a certificate that is known here.
const MAX_NAME: usize = 2048;
/// The longest DNS name (RFC 1035 §3.1, as text).
const MAX_DNS: usize = 253;
/// The most digits of a serial number (RFC 5280 §4.1.2.2).
const MAX_SERIAL: usize = 40;

/// Which peers are meant: a SPIFFE ID, one that ends in `/*`, `dns:`, `subject:`, `serial:`, `sha256:`, or `*` for every
/// validated certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) struct PeerText(pub(in crate::config) PeerPattern);

impl TextKey for PeerText {
    const WHAT: &'static str = "a peer";
    const EXAMPLE: &'static str = r#"one like "spiffe://example.org/ns/billing/*", "dns:a.example.org", "subject:CN=a,O=Example", "serial:0A1B@CN=CA,O=Example" or "sha256:...", or "*" for every validated certificate"#;

    fn parse(text: &str) -> Result<Self, Mistake> {
        let pattern = match text.split_once(':') {
            _ if text == "*" => PeerPattern::Any,
            Some(("dns", name)) => dns(name)?,
            Some(("subject", subject)) => PeerPattern::Subject(distinguished_name(subject)?),
            Some(("serial", text)) => serial(text)?,
            Some(("sha256", digest)) => sha256(digest)?,
            Some((scheme, _)) if scheme.eq_ignore_ascii_case("spiffe") => spiffe(text)?,
            _ => return Err(unsaid(text)),
        };
        Ok(Self(pattern))
    }

    fn restrict(schema: &mut serde_json::Value) {
        set(
            schema,
            "pattern",
            r"^(\*|[Ss][Pp][Ii][Ff][Ff][Ee]://.+|dns:.+|subject:.+|serial:[0-9A-Fa-f:]+@.+|sha256:.+)$",
        );
    }
}

/// Of a text that does not say what it is.
fn unsaid(text: &str) -> Mistake {
    let finding = format!("{} does not say what it is", quoted(text));
    let kind = match text {
        _ if distinguished_name(text).is_ok() => Some("subject"),
        _ if sha256(text).is_ok() => Some("sha256"),
        _ if text.contains('.') && dns(text).is_ok() => Some("dns"),
        _ => None,
    };
    match kind {
        Some(kind) => Mistake::new(finding, format!("Write {}.", quoted(&format!("{kind}:{text}")))),
        None => Mistake::new(finding, format!("Write {}.", PeerText::EXAMPLE)),
    }
}

fn spiffe(text: &str) -> Result<PeerPattern, Mistake> {
    let parent = text.strip_suffix('*').filter(|parent| parent.ends_with('/'));
    // What stands below must be an ID whatever `*` stands for.
    let id = SpiffeId::parse(&parent.map_or_else(|| text.to_owned(), |parent| format!("{parent}x")));
    let id = id.map_err(|fault| {
        let finding = match fault {
            SpiffeFault::Scheme => "is no SPIFFE ID",
            SpiffeFault::TrustDomain => "has no valid trust domain",
            SpiffeFault::Path => "has no valid path",
        };
        let remedy = r#"Write one like "spiffe://example.org/ns/billing/*", or "*" for every validated certificate."#;
        Mistake::new(format!("{} {finding}", quoted(text)), remedy)
    })?;
    Ok(match parent {
        Some(_) => PeerPattern::Below(id.as_str().strip_suffix('x').unwrap_or_default().into()),
        None => PeerPattern::Exactly(id),
    })
}

fn dns(name: &str) -> Result<PeerPattern, Mistake> {
    let lower = name.to_ascii_lowercase();
    let exact = lower.strip_prefix("*.").unwrap_or(&lower);
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let label = |label: &str| !label.is_empty() && label.bytes().all(letter);
    if name.len() > MAX_DNS || !exact.split('.').all(label) {
        return Err(Mistake::new(
            format!("{} is no DNS name of a certificate", quoted(name)),
            r#"Write one like "dns:a.example.org", or "dns:*.example.org" for all that have one label more."#,
        ));
    }
    Ok(match lower.strip_prefix('*') {
        Some(suffix) => PeerPattern::DnsBelow(suffix.into()),
        None => PeerPattern::Dns(lower.into()),
    })
}

/// A name as Envoy would tell it; another spelling of it would never be met.
fn distinguished_name(text: &str) -> Result<Box<str>, Mistake> {
    let mistake = |why: &str| {
        let remedy = r#"Write it as Envoy does (RFC 2253), like "CN=a,O=Example": openssl x509 -noout -subject -issuer -nameopt RFC2253 -in FILE prints it."#;
        Mistake::new(format!("{} {why}", quoted(text)), remedy)
    };
    if !text.bytes().all(|byte| matches!(byte, b' '..=b'~')) || text.len() > MAX_NAME {
        return Err(mistake("has characters that Envoy escapes, or is too long"));
    }
    let mut escaped = false;
    let mut starts = vec![0];
    for (place, byte) in text.bytes().enumerate() {
        if matches!(byte, b',' | b'+') && !escaped {
            starts.push(place.saturating_add(1));
        }
        escaped = byte == b'\\' && !escaped;
    }
    let is_attribute = |start: &usize| {
        let (key, _) = text.get(*start..).and_then(|rest| rest.split_once('=')).unwrap_or_default();
        !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.')
    };
    if escaped || !starts.iter().all(is_attribute) {
        return Err(mistake("is no name of a certificate"));
    }
    Ok(text.into())
}

/// As it stands in the certificate: with a zero in front where the first bit would be a sign.
fn serial(text: &str) -> Result<PeerPattern, Mistake> {
    let (digits, issuer) = text.split_once('@').unwrap_or((text, ""));
    let plain: String = digits.split(':').collect::<String>().to_ascii_lowercase();
    let plain = plain.trim_start_matches('0');
    if plain.len() > MAX_SERIAL || digits.is_empty() || !plain.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(Mistake::new(
            format!("{} is no serial number", quoted(digits)),
            r#"Write it in hexadecimal digits, and its issuer: "serial:0A1B@CN=CA,O=Example"."#,
        ));
    }
    let even = if plain.len().is_multiple_of(2) { "" } else { "0" };
    let whole = format!("{even}{plain}");
    let signed = whole.is_empty() || whole.starts_with(['8', '9', 'a', 'b', 'c', 'd', 'e', 'f']);
    let serial = if signed { format!("00{whole}") } else { whole };
    Ok(PeerPattern::Serial { serial: serial.into(), issuer: distinguished_name(issuer)? })
}

fn sha256(text: &str) -> Result<PeerPattern, Mistake> {
    let hex: String = text.split(':').collect::<String>().to_ascii_lowercase();
    let digest = Thumbprint::from_hex_digest(hex.as_bytes()).or_else(|_| Thumbprint::from_x5t_s256(text));
    digest.map(|digest| PeerPattern::Thumbprint(*digest.as_bytes())).map_err(|_| {
        Mistake::new(
            format!("{} is no SHA-256 of a certificate", quoted(text)),
            "Write its 64 hexadecimal digits (openssl x509 -noout -fingerprint -sha256 -in FILE), or its x5t#S256.",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<PeerPattern> {
        PeerText::parse(text).ok().map(|peer| peer.0)
    }

    #[test]
    fn a_spiffe_pattern_keeps_the_one_spelling_of_its_id() {
        assert_eq!(parse("spiffe://Example.org/ns/*"), Some(PeerPattern::Below("spiffe://example.org/ns/".into())));
        assert_eq!(parse("spiffe://example.org/*"), Some(PeerPattern::Below("spiffe://example.org/".into())));
        assert_eq!(
            parse("SPIFFE://example.org/ns/x"),
            Some(PeerPattern::Exactly(SpiffeId::parse("spiffe://example.org/ns/x").unwrap()))
        );
        assert_eq!(parse("*"), Some(PeerPattern::Any));
        for wrong in [
            "spiffe://*",
            "spiffe://example.org/ns*",
            "spiffe://example.org/*/a",
            "spiffe://example.org/ns/**",
            "/*",
            "",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_dns_name_is_exact_or_leaves_its_first_label_open() {
        assert_eq!(parse("dns:A.Example.org"), Some(PeerPattern::Dns("a.example.org".into())));
        assert_eq!(parse("dns:*.Example.org"), Some(PeerPattern::DnsBelow(".example.org".into())));
        for wrong in ["dns:", "dns:*", "dns:*.", "dns:a*.b", "dns:*.*.b", "dns:a..b", "dns:a.", "dns:é.b", "DNS:a.b"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_subject_is_written_as_envoy_tells_it() {
        for good in [
            "CN=a",
            r#"CN=client \"x\",OU=AB,O=Acme\, Inc,C=SE"#,
            r"CN=a+OU=b,2.5.4.97=#0C03505344",
            r"CN=zo\C3\AB",
            r"CN=a\\",
            "CN=",
        ] {
            assert_eq!(parse(&format!("subject:{good}")), Some(PeerPattern::Subject(good.into())), "{good}");
        }
        for wrong in ["", "a", "CN=a, O=b", "/CN=a/O=b", "CN=zoë", r"CN=a\", "CN=a,", "CN=a+"] {
            assert_eq!(parse(&format!("subject:{wrong}")), None, "{wrong}");
        }
    }

    #[test]
    fn a_serial_number_is_the_same_however_it_is_written() {
        let serial = |serial: &str| Some(PeerPattern::Serial { serial: serial.into(), issuer: "CN=ca".into() });
        for (written, read) in
            [("0A1B", "0a1b"), ("a1b", "0a1b"), ("00:0a:1b", "0a1b"), ("ff", "00ff"), ("00", "00"), ("7f", "7f")]
        {
            assert_eq!(parse(&format!("serial:{written}@CN=ca")), serial(read), "{written}");
        }
        let long = "1".repeat(41);
        for wrong in ["0a1b", "@CN=ca", "xy@CN=ca", "0a1b@", "-1@CN=ca", "0a@ca", &format!("{long}@CN=ca")] {
            assert_eq!(parse(&format!("serial:{wrong}")), None, "{wrong}");
        }
    }

    #[test]
    fn a_thumbprint_is_hexadecimal_or_base64url() {
        let hex = "0380ed2f626650c840b2f263e6d2b29fae12ab39ae5db32b25ad27efad72e6fd";
        let of_openssl =
            "03:80:ED:2F:62:66:50:C8:40:B2:F2:63:E6:D2:B2:9F:AE:12:AB:39:AE:5D:B3:2B:25:AD:27:EF:AD:72:E6:FD";
        let same = parse("sha256:A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0");
        assert!(matches!(same, Some(PeerPattern::Thumbprint(_))));
        for written in [hex, &hex.to_uppercase(), of_openssl] {
            assert_eq!(parse(&format!("sha256:{written}")), same, "{written}");
        }
        for wrong in ["", "03", &hex[..63], &format!("{hex}0"), "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v1"] {
            assert_eq!(parse(&format!("sha256:{wrong}")), None, "{wrong}");
        }
    }

    #[test]
    fn what_does_not_say_its_kind_is_told_how_to() {
        for (written, remedy) in [
            ("CN=a", r#"Write "subject:CN=a"."#),
            ("a.example.org", r#"Write "dns:a.example.org"."#),
            ("partner", &*format!("Write {}.", PeerText::EXAMPLE)),
        ] {
            let Err(mistake) = PeerText::parse(written) else { panic!("{written}") };
            assert_eq!(mistake.remedy, remedy, "{written}");
        }
    }

    #[test]
    fn a_pattern_is_shown_as_it_may_be_written() {
        for text in [
            "*",
            "spiffe://example.org/a",
            "spiffe://example.org/a/*",
            "dns:a.example.org",
            "dns:*.example.org",
            "subject:CN=a,O=b",
            "serial:00ff@CN=ca",
            "sha256:A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0",
        ] {
            assert_eq!(parse(text).map(|pattern| pattern.to_string()).as_deref(), Some(text));
        }
    }
}
