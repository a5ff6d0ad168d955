//! Rules of a policy in the words of the configuration. In: what was compiled. Out: text for tables and explanations.
//! Not here: what is written where (`routes`, `explain`), any judgement.

use boundgate::policy::{Access, BindingRule, Charge, MethodSet, Mode, PeerRule, ScopeRule};

pub fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Enforce => "enforce",
        Mode::Report => "report",
    }
}

pub fn methods(methods: &MethodSet) -> Vec<String> {
    match methods {
        MethodSet::Any => vec!["*".to_owned()],
        MethodSet::Listed(listed) => listed.iter().map(ToString::to_string).collect(),
    }
}

pub fn access(access: &Access) -> &'static str {
    match access {
        Access::Public => "public",
        Access::Peer(_) => "peer",
        Access::Token(_) => "token",
    }
}

pub fn binding(rule: BindingRule) -> &'static str {
    match rule {
        BindingRule::Mtls => "mtls",
        BindingRule::WhenBound => "when-bound",
    }
}

/// `None` where none is demanded.
pub fn scopes(rule: &ScopeRule) -> Option<String> {
    let any = (!rule.any.is_empty()).then(|| format!("one of {}", rule.any.join(" ")));
    let all = (!rule.all.is_empty()).then(|| rule.all.join(" "));
    let parts: Vec<String> = all.into_iter().chain(any).collect();
    (!parts.is_empty()).then(|| parts.join(" and "))
}

pub fn peers(rule: &PeerRule) -> Vec<String> {
    rule.0.iter().map(ToString::to_string).collect()
}

/// The limit of a route by its name, and what is unusual about it.
pub fn charge(charge: &Charge) -> String {
    let limit = &charge.limit;
    let cost = (charge.cost > 1).then(|| format!("cost {}", charge.cost));
    let shadow = limit.shadow.then(|| "shadow".to_owned());
    let event = limit.watch.as_ref().map(|watch| format!("event {}", watch.event.slug()));
    let unusual: Vec<String> = cost.into_iter().chain(shadow).chain(event).collect();
    let name = &limit.origin.name;
    if unusual.is_empty() { name.to_string() } else { format!("{name} ({})", unusual.join(", ")) }
}
