//! The newest record of each member. Pure: the clock is an argument.

use std::collections::{BTreeMap, BTreeSet};

use libp2p::identity::Keypair;
use libp2p::{Multiaddr, PeerId};
use tokio::time::Instant;

use super::record::{RecordError, SignedRecord};
use crate::error::StartError;
use crate::limits::{MAX_MEMBERS, RECORD_RATE};
use crate::rate::TokenBuckets;

/// What the insertion of a valid record changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Insertion {
    /// It replaced the record of this member.
    Newer(PeerId),
    /// Nothing: a record that is at least as new is known.
    Stale,
    /// It is our own and newer than the one we have, so that others have outdated addresses of this
    /// node: our disk or clock was reset.
    OwnIsNewer,
}

/// Our own record and those of the members.
pub(crate) struct PeerRecords {
    pair: Keypair,
    local: PeerId,
    own: Option<SignedRecord>,
    others: BTreeMap<PeerId, SignedRecord>,
    /// Each newer record causes a write and a dial, so each member has a rate limit.
    rate: TokenBuckets<PeerId>,
}

impl PeerRecords {
    pub(crate) fn new(pair: Keypair) -> Self {
        let local = pair.public().to_peer_id();
        let rate = TokenBuckets::new(RECORD_RATE, MAX_MEMBERS);
        Self { pair, local, own: None, others: BTreeMap::new(), rate }
    }

    /// Loads the records that an earlier run has stored, before the members are known. Returns how
    /// many were refused.
    pub(crate) fn load(&mut self, records: impl IntoIterator<Item = Vec<u8>>) -> usize {
        let mut refused = 0;
        for bytes in records {
            match SignedRecord::read(&bytes) {
                Ok(record) if record.peer == self.local => self.own = Some(record),
                Ok(record) if self.others.len() < MAX_MEMBERS => {
                    self.others.insert(record.peer, record);
                }
                _ => refused += 1,
            }
        }
        refused
    }

    /// Drops the records of those that are not members.
    pub(crate) fn retain(&mut self, members: &BTreeSet<PeerId>) {
        self.others.retain(|peer, _| members.contains(peer));
    }

    /// Signs our own addresses, unless the newest record has the same; true if there is a new
    /// record. `now_ms`: milliseconds since 1970; the sequence number is at least that, so that it
    /// also grows on a machine that has lost its disk.
    ///
    /// # Errors
    /// [`StartError::Setup`] if the library cannot sign.
    pub(crate) fn sign_own(
        &mut self,
        addresses: &[Multiaddr],
        now_ms: u64,
    ) -> Result<bool, StartError> {
        let last = self.own.as_ref().map_or(0, |own| own.seq);
        let next = SignedRecord::sign(&self.pair, now_ms.max(last.saturating_add(1)), addresses)?;
        // An empty record is useless: the older one that others have is better.
        let is_known = self.own.as_ref().is_some_and(|own| own.addresses == next.addresses);
        if is_known || next.addresses.is_empty() {
            return Ok(false);
        }
        self.own = Some(next);
        Ok(true)
    }

    /// Inserts a record from anyone.
    ///
    /// # Errors
    /// It is invalid, not of a member, or over the rate limit.
    pub(crate) fn insert(
        &mut self,
        bytes: &[u8],
        is_member: impl Fn(&PeerId) -> bool,
        now: Instant,
    ) -> Result<Insertion, RecordError> {
        let record = SignedRecord::read(bytes)?;
        let peer = record.peer;
        if peer == self.local {
            let ahead = self.own.as_ref().is_none_or(|own| own.seq < record.seq);
            if ahead {
                // It has our own signature. The next one that we sign has a greater number.
                self.own = Some(record);
            }
            return Ok(if ahead { Insertion::OwnIsNewer } else { Insertion::Stale });
        }
        if !is_member(&peer) {
            return Err(RecordError::NotAMember);
        }
        if self.others.get(&peer).is_some_and(|known| known.seq >= record.seq) {
            return Ok(Insertion::Stale);
        }
        if !self.rate.take(peer, now) {
            return Err(RecordError::RateLimited);
        }
        self.others.insert(peer, record);
        Ok(Insertion::Newer(peer))
    }

    /// Our own record, once it is signed.
    pub(crate) fn own(&self) -> Option<&SignedRecord> {
        self.own.as_ref()
    }

