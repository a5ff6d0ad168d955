//! A Token Status List (draft-ietf-oauth-status-list): one state of a few bits for each token of a list. In: the claims of a list's token,
//! whose signature was found right; an index. Out: the state there. Not here: where lists come from and who signs them (`worker`).

use std::time::Duration;

use miniz_oxide::inflate::decompress_to_vec_zlib_with_limit;

use crate::jose::base64url;
use crate::json::{Object, Value};
use crate::time::UnixMillis;

/// The `typ` of a list's token.
pub const STATUS_LIST_TYP: &str = "statuslist+jwt";

/// Where the state of a token stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusReference<'t> {
    /// The list: never an address to connect to, only a name below what is configured.
    pub uri: &'t str,
    /// The place in it.
    pub index: u64,
}

impl<'t> StatusReference<'t> {
    /// Reads the claim `status` of a token. `None` if what it says is no reference.
    pub fn read(claim: &'t Value) -> Option<Self> {
        let list = claim.as_object()?.get("status_list")?.as_object()?;
        let Value::Integer(index) = list.get("idx")? else { return None };
        let uri = list.get("uri")?.as_text()?;
        Some(Self { uri, index: u64::try_from(*index).ok()? })
    }
}

/// See the module.
#[derive(Debug)]
pub struct StatusList {
    /// Of each state: 1, 2, 4 or 8.
    bits: u8,
    states: Vec<u8>,
    /// From when on it is not to be used any more.
    pub expires: Option<UnixMillis>,
    /// How long it is good for before it is fetched anew.
    pub ttl: Option<Duration>,
}

