//! Who waits, and for what: the one registry of waiting exchanges, bounded in number and in bytes. In: who begins to
//! wait, what came, who leaves, time. Out: whom to poll again, in batches that bound the time of one callback.
//! Not here: what is waited for (`key_store`, `limit::fleet`), the calls that bring it (`calls`).
//!
//! ```text
//!  park ──▶ waits for keys | an answer | permits ──they came, or it lasted too long──▶ named, in a line ──poll──▶ end
//!                          └───────────── leaves ───────────────────┴────────────────▶ end
//! ```

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::limit::fleet::{Budget, Settled};
use crate::policy::{Issuer, KeySource, TrustId};
use crate::time::{MonoNanos, Now};
use crate::worker::ExchangeId;
use crate::worker::introspections::{QuestionId, Told};

/// More exchanges than this never wait at once in one worker.
const MOST: usize = 10_000;
/// What they may hold together. A head may have 60 KiB, so that they could be far fewer.
const MOST_BYTES: usize = 64 * 1024 * 1024;
/// Where as many wait, and hold as much, no other begins to wait for keys.
const MOST_FOR_KEYS: usize = MOST / 2;
const MOST_BYTES_FOR_KEYS: usize = MOST_BYTES / 2;

/// So many are polled in one callback, each of which may have a signature verified.
const BATCH: usize = 32;
/// No other is polled in a callback that took so long: a few signatures cost more than others.
const BATCH_TIME: Duration = Duration::from_millis(5);

/// What an exchange waits for.
#[derive(Debug)]
pub(super) enum On {
    /// Keys of an issuer, no longer than until then: they may fail to come for hours.
    Keys(TrustId, MonoNanos),
    /// What an issuer says of its token, no longer than until then.
    Introspection(QuestionId, MonoNanos),
    /// Permits of a service, which knows itself when it is too late.
    Permits(Budget),
    /// Being polled, with what it is told then.
    Poll(WaitEnd),
}

impl On {
    /// When it is too late, where that is known here.
    fn until(&self) -> Option<MonoNanos> {
        match self {
            On::Keys(_, until) | On::Introspection(_, until) => Some(*until),
            On::Permits(_) | On::Poll(_) => None,
        }
    }
}

/// What an exchange is told that was named.
#[derive(Debug)]
pub enum WaitEnd {
    /// The keys are there.
    Keys,
    /// What the issuer says of its token.
    Introspected(Told),
    /// What the service said.
    Permits(Settled),
    /// It has waited as long as it may.
    TooLate,
}

/// What an exchange finds that is polled.
#[derive(Debug)]
pub enum Woken {
    /// It was not named: it waits on.
    No,
    /// It was named, with what it is told; nothing if it did not wait.
    Yes(Option<WaitEnd>),
}

/// A place for one more that waits, and holds so many bytes.
#[derive(Debug)]
pub struct Room(usize);

struct Wait {
    on: On,
    bytes: usize,
}

/// See the module.
#[derive(Default)]
pub struct Waits {
    waits: BTreeMap<ExchangeId, Wait>,
    bytes: usize,
    /// Those that wait for keys or for an answer, by when that is too late.
    ends: BTreeSet<(MonoNanos, ExchangeId)>,
    /// Those named first stand in front. Services have the shorter time-outs: who waited for one does not stand behind
    /// all who waited for keys. Who left meanwhile is passed over.
    for_permits: VecDeque<ExchangeId>,
    for_keys: VecDeque<ExchangeId>,
    permits_next: bool,
}

impl Waits {
    /// A place for an exchange that holds `bytes`; `None` if the worker is full.
    pub fn room(&self, bytes: usize) -> Option<Room> {
        self.room_within(MOST, MOST_BYTES, bytes)
    }

    /// The same for one that waits for keys, or for what an issuer says of its token. They may fail to come for hours, while requests wait for seconds and anyone can
    /// send such a token: half of all is left for those that wait for a service.
    pub fn room_for_keys(&self, bytes: usize) -> Option<Room> {
        self.room_within(MOST_FOR_KEYS, MOST_BYTES_FOR_KEYS, bytes)
    }

