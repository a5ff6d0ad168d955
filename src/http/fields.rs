//! A writer for structured fields (RFC 9651): lists of strings with integer parameters. In: text and numbers. Out: a
//! field value. Not here: which fields there are.

use std::fmt::Write;

/// A List (§4.1.1) of String items.
#[derive(Debug, Default)]
pub struct List(String);

/// The text has characters that a String cannot hold: anything but printable ASCII (§3.3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotPrintable;

/// The last item of a list, which takes parameters.
#[derive(Debug)]
pub struct Item<'l>(&'l mut String);

impl List {
    /// Adds a String (§4.1.6). On an error nothing is added.
    pub fn string(&mut self, text: &str) -> Result<Item<'_>, NotPrintable> {
        if !text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            return Err(NotPrintable);
        }
        if !self.0.is_empty() {
            self.0.push_str(", ");
        }
        self.0.push('"');
        for character in text.chars() {
            if matches!(character, '"' | '\\') {
                self.0.push('\\');
            }
            self.0.push(character);
        }
        self.0.push('"');
        Ok(Item(&mut self.0))
    }

    /// The field's value; `None` for an empty list, which is told by leaving the field out (§4.1).
    pub fn finish(self) -> Option<String> {
        (!self.0.is_empty()).then_some(self.0)
    }
}

impl Item<'_> {
    /// The largest Integer (§3.3.1).
    const LARGEST: u64 = 999_999_999_999_999;

    /// Adds a parameter (§4.1.1.2): `key` in lower case; a value out of range is cut to the largest that is not.
    pub fn integer(self, key: &'static str, value: u64) -> Self {
        // Writing to a String does not fail.
        let _ = write!(self.0, ";{key}={}", value.min(Self::LARGEST));
        self
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sfv::{BareItem, ListEntry, Parser};

    use super::*;

    #[test]
    fn items_stand_behind_each_other_with_their_parameters() {
        let mut list = List::default();
        list.string("burst").unwrap().integer("q", 100).integer("w", 60);
        list.string("daily").unwrap().integer("q", 1000);
        assert_eq!(list.finish().unwrap(), r#""burst";q=100;w=60, "daily";q=1000"#);
    }

    #[test]
    fn an_empty_list_is_no_field() {
        assert_eq!(List::default().finish(), None);
    }

    #[test]
    fn text_that_is_not_printable_ascii_is_refused_and_adds_nothing() {
        let mut list = List::default();
        for text in ["ü", "\t", "a\r\nb", "\u{7f}", "\0"] {
            assert_eq!(list.string(text).unwrap_err(), NotPrintable);
        }
        assert_eq!(list.finish(), None);
    }

    #[test]
    fn numbers_end_at_fifteen_digits() {
        let mut list = List::default();
        list.string("").unwrap().integer("q", u64::MAX);
        assert_eq!(list.finish().unwrap(), r#""";q=999999999999999"#);
    }

    proptest! {
        #[test]
        fn a_parser_reads_back_what_was_written(text in "[ -~]{0,40}", number: u64) {
            let mut list = List::default();
            list.string(&text).unwrap().integer("q", number);
            let value = list.finish().unwrap();
            let parsed = Parser::new(&value).parse::<sfv::List>().unwrap();
            let [ListEntry::Item(item)] = parsed.as_slice() else { panic!("{value}") };
            let BareItem::String(read) = &item.bare_item else { panic!("{value}") };
            prop_assert_eq!(read.as_str(), text);
            prop_assert!(matches!(item.params["q"], BareItem::Integer(_)));
        }
    }
}