    pub(crate) fn of(&self, peer: &PeerId) -> Option<&SignedRecord> {
        self.others.get(peer)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &SignedRecord> {
        self.own.iter().chain(self.others.values())
    }

    /// The records that are newer than those that another member has, given by their sequence
    /// numbers.
    pub(crate) fn newer_than(&self, known: &[(PeerId, u64)]) -> Vec<&[u8]> {
        let known: BTreeMap<&PeerId, u64> = known.iter().map(|(peer, n)| (peer, *n)).collect();
        let newer =
            |record: &&SignedRecord| known.get(&record.peer).is_none_or(|n| *n < record.seq);
        self.all().filter(newer).map(|record| record.bytes.as_slice()).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::record::tests::address;
    use super::*;

    fn records() -> PeerRecords {
        PeerRecords::new(Keypair::generate_ed25519())
    }

    fn signed(pair: &Keypair, number: u64, port: u16) -> Vec<u8> {
        SignedRecord::sign(pair, number, &[address(port)]).unwrap().bytes
    }

    #[test]
    fn the_greatest_sequence_number_wins_and_a_replay_changes_nothing() {
        let (mut here, member, now) = (records(), Keypair::generate_ed25519(), Instant::now());
        let peer = member.public().to_peer_id();
        let (old, new) = (signed(&member, 5, 5), signed(&member, 6, 6));
        assert_eq!(here.insert(&old, |_| true, now), Ok(Insertion::Newer(peer)));
        assert_eq!(here.insert(&new, |_| true, now), Ok(Insertion::Newer(peer)));
        for stale in [&old, &new, &signed(&member, 6, 7)] {
            assert_eq!(here.insert(stale, |_| true, now), Ok(Insertion::Stale));
            assert_eq!(here.of(&peer).unwrap().addresses, [address(6)]);
        }
    }

    #[test]
    fn a_record_of_a_non_member_is_not_stored() {
        let (mut here, non_member) = (records(), Keypair::generate_ed25519());
        let refused = here.insert(&signed(&non_member, 1, 1), |_| false, Instant::now());
        assert_eq!(refused, Err(RecordError::NotAMember));
        assert_eq!(here.all().count(), 0);
    }

    #[test]
    fn a_member_that_changes_its_record_all_the_time_is_rate_limited() {
        let (mut here, member, now) = (records(), Keypair::generate_ed25519(), Instant::now());
        let mut taken = 0;
        for number in 1..1000 {
            let outcome = here.insert(&signed(&member, number, 1), |_| true, now);
            taken += u32::from(outcome == Ok(Insertion::Newer(member.public().to_peer_id())));
        }
        assert_eq!(taken, RECORD_RATE.burst);
        let later = now + Duration::from_secs(60);
        assert!(here.insert(&signed(&member, 2000, 2), |_| true, later).is_ok());
    }

    #[test]
    fn our_own_sequence_number_grows_when_the_clock_goes_back_or_the_disk_is_lost() {
        let pair = Keypair::generate_ed25519();
        let mut before = PeerRecords::new(pair.clone());
        assert!(before.sign_own(&[address(1)], 1000).unwrap());
        assert!(!before.sign_own(&[address(1)], 2000).unwrap(), "the same addresses");
        assert!(!before.sign_own(&["/memory/7".parse().unwrap()], 3000).unwrap(), "nowhere");
        // The clock went back.
        assert!(before.sign_own(&[address(2)], 10).unwrap());
        assert_eq!(before.own().unwrap().seq, 1001);
        let kept = before.own().unwrap().bytes.clone();

        // The disk is lost, and the clock is behind: others send our own record back.
        let mut after = PeerRecords::new(pair);
        assert!(after.sign_own(&[address(3)], 20).unwrap());
        assert_eq!(after.insert(&kept, |_| true, Instant::now()), Ok(Insertion::OwnIsNewer));
        assert!(after.sign_own(&[address(3)], 30).unwrap());
        assert_eq!(after.own().unwrap().seq, 1002);
        assert_eq!(after.own().unwrap().addresses, [address(3)]);
        assert_eq!(after.insert(&kept, |_| true, Instant::now()), Ok(Insertion::Stale));
    }

    #[test]
    fn only_records_that_the_other_side_lacks_are_sent() {
        let (mut here, now) = (records(), Instant::now());
        let (one, two) = (Keypair::generate_ed25519(), Keypair::generate_ed25519());
        here.sign_own(&[address(9)], 9).unwrap();
        for (pair, number) in [(&one, 1), (&two, 2)] {
            here.insert(&signed(pair, number, 1), |_| true, now).unwrap();
        }
        assert_eq!(here.newer_than(&[]).len(), 3);
        let have = [(one.public().to_peer_id(), 1), (two.public().to_peer_id(), 1)];
        let newer = here.newer_than(&have);
        assert_eq!(newer.len(), 2);
        assert!(newer.contains(&signed(&two, 2, 1).as_slice()));
        let members = BTreeSet::from([one.public().to_peer_id()]);
        here.retain(&members);
        assert_eq!(here.all().count(), 2, "our own and that of the member");
    }
}
