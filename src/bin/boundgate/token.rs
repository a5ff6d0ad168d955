//! `boundgate token`: a token for trying a configuration by hand. In: what it should say, and a key. Out: the token, and the
//! key set that verifies it. Not here: how it is signed (`signer`), what the filter makes of it.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use boundgate::jose::base64url;
use clap::Args;
use serde_json::{Map, Value, json};

use crate::certificate::First;
use crate::signer::{Algorithm, Source, signer};

/// The longest life of a token, in seconds: one for trying things out is not made for good.
const LONGEST: u64 = 24 * 3600;

#[derive(Args)]
pub struct TokenOptions {
    /// `iss`: the issuer, as the configuration writes it
    #[arg(long, value_name = "URL")]
    issuer: String,
    /// `aud`: the audience; several may be given
    #[arg(long, required = true, value_name = "URL")]
    audience: Vec<String>,
    /// `scope`: names with one space between them
    #[arg(long, value_name = "NAMES")]
    scope: Option<String>,
    /// `client_id`, and `sub` if --claims has none
    #[arg(long, default_value = "test-client", value_name = "ID")]
    client_id: String,
    /// How long it is valid, in seconds, at most a day
    #[arg(long, default_value_t = 300, value_name = "SECONDS")]
    lifetime: u64,
    /// Bind it to the first certificate of this PEM file (`cnf`, RFC 8705)
    #[arg(long, value_name = "FILE")]
    cert: Option<PathBuf>,
    /// Further claims, as a JSON object
    #[arg(long, value_name = "JSON")]
    claims: Option<String>,
    /// `typ` of the header
    #[arg(long, default_value = "at+jwt", value_name = "TYPE")]
    typ: String,
    /// The algorithm; by default the one that the key names, and ES256 for a new key
    #[arg(long, value_name = "NAME")]
    alg: Option<Algorithm>,
    /// The private key, a JWK or PEM; by default a new one
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// `kid`; by default the key's own, or its thumbprint
    #[arg(long, value_name = "NAME")]
    kid: Option<String>,
    /// Write the public key here, as a JWK set
    #[arg(long, value_name = "FILE")]
    jwks: Option<PathBuf>,
}

/// Prints a token, and writes the key set if that was asked for. Whether it could.
pub fn token(options: &TokenOptions, out: &mut impl Write, err: &mut impl Write) -> io::Result<bool> {
    let made = make(options).and_then(|made| match &options.jwks {
        None => Ok(made),
        Some(file) => match fs::write(file, format!("{:#}\n", made.key_set)) {
            Ok(()) => Ok(made),
            Err(fault) => Err(format!("--jwks {}: {fault}", file.display())),
        },
    });
    match made {
        Ok(made) => writeln!(out, "{}", made.token)?,
        Err(fault) => {
            writeln!(err, "{fault}")?;
            return Ok(false);
        }
    }
    Ok(true)
}

/// A token and what verifies it.
struct Made {
    token: String,
    key_set: Value,
}

/// `Err` says what to write instead.
fn make(options: &TokenOptions) -> Result<Made, String> {
    let (source, named) = source(options)?;
    let algorithm = match (options.alg, named.algorithm) {
        (Some(wanted), Some(named)) if wanted != named => {
            return Err(format!("--alg {wanted:?}: the key is for {named:?}. Leave one of both out."));
        }
        (Some(algorithm), _) | (None, Some(algorithm)) => algorithm,
        (None, None) if options.key.is_none() => Algorithm::ES256,
        (None, None) => return Err("--key: the file does not say what for. Add --alg.".to_owned()),
    };
    let kid = options.kid.as_deref().or(named.kid.as_deref());
    let signer = signer(algorithm, &source, kid).map_err(|fault| format!("--key: {fault}"))?;
    let token = signer.sign(&options.typ, claims(options)?).map_err(|fault| format!("the token: {fault}"))?;
    let jwk: Value = serde_json::from_str(&signer.jwk()).map_err(|fault| format!("the public key: {fault}"))?;
    Ok(Made { token, key_set: json!({ "keys": [jwk] }) })
}

