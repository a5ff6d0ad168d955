//! What text without quotation marks means in YAML: the one table of it. In: a plain scalar. Out: its value, and what is wrong
//! where readers of YAML differ about it: then no reading is right. Not here: the YAML around it (`yaml`).

use crate::config::reading::finding::quoted;
use crate::config::reading::table::Mistake;
use crate::json::{self, Bounds, Value};

/// How plain scalars are read.
pub(in crate::config) type Scalars = fn(&str) -> (Value, Option<Mistake>);

/// Words that are `true`, `false` or nothing to some readers, and text to others.
const UNCLEAR: [&str; 11] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n", ".inf", ".nan"];

/// How the filter reads them, and `boundgate check`.
pub(in crate::config) fn plain(text: &str) -> (Value, Option<Mistake>) {
    let value = match text {
        "" | "~" | "null" => Value::Null,
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ if is_whole(text) || is_decimal(text) => number(text),
        _ => {
            let mistake = unclear(text).or_else(|| odd_character(text));
            return (Value::Text(text.to_owned()), mistake);
        }
    };
    (value, None)
}

/// How Envoy reads them in its own YAML, where that is what the filter will get in a `google.protobuf.Struct`.
#[cfg(feature = "cli")]
pub(in crate::config) fn of_envoy(text: &str) -> (Value, Option<Mistake>) {
    let (value, mistake) = plain(text);
    let value = match value {
        Value::Integer(number) if i32::try_from(number).is_err() => Value::Text(text.to_owned()),
        Value::Decimal(_) => Value::Text(text.to_owned()),
        other => other,
    };
    (value, mistake)
}

/// `0`, `-7`, `120`.
fn is_whole(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    all_digits(digits) && (digits == "0" || !digits.starts_with('0'))
}

/// `0.5`, `-1.10`.
fn is_decimal(text: &str) -> bool {
    text.split_once('.').is_some_and(|(whole, fraction)| is_whole(whole) && all_digits(fraction))
}

fn all_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Such numbers are JSON too, and are read as there; one that does not fit stays text.
fn number(text: &str) -> Value {
    json::parse(text.as_bytes(), Bounds::TOKEN).unwrap_or_else(|_| Value::Text(text.to_owned()))
}

/// Of a word or a number that is written so that readers differ about it.
fn unclear(text: &str) -> Option<Mistake> {
    let word = text.trim_start_matches(['+', '-']);
    if UNCLEAR.iter().any(|unclear| word.eq_ignore_ascii_case(unclear)) {
        return Some(Mistake::new(
            format!("readers of YAML differ about {}: some read a word of their own, others text", quoted(text)),
            format!("Write true or false; or {} in quotation marks, if that text is meant.", quoted(text)),
        ));
    }
    looks_like_a_number(text).then(|| {
        Mistake::new(
            format!("readers of YAML differ about {}: some read a number, others another one or text", quoted(text)),
            "Write a number in plain digits, without zeros in front, underscores or exponent; text in quotation marks.",
        )
    })
}

/// Whether any schema of YAML, 1.1 or 1.2, makes a number of it: octal, hexadecimal and binary, with exponent, underscores, a sign,
/// parts left out, or in base 60.
fn looks_like_a_number(text: &str) -> bool {
    let number = text.strip_prefix(['+', '-']).unwrap_or(text);
    let based = ["0x", "0o", "0b"].iter().find_map(|base| number.strip_prefix(base).zip(Some(*base)));
    if let Some((digits, base)) = based {
        let radix = if base == "0x" { 16 } else { 10 };
        return !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(radix) || digit == '_');
    }
    let (mantissa, exponent) = match number.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['+', '-']).unwrap_or(exponent))),
        None => (number, None),
    };
    let begins = mantissa.trim_start_matches('.').starts_with(|digit: char| digit.is_ascii_digit());
    let of = |more: &[u8]| mantissa.bytes().all(|byte| byte.is_ascii_digit() || more.contains(&byte));
    let dots = mantissa.bytes().filter(|byte| *byte == b'.').count();
    let is_time = exponent.is_none() && mantissa.contains(':') && dots < 2 && of(b":._") && has_base_60(mantissa);
    let is_number = dots < 2 && of(b"._") && exponent.is_none_or(all_digits);
    begins && (is_number || is_time)
}

/// `1:30`, `190:20:30.15`: every part but the first has one or two digits.
fn has_base_60(text: &str) -> bool {
    let mut parts = text.split(':');
    parts.next();
    parts.all(|part| matches!(part.split('.').next().unwrap_or_default().len(), 1 | 2))
}

