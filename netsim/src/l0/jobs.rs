//! Simulated jobs, on names instead of numbers, in place of the daemon's. The jobs of a real round
//! take seconds of processor time, these take microseconds, and from names a checker can tell
//! whether what was opened is the sum of U. So training, encryption, the range of sums and the
//! errors inside a job are not simulated; the daemon's tests and `tests/tests` run those.

use fedshield_protocol::ids::{CommitmentDigest, LayoutDigest, MemberIndex, Round, SumDigest};
use fedshield_protocol::job::{
    Applied, Combined, Fate, Included, Job, JobOutput, RoundStart, UpdateShape,
};
use fedshield_protocol::limits::MAX_OBJECT_BYTES;
use fedshield_protocol::object::ObjectRef;
use fedshield_protocol::wire::{CommitmentBody, UpdateSet};

use super::byzantine::split_outcome;
use super::content::{CONTENT_BYTES, Content, Vector, is_in_range, layout_of, nonce_of, sum_of};
use super::faults::Fault;
use super::node::Node;

/// No sum that contains a vector with this or a greater number opens.
const UNOPENABLE: u32 = 1 << 31;

/// The shape of every update of a round.
pub(super) fn shape_of(start: &RoundStart) -> UpdateShape {
    let length = CONTENT_BYTES as u64;
    UpdateShape {
        layout: layout_of(&start.beacon),
        ciphertext_bytes: length,
        sealed_share_bytes: length,
    }
}

fn digests(set: &[Included]) -> Vec<CommitmentDigest> {
    set.iter().map(|included| included.commitment).collect()
}

fn commitments(set: &UpdateSet) -> Vec<CommitmentDigest> {
    set.commitments().collect()
}

impl Node {
    /// Runs a job to its end.
    ///
    /// # Errors
    /// Why the job failed.
    pub(crate) fn run_job(
        &mut self,
        job: &Job,
        threshold: u16,
        resend_spent: bool,
    ) -> Result<JobOutput, String> {
        let withheld = matches!(
            job,
            Job::ResealShare { .. } | Job::OpenShare { .. } | Job::PartialDecrypt { .. }
        );
        if self.fault == Some(Fault::BadSharesUnanswered) && withheld {
            return Err("it does not answer".into());
        }
        match job {
            Job::MakeSealingKey { round } => Ok(JobOutput::SealingKey(self.sealing_key(*round))),
            Job::Contribute { start } => {
                self.adapter_at(start.applied)?;
                Ok(self.contribute(start))
            }
            Job::PrepareRound { start } => {
                self.adapter_at(start.applied)?;
                Ok(JobOutput::Prepared(shape_of(start)))
            }
            Job::CheckCiphertext { update, .. } => self.check_ciphertext(update),
            Job::OpenShare { .. } if self.fault == Some(Fault::SplitsOutcome) => {
                Err("does not answer complaints".into())
            }
            Job::SealShares { round, sealing_keys } => self.seal_shares(*round, sealing_keys),
            Job::CheckShare { round, update } => self.check_share(*round, update),
            Job::ResealShare { round, member, sealing_key } => {
                self.seal_again(*round, *member, sealing_key)
            }
            Job::CheckResealedShare { round, update, sealed } => {
                self.check_resealed_share(*round, update, sealed)
            }
            Job::OpenShare { member, .. } => Ok(JobOutput::ShareOpening(vec![member.0 as u8; 4])),
            Job::CheckShareOpening { update, member, .. } => {
                if *member == self.member {
                    self.disk.shares.insert(update.commitment);
                }
                Ok(JobOutput::Checked { valid: true })
            }
            Job::Aggregate { start, set } => {
                self.adapter_at(start.applied)?;
                self.aggregate(set)
            }
            Job::PartialDecrypt { set, .. } => self.partial(set),
            Job::Combine { start, set, aggregate, partials } => {
                self.adapter_at(start.applied)?;
                self.combine(start.round, set, aggregate, partials, threshold)
            }
            Job::CheckKey { start, set, aggregate, key } => {
                self.adapter_at(start.applied)?;
                self.check_key(start.round, set, aggregate, key)
            }
            Job::Apply { start, sum, .. } => self.apply(start, *sum),
            Job::Adopt { adapter, applied } => {
                if !self.disk.objects.contains_key(adapter) {
                    return Err("the adapter is not here".into());
                }
                self.set_adapter(*applied, *adapter);
                Ok(JobOutput::Adopted)
            }
            // Jobs about evidence are run by `evidence`.
            Job::CheckEvidence { .. } | Job::ProveAnswers { .. } => {
                Err("nothing to compute".into())
            }
            Job::Settle { round, fate } => {
                self.settle(*round, *fate, resend_spent);
                Ok(JobOutput::Settled)
            }
            Job::EraseSecrets => {
                self.disk.keys.clear();
                self.disk.contributions.clear();
                Ok(JobOutput::Erased)
            }
        }
    }