/// What a private JWK says about itself.
#[derive(Default)]
struct Named {
    algorithm: Option<Algorithm>,
    kid: Option<String>,
}

fn source(options: &TokenOptions) -> Result<(Source, Named), String> {
    let Some(file) = &options.key else {
        if options.jwks.is_none() {
            return Err(
                "nobody could verify a token whose key is gone. Add --jwks FILE for the public key, or --key FILE."
                    .to_owned(),
            );
        }
        return Ok((Source::New, Named::default()));
    };
    if options.jwks.as_ref() == Some(file) {
        return Err("--jwks: the file of the private key. Write the public one somewhere else.".to_owned());
    }
    let text = read("--key", file)?;
    if text.trim_start().starts_with("-----BEGIN") {
        return Ok((Source::Pem(text), Named::default()));
    }
    let jwk: Value = serde_json::from_str(&text).map_err(|_| "--key: neither PEM nor a JWK.".to_owned())?;
    let text_of = |member: &str| jwk.get(member).and_then(Value::as_str);
    let algorithm = match text_of("alg") {
        None => None,
        Some(name) => match Algorithm::from_name(name) {
            None => return Err(format!("--key: tokens are not signed here with {name}.")),
            // Both names mean the same key.
            Some(Algorithm::EdDsa | Algorithm::Ed25519) if options.alg.is_some() => None,
            known => known,
        },
    };
    Ok((Source::Jwk(text.trim().to_owned()), Named { algorithm, kid: text_of("kid").map(str::to_owned) }))
}

fn claims(options: &TokenOptions) -> Result<Map<String, Value>, String> {
    let named = [("--issuer", &options.issuer), ("--client-id", &options.client_id), ("--typ", &options.typ)];
    let audiences = options.audience.iter().map(|audience| ("--audience", audience));
    if let Some((option, _)) = named.into_iter().chain(audiences).find(|(_, text)| text.is_empty()) {
        return Err(format!("{option}: empty."));
    }
    if !(1..=LONGEST).contains(&options.lifetime) {
        return Err(format!("--lifetime: from 1 to {LONGEST}. For one that has ended, write exp into --claims."));
    }
    // The companion asks the clock; the core is told.
    #[expect(clippy::disallowed_methods)]
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let audience = match options.audience.as_slice() {
        [one] => json!(one),
        several => json!(several),
    };
    let mut given = Map::new();
    given.insert("iss".to_owned(), json!(options.issuer));
    given.insert("client_id".to_owned(), json!(options.client_id));
    given.insert("aud".to_owned(), audience);
    if let Some(scope) = &options.scope {
        let allowed = |c: char| matches!(c, '!'..='~') && c != '"' && c != '\\';
        if !scope.split(' ').all(|name| !name.is_empty() && name.chars().all(allowed)) {
            return Err(
                "--scope: names of printable ASCII with one space between them (RFC 6749 section 3.3).".to_owned()
            );
        }
        given.insert("scope".to_owned(), json!(scope));
    }
    if let Some(file) = &options.cert {
        given.insert("cnf".to_owned(), json!({ "x5t#S256": thumbprint(file)? }));
    }
    let mut number = [0; 16];
    getrandom::fill(&mut number).map_err(|fault| format!("no random number: {fault}"))?;
    let mut claims = Map::new();
    claims.insert("sub".to_owned(), json!(options.client_id));
    claims.insert("iat".to_owned(), json!(now));
    claims.insert("exp".to_owned(), json!(now.saturating_add(options.lifetime)));
    claims.insert("jti".to_owned(), json!(base64url::encode(&number)));
    let further = further(options)?;
    if let Some((name, _)) = further.iter().find(|(name, _)| given.contains_key(*name)) {
        return Err(format!("--claims: {name:?} has an option of its own. Write it once."));
    }
    claims.extend(given.into_iter().chain(further));
    Ok(claims)
}

