//! What stands in the environment of the VM, because it is not for a configuration: secrets. In: the name of a variable. Out: it,
//! or a finding. Not here: reading the variable (`Host::variable`).

use crate::config::reading::table::{Mistake, TextKey};
use crate::config::reading::values::set;

/// The name of a variable in an environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) struct Variable(pub(in crate::config) Box<str>);

impl TextKey for Variable {
    const WHAT: &'static str = "the name of a variable";
    const EXAMPLE: &'static str = "the name of a variable that holds it, like BOUNDGATE_SECRET";

    fn parse(text: &str) -> Result<Self, Mistake> {
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let begins = text.bytes().next().is_some_and(|first| !first.is_ascii_digit());
        if text.len() <= 128 && begins && text.bytes().all(letter) {
            return Ok(Self(text.into()));
        }
        // It may be the secret itself: it is not repeated.
        Err(Mistake::new("this is no name of a variable", format!("Write {}, and no secret.", Self::EXAMPLE)))
    }

    fn restrict(schema: &mut serde_json::Value) {
        set(schema, "pattern", "^[A-Za-z_][A-Za-z0-9_]{0,127}$");
    }
}
