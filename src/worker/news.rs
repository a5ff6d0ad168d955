//! What the workers of a proxy tell each other about a document that each fetches for itself: nothing that a verification rests
//! on, because other plugins may write there as well. In: what a worker found out. Out: what is known. Not here: what follows
//! from it (`document`, `refresh`).

use crate::host::{Expect, Host};
use crate::policy::TrustId;
use crate::time::MonoNanos;
use crate::worker::refresh::Trouble;

/// Where it stands in shared data; with the number of its layout.
const KEYS: &str = "boundgate/keys/2/";
const METADATA: &str = "boundgate/metadata/2/";
const REVOCATIONS: &str = "boundgate/revocations/1/";
const STATUS_LIST: &str = "boundgate/status-list/1/";
/// So often a worker tries to tell the others: as often as it may lose against all of them at once.
const TELLINGS: usize = 16;

/// What is known.
#[derive(Default)]
pub(super) struct News {
    /// When a request last caused a fetch out of turn.
    pub(super) asked: Option<MonoNanos>,
    /// Of the newest content that any worker loaded; 0 before.
    pub(super) digest: u64,
    /// Failures since the last success.
    pub(super) trouble: Trouble,
}

/// The place where the workers tell each other about one document.
pub(super) struct NewsOf(String);

impl NewsOf {
    /// The keys of an issuer.
    pub(super) fn keys(trust: &TrustId) -> Self {
        Self(format!("{KEYS}{trust}"))
    }

    /// Its metadata.
    pub(super) fn metadata(trust: &TrustId) -> Self {
        Self(format!("{METADATA}{trust}"))
    }

    /// A document of revocations.
    pub(super) fn revocations(id: &str) -> Self {
        Self(format!("{REVOCATIONS}{id}"))
    }

    /// A status list.
    pub(super) fn status_list(id: &TrustId) -> Self {
        Self(format!("{STATUS_LIST}{id}"))
    }

    pub(super) fn read(&self, host: &dyn Host) -> News {
        self.read_to_change(host).0
    }

    /// Changes what is known; `false` if `change` declines or another worker was faster.
    pub(super) fn change(&self, host: &dyn Host, change: impl Fn(News) -> Option<News>) -> bool {
        let (news, expect) = self.read_to_change(host);
        change(news).is_some_and(|news| host.shared_set(&self.0, &news.to_bytes(), expect).is_ok())
    }

    /// Changes it, however many others do at the same time.
    pub(super) fn tell(&self, host: &dyn Host, change: impl Fn(News) -> News) {
        let _ = (0..TELLINGS).any(|_| self.change(host, |news| Some(change(news))));
    }

    /// What another plugin may have scribbled there reads as something that soon passes.
    fn read_to_change(&self, host: &dyn Host) -> (News, Expect) {
        let Some((bytes, cas)) = host.shared_get(&self.0) else { return (News::default(), Expect::Absent) };
        let (words, _) = bytes.as_chunks::<8>();
        let word = |index: usize| words.get(index).map_or(0, |word| u64::from_le_bytes(*word));
        let time = |index| Some(word(index)).filter(|nanos| *nanos != 0).map(MonoNanos::from_nanos);
        let failures = u32::try_from(word(2)).unwrap_or(0);
        let trouble = Trouble { failures, began: time(3), failed: time(4) };
        (News { asked: time(0), digest: word(1), trouble }, Expect::Unchanged(cas))
    }
}

impl News {
    fn to_bytes(&self) -> Vec<u8> {
        let time = |time: Option<MonoNanos>| time.map_or(0, MonoNanos::as_nanos);
        let Trouble { failures, began, failed } = self.trouble;
        let words = [time(self.asked), self.digest, u64::from(failures), time(began), time(failed)];
        words.into_iter().flat_map(u64::to_le_bytes).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{FakeHost, at};

    #[test]
    fn what_one_worker_tells_another_reads() {
        let (host, place) = (FakeHost::default(), NewsOf::keys(&TrustId::of("issuer")));
        let trouble = Trouble::default().and(at(1.0).mono, at(2.0).mono);
        place.tell(&host, |news| News { trouble, ..news });
        assert!(place.change(&host, |news| Some(News { asked: Some(at(3.0).mono), digest: 7, ..news })));
        assert!(!place.change(&host, |_| None));
        let news = NewsOf::keys(&TrustId::of("issuer")).read(&host);
        assert_eq!((news.asked, news.digest, news.trouble), (Some(at(3.0).mono), 7, trouble));
        assert_eq!(NewsOf::keys(&TrustId::of("other")).read(&host).digest, 0);
        assert_eq!(NewsOf::metadata(&TrustId::of("issuer")).read(&host).digest, 0);
    }

    #[test]
    fn any_scribble_reads_as_something() {
        let (host, place) = (FakeHost::default(), NewsOf::keys(&TrustId::of("issuer")));
        for scribble in [&[][..], &[1; 3], &[0xff; 16], &[0xff; 40], &[1; 100]] {
            host.overwrite(&place.0, scribble);
            let _ = place.read(&host);
            place.tell(&host, |news| News { digest: 9, ..news });
            assert_eq!(place.read(&host).digest, 9);
        }
    }
}
