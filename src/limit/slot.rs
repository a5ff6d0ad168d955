//! The value of one key of shared data: what some identities owe and hold. In: bytes. Out: the state of a budget by its
//! tag, and what somebody without an entry owes. Not here: reading and writing it (`table`), deciding (`page`).
//!
//! Layout, all words `u64`, little-endian: the clock, the floor; then sections: a [`BudgetId`], the section's floor, the
//! number of its entries, and these as (tag, state). Only what is used is stored.
//!
//! The *clock* is the latest time of all writers: a worker that read its own clock earlier, and was then held up,
//! decides by this one. So the time of a slot never runs backwards, and no entry owes more than a spent budget.
//!
//! Each budget has a section of its own, so that no quota evicts or reads what another one wrote. The state of a rate is
//! its TAT. Entries are given away (the least indebted first), and yet never for free: a *floor* is the latest TAT
//! that was ever given away, so whoever has no entry owes at most that, and starts with that. A budget can get stricter
//! by being forgotten, never looser. An *owner* (what of a key its caller cannot choose) has a few places only: its
//! further entries push out its own, and are owed by it alone.
//!
//! The state of what is held is who holds it and how much: one entry for each worker that holds some. It is never given
//! away; without room for more, nothing more is held.

use crate::limit::identity::Tag;
use crate::policy::BudgetId;
use crate::shared::Holder;
use crate::time::MonoNanos;

/// The most entries of one rate.
const WAYS: usize = 32;
/// The most identities of one owner among them.
const OWNER_WAYS: usize = 8;
/// The most entries of what one limit lets be held: identities times workers.
const HELD: usize = 256;
/// The most budgets.
const SECTIONS: usize = 64;

/// What a slot takes without entries, a section without entries, and an entry: bytes.
pub(super) const BYTES: [usize; 3] = [16, 24, 16];
/// The most entries of a section that counts a rate.
pub(super) const MOST_ENTRIES: usize = WAYS;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Section {
    budget: BudgetId,
    floor: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    budget: BudgetId,
    tag: Tag,
    state: u64,
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Slot {
    clock: u64,
    floor: u64,
    sections: Vec<Section>,
    entries: Vec<Entry>,
}

/// What a budget is for somebody, and how it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Debt {
    pub(super) tat: MonoNanos,
    /// Without an entry: it is what those owed at most who were forgotten.
    pub(super) inherited: bool,
}

impl Slot {
    /// Without entries, but whoever comes owes what a budget with that TAT owes.
    pub(super) fn forgotten(floor: MonoNanos) -> Self {
        Self { floor: floor.as_nanos(), ..Self::default() }
    }

