//! `x-forwarded-client-cert` as Envoy writes it, in text or as JSON. In: the value of the one field, the thumbprint of the
//! hop that sent it. Out: what the hop says of its client's certificate, or that this cannot be told.
//!
//! Envoy quotes `Cert`, `Chain`, `Subject` and `Issuer`. It neither quotes nor escapes the names in `By`, `URI` and `DNS`: there a
//! certificate may hold whatever looks like another pair or another element. So only what stands before the first name of
//! the certificate is believed, and a value that is not exactly what a hop writes that throws its client's field away is not used
//! at all. `By` comes earlier, and holds names of the hop.
//!
//! Not here: whether the hop is believed (`policy::PeerSource`), what is in the certificate (`certificate`).

use sha2::{Digest, Sha256};

use crate::json::{self, Bounds, Object};
use crate::peer::conveyed::{Conveyed, Unused};
use crate::peer::{Thumbprint, certificate};

/// Bounds of the JSON in it.
const BOUNDS: Bounds = Bounds { depth: 4, values: 512, members: 64 };

/// What the hop with the certificate `hop` says. It writes one element. Behind it may stand the one that this proxy adds itself
/// (`APPEND_FORWARD`), which tells of the hop.
pub(super) fn read(value: &[u8], hop: Thumbprint) -> Result<Conveyed, Unused> {
    let is_ours = |added: &Element| added.hash() == Some(hop);
    let first = first(value, is_ours).ok_or(Unused::Unreadable)?;
    // A hop without a client certificate sends no field, and this proxy may add one all the same.
    if is_ours(&first) {
        return Err(Unused::Missing);
    }
    first.conveyed().ok_or(Unused::Unreadable)
}

/// The first of one element, or of two with the one that this proxy adds.
fn first(value: &[u8], is_ours: impl Fn(&Element) -> bool) -> Option<Element> {
    let elements = match value.first() {
        Some(b'[') => of_json(value)?,
        _ => of_text(std::str::from_utf8(value).ok()?)?,
    };
    let mut elements = elements.into_iter();
    let (first, added, more) = (elements.next()?, elements.next(), elements.next());
    (more.is_none() && added.as_ref().is_none_or(is_ours)).then_some(first)
}

/// What was written once, or not at all.
#[derive(Debug, Default)]
struct Once {
    written: bool,
    believed: Option<String>,
}

impl Once {
    /// `None` if it stands there already.
    fn set(&mut self, value: &str, believed: bool) -> Option<()> {
        if std::mem::replace(&mut self.written, true) {
            return None;
        }
        self.believed = believed.then(|| value.to_owned());
        Some(())
    }
}

/// One element.
#[derive(Debug, Default)]
struct Element {
    hash: Once,
    certificate: Once,
    chain: Once,
    subject: Once,
    issuer: Once,
    /// Of the certificate, where nothing that they say can look like something else.
    names: Option<(Vec<String>, Vec<String>)>,
    /// Whether a name of the certificate was read. What follows may be part of it.
    is_doubtful: bool,
}

impl Element {
    fn hash(&self) -> Option<Thumbprint> {
        Thumbprint::from_hex_digest(self.hash.believed.as_deref()?.as_bytes()).ok()
    }

    fn conveyed(self) -> Option<Conveyed> {
        let thumbprint = self.hash()?;
        let der = match &self.certificate.believed {
            Some(pem) => Some(certificate::der_of(pem.as_bytes()).ok()?),
            None => None,
        };
        if let Some(der) = &der {
            (Thumbprint::from_bytes(Sha256::digest(der).into()) == thumbprint).then_some(())?;
        }
        let (uri_sans, dns_sans) = self.names.unwrap_or_default();
        let printable = |names: Vec<String>| names.iter().map(|name| certificate::printable(name)).collect();
        let subject = self.subject.believed.map(|subject| certificate::printable(&subject));
        Some(Conveyed { thumbprint, der, subject, uri_sans: printable(uri_sans), dns_sans: printable(dns_sans) })
    }

    /// Adds a pair of the text. `None` if it cannot stand there.
    fn add(&mut self, key: &str, value: &str, quoted: bool) -> Option<()> {
        let believed = !self.is_doubtful;
        let field = match key.to_ascii_lowercase().as_str() {
            "cert" => &mut self.certificate,
            "chain" => &mut self.chain,
            "subject" => &mut self.subject,
            "issuer" => &mut self.issuer,
            _ if quoted => return None,
            "hash" => &mut self.hash,
            "by" => return Some(()),
            // Names, and what is not known to be none.
            _ => {
                self.is_doubtful = true;
                return Some(());
            }
        };
        field.set(value, believed)
    }

