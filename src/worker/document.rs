//! The life of a document that is fetched from somebody else. In: starts and ends of fetches, time. Out: what is in it as long as that may
//! be used, and whether a fetch may start. Not here: when it is due, and how long an old one serves (`refresh`); how workers tell
//! each other (`news`); what is in it and where it is (`key_store`, `metadata`).
//!
//! Each worker fetches for itself, but they agree on when: failures are shared, and who makes the next attempt, so that more workers
//! are no more load on a server in trouble; and the digest of the newest content, so that what one worker found reaches the others.

use std::cell::Cell;
use std::time::Duration;

use crate::host::Host;
use crate::time::MonoNanos;
use crate::worker::fetch_fault::FetchFault;
use crate::worker::news::{News, NewsOf};
use crate::worker::refresh::{Refresh, Schedule, Trouble};

/// Between two fetches of one worker caused by another worker's news.
const FOLLOW_INTERVAL: Duration = Duration::from_secs(1);
/// Whoever is refused for want of it is told to come again after a second: while some do, it is as if they waited.
const MISSED_FOR: Duration = Duration::from_secs(10);
/// A fault that was told already is told again after so long.
const TOLD_AGAIN: Duration = Duration::from_secs(30);

/// What a fetch brought.
pub(super) struct Fetched<T> {
    pub(super) content: T,
    /// Tells contents apart; 0 where nobody asks whether another worker has a newer one.
    pub(super) digest: u64,
    /// How long the server says that it is good for.
    pub(super) max_age: Option<Duration>,
}

/// How a fetch ended.
pub(super) enum Outcome {
    Loaded,
    /// With what to tell the operator, unless that was told a short time ago.
    Failed(Option<String>),
}

/// See the module.
pub(super) struct Document<T> {
    news: NewsOf,
    refresh: Refresh,
    loaded: Option<Fetched<T>>,
    /// When a request last had to do without.
    missed: Cell<Option<MonoNanos>>,
    /// The last fault, and when it was told.
    told: Option<(FetchFault, MonoNanos)>,
}

impl<T> Document<T> {
    /// One that was never fetched. `seed` is random.
    pub(super) fn new(news: NewsOf, schedule: Schedule, seed: u64) -> Self {
        Self { news, refresh: Refresh::new(schedule, seed), loaded: None, missed: Cell::new(None), told: None }
    }

    /// Goes by `schedule` from now on.
    pub(super) fn follow(&mut self, schedule: Schedule) {
        self.refresh.follow(schedule);
    }

    /// What was fetched last, if it may be used now.
    pub(super) fn content(&self, now: MonoNanos) -> Option<&T> {
        self.loaded.as_ref().filter(|_| self.refresh.serves(now)).map(|loaded| &loaded.content)
    }

    /// The same for a request that does not wait for it. One that has to do without makes the next attempt come sooner.
    pub(super) fn wanted(&self, now: MonoNanos) -> Option<&T> {
        let content = self.content(now);
        if content.is_none() {
            self.missed.set(Some(now));
        }
        content
    }

    /// What was fetched last, however old it is.
    pub(super) fn last(&self) -> Option<&T> {
        self.loaded.as_ref().map(|loaded| &loaded.content)
    }

    /// Whether it is missing or old, and no fetch of it is under way here.
    pub(super) fn is_due(&self, now: MonoNanos) -> bool {
        self.refresh.is_due(now)
    }

    /// Whether a fetch is under way.
    pub(super) fn is_under_way(&self) -> bool {
        self.refresh.is_under_way()
    }

    /// Whether the last fetch failed.
    pub(super) fn fails(&self) -> bool {
        self.told.is_some()
    }

    /// Whether no fetch started for this long.
    pub(super) fn rested(&self, interval: Duration, now: MonoNanos) -> bool {
        self.refresh.rested(interval, now)
    }

    /// Whether the fetch under way will never end.
    pub(super) fn is_lost(&self, now: MonoNanos) -> bool {
        self.refresh.is_lost(now)
    }

    /// Whether a fetch starts now in its turn. While fetches fail, one worker takes each turn. `waited_for`: requests wait for
    /// the document.
    pub(super) fn claims_turn(&self, waited_for: bool, host: &dyn Host, now: MonoNanos) -> bool {
        let trouble = self.news.read(host).trouble;
        let waited_for = waited_for || self.missed.get().is_some_and(|when| now.since(when) < MISSED_FOR);
        self.refresh.may_start(&trouble, waited_for, now)
            && (trouble.failures == 0
                || self.news.change(host, |news| {
                    let free = self.refresh.may_start(&news.trouble, waited_for, now);
                    free.then_some(News { trouble: news.trouble.retried(now), ..news })
                }))
    }

    /// Whether a fetch starts now out of turn: because another worker has newer content, or because a request asks for it and none
    /// did within `interval`, in any worker.
    pub(super) fn claims_extra_turn(&self, interval: Duration, host: &dyn Host, now: MonoNanos) -> bool {
        let newest = self.news.read(host).digest;
        let behind = newest != 0 && self.loaded.as_ref().is_none_or(|loaded| loaded.digest != newest);
        (behind && self.refresh.rested(FOLLOW_INTERVAL, now) && self.claims_turn(false, host, now))
            || self.news.change(host, |news| {
                // A stamp from the future is not ours: it must not stop fetches for good.
                let free = news.asked.is_none_or(|asked| asked > now || now.since(asked) >= interval);
                let free = free && self.refresh.may_start(&news.trouble, false, now);
                free.then_some(News { asked: Some(now), trouble: news.trouble.retried(now), ..news })
            })
    }

    /// A fetch starts.
    pub(super) fn started(&mut self, now: MonoNanos) {
        self.refresh.started(now);
    }

    /// The fetch under way ended; `told`: a fault as the operator is told it.
    pub(super) fn ended(
        &mut self,
        fetched: Result<Fetched<T>, FetchFault>,
        host: &dyn Host,
        now: MonoNanos,
        told: impl FnOnce(&FetchFault) -> String,
    ) -> Outcome {
        match fetched {
            Ok(fetched) => {
                let Fetched { digest, max_age, .. } = fetched;
                self.loaded = Some(fetched);
                self.refresh.succeeded(max_age, now);
                self.told = None;
                self.news.tell(host, |news| News { digest, trouble: Trouble::default(), ..news });
                Outcome::Loaded
            }
            Err(fault) => {
                let started = self.refresh.failed(now);
                self.news.tell(host, |news| News { trouble: news.trouble.and(started, now), ..news });
                Outcome::Failed(self.is_news(&fault, now).then(|| {
                    let text = told(&fault);
                    self.told = Some((fault, now));
                    text
                }))
            }
        }
    }

    /// The fetch under way found that what is here is what there is.
    pub(super) fn unchanged(&mut self, max_age: Option<Duration>, host: &dyn Host, now: MonoNanos) {
        let digest = self.loaded.as_ref().map_or(0, |loaded| loaded.digest);
        self.refresh.succeeded(max_age, now);
        self.told = None;
        self.news.tell(host, |news| News { digest, trouble: Trouble::default(), ..news });
    }

    /// Whether the operator is told of a fault. Attempts come as often as once a second while requests wait: the same is not told each
    /// time.
    fn is_news(&self, fault: &FetchFault, now: MonoNanos) -> bool {
        self.told.as_ref().is_none_or(|(told, when)| told != fault || now.since(*when) >= TOLD_AGAIN)
    }
}

#[cfg(test)]
mod tests;
