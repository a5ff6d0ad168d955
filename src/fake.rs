//! A host and a connection for tests. Shared data is as Envoy keeps it, also for real threads: one map behind a lock,
//! versions that never repeat, and a write with a version creates a key that does not exist. What was not set is
//! absent. ring verifies signatures, unless the host was made without.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering::SeqCst};

use crate::host::{Cas, Conflict, Connection, ConnectionProperty, Digest, Expect, Host, NativeVerdict};
use crate::jose::ring_host::ring;
use crate::time::{MonoNanos, Now, UnixMillis};

#[derive(Default)]
struct Data {
    values: HashMap<String, (Vec<u8>, Cas)>,
    last_cas: u32,
}

impl Data {
    fn store(&mut self, key: &str, value: &[u8]) {
        self.last_cas = self.last_cas.wrapping_add(1);
        self.values.insert(key.to_owned(), (value.to_vec(), Cas(self.last_cas)));
    }
}

/// The process that several workers share; each thread may hold a reference.
#[derive(Default)]
pub struct FakeHost {
    data: Mutex<Data>,
    random: AtomicU8,
    reads: AtomicUsize,
    writes: AtomicUsize,
    cannot_verify: Vec<Digest>,
    variables: Mutex<HashMap<String, String>>,
}

impl FakeHost {
    /// A process whose random numbers are this byte.
    pub fn with_random(byte: u8) -> Self {
        let host = Self::default();
        host.set_random(byte);
        host
    }

    /// A process whose native code does not know signatures with these digests.
    pub fn without(digests: &[Digest]) -> Self {
        Self { cannot_verify: digests.to_vec(), ..Self::default() }
    }

    /// The same with these environment variables.
    pub fn with_variables(self, variables: &[(&str, &str)]) -> Self {
        variables.iter().for_each(|(name, value)| self.set_variable(name, value));
        self
    }

    pub fn set_random(&self, byte: u8) {
        self.random.store(byte, SeqCst);
    }

    pub fn set_variable(&self, name: &str, value: &str) {
        self.variables.lock().unwrap().insert(name.to_owned(), value.to_owned());
    }

    /// What another plugin may do.
    pub fn overwrite(&self, key: &str, value: &[u8]) {
        self.data.lock().unwrap().store(key, value);
    }

    /// All keys that start with `prefix`.
    pub fn keys(&self, prefix: &str) -> Vec<String> {
        self.data.lock().unwrap().values.keys().filter(|key| key.starts_with(prefix)).cloned().collect()
    }

    /// Another process with the same data.
    pub fn copy(&self) -> Self {
        let data = self.data.lock().unwrap();
        let copied = Data { values: data.values.clone(), last_cas: data.last_cas };
        Self { data: Mutex::new(copied), ..Self::default() }
    }

    /// Reads and accepted writes so far.
    pub fn calls(&self) -> (usize, usize) {
        (self.reads.load(SeqCst), self.writes.load(SeqCst))
    }
}

impl Host for FakeHost {
    fn shared_get(&self, key: &str) -> Option<(Vec<u8>, Cas)> {
        self.reads.fetch_add(1, SeqCst);
        self.data.lock().unwrap().values.get(key).cloned()
    }

    fn shared_set(&self, key: &str, value: &[u8], expect: Expect) -> Result<(), Conflict> {
        let mut data = self.data.lock().unwrap();
        let found = data.values.get(key).map(|(_, cas)| *cas);
        match (expect, found) {
            (Expect::Absent, Some(_)) => return Err(Conflict),
            (Expect::Unchanged(expected), Some(found)) if expected != found => return Err(Conflict),
            _ => {}
        }
        data.store(key, value);
        self.writes.fetch_add(1, SeqCst);
        Ok(())
    }

    fn verify(&self, digest: Digest, spki: &[u8], signature: &[u8], message: &[u8]) -> NativeVerdict {
        if self.cannot_verify.contains(&digest) {
            return NativeVerdict::Missing;
        }
        ring(digest, spki, signature, message)
    }

    fn random(&self) -> [u8; 32] {
        [self.random.load(SeqCst); 32]
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.variables.lock().unwrap().get(name).cloned()
    }
}

/// A connection with these properties.
#[derive(Default)]
pub struct FakeConnection(pub HashMap<ConnectionProperty, Vec<u8>>);

impl Connection for FakeConnection {
    fn property(&self, property: ConnectionProperty) -> Option<Vec<u8>> {
        self.0.get(&property).cloned()
    }
}

/// `seconds` after the start of every test's time: 2026-01-01T00:00:00Z, and a monotonic clock that runs along.
pub fn at(seconds: f64) -> Now {
    let wall = 1_767_225_600_000_u64.saturating_add((seconds * 1e3) as u64);
    let mono = 1_000_000_000_000_u64.saturating_add((seconds * 1e9) as u64);
    Now { wall: UnixMillis::from_millis(wall), mono: MonoNanos::from_nanos(mono) }
}