    fn room_within(&self, most: usize, most_bytes: usize, bytes: usize) -> Option<Room> {
        let fits = self.waits.len() < most && self.bytes.saturating_add(bytes) <= most_bytes;
        fits.then_some(Room(bytes))
    }

    /// Lets an exchange wait for the keys of `issuer`: no longer than one fetch may take, from when it first had to.
    pub fn for_keys(&mut self, exchange: ExchangeId, room: Room, issuer: &Issuer, since: MonoNanos) {
        let until = match &issuer.keys {
            KeySource::Inline(_) | KeySource::None => since,
            KeySource::Remote(source) => since.plus(source.timeout),
        };
        self.park(exchange, room, On::Keys(issuer.trust.clone(), until));
    }

    /// Lets an exchange wait for a status list, no longer than until then.
    pub fn for_list(&mut self, exchange: ExchangeId, room: Room, list: TrustId, until: MonoNanos) {
        self.park(exchange, room, On::Keys(list, until));
    }

    /// Lets an exchange wait for what `issuer` says of its token.
    pub fn for_answer(&mut self, exchange: ExchangeId, room: Room, question: QuestionId, issuer: &Issuer, now: Now) {
        let timeout = issuer.introspection.as_ref().map_or(Duration::ZERO, |introspection| introspection.timeout);
        self.park(exchange, room, On::Introspection(question, now.mono.plus(timeout)));
    }

    /// Lets an exchange wait for the permits that it [asked for](crate::limit::fleet::Leases::take).
    pub fn for_permits(&mut self, exchange: ExchangeId, room: Room, budget: Budget) {
        self.park(exchange, room, On::Permits(budget));
    }

    pub(super) fn park(&mut self, exchange: ExchangeId, Room(bytes): Room, on: On) {
        self.end(exchange);
        self.bytes = self.bytes.saturating_add(bytes);
        if let Some(until) = on.until() {
            self.ends.insert((until, exchange));
        }
        self.waits.insert(exchange, Wait { on, bytes });
    }

    /// The exchange waits no longer; for what it waited, if it did.
    pub(super) fn end(&mut self, exchange: ExchangeId) -> Option<On> {
        let Wait { on, bytes } = self.waits.remove(&exchange)?;
        self.bytes = self.bytes.saturating_sub(bytes);
        if let Some(until) = on.until() {
            self.ends.remove(&(until, exchange));
        }
        Some(on)
    }

    /// A waiting exchange is polled. If it was named it waits no longer, and is told what it waited for.
    pub fn poll(&mut self, exchange: ExchangeId) -> Woken {
        match self.waits.get(&exchange).map(|wait| &wait.on) {
            Some(On::Keys(..) | On::Introspection(..) | On::Permits(_)) => Woken::No,
            Some(On::Poll(_)) | None => match self.end(exchange) {
                Some(On::Poll(told)) => Woken::Yes(Some(told)),
                _ => Woken::Yes(None),
            },
        }
    }

    /// There are keys of an issuer, old or new.
    pub(super) fn keys(&mut self, trust: &TrustId) {
        for (exchange, wait) in &mut self.waits {
            if let On::Keys(waits_for, until) = &wait.on
                && waits_for == trust
            {
                self.ends.remove(&(*until, *exchange));
                wait.on = On::Poll(WaitEnd::Keys);
                self.for_keys.push_back(*exchange);
            }
        }
    }

    /// A question ended.
    pub(super) fn introspected(&mut self, question: QuestionId, told: &Told) {
        for (exchange, wait) in &mut self.waits {
            if let On::Introspection(waits_for, until) = wait.on
                && waits_for == question
            {
                self.ends.remove(&(until, *exchange));
                wait.on = On::Poll(WaitEnd::Introspected(told.clone()));
                self.for_keys.push_back(*exchange);
            }
        }
    }

