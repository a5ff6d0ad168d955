//! YAML as a parser sees it. In: a text. Out: events, each with its place. Not here: what they mean (`config::yaml` in the filter).
//!
//! The parser is generic, so it is compiled where it is used. This crate is that place: the profile optimises it for size, which
//! halves what it adds to the module.

pub use granit_parser::{ErrorKind, Event, ScalarStyle, ScanError, Span};

/// Gives the events of `text` to `take`, one by one, while it returns `true`.
#[inline(never)]
pub fn read(text: &str, take: &mut dyn FnMut(Event<'_>, &Span) -> bool) -> Result<(), ScanError> {
    let options = granit_parser::options! { emit_comments: false, disallow_directives: true };
    for event in granit_parser::Parser::new_from_str_with_options(text, options) {
        let (event, span) = event?;
        if !take(event, &span) {
            break;
        }
    }
    Ok(())
}
