//! Reading a slot. In: its key. Out: what stands there, the time to decide by, and what a write must expect.
//! Not here: which slot (`table`), what it holds (`slot`).

use std::time::Duration;

use crate::host::{Expect, Host};
use crate::limit::slot::Slot;
use crate::time::MonoNanos;

/// How often a lost race for a slot is run again. A bound, so that no request spins; running out of it only refuses.
pub(super) const ATTEMPTS: usize = 32;

/// What everybody owes whose slot was overwritten by somebody else: as long as that lasts, a newcomer starts with a
/// spent budget. At least as long as the windows of limits usually are.
const UNREADABLE: Duration = Duration::from_secs(24 * 60 * 60);

/// How far the clock of a slot may be ahead of a worker that was held up after reading its own.
const AHEAD: Duration = Duration::from_secs(60);

/// A slot as it was read.
pub(super) struct Reading {
    pub(super) slot: Slot,
    /// The time to decide by: that of the slot, if it is ahead of the worker's.
    pub(super) now: MonoNanos,
    /// What a write must expect, to be about what was read.
    pub(super) expect: Expect,
    /// The value was no slot of this table.
    pub(super) unreadable: bool,
}

/// Reads a slot. Other plugins of the proxy may write under our keys (an empty `vm_id` is shared by all): a value
/// that is no slot, or comes from the future, counts as one that forgot entries with great debts. Anything milder would
/// be a refill.
pub(super) fn read(host: &dyn Host, slot_key: &str, now: MonoNanos) -> Reading {
    let (slot, expect) = match host.shared_get(slot_key) {
        None => (Some(Slot::default()), Expect::Absent),
        Some((value, cas)) => (Slot::decode(&value), Expect::Unchanged(cas)),
    };
    let slot = slot.filter(|slot| slot.clock() <= now.plus(AHEAD));
    let unreadable = slot.is_none();
    let mut slot = slot.unwrap_or_else(|| Slot::forgotten(now.plus(UNREADABLE)));
    let now = slot.advance(now);
    Reading { slot, now, expect, unreadable }
}
