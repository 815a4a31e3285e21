//! Removes objects whose rounds are over: leftovers of unfinished fetches, of skipped rounds, and
//! of runs that ended in the middle of one. What the machine itself drops is removed at once, see
//! `effects`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use fedshield_protocol::ids::{Digest, Round};
use fedshield_protocol::object::ObjectRef;
use tokio::task::JoinHandle;

use crate::objects::{Collected, ObjectStoreError, Objects};

/// Tracks which objects are still needed.
pub(super) struct Collector {
    objects: Arc<Objects>,
    served: BTreeSet<Digest>,
    busy: Arc<AtomicBool>,
}

impl Collector {
    /// New objects belong to the round after the last of `ended`.
    pub(super) fn new(objects: Arc<Objects>, ended: Option<Round>) -> Self {
        objects.set_round(ended.map_or(Round(0), |round| Round(round.0.saturating_add(1))));
        // After a crash, leftovers of the previous round may still be here.
        if let Err(error) = objects.drop_leftovers() {
            tracing::warn!(%error, "fetches of ended rounds not removed; tried again after the round");
        }
        Self { objects, served: BTreeSet::new(), busy: Arc::default() }
    }

    /// Members may fetch the object: it is kept.
    pub(super) fn serve(&mut self, object: &ObjectRef) {
        self.served.insert(object.root);
    }

    /// The object is no longer served, so a collection may remove it.
    pub(super) fn stop_serving(&mut self, object: &ObjectRef) {
        self.served.remove(&object.root);
    }

    /// A round is over. Objects made or fetched in earlier rounds are removed, except those that
    /// are served and the `adapter` of the federation. Objects of this round stay for one more, for
    /// members that are late, unless it is the last one. `held` returns the adapters that this
    /// member works with; it may read the disk.
    pub(super) fn ended(
        &self,
        round: Round,
        is_last: bool,
        adapter: Option<ObjectRef>,
        held: impl FnOnce() -> Vec<ObjectRef> + Send + 'static,
    ) -> Option<JoinHandle<()>> {
        self.objects.set_round(Round(round.0.saturating_add(1)));
        // Catching up ends many rounds at once; one collection at a time is enough.
        if self.busy.swap(true, Ordering::AcqRel) {
            return None;
        }
        let mut keep = self.served.clone();
        keep.extend(adapter.map(|adapter| adapter.root));
        let (objects, busy) = (Arc::clone(&self.objects), Arc::clone(&self.busy));
        let before = if is_last { Round(round.0.saturating_add(1)) } else { round };
        Some(tokio::task::spawn_blocking(move || {
            // A member that is behind works with an older adapter than the ledger's.
            keep.extend(held().iter().map(|held| held.root));
            report(round, objects.collect(before, &keep));
            busy.store(false, Ordering::Release);
        }))
    }
}

fn report(round: Round, collected: Result<Collected, ObjectStoreError>) {
    match collected {
        Ok(Collected { objects: 0, .. }) => {}
        Ok(gone) => tracing::info!(%round, objects = gone.objects, bytes = gone.bytes, "collected"),
        Err(error) => {
            tracing::warn!(%round, %error, "objects not collected; tried again next round")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ended(collector: &Collector, round: u64, adapter: ObjectRef, works: ObjectRef) {
        let works = move || vec![works];
        collector.ended(Round(round), false, Some(adapter), works).unwrap().await.unwrap();
    }

    #[tokio::test]
    async fn leftovers_go_when_their_round_is_over_and_what_is_needed_stays() {
        let folder = tempfile::tempdir().unwrap();
        let objects = Arc::new(Objects::open(folder.path()).unwrap());
        let mut collector = Collector::new(Arc::clone(&objects), None);
        let leftover = objects.put(b"of an abandoned fetch").unwrap();
        let served = objects.put(b"a partial decryption").unwrap();
        let adapter = objects.put(b"the federation's adapter").unwrap();
        let works = objects.put(b"this member's adapter").unwrap();
        collector.serve(&served);
        let here = |object| objects.contains(object).unwrap();

        ended(&collector, 0, adapter, works).await;
        assert!([&leftover, &served, &adapter, &works].into_iter().all(here), "a round of grace");
        let next = objects.put(b"of round 1").unwrap();

        ended(&collector, 1, adapter, works).await;
        assert!(!here(&leftover));
        assert!([&served, &adapter, &works, &next].into_iter().all(here));

        collector.stop_serving(&served);
        ended(&collector, 2, adapter, works).await;
        assert!(!here(&served) && !here(&next) && here(&adapter) && here(&works));
    }

    #[tokio::test]
    async fn of_the_last_round_nothing_stays_but_what_is_served() {
        let folder = tempfile::tempdir().unwrap();
        let objects = Arc::new(Objects::open(folder.path()).unwrap());
        let mut collector = Collector::new(Arc::clone(&objects), Some(Round(6)));
        let adapter = objects.put(b"adapter").unwrap();
        let (own_share, served) = (objects.put(b"box").unwrap(), objects.put(b"sum").unwrap());
        collector.serve(&served);
        let works = move || vec![adapter];
        collector.ended(Round(7), true, Some(adapter), works).unwrap().await.unwrap();
        let here = |object| objects.contains(object).unwrap();
        assert_eq!([&own_share, &served, &adapter].map(here), [false, true, true]);
    }

    #[tokio::test]
    async fn after_a_restart_objects_belong_to_the_round_in_progress() {
        let folder = tempfile::tempdir().unwrap();
        let objects = Arc::new(Objects::open(folder.path()).unwrap());
        let collector = Collector::new(Arc::clone(&objects), Some(Round(6)));
        let adapter = objects.put(b"adapter").unwrap();
        let fetched = objects.put(b"in round 7").unwrap();
        ended(&collector, 7, adapter, adapter).await;
        assert!(objects.contains(&fetched).unwrap());
        ended(&collector, 8, adapter, adapter).await;
        assert!(!objects.contains(&fetched).unwrap());
    }
}
