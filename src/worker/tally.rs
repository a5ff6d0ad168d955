//! Events of the core that are worth a metric. In: counts. Out: a [`Tally`] that the filter adds to Envoy's counters.
//! Decisions and reasons are counted by `observe`.

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident = $metric:literal,)+) => {
        /// An event.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Counter { $($(#[doc = $doc])+ $name,)+ }

        impl Counter {
            /// Every counter.
            pub const ALL: &'static [Counter] = &[$(Counter::$name,)+];

            /// The metric's name below `boundgate.`.
            pub const fn metric(self) -> &'static str {
                match self { $(Counter::$name => $metric,)+ }
            }
        }
    };
}

counters! {
    /// A token was found among those verified before.
    TokenCacheHit = "token_cache_hit",
    /// A token was verified and remembered.
    TokenCacheMiss = "token_cache_miss",
    /// A JWK set was fetched.
    KeyFetchOk = "key_fetch_ok",
    /// A fetch of a JWK set failed, or brought nothing usable.
    KeyFetchFailed = "key_fetch_failed",
    /// The metadata of an issuer was fetched.
    MetadataFetchOk = "metadata_fetch_ok",
    /// A fetch of metadata failed, or what it brought is not believed.
    MetadataFetchFailed = "metadata_fetch_failed",
    /// An issuer that was asked about a token said what it is.
    IntrospectionOk = "introspection_ok",
    /// An issuer was asked about a token and gave no answer of use.
    IntrospectionFailed = "introspection_failed",
    /// An issuer is not asked about tokens any more until it answers a probe.
    IntrospectionBreakerOpened = "introspection_breaker_opened",
    /// A document of revocations was fetched.
    RevocationFetchOk = "revocation_fetch_ok",
    /// A fetch of revocations failed, or brought nothing that is understood.
    RevocationFetchFailed = "revocation_fetch_failed",
    /// A status list was fetched.
    StatusListFetchOk = "status_list_fetch_ok",
    /// A fetch of a status list failed, or brought none that may be believed.
    StatusListFetchFailed = "status_list_fetch_failed",
    /// A newcomer to a full slot of the limit table took over another identity's debt.
    LimitInherited = "limit_inherited",
    /// A rate-limit service was called.
    FleetAsk = "fleet_ask",
    /// A call of a rate-limit service brought no usable answer.
    FleetFailed = "fleet_failed",
    /// A rate-limit service knows no limit under the name it was asked for: its configuration is another one.
    FleetNoLimit = "fleet_no_limit",
    /// A rate-limit service was given up until it answers a probe.
    FleetBreakerOpened = "fleet_breaker_opened",
    /// A request costs more than a rate-limit service ever grants, so that it can never pass: the configurations disagree.
    FleetNeverFits = "fleet_never_fits",
    /// A request was decided without the rate-limit service, by `on_error`.
    FleetFallback = "fleet_fallback",
    /// A shadow limit would have refused a request.
    ShadowOverLimit = "shadow_over_limit",
    /// One caller failed again and again.
    EventBruteForce = "event_brute_force",
    /// One caller tried out what exists.
    EventEnumeration = "event_enumeration",
    /// Many sources failed with the credentials of one client.
    EventCredentialStuffing = "event_credential_stuffing",
    /// A caller's certificate was about to end.
    CertificateExpiring = "certificate_expiring",
    /// A slot of the limit table held something that no slot is: another plugin writes under its keys.
    LimitUnreadable = "limit_unreadable",
}

/// What there is at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gauge {
    /// Requests that wait for keys, for what an issuer says of their token, or for permits.
    Waiting,
    /// The bytes that they hold.
    WaitingBytes,
    /// Refusals that wait for the body of their request.
    AwaitedBodies,
    /// Calls of dependencies that have not ended.
    Calls,
}

impl Gauge {
    /// Every gauge.
    pub const ALL: &'static [Gauge] = &[Gauge::Waiting, Gauge::WaitingBytes, Gauge::AwaitedBodies, Gauge::Calls];

    /// The metric's name below `boundgate.`.
    pub const fn metric(self) -> &'static str {
        match self {
            Gauge::Waiting => "waiting",
            Gauge::WaitingBytes => "waiting_bytes",
            Gauge::AwaitedBodies => "awaited_bodies",
            Gauge::Calls => "calls",
        }
    }
}

/// Counts of each [`Counter`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally([u32; Counter::ALL.len()]);

impl Tally {
    /// Counts one event.
    pub fn count(&mut self, counter: Counter) {
        self.add(counter, 1);
    }

    /// Counts `times` events.
    pub fn add(&mut self, counter: Counter, times: usize) {
        if let Some(count) = self.0.get_mut(counter as usize) {
            *count = count.saturating_add(u32::try_from(times).unwrap_or(u32::MAX));
        }
    }

    /// The events that happened, in the order of [`Counter::ALL`]: index and count.
    pub fn events(&self) -> impl Iterator<Item = (usize, u32)> {
        self.0.iter().copied().enumerate().filter(|(_, count)| *count > 0)
    }
}
