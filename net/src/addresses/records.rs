//! The newest record of each member. Pure: the clock comes in.

use std::collections::{BTreeMap, BTreeSet};

use libp2p::identity::Keypair;
use libp2p::{Multiaddr, PeerId};
use tokio::time::Instant;

use super::record::{Record, RecordError};
use crate::error::StartError;
use crate::limits::{MAX_MEMBERS, RECORD_RATE};
use crate::rate::Buckets;

/// What a record that was taken changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Newer than what was known of this member.
    Newer(PeerId),
    /// Nothing new.
    Known,
    /// Our own, from a time that we have forgotten: what others have of us is not where we are.
    OwnAhead,
}

/// All records.
pub(crate) struct Records {
    pair: Keypair,
    local: PeerId,
    own: Option<Record>,
    others: BTreeMap<PeerId, Record>,
    /// Each newer record is written to disk and leads to a dial: nobody may ask for that all the time.
    rate: Buckets<PeerId>,
}

impl Records {
    pub(crate) fn new(pair: Keypair) -> Self {
        let local = pair.public().to_peer_id();
        let rate = Buckets::new(RECORD_RATE, MAX_MEMBERS);
        Self { pair, local, own: None, others: BTreeMap::new(), rate }
    }

    /// What an earlier run kept; whom it concerns is found out when the members are known.
    pub(crate) fn load(&mut self, records: impl IntoIterator<Item = Vec<u8>>) -> usize {
        let mut refused = 0;
        for bytes in records {
            match Record::read(&bytes) {
                Ok(record) if record.peer == self.local => self.own = Some(record),
                Ok(record) if self.others.len() < MAX_MEMBERS => {
                    self.others.insert(record.peer, record);
                }
                _ => refused += 1,
            }
        }
        refused
    }

    /// Forgets whoever is not a member.
    pub(crate) fn retain(&mut self, members: &BTreeSet<PeerId>) {
        self.others.retain(|peer, _| members.contains(peer));
    }

    /// Signs our own addresses, unless the newest record says the same; true if there is a new one. `now_ms` counts from
    /// 1970; the number is at least that, so that it grows also on a machine that has lost its disk.
    pub(crate) fn announce(
        &mut self,
        addresses: &[Multiaddr],
        now_ms: u64,
    ) -> Result<bool, StartError> {
        let last = self.own.as_ref().map_or(0, |own| own.number);
        let next = Record::sign(&self.pair, now_ms.max(last.saturating_add(1)), addresses)?;
        // Nowhere is no news: what others know is the best there is.
        let is_known = self.own.as_ref().is_some_and(|own| own.addresses == next.addresses);
        if is_known || next.addresses.is_empty() {
            return Ok(false);
        }
        self.own = Some(next);
        Ok(true)
    }

    /// Takes a record from anyone.
    pub(crate) fn take(
        &mut self,
        bytes: &[u8],
        is_member: impl Fn(&PeerId) -> bool,
        now: Instant,
    ) -> Result<Taken, RecordError> {
        let record = Record::read(bytes)?;
        let peer = record.peer;
        if peer == self.local {
            let ahead = self.own.as_ref().is_none_or(|own| own.number < record.number);
            if ahead {
                // Our own signature. The next one that we make is above it.
                self.own = Some(record);
            }
            return Ok(if ahead { Taken::OwnAhead } else { Taken::Known });
        }
        if !is_member(&peer) {
            return Err(RecordError::Outsider);
        }
        if self.others.get(&peer).is_some_and(|known| known.number >= record.number) {
            return Ok(Taken::Known);
        }
        if !self.rate.take(peer, now) {
            return Err(RecordError::TooOften);
        }
        self.others.insert(peer, record);
        Ok(Taken::Newer(peer))
    }

    /// Our own record as it travels.
    pub(crate) fn own(&self) -> Option<&Record> {
        self.own.as_ref()
    }

