//! One parameter of a query, where it has exactly one reading. In: the query as it will be forwarded, the parameter's name. Out: its
//! value with escapes resolved once, or the fault that makes servers differ about it. Nothing is ever repaired.
//!
//! No standard says how a query is taken apart. Frameworks take the first of two values, the last, or a list; `Account`, `account[]`
//! and `acc%6Funt` for `account`, or not; `;` for `&`, or not; `+` for a space, or not. Whatever one of them could read in another way
//! has no reading here.

use std::borrow::Cow;

use crate::http::path::{has_escape, unescaped};

/// Why a parameter has no one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryFault {
    /// It is not there.
    Missing,
    /// It is there more than once.
    Repeated,
    /// Servers differ about what it says, or whether it is there.
    Ambiguous,
}

/// The value of the only parameter called `name`, a name of letters, digits, `_`, `-` and `.`.
pub fn query_parameter<'q>(query: &'q [u8], name: &str) -> Result<Cow<'q, [u8]>, QueryFault> {
    if query.contains(&b';') {
        return Err(QueryFault::Ambiguous);
    }
    let mut found = None;
    for parameter in query.split(|byte| *byte == b'&') {
        let mut parts = parameter.splitn(2, |byte| *byte == b'=');
        let (written, value) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        if !folded(written).eq(&folded(name.as_bytes())) {
            continue;
        }
        if written != name.as_bytes() {
            return Err(QueryFault::Ambiguous);
        }
        if found.replace(value).is_some() {
            return Err(QueryFault::Repeated);
        }
    }
    let value = found.ok_or(QueryFault::Missing)?;
    let plain = unescaped(value);
    let broken = value.split(|byte| *byte == b'%').skip(1).any(|digits| !begins_with_two_digits(digits));
    if broken || value.contains(&b'+') || has_escape(&plain) { Err(QueryFault::Ambiguous) } else { Ok(plain) }
}

fn begins_with_two_digits(text: &[u8]) -> bool {
    text.get(..2).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
}

/// A name as the most lenient server reads it: escapes resolved twice, cut at a bracket or at a NUL, without spaces around it, whatever
/// its case, with `_` for what variables of PHP cannot have.
fn folded(name: &[u8]) -> Vec<u8> {
    let once = unescaped(name);
    let twice = unescaped(&once);
    let name = twice.split(|byte| matches!(byte, b'[' | 0)).next().unwrap_or_default();
    let lenient = name.iter().map(|byte| match byte {
        b'.' | b' ' | b'+' => b'_',
        other => other.to_ascii_lowercase(),
    });
    let is_space = |byte: &u8| matches!(byte, b' ' | b'+' | b'\t');
    let before = name.iter().take_while(|byte| is_space(byte)).count();
    let behind = name.iter().rev().take_while(|byte| is_space(byte)).count();
    lenient.take(name.len().saturating_sub(behind)).skip(before).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_has_one_value_or_none_at_all() {
        use QueryFault::{Ambiguous, Missing, Repeated};
        for (query, expected) in [
            ("account=7", Ok("7")),
            ("a=8&account=7&b=%zz", Ok("7")),
            ("account=%37", Ok("7")),
            ("account=a%2Bb%20c", Ok("a+b c")),
            ("account=7=8", Ok("7=8")),
            ("accounts=8&account=7&my-account=8", Ok("7")),
            ("account=", Ok("")),
            ("account", Ok("")),
            ("", Err(Missing)),
            ("a=account", Err(Missing)),
            ("account=7&account=7", Err(Repeated)),
            ("account=7&account", Err(Repeated)),
            ("account=7;account=8", Err(Ambiguous)),
            ("account=7&a;b", Err(Ambiguous)),
            ("account=7&Account=8", Err(Ambiguous)),
            ("ACCOUNT=7", Err(Ambiguous)),
            ("account[]=8&account=7", Err(Ambiguous)),
            ("account=7&account%5B0%5D=8", Err(Ambiguous)),
            ("account=7&account%255B%255D=8", Err(Ambiguous)),
            ("acc%6funt=7", Err(Ambiguous)),
            ("account=7&acc%256funt=8", Err(Ambiguous)),
            ("account=7&%20account=8", Err(Ambiguous)),
            ("account=7&+account=8", Err(Ambiguous)),
            ("account=7&account%00x=8", Err(Ambiguous)),
            ("account=a+b", Err(Ambiguous)),
            ("account=%2537", Err(Ambiguous)),
            ("account=7%", Err(Ambiguous)),
            ("account=7%2", Err(Ambiguous)),
            ("account=%u0037", Err(Ambiguous)),
        ] {
            let value = query_parameter(query.as_bytes(), "account").map(Cow::into_owned);
            assert_eq!(value, expected.map(|value| value.as_bytes().to_vec()), "{query}");
        }
        assert_eq!(query_parameter(b"a_b=7&a.b=8", "a_b"), Err(Ambiguous));
    }
}
