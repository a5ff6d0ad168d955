//! Decides as Limitador does: counters in memory, by the crate of the same name. In: a request. Out: the overall code
//! alone, and with `DRAFT_VERSION_03` the X-RateLimit fields.
//!
//! The limits come from the same file as for envoyproxy/ratelimit: a path through its tree becomes one limit, whose
//! conditions are the values and whose variables are the keys. Unlike there, every limit that applies is charged, also
//! that of a bare key beside one with a value.

use std::collections::HashMap;

use limitador::RateLimiter;
use limitador::limit::{Context, Expression, Limit, Predicate};

use crate::grpc::Status;
use crate::limits::{ConfigError, Limits, Node};
use crate::messages::{Code, HeaderValue, RateLimitRequest, RateLimitResponse};

/// Counters kept at most.
const COUNTERS: u64 = 1_000_000;

pub(crate) struct InMemory {
    limiter: RateLimiter,
    response_headers: bool,
}

impl InMemory {
    pub(crate) fn new(limits: &[Limits], response_headers: bool) -> Result<Self, ConfigError> {
        let limiter = RateLimiter::new(COUNTERS);
        for limits in limits {
            for node in &limits.descriptors {
                add(&limiter, &limits.domain, &[], node)?;
            }
        }
        Ok(Self { limiter, response_headers })
    }

    pub(crate) fn decide(&self, request: &RateLimitRequest) -> Result<RateLimitResponse, Status> {
        if request.domain.is_empty() {
            return Ok(RateLimitResponse { overall_code: Code::Unknown.into(), ..Default::default() });
        }
        let descriptors = request.descriptors.iter().map(|descriptor| {
            descriptor.entries.iter().map(|entry| (entry.key.clone(), entry.value.clone())).collect::<HashMap<_, _>>()
        });
        let mut context = Context::default();
        context.list_binding(String::from("descriptors"), descriptors.collect());
        let hits = u64::from(request.hits_addend.max(1));
        let mut result = self
            .limiter
            .check_rate_limited_and_update(&request.domain.as_str().into(), &context, hits)
            .map_err(|_| Status::unavailable("Service unavailable"))?;
        let code = if result.limited { Code::OverLimit } else { Code::Ok };
        let mut headers = Vec::new();
        if self.response_headers {
            let header = |(key, value)| HeaderValue { key, value, ..Default::default() };
            headers.extend(result.response_header().into_iter().map(header));
            headers.sort_by(|a, b| a.key.cmp(&b.key));
        }
        Ok(RateLimitResponse { overall_code: code.into(), response_headers_to_add: headers, ..Default::default() })
    }
}

/// Adds the limits of a node and of those below it; `above` is the path to it.
fn add(limiter: &RateLimiter, domain: &str, above: &[&Node], node: &Node) -> Result<(), ConfigError> {
    let path = [above, &[node]].concat();
    if node.value.contains('*') || node.shadow_mode {
        return Err(ConfigError(format!("{domain}.{}: Limitador has neither patterns nor shadow_mode", node.key)));
    }
    if let Some((limit, unit)) = node.rate_limit.as_ref().and_then(|limit| Some((limit, limit.unit?))) {
        let expression = |node: &&Node| Expression::parse(variable(node));
        let conditions = path.iter().filter(|node| !node.value.is_empty());
        let conditions = conditions.map(|node| Predicate::parse(format!("{} == {:?}", variable(node), node.value)));
        let unreadable = |error: limitador::limit::ParseError| ConfigError(format!("{domain}.{}: {error}", node.key));
        let mut new = Limit::new(
            domain,
            limit.requests_per_unit.into(),
            unit.seconds().into(),
            conditions.collect::<Result<Vec<_>, _>>().map_err(unreadable)?,
            path.iter().map(expression).collect::<Result<Vec<_>, _>>().map_err(unreadable)?,
        );
        if !limit.name.is_empty() {
            new.set_name(limit.name.clone());
        }
        limiter.add_limit(new);
    }
    node.descriptors.iter().try_for_each(|below| add(limiter, domain, &path, below))
}

/// The CEL expression for the value of a node's key.
fn variable(node: &Node) -> String {
    format!("descriptors[0][{:?}]", node.key)
}
