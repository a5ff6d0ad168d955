//! `step_up` of a route: how its users must have signed in. In: the table as it is written. Out: [`StepUp`], or findings.

use crate::config::reading::finding::{Findings, quoted};
use crate::config::reading::table::{Mistake, TextKey};
use crate::config::route::keys::RouteTable;
use crate::policy::StepUp;

/// An authentication context, as it stands in `acr` and in the challenge's `acr_values` between spaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) struct AuthenticationContext(Box<str>);

impl TextKey for AuthenticationContext {
    const WHAT: &'static str = "a value of acr";
    const EXAMPLE: &'static str = r#"a value of acr, like "urn:example:mfa""#;
    const LOOKS_LIKE_ANYTHING: bool = true;

    fn parse(text: &str) -> Result<Self, Mistake> {
        let allowed = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
        if (1..=256).contains(&text.len()) && text.bytes().all(allowed) {
            return Ok(Self(text.into()));
        }
        let remedy =
            "Write each as an item of its own, in visible ASCII without \" and \\: it stands in the challenge.";
        Err(Mistake::new(format!("{} is no value of acr that a challenge could name", quoted(text)), remedy))
    }
}

/// The most values of `acr`.
const MOST: usize = 16;

pub(in crate::config) fn compile(table: &RouteTable, findings: &mut Findings) -> Option<StepUp> {
    let written = table.step_up.as_ref()?;
    let contexts = written.acr.as_deref().unwrap_or_default();
    let at = written.at.key("acr");
    if !written.wrote("acr") && !written.wrote("max_age") {
        if !findings.touch(&written.at) {
            let finding = "has neither acr nor max_age, so that every token would pass";
            findings.add(&written.at, finding, "Write one of both, or remove it.");
        }
        return None;
    }
    if written.wrote("acr") && contexts.is_empty() && !findings.touch(&at) {
        findings.add(&at, "an empty list, so that every token would pass", "Write values of acr, or remove the key.");
    }
    if contexts.len() > MOST {
        findings.add(&at, format!("a list of {}", contexts.len()), format!("Write {MOST} at most."));
    }
    Some(StepUp {
        contexts: contexts.iter().map(|context| context.value.0.clone()).collect(),
        max_age: written.max_age.map(|age| age.0),
        path: written.at.as_str().into(),
    })
}
