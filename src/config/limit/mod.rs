//! Limits: rates, bursts and keys. In: their tables. Out: [`Limit`]s by name.
//! Not here: other quotas for some callers (`overrides`), and whether the routes fit (`routes`, `uses`).

pub(in crate::config) mod idle;
pub(in crate::config) mod keys;
pub(in crate::config) mod overrides;
pub(in crate::config) mod services;
pub(in crate::config) mod uses;

use std::rc::Rc;

use crate::config::limit::keys::LimitTable;
use crate::config::limit::services::Wanted;
use crate::config::reading::defined::Defined;
use crate::config::reading::finding::{Findings, Place};
use crate::config::reading::table::{At, Mistake, Named, TextKey, Written, config_settings, described, unknown_word};
use crate::config::reading::values::{LONGEST_SHORT_PERIOD, Outcome, Rate};
use crate::config::resource::caller::LimitKey;
use crate::policy::{AtOnce, Counts, Event, Fact, Limit, Origin, Outcomes, Quota, TableSize, Watch, XRateLimit};

config_settings! {
    /// The dialect of X-RateLimit fields.
    XRateLimitSetting {
        /// None.
        Off = "off",
        /// As Envoy's own filters write them: the reset in seconds from now.
        Envoy = "envoy",
        /// The reset in seconds since 1970.
        Epoch = "epoch",
    }
    refused {}
}

config_settings! {
    /// What a limit may raise.
    EventSetting {
        /// One caller fails again and again.
        BruteForce = "brute-force",
        /// One caller tries out what exists.
        Enumeration = "enumeration",
        /// Many sources fail with the credentials of one client.
        CredentialStuffing = "credential-stuffing",
    }
    refused {}
}

impl EventSetting {
    fn event(self) -> Event {
        match self {
            EventSetting::BruteForce => Event::BruteForce,
            EventSetting::Enumeration => Event::Enumeration,
            EventSetting::CredentialStuffing => Event::CredentialStuffing,
        }
    }
}

impl XRateLimitSetting {
    pub(in crate::config) fn dialect(self) -> Option<XRateLimit> {
        match self {
            XRateLimitSetting::Off => None,
            XRateLimitSetting::Envoy => Some(XRateLimit::Envoy),
            XRateLimitSetting::Epoch => Some(XRateLimit::Epoch),
        }
    }
}

pub(in crate::config) fn compile(
    written: Option<&Named<LimitTable>>,
    services: &Defined<Wanted>,
    size: TableSize,
    findings: &mut Findings,
) -> Defined<Limit> {
    let limit = |origin, table: &_, findings: &mut _| limit(origin, table, services, size, findings);
    Defined::compile("limit", written, findings, limit)
}

fn limit(
    origin: Origin,
    table: &LimitTable,
    services: &Defined<Wanted>,
    size: TableSize,
    findings: &mut Findings,
) -> Option<Limit> {
    let (quota, counts) = counted(table, findings);
    let overrides = overrides::compile(&origin, table, findings);
    let mut key = Vec::new();
    for part in table.key.as_ref()? {
        if key.contains(&part.value.0) {
            findings.add(&part.at, "stands there twice", "Remove one.");
        } else {
            key.push(part.value.0.clone());
        }
    }
    let chosen = |part: &Fact| matches!(part, Fact::Header(_));
    let given = |part: &Fact| !matches!(part, Fact::Header(_) | Fact::Route | Fact::Constant(_));
    if key.iter().any(chosen) && !key.iter().any(given) {
        findings.add(
            &table.at.key("key"),
            "counts by nothing but what the caller writes into a header, so that another text is another budget",
            "Add client_id, sub, a claim, peer, ip or source.",
        );
    }
    let fleet = services::fleet_limit(&origin, table, &key, services, findings);
    let watch = watch(&origin, table, &key, size, findings);
    let limit = Limit::new(origin, key, quota?, size);
    Some(match counts {
        Counts::InFlight(AtOnce { heal }) => limit.at_once(heal),
        counts => Limit { overrides, shadow: table.shadow, counts, fleet, watch, ..limit },
    })
}

/// Whether any one caller can bring it about, as often as it likes: not where an upstream is ill, or has too much to do.
fn is_of_one_caller(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Verification | Outcome::Status(400..=428 | 430..=499))
}

/// What it raises instead of refusing.
fn watch(origin: &Origin, table: &LimitTable, key: &[Fact], size: TableSize, findings: &mut Findings) -> Option<Watch> {
    if table.wrote("event") && !table.wrote("on") {
        findings.add(&table.at.key("event"), "needs outcomes that it counts", "Write them, like on: [401, 403].");
    }
    if table.wrote("undecided") && (!table.wrote("on") || table.wrote("event")) && !table.wrote("in_flight") {
        findings.add(
            &table.at.key("undecided"),
            "means nothing where no response can refuse requests",
            "Leave it out, or write statuses, like on: [401, 403], and no event.",
        );
    }
    if table.wrote("distinct") && !table.wrote("event") {
        findings.add(&table.at.key("distinct"), "stands beside no event", "Name one, or leave it out.");
    }
    let distinct = table.distinct.as_ref().and_then(|part| {
        if key.contains(&part.0) {
            findings.add(&table.at.key("distinct"), "is in the key already", "Name what differs, like source.");
        }
        let quota = Quota::new(1, table.rate?.per, 1).ok()?;
        let key = key.iter().chain([&part.0]).cloned().collect();
        Some(Rc::new(Limit::new(origin.clone(), key, quota, size)))
    });
    Some(Watch { event: table.event?.event(), distinct })
}

