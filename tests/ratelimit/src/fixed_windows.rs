//! Decides as envoyproxy/ratelimit does: a counter in Redis per descriptor and window, `INCRBY` and `EXPIRE` in one
//! pipeline, the windows aligned to the unix clock. In: a request. Out: a status per descriptor and the overall code.
//!
//! Unlike there, counters expire without random delay; their names carry the window, so that changes no answer.

use std::fmt::Write;
use std::io;

use crate::clock::Clock;
use crate::grpc::Status;
use crate::limits::{Limits, Unit};
use crate::messages::{
    Code, DescriptorStatus, Duration, HeaderValue, RateLimit, RateLimitDescriptor, RateLimitRequest, RateLimitResponse,
    Unit as WireUnit,
};
use crate::store::{Raise, Store};

pub(crate) struct FixedWindows {
    limits: Vec<Limits>,
    store: Store,
    clock: Clock,
    response_headers: bool,
}

/// What a descriptor meets.
enum Met {
    Nothing,
    Unlimited,
    Limit { limit: RateLimit, window: i64, shadow: bool },
}

impl FixedWindows {
    pub(crate) fn new(limits: Vec<Limits>, store: Store, clock: Clock, response_headers: bool) -> Self {
        Self { limits, store, clock, response_headers }
    }

    /// `global_shadow` is `SHADOW_MODE`: the overall code is OK, statuses stay what they are.
    pub(crate) async fn decide(
        &self,
        request: &RateLimitRequest,
        global_shadow: bool,
    ) -> Result<RateLimitResponse, Status> {
        if request.domain.is_empty() {
            return Err(Status::unknown("rate limit domain must not be empty"));
        }
        if request.descriptors.is_empty() {
            return Err(Status::unknown("rate limit descriptor list must not be empty"));
        }
        let met: Vec<Met> =
            request.descriptors.iter().map(|d| self.met(&request.domain, d)).collect::<Result<_, _>>()?;
        let counts = self.count(request, &met).await.map_err(|error| Status::unknown(error.to_string()))?;
        let mut counts = counts.into_iter();

        let mut response = RateLimitResponse { overall_code: Code::Ok.into(), ..Default::default() };
        for met in &met {
            let status = match met {
                Met::Nothing => DescriptorStatus { code: Code::Ok.into(), ..Default::default() },
                Met::Unlimited => {
                    DescriptorStatus { code: Code::Ok.into(), limit_remaining: u32::MAX, ..Default::default() }
                }
                Met::Limit { limit, window, shadow } => {
                    let count = counts.next().unwrap_or_default();
                    let left = u64::from(limit.requests_per_unit).checked_sub(count);
                    let code = if left.is_some() || *shadow { Code::Ok } else { Code::OverLimit };
                    DescriptorStatus {
                        code: code.into(),
                        current_limit: Some(limit.clone()),
                        limit_remaining: left.and_then(|left| u32::try_from(left).ok()).unwrap_or(0),
                        // By the clock after the store's answer, as there.
                        duration_until_reset: Some(seconds(window - self.clock.unix().rem_euclid(*window))),
                    }
                }
            };
            if status.code == i32::from(Code::OverLimit) && !global_shadow {
                response.overall_code = Code::OverLimit.into();
            }
            response.statuses.push(status);
        }
        if self.response_headers {
            response.response_headers_to_add = headers(&response.statuses);
        }
        Ok(response)
    }

    fn met(&self, domain: &str, descriptor: &RateLimitDescriptor) -> Result<Met, Status> {
        let Some(limits) = self.limits.iter().find(|limits| limits.domain == domain) else { return Ok(Met::Nothing) };
        if let Some(limit) = &descriptor.limit {
            // The numbers of both enumerations are the same.
            let unit = WireUnit::try_from(limit.unit).ok().and_then(of_wire);
            // Where envoyproxy/ratelimit ends with a panic.
            let unit = unit.ok_or_else(|| Status::unavailable("the unit of a limit override is unknown"))?;
            return Ok(limited(unit, limit.requests_per_unit, "", false));
        }
        let Some(node) = limits.find(&descriptor.entries) else { return Ok(Met::Nothing) };
        let Some(limit) = &node.rate_limit else { return Ok(Met::Nothing) };
        Ok(match limit.unit {
            None => Met::Unlimited,
            Some(unit) => limited(unit, limit.requests_per_unit, &limit.name, node.shadow_mode),
        })
    }