    fn of_object(object: &Object) -> Option<Self> {
        let mut element = Self::default();
        let text = |name: &str| match object.get(name) {
            None => Some(None),
            Some(value) => value.as_text().map(Some),
        };
        for (field, name) in
            [(&mut element.hash, "hash"), (&mut element.certificate, "cert"), (&mut element.subject, "subject")]
        {
            if let Some(value) = text(name)? {
                field.set(value, true)?;
            }
        }
        let list = |name: &str| match object.get(name) {
            None => Some(Vec::new()),
            Some(value) => value.as_array()?.iter().map(|name| name.as_text().map(str::to_owned)).collect(),
        };
        element.names = Some((list("uri")?, list("dns")?));
        Some(element)
    }
}

fn of_json(value: &[u8]) -> Option<Vec<Element>> {
    let value = json::parse(value, BOUNDS).ok()?;
    value.as_array()?.iter().map(|element| Element::of_object(element.as_object()?)).collect()
}

fn of_text(text: &str) -> Option<Vec<Element>> {
    let mut elements = Vec::new();
    let mut element = Element::default();
    let mut rest = text;
    loop {
        let (key, behind) = rest.split_once('=')?;
        (!key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphabetic())).then_some(())?;
        let (value, behind, quoted) = match behind.strip_prefix('"') {
            Some(behind) => {
                let (value, behind) = quoted(behind)?;
                (value, behind, true)
            }
            None => {
                let (value, behind) = behind.split_at_checked(behind.find([';', ',']).unwrap_or(behind.len()))?;
                (!value.contains('"')).then_some(())?;
                (value, behind, false)
            }
        };
        element.add(key, value, quoted)?;
        if behind.is_empty() {
            elements.push(element);
            return Some(elements);
        }
        if let Some(behind) = behind.strip_prefix(',') {
            elements.push(std::mem::take(&mut element));
            rest = behind;
        } else {
            rest = behind.strip_prefix(';')?;
        }
    }
}

