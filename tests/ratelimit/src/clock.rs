//! The clock of a server, in whole unix seconds. Tests may set it, so that no window ends by chance.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The unix clock, possibly ahead of or behind the machine's. Clones stay one clock.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    /// Milliseconds.
    ahead: Arc<AtomicI64>,
}

impl Clock {
    /// A clock that shows this unix time, in seconds, now.
    pub fn at(unix: i64) -> Self {
        let clock = Self::default();
        clock.ahead.store(unix * 1000 - milliseconds(), Ordering::Relaxed);
        clock
    }

    /// Puts the clock forward.
    pub fn advance(&self, by: Duration) {
        self.ahead.fetch_add(i64::try_from(by.as_millis()).expect("less than an age"), Ordering::Relaxed);
    }

    /// Unix time in whole seconds.
    pub fn unix(&self) -> i64 {
        (milliseconds() + self.ahead.load(Ordering::Relaxed)).div_euclid(1000)
    }
}

fn milliseconds() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
    i64::try_from(since_epoch.as_millis()).expect("fits for ages")
}
