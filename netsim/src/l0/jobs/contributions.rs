//! Simulated updates and their key shares: encrypting, sealing, answering complaints, checking.

use fedshield_protocol::ids::{LayoutDigest, MemberIndex, Round};
use fedshield_protocol::job::{Included, JobOutput, RoundStart};
use fedshield_protocol::limits::MAX_OBJECT_BYTES;
use fedshield_protocol::object::ObjectRef;
use fedshield_protocol::wire::CommitmentBody;

use super::{UNOPENABLE, shape_of};
use crate::l0::byzantine::split_outcome;
use crate::l0::content::{Content, Vector, is_stalled};
use crate::l0::faults::Fault;
use crate::l0::node::Node;

impl Node {
    /// Each run is a fresh encryption: nothing is encrypted twice under one key.
    pub(super) fn contribute(&mut self, start: &RoundStart) -> JobOutput {
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
        let shape = shape_of(start);
        // Every faulty member says in every round that it has stopped improving.
        let says_so = is_stalled(start.round) || self.fault.is_some();
        let layout = shape.stalled.filter(|_| says_so).unwrap_or(shape.layout);
        self.disk.contributions.insert(start.round, (salt, ciphertext, layout));
        JobOutput::Encrypted
    }

    pub(super) fn seal_shares(
        &mut self,
        round: Round,
        keys: &[Option<Vec<u8>>],
    ) -> Result<JobOutput, String> {
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

    pub(super) fn seal_again(
        &self,
        round: Round,
        to: MemberIndex,
        key: &[u8],
    ) -> Result<JobOutput, String> {
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

    pub(super) fn check_share(
        &mut self,
        round: Round,
        dealer: &Included,
    ) -> Result<JobOutput, String> {
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

    pub(super) fn check_ciphertext(&self, dealer: &Included) -> Result<JobOutput, String> {
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

    pub(super) fn check_resealed_share(
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
}
