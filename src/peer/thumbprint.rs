//! Certificate thumbprints (RFC 8705 §3.1). In: `x5t#S256` of a token, or the digest the proxy computed. Out: a value
//! that can only be compared in constant time.

use std::fmt;

use subtle::ConstantTimeEq;

use crate::jose::base64url;

/// SHA-256 of a DER certificate.
#[derive(Clone, Copy)]
pub struct Thumbprint([u8; 32]);

/// Text that is no thumbprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThumbprintFault;

impl Thumbprint {
    /// From base64url without padding: exactly 43 characters, no bit set behind the last byte.
    pub fn from_x5t_s256(text: &str) -> Result<Self, ThumbprintFault> {
        let bytes = base64url::decode(text.as_bytes()).map_err(|_| ThumbprintFault)?;
        bytes.try_into().map(Self).map_err(|_| ThumbprintFault)
    }

    /// From 64 hexadecimal digits in lower case, as Envoy writes a digest.
    pub fn from_hex_digest(hex: &[u8]) -> Result<Self, ThumbprintFault> {
        let (pairs, rest) = hex.as_chunks::<2>();
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte.wrapping_sub(b'0')),
            b'a'..=b'f' => Some(byte.wrapping_sub(b'a').wrapping_add(10)),
            _ => None,
        };
        let byte = |[high, low]: &[u8; 2]| Some((digit(*high)? << 4) | digit(*low)?);
        let bytes: Option<Vec<u8>> = pairs.iter().map(byte).collect();
        let bytes = bytes.filter(|_| rest.is_empty()).ok_or(ThumbprintFault)?;
        bytes.try_into().map(Self).map_err(|_| ThumbprintFault)
    }

    /// From the digest itself.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The text that stands in tokens.
    pub fn to_x5t_s256(self) -> String {
        base64url::encode(&self.0)
    }

    /// The digest.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl PartialEq for Thumbprint {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Thumbprint {}

impl fmt::Debug for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Thumbprint({})", self.to_x5t_s256())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const X5T: &str = "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0";
    const HEX: &str = "0380ed2f626650c840b2f263e6d2b29fae12ab39ae5db32b25ad27efad72e6fd";

    #[test]
    fn the_certificate_of_rfc_8705_appendix_a_has_its_thumbprint() {
        assert_eq!(Thumbprint::from_x5t_s256(X5T), Thumbprint::from_hex_digest(HEX.as_bytes()));
        assert_eq!(Thumbprint::from_hex_digest(HEX.as_bytes()).unwrap().to_x5t_s256(), X5T);
    }

    #[test]
    fn other_spellings_are_refused() {
        for wrong in [
            "",
            "A4Dt",
            &format!("{X5T}="),
            &X5T.replace('2', "+"),
            &X5T.replace('2', "/"),
            &format!("{}1", &X5T[..42]),
            HEX,
            &format!("{X5T}A"),
        ] {
            assert_eq!(Thumbprint::from_x5t_s256(wrong), Err(ThumbprintFault), "{wrong}");
        }
        for wrong in ["", "03", &HEX.to_uppercase(), &HEX[..63], &format!("{HEX}0"), &HEX.replace('f', "g")] {
            assert_eq!(Thumbprint::from_hex_digest(wrong.as_bytes()), Err(ThumbprintFault), "{wrong}");
        }
    }
}