    /// The sealing key of a round: generated once, and a different one after a loss of the disk.
    fn sealing_key(&mut self, round: Round) -> Vec<u8> {
        if let Some(key) = self.disk.keys.get(&round) {
            return key.clone();
        }
        self.disk.salt += 1;
        let mut key = vec![self.member.0 as u8 + 1; 24];
        key.extend_from_slice(&self.disk.salt.to_le_bytes());
        key.extend_from_slice(&round.0.to_le_bytes());
        self.disk.keys.insert(round, key.clone());
        key
    }

    fn put(&mut self, content: &Content) -> ObjectRef {
        self.put_bytes(content.bytes())
    }

    fn put_bytes(&mut self, bytes: Vec<u8>) -> ObjectRef {
        let object = ObjectRef::of(&bytes);
        self.disk.objects.insert(object, bytes.into());
        object
    }

    fn read(&self, object: &ObjectRef) -> Option<Content> {
        self.disk.objects.get(object).and_then(|bytes| Content::read(bytes))
    }

    /// Each run is a fresh encryption: nothing is encrypted twice under one key.
    fn contribute(&mut self, start: &RoundStart) -> JobOutput {
        self.disk.salt += 1;
        let side = u64::from(self.side.unwrap_or_default());
        let salt = self.disk.salt * 1000 + u64::from(self.member.0) * 2 + side;
        let number = match self.fault {
            Some(Fault::UnopenableUpdate) => UNOPENABLE + self.disk.salt as u32,
            _ => self.disk.vector,
        };
        let vector = Vector { member: self.member, number };
        let mut bytes = Content::Ciphertext { vector, salt }.bytes();
        if self.fault == Some(Fault::MalformedCiphertext)
            && let Some(first) = bytes.first_mut()
        {
            *first ^= 1;
        }
        let ciphertext = self.put_bytes(bytes);
        let layout = shape_of(start).layout;
        self.disk.contributions.insert(start.round, (salt, ciphertext, layout));
        JobOutput::Encrypted
    }

    fn seal_shares(&mut self, round: Round, keys: &[Option<Vec<u8>>]) -> Result<JobOutput, String> {
        let (salt, ciphertext, layout) =
            *self.disk.contributions.get(&round).ok_or("nothing is encrypted")?;
        let sealed_shares = (0..keys.len() as u16)
            .map(MemberIndex)
            .zip(keys)
            .map(|(receiver, key)| {
                Some(self.put(&self.sealed(salt, receiver, key.as_ref()?, keys)))
            })
            .collect();
        let shares = salt.to_le_bytes().to_vec();
        let mut body = CommitmentBody { ciphertext, sealed_shares, shares, layout };
        if self.fault == Some(Fault::WrongShape) {
            self.distort(&mut body);
        }
        Ok(JobOutput::Contribution(body))
    }

    /// Makes the commitment violate the round's shape in one of four ways, which take turns.
    fn distort(&mut self, body: &mut CommitmentBody) {
        let longer =
            |object: &ObjectRef, by: u64| ObjectRef { length: object.length + by, ..*object };
        match self.disk.salt % 4 {
            0 => body.ciphertext = longer(&body.ciphertext, MAX_OBJECT_BYTES / 2),
            1 => body.ciphertext = longer(&body.ciphertext, 1),
            2 => body
                .sealed_shares
                .iter_mut()
                .flatten()
                .for_each(|sealed| *sealed = longer(sealed, 1)),
            _ => body.layout = LayoutDigest([0; 32]),
        }
    }

    fn seal_again(&self, round: Round, to: MemberIndex, key: &[u8]) -> Result<JobOutput, String> {
        let (salt, ..) = *self.disk.contributions.get(&round).ok_or("nothing is encrypted")?;
        // A faulty dealer answers a complaint with a valid share, or does not answer at all.
        let content = Content::Share {
            dealer: self.member,
            receiver: to,
            salt,
            valid: true,
            key: key.to_vec(),
        };
        Ok(JobOutput::ResealedShare(Some(content.bytes())))
    }

