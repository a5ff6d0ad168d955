//! The two rate-limit servers, as they count. In: the bytes of a call and when it reaches a replica. Out: the bytes of
//! the answer. All replicas share one store, each goes by its own clock.

#![allow(clippy::arithmetic_side_effects)]

use std::collections::HashMap;
use std::time::Duration;

use prost::Message;

use crate::limit::fleet::rls::{
    CurrentLimit, HeaderValue, RateLimitRequest, RateLimitResponse, Seconds, Status as DescriptorStatus,
};
use crate::policy::Kind;

/// Nanoseconds of simulated time.
pub(super) type Time = u64;

const SECOND: Time = 1_000_000_000;
/// The simulated time 0 by the service's clock: a start of every window up to a day.
const EPOCH: Time = 20_000 * 86_400 * SECOND;

/// A window of one key, as it was counted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counted {
    pub(super) start: Time,
    pub(super) end: Time,
    pub(super) hits: u64,
    pub(super) granted: u64,
    /// The store lost its counters so many times.
    pub(super) wiped: u64,
}

pub(super) struct Server {
    pub(super) kind: Kind,
    pub(super) quota: u64,
    pub(super) window: Duration,
    /// Limitador: whether it tells its window.
    pub(super) fields: bool,
    /// Simulated time 0 is that long after the start of a window.
    pub(super) into_window: Duration,
    windows: HashMap<String, Vec<Counted>>,
}

impl Server {
    pub(super) fn new(kind: Kind, quota: u64, window: Duration, into_window: Duration, fields: bool) -> Self {
        Self { kind, quota, window, fields, into_window, windows: HashMap::new() }
    }

    /// The windows of a key, in their order.
    pub(super) fn windows(&self, value: &str) -> &[Counted] {
        self.windows.get(value).map_or(&[], |windows| windows)
    }

    /// The store forgets everything.
    pub(super) fn wipe(&mut self) {
        for window in self.windows.values_mut().filter_map(|windows| windows.last_mut()) {
            window.hits = 0;
            window.wiped += 1;
        }
    }

    /// `ahead`: how far the clock of the replica is ahead of the simulation's, at most its window.
    pub(super) fn answer(&mut self, body: &[u8], now: Time, ahead: Duration) -> Vec<u8> {
        let request = RateLimitRequest::decode(body).unwrap();
        let [descriptor] = &*request.descriptors else { panic!("{request:?}") };
        let [entry] = &*descriptor.entries else { panic!("{request:?}") };
        let hits = u64::from(request.hits_addend.max(1));
        match self.kind {
            Kind::Ratelimit => self.fixed(&entry.value, hits, now, nanos(ahead)),
            Kind::Limitador => self.since_first_hit(&entry.value, hits, now),
        }
        .encode_to_vec()
    }

    fn fixed(&mut self, value: &str, hits: u64, now: Time, ahead: Time) -> RateLimitResponse {
        let unit = nanos(self.window);
        let clock = EPOCH + nanos(self.into_window) + now + ahead;
        // By the simulation's clock; the first window may have begun before it.
        let start = (clock - clock % unit).saturating_sub(EPOCH + nanos(self.into_window));
        let end = clock - clock % unit + unit - EPOCH - nanos(self.into_window);
        let windows = self.windows.entry(value.to_owned()).or_default();
        let place = windows.iter().position(|window| window.end == end).unwrap_or_else(|| {
            windows.push(Counted { start, end, hits: 0, granted: 0, wiped: 0 });
            windows.len() - 1
        });
        let window = &mut windows[place];
        window.hits += hits;
        let over = window.hits > self.quota;
        if !over {
            window.granted += hits;
        }
        let code = if over { 2 } else { 1 };
        // The clock is read in whole seconds.
        let seconds = clock / SECOND;
        let unit = unit / SECOND;
        let status = DescriptorStatus {
            code,
            current_limit: Some(CurrentLimit { requests_per_unit: self.quota as u32, unit: wire_unit(self.window) }),
            limit_remaining: self.quota.saturating_sub(window.hits) as u32,
            duration_until_reset: Some(Seconds { seconds: (unit - seconds % unit) as i64, nanos: 0 }),
        };
        RateLimitResponse { overall_code: code, statuses: vec![status], response_headers_to_add: vec![] }
    }

    fn since_first_hit(&mut self, value: &str, hits: u64, now: Time) -> RateLimitResponse {
        let length = nanos(self.window);
        let windows = self.windows.entry(value.to_owned()).or_default();
        if windows.last().is_none_or(|window| window.end <= now) && hits <= self.quota {
            windows.push(Counted { start: now, end: now + length, hits: 0, granted: 0, wiped: 0 });
        }
        let over = windows.last().is_none_or(|window| window.hits + hits > self.quota);
        if let Some(window) = windows.last_mut().filter(|_| !over) {
            window.hits += hits;
            window.granted += hits;
        }
        let mut response_headers_to_add = vec![];
        if let Some(window) = windows.last().filter(|_| self.fields) {
            let seconds = self.window.as_secs();
            for (key, value) in [
                ("X-RateLimit-Limit", format!("{}, {};w={seconds}", self.quota, self.quota)),
                ("X-RateLimit-Remaining", (self.quota - window.hits).to_string()),
                ("X-RateLimit-Reset", ((window.end - now) / SECOND).to_string()),
            ] {
                response_headers_to_add.push(HeaderValue { key: key.into(), value, raw_value: vec![] });
            }
        }
        RateLimitResponse { overall_code: if over { 2 } else { 1 }, statuses: vec![], response_headers_to_add }
    }
}

/// UNKNOWN for windows that the real service does not have.
fn wire_unit(window: Duration) -> i32 {
    match window.as_secs() {
        1 => 1,
        60 => 2,
        3600 => 3,
        _ => 0,
    }
}

pub(super) fn nanos(duration: Duration) -> Time {
    duration.as_nanos() as Time
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::fleet::rls::encode;

    fn ask(server: &mut Server, hits: u32) -> (bool, u32) {
        let bytes = server.answer(&encode("d", "k", "v", hits), 0, Duration::ZERO);
        let response = RateLimitResponse::decode(&*bytes).unwrap();
        let rest = response.statuses.first().map_or(0, |status| status.limit_remaining);
        (response.overall_code == 1, rest)
    }

    #[test]
    fn envoyproxy_ratelimit_counts_what_it_refuses() {
        let hour = Duration::from_secs(3600);
        let mut server = Server::new(Kind::Ratelimit, 10, hour, Duration::ZERO, false);
        let heard: Vec<_> = [1, 0, 5, 5, 1].map(|hits| ask(&mut server, hits)).into();
        assert_eq!(heard, [(true, 9), (true, 8), (true, 3), (false, 0), (false, 0)]);
        assert_eq!(server.windows("v")[0].hits, 13);
    }

    #[test]
    fn limitador_does_not() {
        let mut server = Server::new(Kind::Limitador, 10, Duration::from_secs(60), Duration::ZERO, false);
        let heard: Vec<_> = [1, 5, 5, 4, 1].map(|hits| ask(&mut server, hits).0).into();
        assert_eq!(heard, [true, true, false, true, false]);
    }
}
