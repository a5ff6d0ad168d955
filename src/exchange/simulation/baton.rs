//! Workers take turns at the data that they share: a worker that has no turn left stands still before its next read or write,
//! until it is told to go on. In: steps, and how many reads and writes each may make until then. Out: reports, and that a
//! worker stands still. So one thread decides what happens next, and a seed repeats it.
//! Not here: what a step is (`party`), which is next (`case`).

use std::cell::Cell;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Scope, ScopedJoinHandle};

use super::party::{Begin, Party, Report, Step};
use super::world::World;
use crate::fake::FakeHost;
use crate::host::{Cas, Conflict, Digest, Expect, Host, NativeVerdict};
use crate::time::Now;

/// What a worker is told.
pub(super) enum WaitEnd {
    /// A new life in another proxy.
    Begin(Begin),
    /// To do this now, and how many turns it has. In a `storm`, others are always faster.
    Do { step: Step, now: Now, turns: u32, storm: bool },
    /// To go on.
    GoOn { turns: u32 },
    /// It is lost: what it does reaches nobody any more.
    Vanish,
}

/// What is heard of a worker.
pub(super) enum Heard {
    StandsStill,
    Done(Box<Report>),
}

/// The driver's end.
pub(super) struct Reins<'scope> {
    tell: Sender<WaitEnd>,
    hear: Receiver<Heard>,
    _thread: ScopedJoinHandle<'scope, ()>,
}

impl<'scope> Reins<'scope> {
    /// A thread that is a worker of one proxy after the other.
    pub(super) fn take<'env>(scope: &'scope Scope<'scope, 'env>, world: &'scope World) -> Self {
        let ((tell, told), (said, hear)) = (channel(), channel());
        let thread = scope.spawn(move || {
            let baton = Baton { told, said, turns: Cell::new(0), storm: Cell::new(false), lost: Cell::new(false) };
            Party::new(world, baton).run();
        });
        Self { tell, hear, _thread: thread }
    }

    pub(super) fn tell(&self, what: WaitEnd) {
        self.tell.send(what).expect("the worker failed");
    }

    pub(super) fn hear(&self) -> Heard {
        self.hear.recv().expect("the worker failed")
    }
}

/// The worker's end.
pub(super) struct Baton {
    told: Receiver<WaitEnd>,
    said: Sender<Heard>,
    turns: Cell<u32>,
    storm: Cell<bool>,
    lost: Cell<bool>,
}

impl Baton {
    /// The next thing to do; `None`: the simulation is over.
    pub(super) fn next(&self) -> Option<WaitEnd> {
        let told = self.told.recv().ok()?;
        if let WaitEnd::Do { turns, storm, .. } = &told {
            self.turns.set(*turns);
            self.storm.set(*storm);
        }
        Some(told)
    }

    /// Whether somebody still cares what was done.
    pub(super) fn done(&self, report: Report) -> bool {
        let cares = !self.lost.replace(false);
        if cares {
            let _ = self.said.send(Heard::Done(Box::new(report)));
        }
        cares
    }

    fn turn(&self) {
        if self.lost.get() {
            return;
        }
        if let Some(left) = self.turns.get().checked_sub(1) {
            self.turns.set(left);
            return;
        }
        let _ = self.said.send(Heard::StandsStill);
        match self.told.recv() {
            Ok(WaitEnd::GoOn { turns }) => self.turns.set(turns),
            _ => self.lost.set(true),
        }
    }
}

/// The proxy as one worker sees it.
pub(super) struct Shared<'b> {
    pub(super) host: Arc<FakeHost>,
    pub(super) baton: &'b Baton,
    /// Writes that others were faster than.
    pub(super) conflicts: Cell<u32>,
    pub(super) random: u8,
}

impl Host for Shared<'_> {
    fn shared_get(&self, key: &str) -> Option<(Vec<u8>, Cas)> {
        self.baton.turn();
        self.host.shared_get(key)
    }

    fn shared_set(&self, key: &str, value: &[u8], expect: Expect) -> Result<(), Conflict> {
        self.baton.turn();
        let beaten = self.baton.storm.get() || self.baton.lost.get();
        let written = if beaten { Err(Conflict) } else { self.host.shared_set(key, value, expect) };
        if written.is_err() {
            self.conflicts.set(self.conflicts.get() + 1);
        }
        written
    }

    fn verify(&self, digest: Digest, spki: &[u8], signature: &[u8], message: &[u8]) -> NativeVerdict {
        self.host.verify(digest, spki, signature, message)
    }

    fn random(&self) -> [u8; 32] {
        [self.random; 32]
    }
}