    pub(crate) fn of(&self, peer: &PeerId) -> Option<&Record> {
        self.others.get(peer)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Record> {
        self.own.iter().chain(self.others.values())
    }

    /// What is newer here than there.
    pub(crate) fn newer_than(&self, there: &[(PeerId, u64)]) -> Vec<&[u8]> {
        let there: BTreeMap<&PeerId, u64> = there.iter().map(|(peer, n)| (peer, *n)).collect();
        let newer = |record: &&Record| there.get(&record.peer).is_none_or(|n| *n < record.number);
        self.all().filter(newer).map(|record| record.bytes.as_slice()).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::record::tests::address;
    use super::*;

    fn records() -> Records {
        Records::new(Keypair::generate_ed25519())
    }

    fn signed(pair: &Keypair, number: u64, port: u16) -> Vec<u8> {
        Record::sign(pair, number, &[address(port)]).unwrap().bytes
    }

    #[test]
    fn the_greatest_number_counts_and_a_replay_changes_nothing() {
        let (mut here, member, now) = (records(), Keypair::generate_ed25519(), Instant::now());
        let peer = member.public().to_peer_id();
        let (old, new) = (signed(&member, 5, 5), signed(&member, 6, 6));
        assert_eq!(here.take(&old, |_| true, now), Ok(Taken::Newer(peer)));
        assert_eq!(here.take(&new, |_| true, now), Ok(Taken::Newer(peer)));
        for stale in [&old, &new, &signed(&member, 6, 7)] {
            assert_eq!(here.take(stale, |_| true, now), Ok(Taken::Known));
            assert_eq!(here.of(&peer).unwrap().addresses, [address(6)]);
        }
    }

    #[test]
    fn a_stranger_leaves_nothing_behind() {
        let (mut here, stranger) = (records(), Keypair::generate_ed25519());
        let refused = here.take(&signed(&stranger, 1, 1), |_| false, Instant::now());
        assert_eq!(refused, Err(RecordError::Outsider));
        assert_eq!(here.all().count(), 0);
    }

    #[test]
    fn a_member_that_changes_all_the_time_is_heard_now_and_then() {
        let (mut here, member, now) = (records(), Keypair::generate_ed25519(), Instant::now());
        let mut taken = 0;
        for number in 1..1000 {
            let outcome = here.take(&signed(&member, number, 1), |_| true, now);
            taken += u32::from(outcome == Ok(Taken::Newer(member.public().to_peer_id())));
        }
        assert_eq!(taken, RECORD_RATE.burst);
        let later = now + Duration::from_secs(60);
        assert!(here.take(&signed(&member, 2000, 2), |_| true, later).is_ok());
    }

    #[test]
    fn our_own_number_grows_whatever_the_clock_and_the_disk_do() {
        let pair = Keypair::generate_ed25519();
        let mut before = Records::new(pair.clone());
        assert!(before.announce(&[address(1)], 1000).unwrap());
        assert!(!before.announce(&[address(1)], 2000).unwrap(), "the same addresses");
        assert!(!before.announce(&["/memory/7".parse().unwrap()], 3000).unwrap(), "nowhere");
        // The clock went back.
        assert!(before.announce(&[address(2)], 10).unwrap());
        assert_eq!(before.own().unwrap().number, 1001);
        let kept = before.own().unwrap().bytes.clone();

        // The disk is lost, and the clock is behind: others hand our own words back.
        let mut after = Records::new(pair);
        assert!(after.announce(&[address(3)], 20).unwrap());
        assert_eq!(after.take(&kept, |_| true, Instant::now()), Ok(Taken::OwnAhead));
        assert!(after.announce(&[address(3)], 30).unwrap());
        assert_eq!(after.own().unwrap().number, 1002);
        assert_eq!(after.own().unwrap().addresses, [address(3)]);
        assert_eq!(after.take(&kept, |_| true, Instant::now()), Ok(Taken::Known));
    }

    #[test]
    fn what_is_handed_on_is_what_the_other_lacks() {
        let (mut here, now) = (records(), Instant::now());
        let (one, two) = (Keypair::generate_ed25519(), Keypair::generate_ed25519());
        here.announce(&[address(9)], 9).unwrap();
        for (pair, number) in [(&one, 1), (&two, 2)] {
            here.take(&signed(pair, number, 1), |_| true, now).unwrap();
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