fn further(options: &TokenOptions) -> Result<Map<String, Value>, String> {
    let Some(text) = &options.claims else { return Ok(Map::new()) };
    match serde_json::from_str(text) {
        Ok(Value::Object(claims)) => Ok(claims),
        Ok(_) => Err(r#"--claims: no object. Write one like {"tenant": "acme"}."#.to_owned()),
        Err(fault) => Err(format!("--claims: no JSON: {fault}.")),
    }
}

/// The thumbprint of the first certificate of a file.
fn thumbprint(file: &Path) -> Result<String, String> {
    let first = First::of(&read("--cert", file)?);
    let first = first.ok_or_else(|| format!("--cert {}: no certificate in PEM.", file.display()))?;
    Ok(first.thumbprint.to_x5t_s256())
}

pub fn read(option: &str, file: &Path) -> Result<String, String> {
    fs::read_to_string(file).map_err(|fault| format!("{option} {}: {fault}", file.display()))
}

#[cfg(test)]
mod tests {
    use boundgate::host::{Cas, Conflict, Digest as Hash, Expect, Host, NativeVerdict};
    use boundgate::jose::{Compact, KeySet, Native};
    use clap::Parser;
    use jwt_simple::algorithms::{ECDSAP256PublicKeyLike, ES256PublicKey, RS256KeyPair};
    use jwt_simple::claims::NoCustomClaims;
    use sha2::{Digest, Sha256};

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: TokenOptions,
    }

    /// A process that verifies nothing.
    struct Nothing;

    impl Host for Nothing {
        fn shared_get(&self, _: &str) -> Option<(Vec<u8>, Cas)> {
            None
        }
        fn shared_set(&self, _: &str, _: &[u8], _: Expect) -> Result<(), Conflict> {
            Err(Conflict)
        }
        fn verify(&self, _: Hash, _: &[u8], _: &[u8], _: &[u8]) -> NativeVerdict {
            NativeVerdict::Missing
        }
        fn random(&self) -> [u8; 32] {
            [0; 32]
        }
    }

    /// What these options make, beside an issuer and an audience.
    fn made(options: &[&str]) -> Result<Made, String> {
        let basic = ["token", "--issuer", "https://as.example.com", "--audience", "https://api.example.com"];
        let line = Line::try_parse_from(basic.iter().chain(options)).map_err(|fault| fault.to_string())?;
        make(&line.options)
    }

    fn part(token: &str, number: usize) -> Value {
        let part = token.split('.').nth(number).unwrap();
        serde_json::from_slice(&base64url::decode(part.as_bytes()).unwrap()).unwrap()
    }

    /// Whether the filter's own code finds a key for the token and takes its signature.
    fn verifies(made: &Made) -> bool {
        let keys = KeySet::parse(made.key_set.to_string().as_bytes()).unwrap();
        let jws = Compact::parse(made.token.as_bytes()).unwrap();
        let native = Native::probe(&Nothing);
        keys.candidates(jws.header.kid.as_deref(), jws.header.algorithm).any(|key| key.verify(&jws, &Nothing, native))
    }

    #[test]
    fn the_filter_takes_its_signatures_by_the_key_set_it_writes() {
        for name in ["PS256", "PS384", "PS512", "Ed25519", "EdDSA", "ML-DSA-44", "ML-DSA-65", "ML-DSA-87"] {
            let made = made(&["--jwks", "keys.json", "--alg", name]).unwrap();
            assert_eq!(part(&made.token, 0)["alg"], name);
            assert!(verifies(&made), "{name}");
        }
        let made = made(&["--jwks", "keys.json"]).unwrap();
        assert_eq!(part(&made.token, 0)["alg"], "ES256", "unless another is asked for");
        let key = ES256PublicKey::from_jwk(&made.key_set["keys"][0].to_string()).unwrap();
        key.verify_token::<NoCustomClaims>(&made.token, None).unwrap();
    }

    #[test]
    fn it_says_what_the_options_say() {
        let made = made(&[
            "--jwks",
            "keys.json",
            "--scope",
            "read:orders admin",
            "--client-id",
            "alice",
            "--lifetime",
            "60",
            "--audience",
            "https://other.example.com",
            "--kid",
            "one",
            "--claims",
            r#"{"tenant": "acme", "sub": "carol"}"#,
        ])
        .unwrap();
        let (header, claims) = (part(&made.token, 0), part(&made.token, 1));
        assert_eq!(header, json!({"alg": "ES256", "kid": "one", "typ": "at+jwt"}));
        assert_eq!(claims["aud"], json!(["https://api.example.com", "https://other.example.com"]));
        let told = ["iss", "client_id", "sub", "scope", "tenant"].map(|name| claims[name].as_str().unwrap());
        assert_eq!(told, ["https://as.example.com", "alice", "carol", "read:orders admin", "acme"]);
        assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 60);
        assert!(claims["jti"].as_str().is_some_and(|number| number.len() > 20) && claims.get("cnf").is_none());
        assert_eq!(made.key_set["keys"][0]["kid"], "one");
    }

    #[test]
    fn a_certificate_binds_it() {
        let folder = std::env::temp_dir().join(format!("boundgate-token-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.join(name);
            fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let leaf = rcgen::generate_simple_self_signed(["alice.example.org".to_owned()]).unwrap();
        let other = rcgen::generate_simple_self_signed(["ca.example.org".to_owned()]).unwrap();
        let chain = file("chain.pem", &format!("a chain\n{}{}", leaf.cert.pem(), other.cert.pem()));
        let bound = made(&["--jwks", "keys.json", "--cert", &chain]).unwrap();
        let expected = base64url::encode(&Sha256::digest(leaf.cert.der()));
        assert_eq!(part(&bound.token, 1)["cnf"], json!({"x5t#S256": expected}));
        let key = file("key.pem", &leaf.signing_key.serialize_pem());
        assert!(made(&["--jwks", "keys.json", "--cert", &key]).is_err_and(|fault| fault.contains("no certificate")));

        let signed = made(&["--key", &key, "--alg", "ES256"]).unwrap();
        assert!(made(&["--key", &key]).is_err_and(|fault| fault.contains("Add --alg")));
        assert!(made(&["--key", &key, "--alg", "RS256"]).is_err());
        assert!(made(&["--key", &key, "--alg", "ML-DSA-44"]).is_err_and(|fault| fault.contains("JWK only")));
        let rsa = RS256KeyPair::generate(2048).unwrap().with_key_id("mine");
        let jwk = file("key.json", &rsa.to_jwk());
        let named = made(&["--key", &jwk]).unwrap();
        assert_eq!(
            (part(&named.token, 0)["alg"].as_str(), part(&named.token, 0)["kid"].as_str()),
            (Some("RS256"), Some("mine"))
        );
        assert!(made(&["--key", &jwk, "--alg", "PS256"]).is_err_and(|fault| fault.contains("Leave one of both out")));
        assert!(made(&["--key", &jwk, "--jwks", &jwk]).is_err());
        for made in [&signed, &named] {
            let keys = made.key_set.to_string();
            assert!(!keys.contains("\"d\"") && !keys.contains("\"p\""), "{keys}");
        }
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_what_to_write_instead() {
        for (options, remedy) in [
            (&["--client-id", "alice"][..], "Add --jwks FILE"),
            (&["--lifetime", "0"], "from 1 to 86400"),
            (&["--lifetime", "86401"], "from 1 to 86400"),
            (&["--lifetime", "-1"], "unexpected argument"),
            (&["--scope", "a  b"], "one space"),
            (&["--scope", ""], "one space"),
            (&["--scope", "a\"b"], "printable ASCII"),
            (&["--client-id", ""], "--client-id: empty"),
            (&["--claims", "[]"], "no object"),
            (&["--claims", "{"], "no JSON"),
            (&["--claims", r#"{"iss": "https://other.example.com"}"#], "Write it once"),
            (&["--alg", "none"], "ML-DSA-65"),
            (&["--alg", "HS256"], "ML-DSA-65"),
            (&["--alg", "ES512"], "ML-DSA-65"),
            (&["--cert", "/nonexistent"], "--cert /nonexistent"),
            (&["--key", "/nonexistent"], "--key /nonexistent"),
        ] {
            let mut all = options.to_vec();
            if *options != ["--client-id", "alice"] && !options.contains(&"--key") {
                all.extend(["--jwks", "keys.json"]);
            }
            let fault = made(&all).err().unwrap_or_default();
            assert!(fault.contains(remedy), "{options:?}: {fault:?}");
        }
    }
}