    /// Whether somebody waits for the keys of an issuer.
    pub(super) fn wants_keys(&self, trust: &TrustId) -> bool {
        self.waits.values().any(|wait| matches!(&wait.on, On::Keys(waits_for, _) if waits_for == trust))
    }

    /// Time passes: those are named that have waited for keys, or for an answer, as long as they may.
    pub(super) fn tick(&mut self, now: MonoNanos) {
        while let Some((_, exchange)) = self.ends.first().copied().filter(|(until, _)| *until <= now) {
            self.ends.pop_first();
            if let Some(wait) = self.waits.get_mut(&exchange) {
                wait.on = On::Poll(WaitEnd::TooLate);
                self.for_keys.push_back(exchange);
            }
        }
    }

    /// A service had its say. Back comes what nobody waits for.
    pub(super) fn settled(&mut self, exchange: ExchangeId, settled: Settled) -> Option<Settled> {
        let Some(wait) = self.waits.get_mut(&exchange).filter(|wait| matches!(wait.on, On::Permits(_))) else {
            return Some(settled);
        };
        wait.on = On::Poll(WaitEnd::Permits(settled));
        self.for_permits.push_back(exchange);
        None
    }

    /// The next to poll, in the order in which they were named.
    pub(super) fn next(&mut self, batch: &mut Batch, now: MonoNanos) -> Option<ExchangeId> {
        loop {
            let (first, second) = match self.permits_next {
                true => (&mut self.for_permits, &mut self.for_keys),
                false => (&mut self.for_keys, &mut self.for_permits),
            };
            if !batch.has_more(now) {
                return None;
            }
            let next = first.pop_front().or_else(|| second.pop_front())?;
            self.permits_next = !self.permits_next;
            if matches!(self.waits.get(&next), Some(Wait { on: On::Poll(_), .. })) {
                batch.took();
                return Some(next);
            }
        }
    }

    /// Whether somebody stands in line.
    pub(super) fn is_named(&self) -> bool {
        !(self.for_keys.is_empty() && self.for_permits.is_empty())
    }

