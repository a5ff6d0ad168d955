//! Text from callers and tokens, fit for a record that may be written as it is. In: any text. Out: JSON, cut to a bound, in which
//! nothing ends a line or turns what is read around it.

use serde::{Serialize, Serializer};

use crate::verdict::for_no_log;

/// The longest text written; longer ones end in `…`.
pub(super) const MAX_CHARS: usize = 128;
/// The most items of a list that are written.
const MAX_ITEMS: usize = 8;

/// See the module.
pub(super) struct Bounded<'a, const MAX: usize = MAX_CHARS>(pub(super) &'a str);

impl<const MAX: usize> Serialize for Bounded<'_, MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let cut = self.0.char_indices().nth(MAX).map(|(end, _)| end);
        let text = cut.map_or(Some(self.0), |end| self.0.get(..end)).unwrap_or_default();
        match cut {
            None if text.is_ascii() => serializer.serialize_str(text),
            cut => serializer.collect_str(&format_args!("{}{}", visible(text), if cut.is_some() { "…" } else { "" })),
        }
    }
}

/// JSON escapes the controls of ASCII; here are those that it leaves.
fn visible(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            letter if !letter.is_ascii() && for_no_log(letter) => written.extend(letter.escape_unicode()),
            letter => written.push(letter),
        }
    }
    written
}

/// The first of a list.
pub(super) fn some<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<Bounded<'a>> {
    texts.into_iter().take(MAX_ITEMS).map(Bounded).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_are_bounded_and_escaped() {
        let json = |text: &str| serde_json::to_string(&Bounded::<MAX_CHARS>(text)).unwrap();
        assert_eq!(json("a\"\n\u{7}"), r#""a\"\n\u0007""#);
        assert_eq!(json("zoë\u{202e}\u{2028}\u{85}"), r#""zoë\\u{202e}\\u{2028}\\u{85}""#);
        assert_eq!(json(&"é".repeat(200)).chars().count(), MAX_CHARS + "\"…\"".chars().count());
    }
}