    /// The counters after this request, one per limit met.
    async fn count(&self, request: &RateLimitRequest, met: &[Met]) -> io::Result<Vec<u64>> {
        let now = self.clock.unix();
        let mut raises = Vec::new();
        for (descriptor, met) in request.descriptors.iter().zip(met) {
            if let Met::Limit { window, .. } = met {
                let counter = counter(&request.domain, descriptor, now - now.rem_euclid(*window));
                let by = descriptor.hits_addend.as_ref().map_or(u64::from(request.hits_addend.max(1)), |h| h.value);
                raises.push(Raise { counter, by, expires: *window });
            }
        }
        if raises.is_empty() { Ok(Vec::new()) } else { self.store.raise(&raises).await }
    }
}

fn limited(unit: Unit, requests_per_unit: u32, name: &str, shadow: bool) -> Met {
    let limit = RateLimit { name: name.to_owned(), requests_per_unit, unit: to_wire(unit).into() };
    Met::Limit { limit, window: unit.seconds().into(), shadow }
}

/// The name of a counter. Nothing is escaped, as there: values with `_` can meet those of other descriptors.
fn counter(domain: &str, descriptor: &RateLimitDescriptor, window_start: i64) -> String {
    let mut name = format!("{domain}_");
    for entry in &descriptor.entries {
        let _ = write!(name, "{}_{}_", entry.key, entry.value);
    }
    let _ = write!(name, "{window_start}");
    name
}

fn headers(statuses: &[DescriptorStatus]) -> Vec<HeaderValue> {
    let mut tightest: Option<(&DescriptorStatus, u32)> = None;
    for status in statuses {
        let over = status.code == i32::from(Code::OverLimit);
        let tighter = status.current_limit.is_some() && tightest.is_none_or(|(_, left)| status.limit_remaining < left);
        if over || tighter {
            tightest = Some((status, status.limit_remaining));
        }
    }
    let header = |key: &str, value: String| HeaderValue { key: key.to_owned(), value, ..Default::default() };
    tightest.map_or_else(Vec::new, |(status, left)| {
        let limit = status.current_limit.as_ref().map_or(0, |limit| limit.requests_per_unit);
        let reset = status.duration_until_reset.as_ref().map_or(0, |reset| reset.seconds);
        vec![
            header("RateLimit-Limit", limit.to_string()),
            header("RateLimit-Remaining", left.to_string()),
            header("RateLimit-Reset", reset.to_string()),
        ]
    })
}

fn seconds(seconds: i64) -> Duration {
    Duration { seconds, nanos: 0 }
}

fn to_wire(unit: Unit) -> WireUnit {
    match unit {
        Unit::Second => WireUnit::Second,
        Unit::Minute => WireUnit::Minute,
        Unit::Hour => WireUnit::Hour,
        Unit::Day => WireUnit::Day,
        Unit::Week => WireUnit::Week,
        Unit::Month => WireUnit::Month,
        Unit::Year => WireUnit::Year,
    }
}

fn of_wire(unit: WireUnit) -> Option<Unit> {
    Some(match unit {
        WireUnit::Unknown => return None,
        WireUnit::Second => Unit::Second,
        WireUnit::Minute => Unit::Minute,
        WireUnit::Hour => Unit::Hour,
        WireUnit::Day => Unit::Day,
        WireUnit::Week => Unit::Week,
        WireUnit::Month => Unit::Month,
        WireUnit::Year => Unit::Year,
    })
}