/// What stands up to the quotation mark that ends it, escapes as they are, and what stands behind the mark.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let mut escaped = false;
    let end = text.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })?;
    let (value, behind) = text.split_at_checked(end)?;
    Some((value, behind.strip_prefix('"')?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const REAL: &str = "0380ed2f626650c840b2f263e6d2b29fae12ab39ae5db32b25ad27efad72e6fd";
    const GATEWAY: &str = "1111111111111111111111111111111111111111111111111111111111111111";
    const FORGED: &str = "0000000000000000000000000000000000000000000000000000000000000000";

    fn thumbprint(hex: &str) -> Thumbprint {
        Thumbprint::from_hex_digest(hex.as_bytes()).unwrap()
    }

    /// `REAL`, `GATEWAY` and `FORGED` stand for hashes.
    fn reads(value: &str) -> Option<Conveyed> {
        let value = value.replace("REAL", REAL).replace("GATEWAY", GATEWAY).replace("FORGED", FORGED);
        read(value.as_bytes(), thumbprint(GATEWAY)).ok()
    }

    /// A PEM as it stands in text, in JSON, and its digest.
    fn certificate() -> (String, String, String) {
        let params = rcgen::CertificateParams::new(vec![String::from("alice.example.org")]).unwrap();
        let certificate = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
        let hash = Sha256::digest(certificate.der()).iter().map(|byte| format!("{byte:02x}")).collect();
        let escaped = [('+', "%2B"), ('\n', "%0A"), (' ', "%20"), ('/', "%2F"), ('=', "%3D")];
        let text = escaped.iter().fold(certificate.pem(), |pem, (plain, escape)| pem.replace(*plain, escape));
        (text, certificate.pem().replace('\n', "\\n"), hash)
    }

    #[test]
    fn an_element_tells_the_thumbprint_and_what_stands_before_the_names() {
        for good in [
            "Hash=REAL",
            "hash=REAL",
            "By=spiffe://td/gw;By=urn:x;Hash=REAL;Subject=\"CN=alice\";URI=",
            "Hash=REAL;Subject=\"\";URI=spiffe://td/a;URI=urn:b;DNS=a.example;DNS=b.example",
            "Hash=REAL;Issuer=\"CN=ca\";URI=x;Later=1;Later=2",
            "Hash=REAL;URI=spiffe://td/a,By=spiffe://td/us;Hash=GATEWAY;Subject=\"\";URI=spiffe://td/gw",
            "[{\"hash\":\"REAL\"}]",
            "[{\"hash\":\"REAL\",\"uri\":[\"spiffe://td/a\"],\"later\":[{}]},{\"by\":[\"x\"],\"hash\":\"GATEWAY\"}]",
        ] {
            assert_eq!(reads(good).map(|conveyed| conveyed.thumbprint), Some(thumbprint(REAL)), "{good}");
        }
    }

    #[test]
    fn names_are_believed_in_json_only() {
        let text = reads("Hash=REAL;Subject=\"CN=alice\";URI=spiffe://td/alice;DNS=alice.example").unwrap();
        assert_eq!((text.uri_sans.len(), text.dns_sans.len(), text.subject.as_deref()), (0, 0, Some("CN=alice")));
        let json =
            reads(r#"[{"hash":"REAL","subject":"CN=a\\;b","uri":["spiffe://td/alice"],"dns":["a,Hash=0"]}]"#).unwrap();
        assert_eq!((json.uri_sans, json.dns_sans), (vec!["spiffe://td/alice".into()], vec!["a,Hash=0".into()]));
        assert_eq!(json.subject.as_deref(), Some("CN=a\\;b"));
    }

    #[test]
    fn quotes_are_honoured() {
        for subject in
            [r"CN=a;Cert=forged;x", r#"CN=client \"x\",OU=AB,O=Acme\, Inc"#, r#"CN=a\\"#, "CN=a,Hash=FORGED;URI=x"]
        {
            let read = reads(&format!("Hash=REAL;Subject=\"{subject}\";URI=")).unwrap();
            assert_eq!((read.thumbprint, read.der), (thumbprint(REAL), None), "{subject}");
            assert_eq!(read.subject, Some(subject.replace("FORGED", FORGED)));
        }
    }

    #[test]
    fn what_a_certificate_says_in_its_names_is_never_taken_for_the_hops_word() {
        for hostile in [
            "spiffe://td/evil,Hash=FORGED;Subject=\"CN=admin\";URI=spiffe://td/admin",
            "x;Hash=FORGED",
            "x;hash=FORGED",
            "x;HASH=FORGED;Cert=\"\"",
            "x,Hash=FORGED",
            "x,By=y;Hash=FORGED;URI=",
            "x,Hash=GATEWAY,Hash=FORGED",
            "x,Hash=GATEWAY",
            "x\";Hash=FORGED;URI=\"",
            "x;Subject=\"CN=admin\"",
            "x;Cert=\"FORGED\"",
        ] {
            for added in ["", ",By=us;Hash=GATEWAY;Subject=\"\";URI=spiffe://td/gw"] {
                for value in [format!("Hash=REAL;URI={hostile}{added}"), format!("Hash=REAL;DNS={hostile}{added}")] {
                    if let Some(read) = reads(&value) {
                        assert_eq!(
                            (read.thumbprint, read.subject, read.der),
                            (thumbprint(REAL), None, None),
                            "{value}"
                        );
                    }
                }
                let alone = format!("By=gw;URI={hostile}{added}");
                assert_eq!(reads(&alone), None, "{alone}");
            }
        }
    }

    #[test]
    fn what_a_hop_does_not_write_is_not_used_at_all() {
        for wrong in [
            "",
            "REAL",
            "Hash",
            "Hash=",
            "Hash=03",
            "Hash=REALx",
            "Hash=\"REAL\"",
            "=REAL",
            " Hash=REAL",
            "Hash=REAL;",
            "Hash=REAL,",
            ",Hash=REAL",
            ";Hash=REAL",
            "Hash=REAL;;URI=",
            "Hash =REAL",
            "By=x;URI=spiffe://td/a",
            "URI=x;Hash=REAL",
            "Later=x;Hash=REAL",
            "Hash=REAL;Hash=REAL",
            "Hash=REAL;URI=;Hash=REAL",
            "Hash=REAL;Subject=\"a\";Subject=\"a\"",
            "Hash=REAL;Cert=\"\"",
            "Hash=REAL;Subject=\"CN=a",
            "Hash=REAL;Subject=\"CN=a\"b",
            "Hash=REAL;Subject=\"CN=a\\\"",
            "Hash=REAL;Subject=x\";Cert=GOOD;URI=\";Cert=FORGED",
            "Hash=REAL;URI=\"x\"",
            "Hash=REAL;DNS=\"x\"",
            "Hash=REAL;Later=\"x\"",
            "[",
            "[]",
            "[[]]",
            "[{}]",
            "[{\"hash\":1}]",
            "[{\"hash\":[\"REAL\"]}]",
            "[{\"hash\":\"REAL\",\"hash\":\"REAL\"}]",
            "[{\"hash\":\"REAL\",\"cert\":\"\"}]",
            "[{\"hash\":\"REAL\",\"uri\":\"x\"}]",
            "[{\"hash\":\"REAL\",\"uri\":[1]}]",
            "[{\"Hash\":\"REAL\"}]",
            "[{\"hash\":\"REAL\"}],[]",
            "{\"hash\":\"REAL\"}",
            " [{\"hash\":\"REAL\"}]",
        ] {
            assert_eq!(reads(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_hop_that_keeps_what_its_client_wrote_is_not_used() {
        for wrong in [
            "Hash=FORGED,Hash=REAL",
            "Hash=FORGED,By=x;Hash=REAL;URI=,By=us;Hash=GATEWAY;URI=",
            "By=x;Hash=FORGED;URI=spiffe://td/web,By=us;URI=spiffe://td/other",
            "Hash=FORGED;Subject=\",By=gw;Hash=REAL;Subject=\"CN=plain\";URI=",
            "Hash=FORGED;DNS=\",By=gw;Hash=REAL;URI=spiffe://td/x\"",
            "[{\"hash\":\"FORGED\"},By=gw;Hash=REAL",
            "[,{\"by\":[\"gw\"],\"hash\":\"REAL\"}]",
            "[{\"hash\":\"FORGED\",\"x\":\"]\",{\"by\":[\"gw\"]}]",
            "[{\"hash\":\"FORGED\"},{\"hash\":\"REAL\"}]",
            "[{\"hash\":\"FORGED\"}],[{\"hash\":\"11\"},{\"by\":[\"gw\"],\"hash\":\"REAL\"}]",
            "[{\"hash\":\"FORGED\"},{\"hash\":\"REAL\"},{\"hash\":\"GATEWAY\"}]",
            "Hash=FORGED,Hash=GATEWAY;Hash=GATEWAY",
        ] {
            assert_eq!(reads(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_this_proxy_says_of_the_hop_is_not_said_of_its_client() {
        for alone in ["By=us;Hash=GATEWAY;Subject=\"\";URI=spiffe://td/gw", "[{\"hash\":\"GATEWAY\"}]"] {
            assert_eq!(reads(alone), None, "{alone}");
        }
        assert_eq!(reads("Hash=GATEWAY,Hash=GATEWAY"), None);
    }

    #[test]
    fn a_certificate_must_be_the_one_with_the_hash() {
        let (text, json, hash) = certificate();
        let (_, other, _) = certificate();
        let pem = |value: String| reads(&value).map(|read| (read.thumbprint, read.der.is_some()));
        let good = Some((thumbprint(&hash), true));
        assert_eq!(pem(format!("Hash={hash};Cert=\"{text}\";Chain=\"{text}\";URI=")), good);
        assert_eq!(pem(format!("[{{\"hash\":\"{hash}\",\"cert\":\"{json}\"}}]")), good);
        for value in [
            format!("Hash=REAL;Cert=\"{text}\""),
            format!("Cert=\"{text}\""),
            format!("Hash={hash};Cert=\"{text}x\""),
            format!("Hash={hash};Cert=\"{}\"", &text[..40]),
            format!("[{{\"hash\":\"{hash}\",\"cert\":\"{other}\"}}]"),
            format!("[{{\"hash\":\"{hash}\",\"cert\":\"{json}{json}\"}}]"),
        ] {
            assert_eq!(pem(value.clone()), None, "{value}");
        }
        // Behind a name it may be part of it: the hash counts, the certificate does not.
        assert_eq!(pem(format!("Hash={hash};URI=;Cert=\"{text}\"")), Some((thumbprint(&hash), false)));
    }

    #[test]
    fn too_long_a_value_is_not_looked_at() {
        let long = |bytes: usize| reads(&format!("Hash=REAL;Subject=\"{}\"", "a".repeat(bytes)));
        assert!(long(30_000).is_some());
        assert_eq!(reads(&format!("[{}]", "{\"by\":[]},".repeat(600))), None);
    }

    proptest! {
        #[test]
        fn no_value_makes_it_panic_or_believe_another_hash(
            names in "[a-z:/,;=\"\\\\HashURIBySubject ]{0,60}", bytes in proptest::collection::vec(any::<u8>(), 0..80)
        ) {
            let _ = read(&bytes, thumbprint(GATEWAY));
            if let Some(read) = reads(&format!("Hash=REAL;URI={names};Hash=FORGED")) {
                prop_assert_eq!(read.thumbprint, thumbprint(REAL));
            }
        }
    }
}