/// What it counts, and how much of that is allowed.
fn counted(table: &LimitTable, findings: &mut Findings) -> (Option<Quota>, Counts) {
    let Some(most) = &table.in_flight else {
        if !table.wrote("rate") && !table.wrote("in_flight") {
            findings.add(
                &table.at.key("rate"),
                "missing",
                "Write a rate, like 10/s, or in_flight for requests at once.",
            );
        }
        if table.wrote("heal") && !table.wrote("in_flight") {
            findings.add(&table.at.key("heal"), "means nothing without in_flight", "Remove it.");
        }
        local_only(table, findings);
        let by_day = table.local_only || table.service.is_some();
        let quota = quota(&table.at, table.rate, table.burst.map(|burst| burst.0), by_day, findings);
        let counts = if table.wrote("on") { Counts::Outcomes(outcomes(table, findings)) } else { Counts::Requests };
        return (quota, counts);
    };
    for key in ["rate", "burst", "on", "undecided", "event", "distinct", "overrides", "shadow", "service", "local_only"]
        .iter()
        .filter(|key| table.wrote(key))
    {
        findings.add(&table.at.key(key), "cannot stand beside in_flight", "Write a limit of its own for it.");
    }
    let quota = Quota::new(u64::from(most.0), table.heal.0, most.0)
        .map_err(|fault| findings.add(&table.at.key("heal"), fault.to_string(), "Choose another time."));
    (quota.ok(), Counts::InFlight(AtOnce { heal: table.heal.0 }))
}

/// Whether it matters that each proxy counts alone: only where that is long.
fn local_only(table: &LimitTable, findings: &mut Findings) {
    if !table.local_only {
        return;
    }
    let at = table.at.key("local_only");
    let overrides = table.overrides.iter().flatten().map(|other| other.value.rate);
    if table.service.is_some() {
        findings.add(&at, "contradicts service, which counts for all proxies together", "Leave one of both out.");
    } else if overrides.chain([table.rate]).all(|rate| rate.is_some_and(|rate| rate.per <= LONGEST_SHORT_PERIOD)) {
        findings.add(&at, "means nothing, because this is no limit by the day", "Remove it.");
    }
}

fn outcomes(table: &LimitTable, findings: &mut Findings) -> Outcomes {
    let at = table.at.key("on");
    let mut outcomes = Outcomes { undecided: table.undecided.0, ..Outcomes::default() };
    let Some(written) = &table.on else { return outcomes };
    if written.is_empty() && !findings.touch(&at) {
        findings.add(&at, "an empty list, so that nothing would ever be counted", "Write statuses, like [401, 404].");
    }
    for key in ["service", "shadow"].iter().filter(|key| table.wrote(key)) {
        findings.add(&table.at.key(key), "cannot stand beside on", "Leave one of both out.");
    }
    if let Some(cause) = written.iter().find(|outcome| is_of_one_caller(outcome.value)) {
        let shared = |part: &At<LimitKey>| !part.value.0.is_of_caller();
        let at = table.at.key("key");
        if !table.wrote("event") && !findings.touch(&at) && table.key.iter().flatten().all(shared) {
            let finding = format!(
                "the same budget for all callers, so that one stranger could lock everybody out by {}",
                cause.value.text()
            );
            findings.add(&at, finding, "Add source, peer or ip.");
        }
    }
    for (index, outcome) in written.iter().enumerate() {
        if written.iter().take(index).any(|earlier| earlier.value == outcome.value) {
            findings.add(&outcome.at, "stands there twice", "Remove one.");
            continue;
        }
        match outcome.value {
            Outcome::Status(status) => outcomes.statuses.push(status),
            Outcome::Verification => {
                outcomes.verifications = true;
                if table.wrote("event") {
                    findings.add(&outcome.at, "is no sign of anything", "Leave it out, or leave event out.");
                }
                let of_token = |part: &&At<LimitKey>| part.value.0.needs_token();
                if let Some(part) = table.key.iter().flatten().find(of_token) {
                    findings.add(
                        &outcome.at,
                        format!("is counted before the token is known, and the key has {}", part.value.0),
                        "Count it by source, peer or ip.",
                    );
                }
            }
        }
    }
    outcomes
}

pub(in crate::config) fn quota(
    at: &Place,
    rate: Option<Rate>,
    burst: Option<u32>,
    local_only: bool,
    findings: &mut Findings,
) -> Option<Quota> {
    let rate = rate?;
    if rate.per > LONGEST_SHORT_PERIOD && !local_only {
        findings.add(
            &at.key("rate"),
            "a limit by the day, which each proxy would count alone and forget when it restarts",
            "Name a service, write local_only: true if that is meant, or a rate by the hour.",
        );
    }
    let burst = burst.unwrap_or(rate.permits);
    Quota::new(u64::from(rate.permits), rate.per, burst)
        .map_err(|fault| findings.add(&at.key("rate"), fault.to_string(), "Choose another rate or burst."))
        .ok()
}