impl StatusList {
    /// Reads the claims of the token of the list called `uri`. `leeway`: the tolerance for `exp`.
    pub fn read(
        claims: &Object,
        uri: &str,
        max_bytes: usize,
        now: UnixMillis,
        leeway: Duration,
    ) -> Result<Self, &'static str> {
        if claims.get("sub").and_then(Value::as_text) != Some(uri) {
            return Err("its sub is not the URI that it was fetched from");
        }
        let date = |name| claims.get(name).map(|value| value.as_number().and_then(UnixMillis::from_numeric_date));
        if !matches!(date("iat"), Some(Some(_))) {
            return Err("its iat is missing or no date");
        }
        let expires = date("exp").map(|date| date.ok_or("its exp is no date")).transpose()?;
        if expires.is_some_and(|expires| now >= expires.plus(leeway)) {
            return Err("it has expired");
        }
        let ttl = match claims.get("ttl").map(Value::as_number) {
            None => None,
            Some(Some(seconds)) if (1.0..=f64::from(u32::MAX)).contains(&seconds) => {
                Some(Duration::from_secs(seconds as u64))
            }
            Some(_) => return Err("its ttl is no positive number"),
        };
        let list = claims.get("status_list").and_then(Value::as_object).ok_or("it has no status_list")?;
        let bits = match list.get("bits") {
            Some(Value::Integer(1)) => 1,
            Some(Value::Integer(2)) => 2,
            Some(Value::Integer(4)) => 4,
            Some(Value::Integer(8)) => 8,
            _ => return Err("its bits are not 1, 2, 4 or 8"),
        };
        let packed = list.get("lst").and_then(Value::as_text).ok_or("it has no lst")?;
        let packed = base64url::decode(packed.as_bytes()).map_err(|_| "its lst is no base64url")?;
        let states = decompress_to_vec_zlib_with_limit(&packed, max_bytes)
            .map_err(|_| "its lst is no zlib data, or longer than \"max_bytes\" once it is unpacked")?;
        if states.is_empty() {
            return Err("it is empty");
        }
        Ok(Self { bits, states, expires, ttl })
    }

    /// The state at this place: 0 is valid. `None` behind the end.
    pub fn state(&self, index: u64) -> Option<u8> {
        let bits = u64::from(self.bits);
        let at = index.checked_mul(bits)?;
        let byte = *self.states.get(usize::try_from(at >> 3).ok()?)?;
        let mask = u8::MAX >> 8_u8.saturating_sub(self.bits);
        // The least significant bits of a byte come first.
        Some((byte >> (at & 7)) & mask)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{Bounds, parse};

    const URI: &str = "https://as.example.com/statuslists/1";

    fn read(claims: &str) -> Result<StatusList, &'static str> {
        let value = parse(claims.as_bytes(), Bounds::TOKEN).unwrap();
        StatusList::read(value.as_object().unwrap(), URI, 4096, UnixMillis::from_millis(2_000_000), Duration::ZERO)
    }

    fn packed(states: &[u8]) -> String {
        base64url::encode(&miniz_oxide::deflate::compress_to_vec_zlib(states, 9))
    }

    fn claims(bits: &str, lst: &str) -> String {
        format!(r#"{{"sub":"{URI}","iat":1000,"status_list":{{"bits":{bits},"lst":"{lst}"}}}}"#)
    }

    fn states(list: &StatusList, count: u64) -> Vec<u8> {
        (0..count).map(|index| list.state(index).unwrap()).collect()
    }

    #[test]
    fn the_examples_of_the_draft_read_as_it_says() {
        let one = read(&claims("1", "eNrbuRgAAhcBXQ")).unwrap();
        assert_eq!(states(&one, 16), [1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0, 1]);
        let two = read(&claims("2", "eNo76fITAAPfAgc")).unwrap();
        assert_eq!(states(&two, 12), [1, 2, 0, 3, 0, 1, 0, 1, 1, 2, 3, 3]);
        assert_eq!((one.state(16), two.state(12), one.state(u64::MAX)), (None, None, None));
    }

    #[test]
    fn states_of_four_and_eight_bits_stand_in_order() {
        assert_eq!(states(&read(&claims("4", &packed(&[0x21, 0x43]))).unwrap(), 4), [1, 2, 3, 4]);
        assert_eq!(states(&read(&claims("8", &packed(&[7, 255]))).unwrap(), 2), [7, 255]);
    }

    #[test]
    fn a_list_that_breaks_any_rule_is_none() {
        let good = claims("1", &packed(&[0]));
        assert!(read(&good).is_ok());
        for (from, to, says) in [
            (URI, "https://as.example.com/statuslists/2", "its sub"),
            (r#""iat":1000,"#, "", "its iat"),
            (r#""iat":1000,"#, r#""iat":"x","#, "its iat"),
            (r#""iat":1000,"#, r#""iat":1000,"exp":2000,"#, "it has expired"),
            (r#""iat":1000,"#, r#""iat":1000,"exp":"x","#, "its exp"),
            (r#""iat":1000,"#, r#""iat":1000,"ttl":0,"#, "its ttl"),
            (r#""iat":1000,"#, r#""iat":1000,"ttl":"5","#, "its ttl"),
            (r#""bits":1"#, r#""bits":3"#, "its bits"),
            (r#""bits":1"#, r#""bits":16"#, "its bits"),
            (r#""bits":1"#, r#""bits":"1""#, "its bits"),
            (r#""lst""#, r#""list""#, "it has no lst"),
            ("status_list", "statuses", "it has no status_list"),
        ] {
            let fault = read(&good.replace(from, to)).unwrap_err();
            assert!(fault.starts_with(says), "{to}: {fault}");
        }
        let kept = read(&good.replace(r#""iat":1000,"#, r#""iat":1000,"exp":2001,"ttl":60,"#)).unwrap();
        assert_eq!((kept.expires, kept.ttl), (Some(UnixMillis::from_millis(2_001_000)), Some(Duration::from_secs(60))));
        for (lst, says) in [("!", "base64url"), ("AAAA", "zlib"), ("eNo", "zlib"), (&*packed(&[]), "empty")] {
            let fault = read(&claims("1", lst)).unwrap_err();
            assert!(fault.contains(says), "{lst}: {fault}");
        }
    }

    #[test]
    fn a_few_kilobytes_that_unpack_to_many_megabytes_are_given_up_at_the_bound() {
        assert!(read(&claims("1", &packed(&[0; 4096]))).is_ok());
        let bomb = packed(&vec![0; 50 << 20]);
        assert!(bomb.len() < 100_000);
        assert!(read(&claims("1", &bomb)).unwrap_err().contains("max_bytes"));
    }

    #[test]
    fn a_reference_is_an_index_and_the_name_of_a_list() {
        let reference = |text: &str| {
            let value = parse(text.as_bytes(), Bounds::TOKEN).unwrap();
            StatusReference::read(&value).map(|reference| (reference.index, reference.uri.to_owned()))
        };
        assert_eq!(reference(r#"{"status_list":{"idx":5,"uri":"u"}}"#), Some((5, "u".to_owned())));
        for text in [
            "{}",
            "[]",
            "null",
            r#"{"other":{}}"#,
            r#"{"status_list":{"idx":-1,"uri":"u"}}"#,
            r#"{"status_list":{"idx":1.5,"uri":"u"}}"#,
            r#"{"status_list":{"idx":"1","uri":"u"}}"#,
            r#"{"status_list":{"idx":1}}"#,
            r#"{"status_list":{"idx":1,"uri":2}}"#,
        ] {
            assert_eq!(reference(text), None, "{text}");
        }
    }
}
