//! Nonces for proofs (RFC 9449 §9): made and known again by every worker, without anybody keeping one. In: what the nonce is for, the
//! time. Out: the one to hand out, and how a given one stands. A nonce is the keyed hash of a stretch of time, under the secret
//! that all workers of the proxy share; it is good in its own stretch and in the next.

use std::hash::Hasher;
use std::time::Duration;

use siphasher::sip128::Hasher128;

use crate::host::Host;
use crate::jose::base64url;
use crate::shared::{Purpose, Secret};
use crate::time::UnixMillis;

/// A nonce is good for this long at least, and for twice that at most.
const STRETCH: Duration = Duration::from_secs(180);

/// See the module.
#[derive(Debug)]
pub struct Nonces {
    secret: Secret,
}

/// How a nonce stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NonceAge {
    /// It would be handed out now.
    Current,
    /// It is still good, and the next one is due.
    Previous,
    /// It is not ours, or long over.
    Unknown,
}

impl Nonces {
    /// None is good for longer.
    pub const LONGEST: Duration = STRETCH.saturating_mul(2);

    /// Those of this process.
    pub fn new(host: &dyn Host) -> Self {
        Self { secret: Secret::agree(host) }
    }

    /// The nonce to hand out.
    pub fn current(&self, purpose: &str, now: UnixMillis) -> String {
        self.of(purpose, stretch(now))
    }

    /// How `nonce` stands, and from when on it is good no more.
    pub(super) fn age(&self, nonce: &str, purpose: &str, now: UnixMillis) -> (NonceAge, UnixMillis) {
        let stretch = stretch(now);
        let end = |stretch: u64| UnixMillis::from_millis(stretch.saturating_add(2).saturating_mul(millis()));
        let previous = stretch.saturating_sub(1);
        if nonce == self.of(purpose, stretch) {
            (NonceAge::Current, end(stretch))
        } else if nonce == self.of(purpose, previous) {
            (NonceAge::Previous, end(previous))
        } else {
            (NonceAge::Unknown, now)
        }
    }

    fn of(&self, purpose: &str, stretch: u64) -> String {
        let mut hasher = self.secret.hasher(Purpose::Nonce);
        hasher.write(&stretch.to_le_bytes());
        hasher.write(purpose.as_bytes());
        let hash = hasher.finish128();
        base64url::encode(&[hash.h1.to_le_bytes(), hash.h2.to_le_bytes()].concat())
    }
}

fn millis() -> u64 {
    u64::try_from(STRETCH.as_millis()).unwrap_or(u64::MAX)
}

fn stretch(now: UnixMillis) -> u64 {
    now.as_millis().checked_div(millis()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{FakeHost, at};

    #[test]
    fn every_worker_knows_every_workers_nonce_again_for_two_stretches() {
        let host = FakeHost::with_random(1);
        let (one, other) = (Nonces::new(&host), Nonces::new(&host));
        let nonce = one.current("https://rs.example", at(0.0).wall);
        for (seconds, age) in [
            (0.0, NonceAge::Current),
            (179.9, NonceAge::Current),
            (180.0, NonceAge::Previous),
            (359.9, NonceAge::Previous),
            (360.0, NonceAge::Unknown),
        ] {
            let (found, end) = other.age(&nonce, "https://rs.example", at(seconds).wall);
            assert_eq!(found, age, "{seconds}");
            assert!(age == NonceAge::Unknown || end == at(360.0).wall, "{seconds}");
        }
    }

    #[test]
    fn a_nonce_is_of_one_process_and_one_purpose_and_fit_for_a_header() {
        let host = FakeHost::with_random(1);
        let nonce = Nonces::new(&host).current("a", at(0.0).wall);
        assert!(nonce.len() == 22 && nonce.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
        let age = |host: &FakeHost, purpose| Nonces::new(host).age(&nonce, purpose, at(0.0).wall).0;
        assert_eq!(age(&host, "b"), NonceAge::Unknown);
        assert_eq!(age(&FakeHost::with_random(2), "a"), NonceAge::Unknown);
    }
}
