//! What may be right and is rarely meant, and how an operator says that it is meant. In: doubts as they were found, and
//! the tables. Out: those that no table answers under `meant`, as warnings.
//! Not here: what is doubted (beside what is wrong, with each part).

use crate::config::keys::ConfigTable;
use crate::config::reading::finding::{Doubt, Findings, Place};
use crate::config::reading::table::{At, Mistake, TextKey, Written, config_settings, described, unknown_word};

config_settings! {
    /// What a warning doubts, and is meant all the same.
    DoubtSetting {
        /// An open path with a parameter matches whatever the stricter paths beside it do not.
        OpenParameter = "open-parameter",
        /// A sign that stands for itself here and for something else elsewhere: `*`, `,`, `:id`, `[`.
        Literal = "literal",
        /// A path that ends with a slash, and is another one without.
        TrailingSlash = "trailing-slash",
        /// A method that differs from a usual one by a letter.
        Method = "method",
        /// Keys, answers about tokens or revocations from a host that differs from the issuer's by a letter or two.
        KeyHost = "key-host",
        /// Proofs of possession for a host that is none of the resource's, because a hop in front changes it.
        OriginHost = "origin-host",
        /// Metadata about another identifier than tokens are for.
        MetadataAudience = "metadata-audience",
        /// Two keys of one kind and one `kid`.
        SharedKid = "shared-kid",
        /// A limit that never refuses, because another one always does before.
        IdleLimit = "idle-limit",
    }
    refused {}
}

/// One `meant` of a table.
struct Answers<'c> {
    table: &'c Place,
    words: &'c [At<DoubtSetting>],
}

/// Every table that has the key, and what stands there.
fn answers(config: &ConfigTable) -> Vec<Answers<'_>> {
    let mut found = Vec::new();
    for (_, At { value, .. }) in config.issuers.iter().flat_map(|issuers| &issuers.0) {
        found.extend(value.as_ref().and_then(|issuer| answer(&issuer.at, &issuer.meant)));
    }
    for (_, At { value, .. }) in config.limits.iter().flat_map(|limits| &limits.0) {
        found.extend(value.as_ref().and_then(|limit| answer(&limit.at, &limit.meant)));
    }
    for At { value: resource, .. } in config.resources.iter().flatten() {
        found.extend(answer(&resource.at, &resource.meant));
        let routes = resource.routes.iter().flatten();
        found.extend(routes.filter_map(|route| answer(&route.value.at, &route.value.meant)));
    }
    found
}

fn answer<'c>(table: &'c Place, meant: &'c Option<Vec<At<DoubtSetting>>>) -> Option<Answers<'c>> {
    meant.as_deref().map(|words| Answers { table, words })
}

/// Lists that say nothing.
pub(in crate::config) fn check(config: &ConfigTable, findings: &mut Findings) {
    for Answers { table, words } in answers(config) {
        let at = table.key("meant");
        if words.is_empty() && !findings.touch(&at) {
            findings.add(&at, "an empty list, which says nothing", "Write what is meant, or remove the key.");
        }
    }
}

/// The doubts that nobody answered, and a warning for each answer to none. A table answers for all that stands in it.
pub(in crate::config) fn unanswered(config: &ConfigTable, doubts: Vec<Doubt>) -> Findings {
    let answers = answers(config);
    let mut used: Vec<&Place> = Vec::new();
    let mut open = Findings::default();
    for Doubt { finding, answer } in doubts {
        let answered = answer.and_then(|(word, _)| {
            let mut fitting = answers.iter().filter(|answers| answers.table.holds(&finding.path));
            fitting.find_map(|answers| answers.words.iter().find(|written| written.value == word))
        });
        match answered {
            Some(written) => used.push(&written.at),
            None => open.put(finding),
        }
    }
    for written in answers.iter().flat_map(|answers| answers.words).filter(|written| !used.contains(&&written.at)) {
        open.add(&written.at, "answers no warning", "Remove it.");
    }
    open
}
