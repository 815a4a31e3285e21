//! The encoding of a hello; `docs/NETWORK.md` has the table. All integers are little endian.

use fedshield_protocol::ids::IdentityKey;

use crate::limits::{MAX_HELLO_PROOFS, MAX_HELLO_REPORTS};

/// Random id of a process, drawn at its start: it distinguishes two processes that use one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Instance(pub(crate) [u8; 16]);

/// A random nonce: a signature over it was made after it was drawn.
pub(crate) type Challenge = [u8; 32];

/// The message of the presence protocol, as request and as answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hello {
    /// The process that sends it.
    pub(crate) instance: Instance,
    /// To be signed by other processes that use the sender's key.
    pub(crate) challenge: Challenge,
    /// The sender subscribes to the federation's topic.
    pub(crate) subscribes: bool,
    /// The sender receives the announcements of the receiver of this hello.
    pub(crate) receives_from_you: bool,
    /// Processes that the sender is connected with, at most [`MAX_HELLO_REPORTS`].
    pub(crate) reports: Vec<Report>,
    /// Proofs that a key is used by two processes, at most [`MAX_HELLO_PROOFS`].
    pub(crate) proofs: Vec<Proof>,
}

/// A process of a member and its challenge, as reported by another member. Not proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) member: IdentityKey,
    pub(crate) instance: Instance,
    pub(crate) challenge: Challenge,
}

/// The challenge of one process of a member, signed with the member's key by another process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Proof {
    pub(crate) member: IdentityKey,
    pub(crate) challenge: Challenge,
    /// The process that signed.
    pub(crate) instance: Instance,
    /// Ed25519 over [`Proof::signed_bytes`].
    pub(crate) signature: [u8; 64],
}

/// Domain separation: nothing else that an identity key signs begins with these bytes.
const CONTEXT: &[u8] = b"fedshield/second-copy/1\0";

const SUBSCRIBES: u8 = 1;
const RECEIVES_FROM_YOU: u8 = 2;
const REPORT_BYTES: usize = 32 + 16 + 32;
const PROOF_BYTES: usize = 32 + 32 + 16 + 64;
/// The two counts and the fields before them.
const HEAD_BYTES: usize = 16 + 32 + 1 + 2 + 2;

/// The longest hello, in bytes.
pub(super) const MAX_HELLO_BYTES: usize =
    HEAD_BYTES + MAX_HELLO_REPORTS * REPORT_BYTES + MAX_HELLO_PROOFS * PROOF_BYTES;

impl Proof {
    /// The bytes that the member's key signs.
    pub(super) fn signed_bytes(challenge: &Challenge, instance: &Instance) -> Vec<u8> {
        [CONTEXT, challenge, &instance.0].concat()
    }
}

impl Hello {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEAD_BYTES + self.reports.len() * REPORT_BYTES);
        bytes.extend_from_slice(&self.instance.0);
        bytes.extend_from_slice(&self.challenge);
        let receives_from_you = if self.receives_from_you { RECEIVES_FROM_YOU } else { 0 };
        bytes.push(receives_from_you | if self.subscribes { SUBSCRIBES } else { 0 });
        // Both lists are far below 65536 entries by their bounds.
        bytes.extend_from_slice(&(self.reports.len() as u16).to_le_bytes());
        bytes.extend_from_slice(&(self.proofs.len() as u16).to_le_bytes());
        for report in &self.reports {
            bytes.extend_from_slice(report.member.as_bytes());
            bytes.extend_from_slice(&report.instance.0);
            bytes.extend_from_slice(&report.challenge);
        }
        for proof in &self.proofs {
            bytes.extend_from_slice(proof.member.as_bytes());
            bytes.extend_from_slice(&proof.challenge);
            bytes.extend_from_slice(&proof.instance.0);
            bytes.extend_from_slice(&proof.signature);
        }
        bytes
    }

    /// Decodes a hello; `None` if the bytes are malformed, have a tail or are over a limit. Unknown
    /// flags are ignored.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut rest = Rest(bytes);
        let (instance, challenge) = (Instance(rest.take()?), rest.take()?);
        let [flags] = rest.take()?;
        let reports = usize::from(u16::from_le_bytes(rest.take()?));
        let proofs = usize::from(u16::from_le_bytes(rest.take()?));
        if reports > MAX_HELLO_REPORTS || proofs > MAX_HELLO_PROOFS {
            return None;
        }
        let reports = (0..reports).map(|_| rest.report()).collect::<Option<_>>()?;
        let proofs = (0..proofs).map(|_| rest.proof()).collect::<Option<_>>()?;
        let (subscribes, receives_from_you) =
            (flags & SUBSCRIBES != 0, flags & RECEIVES_FROM_YOU != 0);
        rest.0.is_empty().then_some(Self {
            instance,
            challenge,
            subscribes,
            receives_from_you,
            reports,
            proofs,
        })
    }
}

/// The bytes that are not decoded yet.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn report(&mut self) -> Option<Report> {
        Some(Report {
            member: IdentityKey(self.take()?),
            instance: Instance(self.take()?),
            challenge: self.take()?,
        })
    }

    fn proof(&mut self) -> Option<Proof> {
        Some(Proof {
            member: IdentityKey(self.take()?),
            challenge: self.take()?,
            instance: Instance(self.take()?),
            signature: self.take()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn largest() -> Hello {
        let member = IdentityKey([1; 32]);
        let (instance, challenge) = (Instance([2; 16]), [3; 32]);
        let report = Report { member, instance, challenge };
        let proof = Proof { member, challenge, instance, signature: [4; 64] };
        Hello {
            instance,
            challenge,
            subscribes: true,
            receives_from_you: false,
            reports: vec![report; MAX_HELLO_REPORTS],
            proofs: vec![proof; MAX_HELLO_PROOFS],
        }
    }

    #[test]
    fn the_largest_hello_survives_encoding_and_is_within_its_limit() {
        let hello = largest();
        assert_eq!(hello.encode().len(), MAX_HELLO_BYTES);
        assert_eq!(Hello::decode(&hello.encode()), Some(hello.clone()));
        let small = Hello { reports: vec![], proofs: vec![], receives_from_you: true, ..hello };
        assert_eq!(Hello::decode(&small.encode()), Some(small));
    }

    #[test]
    fn a_truncated_hello_and_trailing_bytes_are_refused() {
        let bytes = largest().encode();
        for length in (0..bytes.len()).step_by(7) {
            assert_eq!(Hello::decode(&bytes[..length]), None, "{length}");
        }
        assert_eq!(Hello::decode(&[bytes, vec![0]].concat()), None);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_decoded_or_refused(
            bytes in proptest::collection::vec(any::<u8>(), 0..400),
        ) {
            if let Some(hello) = Hello::decode(&bytes) {
                prop_assert_eq!(hello.encode().len(), bytes.len());
            }
        }
    }
}