/// Of a character that looks like one that has a meaning in YAML, and is none.
fn odd_character(text: &str) -> Option<Mistake> {
    let code = |letter: char| format!("U+{:04X}", u32::from(letter));
    if let Some(quote) = text.chars().next().filter(|letter| is_typographic_quote(*letter)) {
        return Some(Mistake::new(
            format!("begins with a typographic quotation mark ({})", code(quote)),
            "Write \" instead, at both ends.",
        ));
    }
    text.chars().find(|letter| is_odd_space(*letter)).map(|space| {
        Mistake::new(
            format!("has a space in it that is no ordinary one ({})", code(space)),
            "Write an ordinary space; or put the text in quotation marks, if it is meant.",
        )
    })
}

/// “ ” ‘ ’ „ ‚ « » and their kin.
pub(in crate::config) fn is_typographic_quote(letter: char) -> bool {
    matches!(letter, '\u{2018}'..='\u{201f}' | '\u{ab}' | '\u{bb}' | '\u{2039}' | '\u{203a}')
}

/// A space, or nothing to see, that separates nothing in YAML: the no-break space, and what copying brings along.
pub(in crate::config) fn is_odd_space(letter: char) -> bool {
    (letter.is_whitespace() && !letter.is_ascii())
        || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Value> {
        let (value, mistake) = plain(text);
        mistake.is_none().then_some(value)
    }

    #[test]
    fn what_every_reader_of_yaml_reads_alike_is_read_so() {
        for (text, value) in [
            ("", Value::Null),
            ("~", Value::Null),
            ("null", Value::Null),
            ("true", Value::Bool(true)),
            ("false", Value::Bool(false)),
            ("0", Value::Integer(0)),
            ("-7", Value::Integer(-7)),
            ("120", Value::Integer(120)),
            ("9223372036854775807", Value::Integer(i64::MAX)),
            ("5.0", Value::Decimal(5.0)),
            ("-1.10", Value::Decimal(-1.1)),
        ] {
            assert_eq!(read(text), Some(value), "{text}");
        }
        for text in [
            "a",
            "100/min",
            "10m",
            "at+jwt",
            "https://as.example.com",
            "/orders/{id}",
            "**",
            "localhost:8443",
            "10.0.0.1",
            "10.0.0.1:8443",
            "::1",
            "1.2.3",
            "2026-11-28",
            "2026-11-28T07:00:00Z",
            "00:00-24:00",
            "e1",
            "0xyz",
            "0x",
            "1_a",
            "_1",
            "-",
            ".",
            "..",
            "=",
            "nothing",
            "On-Call",
            "123:4567",
            "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
            "12e",
            "1e3x",
            "ä",
        ] {
            assert_eq!(read(text), Some(Value::Text(text.into())), "{text}");
        }
    }

    #[test]
    fn what_readers_of_yaml_differ_about_is_a_mistake() {
        for text in [
            "010",
            "-010",
            "00",
            "+5",
            "1_000",
            "1e3",
            "1E3",
            "1.5e-3",
            "1e+3",
            ".5",
            "5.",
            "+1.5",
            "01.5",
            "0x1F",
            "-0x1f",
            "0o10",
            "0b101",
            "0x_1",
            ".inf",
            "-.INF",
            ".NaN",
            "1:30",
            "190:20:30",
            "1:30.5",
            "yes",
            "No",
            "ON",
            "off",
            "y",
            "N",
            "True",
            "FALSE",
            "Null",
            "NULL",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn a_number_that_does_not_fit_never_becomes_another_whole_number() {
        assert_eq!(read("9223372036854775808"), Some(Value::Decimal(9_223_372_036_854_775_808.0)));
        let long = "9".repeat(400);
        assert_eq!(read(&long), Some(Value::Text(long.clone())));
    }

    #[test]
    fn characters_that_look_like_others_are_mistakes() {
        for (text, finding) in [
            ("\u{201c}ES256\u{201d}", "begins with a typographic quotation mark (U+201C)"),
            ("\u{2018}a\u{2019}", "begins with a typographic quotation mark (U+2018)"),
            ("mode:\u{a0}report", "has a space in it that is no ordinary one (U+00A0)"),
            ("a\u{200b}b", "has a space in it that is no ordinary one (U+200B)"),
        ] {
            assert_eq!(plain(text).1.unwrap().finding, finding);
        }
    }

    #[test]
    #[cfg(feature = "cli")]
    fn envoy_makes_text_of_decimals_and_of_large_numbers() {
        for text in ["1.10", "5.0", "12345678901", "-2147483649"] {
            assert_eq!(of_envoy(text).0, Value::Text(text.into()));
        }
        assert_eq!(of_envoy("2147483647").0, Value::Integer(2_147_483_647));
        assert!(of_envoy("010").1.is_some());
    }
}