    fn sealed(
        &self,
        salt: u64,
        receiver: MemberIndex,
        key: &[u8],
        members: &[Option<Vec<u8>>],
    ) -> Content {
        let valid = self.deals_valid_share_to(receiver, members.len() as u16);
        Content::Share { dealer: self.member, receiver, salt, valid, key: key.to_vec() }
    }

    /// Whether the sealed share for `receiver` holds its share.
    fn deals_valid_share_to(&self, receiver: MemberIndex, member_count: u16) -> bool {
        match self.fault {
            Some(Fault::BadShares) => receiver.0.is_multiple_of(2),
            Some(Fault::SplitsOutcome) => {
                !split_outcome::is_victim(self.member, receiver, member_count)
            }
            Some(Fault::BadSharesUnanswered) => {
                let distance = (receiver.0 + member_count - self.member.0) % member_count;
                distance == 0 || distance > (member_count - 1) / 3
            }
            _ => true,
        }
    }

    fn check_share(&mut self, round: Round, dealer: &Included) -> Result<JobOutput, String> {
        if self.fault == Some(Fault::FalseComplaints) {
            return Ok(JobOutput::Checked { valid: false });
        }
        // Valid before, or opened after a complaint.
        if self.disk.shares.contains(&dealer.commitment) {
            return Ok(JobOutput::Checked { valid: true });
        }
        let Some(Some(sealed)) = dealer.body.sealed_shares.get(self.member.position()) else {
            return Ok(JobOutput::Checked { valid: false });
        };
        let sealed = self.read(sealed).ok_or("the sealed share is not here")?;
        self.open_sealed_share(round, dealer, &sealed)
    }

    /// Opens with the key of exactly this round, and keeps the share.
    fn open_sealed_share(
        &mut self,
        round: Round,
        dealer: &Included,
        sealed: &Content,
    ) -> Result<JobOutput, String> {
        let own = self.disk.keys.get(&round).ok_or("the sealing key is not here")?;
        let valid = match sealed {
            Content::Share { dealer: by, receiver, valid, key, .. } => {
                *valid && key == own && *by == dealer.member && *receiver == self.member
            }
            _ => false,
        };
        if valid {
            self.disk.shares.insert(dealer.commitment);
        }
        Ok(JobOutput::Checked { valid })
    }

    fn check_ciphertext(&self, dealer: &Included) -> Result<JobOutput, String> {
        let ciphertext = &dealer.body.ciphertext;
        if !self.disk.objects.contains_key(ciphertext) {
            return Err("the ciphertext is not here".into());
        }
        let by_its_contributor = matches!(
            self.read(ciphertext),
            Some(Content::Ciphertext { vector, .. }) if vector.member == dealer.member
        );
        let valid = by_its_contributor && self.fault != Some(Fault::RejectsAll);
        Ok(JobOutput::Checked { valid })
    }

    fn check_resealed_share(
        &mut self,
        round: Round,
        dealer: &Included,
        sealed: &[u8],
    ) -> Result<JobOutput, String> {
        if self.fault == Some(Fault::FalseComplaints) {
            return Ok(JobOutput::Checked { valid: false });
        }
        match Content::read(sealed) {
            Some(sealed) => self.open_sealed_share(round, dealer, &sealed),
            None => Ok(JobOutput::Checked { valid: false }),
        }
    }

    fn aggregate(&mut self, set: &[Included]) -> Result<JobOutput, String> {
        let mut parts = Vec::new();
        let mut vectors = Vec::new();
        for included in set {
            match self.read(&included.body.ciphertext) {
                Some(Content::Ciphertext { vector, .. }) => vectors.push(vector),
                _ => return Err("a ciphertext is not here".into()),
            }
            parts.push(included.body.ciphertext.root);
        }
        parts.sort_unstable();
        vectors.sort_unstable();
        if self.fault == Some(Fault::WrongSum) {
            vectors.pop();
        }
        Ok(JobOutput::Aggregated(self.put(&Content::Aggregate { parts, vectors })))
    }

    fn partial(&mut self, set: &[Included]) -> Result<JobOutput, String> {
        if !set.iter().all(|included| self.disk.shares.contains(&included.commitment)) {
            return Err("a share is not here".into());
        }
        let correct = self.fault != Some(Fault::WrongPartial);
        let content = Content::Partial { member: self.member, set: digests(set), correct };
        if self.fault == Some(Fault::SplitsOutcome)
            && let Some(other) = split_outcome::other_answer(&content)
        {
            let other = self.put(&other);
            self.served.insert(other, None);
        }
        Ok(JobOutput::Partial(self.put(&content)))
    }