    /// `None` if the bytes are no slot.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (words, rest) = bytes.as_chunks::<8>();
        if !rest.is_empty() {
            return None;
        }
        let mut words = words.iter().map(|word| u64::from_le_bytes(*word));
        let mut slot = Self { clock: words.next()?, floor: words.next()?, ..Self::default() };
        while let Some(budget) = words.next() {
            let (budget, floor) = (BudgetId::from_word(budget), words.next()?);
            if slot.sections.len() >= SECTIONS || slot.section(budget).is_some() {
                return None;
            }
            slot.sections.push(Section { budget, floor });
            let most = if budget.is_held() { HELD } else { WAYS };
            for _ in 0..usize::try_from(words.next()?).ok().filter(|entries| *entries <= most)? {
                slot.entries.push(Entry { budget, tag: Tag::from_word(words.next()?), state: words.next()? });
            }
        }
        Some(slot)
    }

    /// What is still worth keeping. A debt that is paid is none, unless newcomers would owe something.
    pub(super) fn encode(&self) -> Vec<u8> {
        let words = self.sections.len().saturating_mul(3).saturating_add(self.entries.len().saturating_mul(2));
        let mut bytes = Vec::with_capacity(words.saturating_add(2).saturating_mul(8));
        let mut put = |word: u64| bytes.extend_from_slice(&word.to_le_bytes());
        put(self.clock);
        put(self.floor);
        for section in &self.sections {
            let kept = |entry: &&Entry| {
                entry.budget == section.budget && (section.budget.is_held() || !self.means_nothing(entry, section))
            };
            let count = self.entries.iter().filter(kept).count();
            if count == 0 && section.floor <= self.clock {
                continue;
            }
            put(section.budget.word());
            put(section.floor);
            put(count as u64);
            for entry in self.entries.iter().filter(kept) {
                put(entry.tag.word());
                put(entry.state);
            }
        }
        bytes
    }

    /// The latest time of all writers.
    pub(super) fn clock(&self) -> MonoNanos {
        MonoNanos::from_nanos(self.clock)
    }

    /// Sets the clock to `now`, unless it is later already, and says the time to decide by.
    pub(super) fn advance(&mut self, now: MonoNanos) -> MonoNanos {
        self.clock = self.clock.max(now.as_nanos());
        self.clock()
    }

    /// What `tag` owes to the rate `budget`.
    pub(super) fn debt(&self, budget: BudgetId, tag: Tag) -> Debt {
        match self.state(budget, tag) {
            Some(tat) => Debt { tat: MonoNanos::from_nanos(tat), inherited: false },
            None => {
                let section = self.section(budget).map_or(0, |section| section.floor);
                let owner = self.state(budget, tag.of_owner()).unwrap_or(0);
                let tat = self.floor.max(section).max(owner);
                Debt { tat: MonoNanos::from_nanos(tat), inherited: tat > self.clock }
            }
        }
    }

    /// Changes what `tag` owes; makes an entry, if need be in the place of another one. `false` if there is no room at all.
    pub(super) fn owe(&mut self, budget: BudgetId, tag: Tag, tat: MonoNanos) -> bool {
        if let Some(entry) = self.entry(budget, tag) {
            entry.state = tat.as_nanos();
            return true;
        }
        if !self.open_section(budget) {
            return false;
        }
        self.make_room(budget, tag);
        self.entries.push(Entry { budget, tag, state: tat.as_nanos() });
        true
    }

    /// How much `tag` holds of `budget`, all workers together.
    pub(super) fn held(&self, budget: BudgetId, tag: Tag) -> u32 {
        let mine = self.entries.iter().filter(|entry| entry.budget == budget && entry.tag == tag);
        mine.fold(0, |sum, entry| sum.saturating_add(Held::from_word(entry.state).permits))
    }

    /// How much is held of anything.
    #[cfg(test)]
    pub(super) fn held_by_all(&self) -> u32 {
        let held = self.entries.iter().filter(|entry| entry.budget.is_held());
        held.map(|entry| Held::from_word(entry.state).permits).sum()
    }

    /// Who holds something of `budget`.
    pub(super) fn holders(&self, budget: BudgetId) -> Vec<Holder> {
        let holding = self.entries.iter().filter(|entry| entry.budget == budget);
        let mut holders: Vec<Holder> = holding.map(|entry| Held::from_word(entry.state).holder).collect();
        holders.sort_unstable();
        holders.dedup();
        holders
    }

    /// Lets `holder` hold more; `false` without room.
    pub(super) fn hold(&mut self, budget: BudgetId, tag: Tag, holder: Holder, permits: u32) -> bool {
        if let Some((entry, mut held)) = self.held_by(budget, tag, holder) {
            held.permits = held.permits.saturating_add(permits);
            entry.state = held.word();
            return true;
        }
        let of_budget = self.entries.iter().filter(|entry| entry.budget == budget);
        let (mut all, mut others): (usize, Vec<Tag>) = (0, Vec::new());
        for entry in of_budget {
            all = all.saturating_add(1);
            if entry.tag != tag && entry.tag.of_owner() == tag.of_owner() && !others.contains(&entry.tag) {
                others.push(entry.tag);
            }
        }
        if all >= HELD || others.len() >= OWNER_WAYS || !self.open_section(budget) {
            return false;
        }
        self.entries.push(Entry { budget, tag, state: Held { holder, permits }.word() });
        true
    }

    /// What `holder` held is free again.
    pub(super) fn release(&mut self, budget: BudgetId, tag: Tag, holder: Holder, permits: u32) {
        if let Some((entry, mut held)) = self.held_by(budget, tag, holder) {
            held.permits = held.permits.saturating_sub(permits);
            entry.state = held.word();
        }
        self.entries.retain(|entry| !entry.budget.is_held() || Held::from_word(entry.state).permits > 0);
    }

    /// Frees all that `holder` held of `budget`: it is gone.
    pub(super) fn release_all(&mut self, budget: BudgetId, holder: Holder) {
        self.entries.retain(|entry| entry.budget != budget || Held::from_word(entry.state).holder != holder);
    }

    /// Whether somebody without this entry would owe nothing either.
    fn means_nothing(&self, entry: &Entry, section: &Section) -> bool {
        let owner = self.state(entry.budget, entry.tag.of_owner()).unwrap_or(0);
        let newcomers = self.floor.max(section.floor).max(owner);
        entry.state <= self.clock && (newcomers <= self.clock || entry.tag == entry.tag.of_owner())
    }

    fn section(&self, budget: BudgetId) -> Option<&Section> {
        self.sections.iter().find(|section| section.budget == budget)
    }

    fn state(&self, budget: BudgetId, tag: Tag) -> Option<u64> {
        self.entries.iter().find(|entry| entry.budget == budget && entry.tag == tag).map(|entry| entry.state)
    }

    fn entry(&mut self, budget: BudgetId, tag: Tag) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.budget == budget && entry.tag == tag)
    }

    fn held_by(&mut self, budget: BudgetId, tag: Tag, holder: Holder) -> Option<(&mut Entry, Held)> {
        let mine = self.entries.iter_mut().filter(|entry| entry.budget == budget && entry.tag == tag);
        mine.map(|entry| (Held::from_word(entry.state), entry))
            .find(|(held, _)| held.holder == holder)
            .map(|(held, entry)| (entry, held))
    }

    /// Room for one more entry of `budget`. An owner with many entries gives up some of its own, and what they owed is owed
    /// by its newcomers alone; else the least indebted of all goes, and whoever comes owes what it owed.
    fn make_room(&mut self, budget: BudgetId, newcomer: Tag) {
        let owner = newcomer.of_owner();
        let mut given_up = 0;
        // One place for the newcomer, one for what the owner's newcomers owe.
        while self.count(budget, |tag| tag.of_owner() == owner) > OWNER_WAYS.saturating_sub(2) {
            let own = |tag: Tag| tag.of_owner() == owner && tag != owner;
            let Some(least) = self.take_least(budget, own) else { break };
            given_up = given_up.max(least);
        }
        if given_up > self.clock {
            match self.entry(budget, owner) {
                Some(entry) => entry.state = entry.state.max(given_up),
                None => self.entries.push(Entry { budget, tag: owner, state: given_up }),
            }
        }
        while self.count(budget, |_| true) >= WAYS {
            let Some(least) = self.take_least(budget, |tag| tag != owner) else { break };
            if let Some(section) = self.sections.iter_mut().find(|section| section.budget == budget) {
                section.floor = section.floor.max(least);
            }
        }
    }

    fn count(&self, budget: BudgetId, which: impl Fn(Tag) -> bool) -> usize {
        self.entries.iter().filter(|entry| entry.budget == budget && which(entry.tag)).count()
    }

    /// Removes the least indebted of the entries that may go. Out: its TAT.
    fn take_least(&mut self, budget: BudgetId, may_go: impl Fn(Tag) -> bool) -> Option<u64> {
        let candidates = self.entries.iter().enumerate();
        let candidates = candidates.filter(|(_, entry)| entry.budget == budget && may_go(entry.tag));
        let (place, _) = candidates.min_by_key(|(_, entry)| entry.state)?;
        Some(self.entries.swap_remove(place).state)
    }

    /// A section for `budget`. Of too many, one without consequence goes, else the one whose debts end first; then all
    /// newcomers owe them.
    fn open_section(&mut self, budget: BudgetId) -> bool {
        if self.section(budget).is_some() {
            return true;
        }
        if self.sections.len() >= SECTIONS {
            let worst = |section: &Section| {
                let owed = self.entries.iter().filter(|entry| entry.budget == section.budget);
                owed.map(|entry| entry.state).fold(section.floor, u64::max)
            };
            let rates = self.sections.iter().filter(|section| !section.budget.is_held());
            let Some((owed, least)) = rates.map(|section| (worst(section), section.budget)).min() else { return false };
            self.floor = self.floor.max(owed);
            self.sections.retain(|section| section.budget != least);
            self.entries.retain(|entry| entry.budget != least);
        }
        self.sections.push(Section { budget, floor: 0 });
        true
    }
}

/// Who holds how much.
struct Held {
    holder: Holder,
    permits: u32,
}

impl Held {
    fn from_word(word: u64) -> Self {
        // The casts keep the two halves.
        Self { holder: Holder::from_number((word >> 32) as u32), permits: word as u32 }
    }

    fn word(&self) -> u64 {
        u64::from(self.holder.number()) << 32 | u64::from(self.permits)
    }
}
