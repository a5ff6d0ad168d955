//! Media types (RFC 9110 §8.3.1) as far as routes tell them apart: type and subtype, in any case, whatever their parameters. In: text of the
//! configuration, the `content-type` of a request. Out: [`MediaRange`], and whether a type is in it.

use std::fmt;

/// A media type, or all of one type (`image/*`). In lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaRange(Box<str>);

/// Text that is no media type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaRangeFault;

impl MediaRange {
    /// From `application/json` or `image/*`, without parameters.
    pub fn parse(text: &str) -> Result<Self, MediaRangeFault> {
        let (kind, subtype) = text.split_once('/').ok_or(MediaRangeFault)?;
        let is_token = |part: &str| !part.is_empty() && part.bytes().all(is_token_char) && !part.contains('*');
        let fits = text.len() <= 128 && is_token(kind) && (subtype == "*" || is_token(subtype));
        if fits { Ok(Self(text.to_ascii_lowercase().into())) } else { Err(MediaRangeFault) }
    }

    /// Whether a body of this `content-type` is meant.
    pub fn includes(&self, content_type: &[u8]) -> bool {
        let essence = content_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        match self.0.strip_suffix('*') {
            Some(kind) => essence.split_at_checked(kind.len()).is_some_and(|(theirs, subtype)| {
                theirs.eq_ignore_ascii_case(kind.as_bytes())
                    && !subtype.is_empty()
                    && subtype.iter().copied().all(is_token_char)
            }),
            None => essence.eq_ignore_ascii_case(self.0.as_bytes()),
        }
    }
}

/// RFC 9110 §5.6.2.
fn is_token_char(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

impl fmt::Display for MediaRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_meant_in_any_case_and_with_any_parameters() {
        let json = MediaRange::parse("application/JSON").unwrap();
        for good in ["application/json", "Application/Json", "application/json;charset=utf-8", "application/json ; q=1"]
        {
            assert!(json.includes(good.as_bytes()), "{good}");
        }
        for other in
            ["", "application/jsonx", "application/json,text/html", "application/json text/html", "text/json", "json"]
        {
            assert!(!json.includes(other.as_bytes()), "{other}");
        }
        let image = MediaRange::parse("image/*").unwrap();
        assert!(image.includes(b"image/png") && image.includes(b"IMAGE/svg+xml; a=b"));
        for other in ["image", "image/", "imagex/png", "image/png,text/html", "image/a b"] {
            assert!(!image.includes(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn what_is_no_media_type_is_refused() {
        for wrong in
            ["", "json", "*/*", "application/", "/json", "application/*+json", "text/html;q=1", "a/b/c", "a/ b"]
        {
            assert_eq!(MediaRange::parse(wrong), Err(MediaRangeFault), "{wrong}");
        }
    }
}
