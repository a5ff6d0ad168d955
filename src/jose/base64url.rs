//! base64url as JOSE uses it (RFC 7515 §2). In: text. Out: bytes, and one text for each: no padding, no white space, no
//! other alphabet, no bit set behind the last byte.

use base64::Engine;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::{alphabet, engine::DecodePaddingMode};

const STRICT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(false),
);

/// Text that is not strict base64url.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotBase64Url;

/// The bytes of `text`.
pub fn decode(text: &[u8]) -> Result<Vec<u8>, NotBase64Url> {
    STRICT.decode(text).map_err(|_| NotBase64Url)
}

/// The text of `bytes`.
pub fn encode(bytes: &[u8]) -> String {
    STRICT.encode(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn there_is_one_text_for_each_bytes() {
        assert_eq!(decode(b"_-8"), Ok(vec![0xff, 0xef]));
        for wrong in ["_-8=", "/+8", "_-9", "A", "AAAAA", "AA A", "AA\n", "A%3D", "\u{e9}", "AA=="] {
            assert_eq!(decode(wrong.as_bytes()), Err(NotBase64Url), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn what_is_accepted_is_what_would_be_written(text in "[A-Za-z0-9_-]{0,9}", bytes: Vec<u8>) {
            if let Ok(decoded) = decode(text.as_bytes()) {
                prop_assert_eq!(encode(&decoded), text);
            }
            prop_assert_eq!(decode(encode(&bytes).as_bytes()), Ok(bytes));
        }
    }
}
