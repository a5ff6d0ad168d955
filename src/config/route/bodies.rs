//! What the bodies of a route may be. In: the table of the route. Out: [`BodyRule`].

use crate::config::reading::finding::{Findings, quoted};
use crate::config::reading::table::{Mistake, TextKey};
use crate::config::reading::values::set;
use crate::config::route::keys::RouteTable;
use crate::http::MediaRange;
use crate::policy::BodyRule;

/// A media type, or all of one type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) struct MediaText(pub(in crate::config) MediaRange);

impl TextKey for MediaText {
    const WHAT: &'static str = "a media type";
    const EXAMPLE: &'static str = r#"one like "application/json" or "image/*""#;

    fn parse(text: &str) -> Result<Self, Mistake> {
        if text == "*/*" {
            return Err(Mistake::new("takes every type", "Remove the key accepts."));
        }
        MediaRange::parse(text).map(Self).map_err(|_| {
            let remedy = match text.contains(';') {
                true => "Leave the parameters out: they are not compared.".to_owned(),
                false => format!("Write {}.", Self::EXAMPLE),
            };
            Mistake::new(format!("{} is no media type", quoted(text)), remedy)
        })
    }

    fn restrict(schema: &mut serde_json::Value) {
        set(schema, "pattern", "^[^/;*]+/([^/;*]+|\\*)$");
    }
}

pub(in crate::config) fn of_route(table: &RouteTable, findings: &mut Findings) -> BodyRule {
    let at = table.at.key("accepts");
    let written = table.accepts.as_deref().unwrap_or_default();
    if table.wrote("accepts") && written.is_empty() && !findings.touch(&at) {
        let remedy = "Write media types, or max_body: 0 where no body is to come.";
        findings.add(&at, "an empty list, so that no body could pass", remedy);
    }
    let mut accepts: Vec<MediaRange> = Vec::new();
    for media in written {
        if accepts.contains(&media.value.0) {
            findings.add(
                &media.at,
                format!("{} stands there twice", quoted(&media.value.0.to_string())),
                "Remove one.",
            );
        } else {
            accepts.push(media.value.0.clone());
        }
    }
    BodyRule { accepts, max_bytes: table.max_body.map(|size| size.0.into()) }
}