    pub(super) fn len(&self) -> usize {
        self.waits.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

/// How much of the line one callback works off: the worker serves nobody else meanwhile.
pub struct Batch {
    left: usize,
    until: MonoNanos,
    begun: bool,
}

impl Batch {
    /// A callback that begins `now`.
    pub fn begin(now: MonoNanos) -> Self {
        Self { left: BATCH, until: now.plus(BATCH_TIME), begun: false }
    }

    /// The first is always polled, so that the line gets shorter on the slowest machine.
    fn has_more(&self, now: MonoNanos) -> bool {
        self.left > 0 && (!self.begun || now < self.until)
    }

    fn took(&mut self) {
        self.left = self.left.saturating_sub(1);
        self.begun = true;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects)]

    use super::*;
    use crate::fake::at;

    fn trust(name: &str) -> TrustId {
        TrustId::of(name)
    }

    fn park(waits: &mut Waits, exchange: u32, issuer: &str) {
        let room = waits.room(100).unwrap();
        waits.park(ExchangeId(exchange), room, On::Keys(trust(issuer), at(9.0).mono));
    }

    fn batch(waits: &mut Waits, seconds: f64) -> Vec<u32> {
        let mut batch = Batch::begin(at(seconds).mono);
        std::iter::from_fn(|| Some(waits.next(&mut batch, at(seconds).mono)?.0)).collect()
    }

    #[test]
    fn many_that_are_named_at_once_are_polled_in_batches_in_the_order_of_their_coming() {
        let mut waits = Waits::default();
        (1..=2000).for_each(|exchange| park(&mut waits, exchange, "main"));
        waits.keys(&trust("main"));
        let mut polled = Vec::new();
        while waits.is_named() {
            let batch = batch(&mut waits, 0.0);
            assert!((1..=BATCH).contains(&batch.len()));
            for exchange in &batch {
                assert!(matches!(waits.poll(ExchangeId(*exchange)), Woken::Yes(Some(WaitEnd::Keys))));
            }
            polled.extend(batch);
        }
        assert_eq!(polled, (1..=2000).collect::<Vec<_>>());
        assert_eq!((waits.len(), waits.bytes(), waits.ends.len()), (0, 0, 0));
    }

    #[test]
    fn who_has_waited_long_enough_is_named_and_told_so_and_nobody_else() {
        let mut waits = Waits::default();
        for (exchange, until) in [(1, 9.0), (2, 5.0), (3, 7.0), (4, 5.0)] {
            let room = waits.room(100).unwrap();
            waits.park(ExchangeId(exchange), room, On::Keys(trust("main"), at(until).mono));
        }
        waits.end(ExchangeId(4));
        waits.tick(at(4.9).mono);
        assert!(!waits.is_named());
        waits.tick(at(7.0).mono);
        assert_eq!(batch(&mut waits, 7.0), [2, 3]);
        assert!(matches!(waits.poll(ExchangeId(2)), Woken::Yes(Some(WaitEnd::TooLate))));
        assert!(matches!(waits.poll(ExchangeId(1)), Woken::No));
        waits.keys(&trust("main"));
        assert!(matches!(waits.poll(ExchangeId(1)), Woken::Yes(Some(WaitEnd::Keys))));
        assert!(matches!(waits.poll(ExchangeId(3)), Woken::Yes(Some(WaitEnd::TooLate))));
        assert_eq!((waits.len(), waits.ends.len()), (0, 0));
    }

    #[test]
    fn a_batch_ends_when_it_took_long_but_not_before_the_first() {
        let mut waits = Waits::default();
        (1..=3).for_each(|exchange| park(&mut waits, exchange, "main"));
        waits.keys(&trust("main"));
        let mut batch = Batch::begin(at(0.0).mono);
        assert_eq!(waits.next(&mut batch, at(0.006).mono), Some(ExchangeId(1)));
        assert_eq!(waits.next(&mut batch, at(0.006).mono), None);
    }

    #[test]
    fn only_those_are_named_that_waited_for_it_and_one_that_left_is_passed_over() {
        let mut waits = Waits::default();
        for (exchange, issuer) in [(1, "main"), (2, "other"), (3, "main"), (4, "main")] {
            park(&mut waits, exchange, issuer);
        }
        waits.keys(&trust("main"));
        assert!(matches!(waits.end(ExchangeId(3)), Some(On::Poll(WaitEnd::Keys))));
        assert_eq!(batch(&mut waits, 0.0), [1, 4]);
        assert!(matches!(waits.poll(ExchangeId(2)), Woken::No));
        assert_eq!(waits.len(), 3);
    }

    #[test]
    fn what_waits_is_bounded_in_number_and_in_bytes() {
        let mut waits = Waits::default();
        let large = MOST_BYTES / 4;
        for exchange in 0..4 {
            let room = waits.room(large).unwrap();
            waits.park(ExchangeId(exchange), room, On::Keys(trust("main"), at(9.0).mono));
        }
        assert!(waits.room(1).is_none());
        waits.end(ExchangeId(0));
        assert!(waits.room(large).is_some());
        assert!(waits.room(large + 1).is_none());
        waits.end(ExchangeId(1));
        waits.end(ExchangeId(2));
        assert!(waits.room_for_keys(large).is_some());
        assert!(waits.room_for_keys(large + 1).is_none() && waits.room(large + 1).is_some());

        let mut waits = Waits::default();
        (0..).take(MOST_FOR_KEYS).for_each(|exchange| park(&mut waits, exchange, "main"));
        assert!(waits.room_for_keys(0).is_none() && waits.room(0).is_some(), "half is left for services");
        (0..).take(MOST).for_each(|exchange| park(&mut waits, exchange, "main"));
        assert!(waits.room(0).is_none());
    }
}
