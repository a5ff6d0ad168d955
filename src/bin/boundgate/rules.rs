//! Rules of a policy in the words of the configuration. In: what was compiled. Out: text for tables and explanations.
//! Not here: what is written where (`routes`, `explain`), any judgement.

use std::time::Duration;

use boundgate::policy::{
    Access, BindingRule, Charge, Counts, Fact, Limit, MethodSet, Mode, ObjectRule, PeerRule, Quota, ScopeRule,
    SourceIp, StepUp, TokenRule,
};

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
        Access::Key(_) => "key",
    }
}

pub fn binding(rule: BindingRule) -> &'static str {
    match rule {
        BindingRule::Mtls => "mtls",
        BindingRule::Dpop => "dpop",
        BindingRule::Any => "any",
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

/// What a token must be and say beyond its scopes, its peer and its source: each rule with the place where it is written.
pub fn of_token(rule: &TokenRule) -> Vec<(&str, String)> {
    let subject = rule.subject.iter().map(|subject| (&*subject.path, format!("subject {}", subject.kind)));
    let claims = rule.claims.iter().map(|claim| (&*claim.path, claim.demand.to_string()));
    let objects = rule.objects.iter().map(|object| (&*object.path, self::object(object)));
    let step_up = rule.step_up.iter().map(|step_up| (&*step_up.path, self::step_up(step_up)));
    subject.chain(claims).chain(objects).chain(step_up).collect()
}

fn object(rule: &ObjectRule) -> String {
    let owners: Vec<String> = rule.owners.iter().map(Fact::to_string).collect();
    format!("{} is {}", rule.name, owners.join(" or "))
}

/// The names of the API keys that are good.
pub fn api_keys(access: &Access) -> Vec<String> {
    let Access::Key(rule) = access else { return Vec::new() };
    let keys = rule.keys.keys.iter().filter(|key| rule.takes(key));
    keys.map(|key| key.origin.name.to_string()).collect()
}

fn step_up(rule: &StepUp) -> String {
    let acr = (!rule.contexts.is_empty()).then(|| format!("acr {}", rule.contexts.join(" or ")));
    let age = rule.max_age.map(|age| format!("signed in within {} s", age.as_secs()));
    acr.into_iter().chain(age).collect::<Vec<_>>().join(", ")
}

/// From where a token must come.
pub fn source_ip(rule: &SourceIp) -> String {
    let subnet = if rule.whole_64 { ", IPv6 by its /64" } else { "" };
    format!("source_ip claim.{}{subnet}", rule.claim)
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

/// What a limit allows, and whom.
pub fn limit(limit: &Limit) -> String {
    let quota = &limit.allowance.quota;
    let counted = match &limit.counts {
        Counts::Requests => format!("{}, burst {}", rate(quota), quota.burst()),
        Counts::InFlight(_) => format!("{} at once", quota.burst()),
        Counts::Outcomes(outcomes) => {
            let statuses = outcomes.statuses.iter().map(ToString::to_string);
            let verifications = outcomes.verifications.then(|| "verification".to_owned());
            let on: Vec<String> = verifications.into_iter().chain(statuses).collect();
            format!("{}, burst {}, on {}", rate(quota), quota.burst(), on.join(" "))
        }
    };
    let key = match &limit.key[..] {
        [] => "all together".to_owned(),
        key => key.iter().map(Fact::to_string).collect::<Vec<_>>().join(" and "),
    };
    let service = limit.fleet.as_ref().map(|fleet| format!(", counted by service {}", fleet.service.origin.name));
    let overrides = match limit.overrides.len() {
        0 => "",
        _ => ", with overrides",
    };
    format!("{counted}, for {key}{}{overrides}", service.unwrap_or_default())
}

/// As it is written: `100/s`. A rate of a unit that has no name is told by the time that one permit takes.
fn rate(quota: &Quota) -> String {
    let interval = quota.interval().as_nanos();
    let written = |(seconds, unit): (u64, &str)| {
        let nanos = Duration::from_secs(seconds).as_nanos();
        let about = nanos.checked_div(interval)?;
        let exact = |permits: &u128| *permits > 0 && nanos.div_ceil(*permits) == interval;
        let permits = [about, about.saturating_add(1)].into_iter().find(exact)?;
        Some(format!("{permits}/{unit}"))
    };
    let units = [(1, "s"), (60, "min"), (3600, "h"), (86_400, "day")];
    units.into_iter().find_map(written).unwrap_or_else(|| format!("one each {:?}", quota.interval()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_told_as_it_was_written() {
        for (permits, seconds, told) in
            [(100, 1, "100/s"), (90, 60, "90/min"), (7, 3600, "7/h"), (5, 86_400, "5/day"), (120, 60, "2/s")]
        {
            let quota = Quota::new(permits, Duration::from_secs(seconds), 10).unwrap();
            assert_eq!(rate(&quota), told);
        }
        let odd = Quota::new(1, Duration::from_secs(30 * 86_400), 1).unwrap();
        assert_eq!(rate(&odd), "one each 2592000s");
    }
}
