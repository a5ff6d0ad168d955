//! A secret that all workers of a process share, for keyed hashes: so that nobody outside can choose what meets in one
//! slot of a table. In: the host. Out: hashers. Not here: what is hashed.

use std::fmt;
use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher13};

use crate::host::{Expect, Host};

/// What is hashed: keeps the hashes of different things apart. The compiler refuses two with one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Purpose {
    /// The identity that a limit counts.
    Identity = b'i',
    /// Whose budget that is, whatever else its key has.
    Owner = b'o',
    /// What a worker found out.
    Mark = b'm',
    /// A nonce for proofs of possession.
    Nonce = b'n',
    /// A proof that was used.
    Proof = b'r',
    /// What an issuer took back.
    Revocation = b'v',
}

/// The key of the hash: one for all workers of a process.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(u64, u64);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Where the process keeps it.
const SHARED_KEY: &str = "boundgate/secret/1";

impl Secret {
    /// The secret of this process: whoever comes first chooses it.
    ///
    /// Whatever stands under the key is used, even if another plugin wrote it there: a secret that is known weakens
    /// the spread over the slots, but two secrets would give every identity two budgets.
    pub fn agree(host: &dyn Host) -> Self {
        let read = || host.shared_get(SHARED_KEY).map(|(value, _)| value);
        let agreed = read().unwrap_or_else(|| {
            let mine = host.random();
            match host.shared_set(SHARED_KEY, &mine, Expect::Absent) {
                Ok(()) => mine.to_vec(),
                Err(_) => read().unwrap_or_default(),
            }
        });
        let mut hasher = SipHasher13::new();
        hasher.write(&agreed);
        let hash = hasher.finish128();
        Self(hash.h1, hash.h2)
    }

    /// A hasher (SipHash-1-3, 128 bits) under this secret.
    pub fn hasher(&self, purpose: Purpose) -> SipHasher13 {
        let mut hasher = SipHasher13::new_with_keys(self.0, self.1);
        hasher.write(&[purpose as u8]);
        hasher
    }

    /// One that does not depend on a host.
    #[cfg(test)]
    pub fn fixed(first: u64, second: u64) -> Self {
        Self(first, second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeHost;

    #[test]
    fn all_workers_of_a_process_agree_on_one_secret_and_processes_differ() {
        let host = FakeHost::with_random(1);
        let first = Secret::agree(&host);
        host.set_random(2);
        assert_eq!(Secret::agree(&host), first);
        assert_ne!(Secret::agree(&FakeHost::with_random(2)), first);
    }

    #[test]
    fn workers_agree_even_when_another_plugin_wrote_the_secret() {
        let host = FakeHost::with_random(1);
        host.overwrite(SHARED_KEY, b"");
        let first = Secret::agree(&host);
        host.set_random(2);
        assert_eq!(Secret::agree(&host), first);
    }

    #[test]
    fn a_secret_cannot_be_printed() {
        assert_eq!(format!("{:?}", Secret(7, 9)), "Secret(…)");
    }
}