    fn combine(
        &mut self,
        round: Round,
        set: &UpdateSet,
        aggregate: &ObjectRef,
        partials: &[(MemberIndex, ObjectRef)],
        threshold: u16,
    ) -> Result<JobOutput, String> {
        let Some(Content::Aggregate { vectors, .. }) = self.read(aggregate) else {
            return Err("the aggregate is not here".into());
        };
        let wanted = commitments(set);
        let mut good = 0;
        let mut culprits = Vec::new();
        for (by, object) in partials {
            match self.read(object) {
                Some(Content::Partial { member, set, correct })
                    if correct && member == *by && set == wanted =>
                {
                    good += 1;
                }
                Some(_) => culprits.push(*by),
                None => return Err("a partial decryption is not here".into()),
            }
        }
        let unopenable = vectors.iter().any(|vector| vector.number >= UNOPENABLE);
        if good < usize::from(threshold) || unopenable {
            return Ok(JobOutput::Combined(Combined::NotYet));
        }
        let sum = sum_of(&vectors);
        self.disk.sums.insert(round, sum);
        let key = self.put(&Content::Key { set: wanted, correct: true });
        Ok(JobOutput::Combined(Combined::Opened { key, sum, culprits }))
    }

    fn check_key(
        &mut self,
        round: Round,
        set: &UpdateSet,
        aggregate: &ObjectRef,
        key: &ObjectRef,
    ) -> Result<JobOutput, String> {
        let Some(Content::Aggregate { vectors, .. }) = self.read(aggregate) else {
            return Err("the aggregate is not here".into());
        };
        let fits = match self.disk.objects.get(key).map(|bytes| Content::read(bytes)) {
            Some(Some(Content::Key { set: of, correct })) => correct && of == commitments(set),
            Some(_) => false,
            None => return Err("the key is not here".into()),
        };
        if !fits || vectors.iter().any(|vector| vector.number >= UNOPENABLE) {
            return Ok(JobOutput::KeyChecked { sum: None });
        }
        let sum = sum_of(&vectors);
        self.disk.sums.insert(round, sum);
        Ok(JobOutput::KeyChecked { sum: Some(sum) })
    }

    /// Applying the same round again gives the same result.
    fn apply(&mut self, start: &RoundStart, sum: SumDigest) -> Result<JobOutput, String> {
        if self.disk.sums.get(&start.round) != Some(&sum) {
            return Err("this sum was not opened here".into());
        }
        let before = self.adapter_at(start.applied)?;
        let accepted = is_in_range(&sum);
        let content = Content::Adapter { round: start.round, before: before.map(|a| a.root), sum };
        let adapter = match (accepted, before) {
            (false, Some(before)) => before,
            _ => self.put(&content),
        };
        if accepted {
            self.set_adapter(start.applied + 1, adapter);
        }
        Ok(JobOutput::Applied(Applied { adapter, accepted, nonce: nonce_of(&sum) }))
    }

    /// The adapter after `applied` rounds; the initial one, `None`, needs no disk.
    fn adapter_at(&self, applied: u64) -> Result<Option<ObjectRef>, String> {
        if applied == 0 && !self.disk.first_is_gone {
            return Ok(None);
        }
        let mut kept = self.disk.adapters.iter().flatten();
        match kept.find(|(t, object)| *t == applied && self.disk.objects.contains_key(object)) {
            Some((_, object)) => Ok(Some(*object)),
            None => Err(format!("no adapter of {applied} applied rounds is here")),
        }
    }

    fn set_adapter(&mut self, applied: u64, adapter: ObjectRef) {
        let [newest, _] = self.disk.adapters;
        if newest != Some((applied, adapter)) {
            self.disk.adapters = [Some((applied, adapter)), newest];
        }
    }

    /// Erases the round's encryption and all sealing keys up to the round. A spent vector is never
    /// sent again, unless that bug is planted.
    fn settle(&mut self, round: Round, fate: Option<Fate>, resend_spent: bool) {
        self.disk.contributions.remove(&round);
        self.disk.keys.retain(|of, _| *of > round);
        if self.disk.settled.insert(round) && fate == Some(Fate::Spent) && !resend_spent {
            self.disk.vector += 1;
        }
    }
}
