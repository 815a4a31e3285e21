//! Entries of the first version of the journal: an opened sum named a digest of its key instead of
//! the key itself.

use serde::{Deserialize, Serialize};

use super::{Entry, Note};
use crate::ids::{Digest, KeyDigest, LayoutDigest, MemberIndex, Round, SetDigest, SumDigest};
use crate::limits::MAX_JOURNAL_ENTRY_BYTES;
use crate::object::ObjectRef;
use crate::sign::Signature;
use crate::wire::codec::{self, CodecError};
use crate::wire::journal::VotingState;
use crate::wire::{Certificate, CommitmentBody, Decided, Decision, Record, UpdateSet, Value};

/// The first byte of these entries.
pub(super) const FIRST_VERSION: u8 = 1;

#[derive(Serialize, Deserialize)]
struct FirstEntry {
    version: u8,
    round: Round,
    note: FirstNote,
}

/// A commitment of the first version, with a sealed share for every member.
#[derive(Serialize, Deserialize)]
struct FirstBody {
    ciphertext: ObjectRef,
    sealed_shares: Vec<ObjectRef>,
    shares: Vec<u8>,
    layout: LayoutDigest,
}

#[derive(Serialize, Deserialize)]
enum FirstNote {
    Committed(Box<FirstBody>),
    Reported(UpdateSet),
    Attested { set: SetDigest, aggregate: ObjectRef },
    Voting { decision: Decision, state: VotingState, values: Vec<FirstValue> },
    Decided(Box<FirstDecided>),
    Released { set: SetDigest, object: ObjectRef },
    Signed(Box<Record>),
    Ready,
    Present(Vec<(MemberIndex, Signature)>),
    Kept { contributor: MemberIndex, body: Box<FirstBody>, signature: Signature },
    Opened { key: KeyDigest, sum: SumDigest, answers: Vec<(MemberIndex, ObjectRef, Signature)> },
    Reached,
}

#[derive(Serialize, Deserialize)]
enum FirstValue {
    Aggregate { set: UpdateSet, aggregate: ObjectRef },
    Skip,
    Opened { key: KeyDigest, sum: SumDigest },
    Void,
}

#[derive(Serialize, Deserialize)]
struct FirstDecided {
    value: FirstValue,
    certificate: Certificate,
}

/// An object of no bytes has its root for a name ([`Value::key_name`]): the value keeps its digest.
const fn named(key: KeyDigest) -> ObjectRef {
    ObjectRef { root: Digest(key.0), length: 0 }
}

impl FirstBody {
    fn now(self) -> Box<CommitmentBody> {
        let Self { ciphertext, sealed_shares, shares, layout } = self;
        let sealed_shares = sealed_shares.into_iter().map(Some).collect();
        Box::new(CommitmentBody { ciphertext, sealed_shares, shares, layout })
    }
}

impl FirstValue {
    fn now(self) -> Value {
        match self {
            Self::Aggregate { set, aggregate } => Value::Aggregate { set, aggregate },
            Self::Skip => Value::Skip,
            Self::Opened { key, sum } => Value::Opened { key: named(key), sum },
            Self::Void => Value::Void,
        }
    }
}

impl FirstNote {
    fn now(self) -> Note {
        match self {
            Self::Committed(body) => Note::Committed(body.now()),
            Self::Reported(set) => Note::Reported(set),
            Self::Attested { set, aggregate } => Note::Attested { set, aggregate },
            Self::Voting { decision, state, values } => {
                let values = values.into_iter().map(FirstValue::now).collect();
                Note::Voting { decision, state, values }
            }
            Self::Decided(decided) => {
                let FirstDecided { value, certificate } = *decided;
                Note::Decided(Box::new(Decided { value: value.now(), certificate }))
            }
            Self::Released { set, object } => Note::Released { set, object },
            Self::Signed(record) => Note::Signed(record),
            Self::Ready => Note::Ready,
            Self::Present(ready) => Note::Present(ready),
            Self::Kept { contributor, body, signature } => {
                Note::Kept { contributor, body: body.now(), signature }
            }
            // It is opened again: the key was not kept as an object.
            Self::Opened { key, sum, .. } => Note::Opened { key: named(key), sum },
            Self::Reached => Note::Reached,
        }
    }
}

/// Reads an entry of the first version.
pub(super) fn decode(bytes: &[u8]) -> Result<Entry, CodecError> {
    let FirstEntry { version: _, round, note } =
        codec::decode("journal entry", bytes, MAX_JOURNAL_ENTRY_BYTES)?;
    Ok(Entry::new(round, note.now()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{CommitmentDigest, KeyDigest, SumDigest, View};
    use crate::wire::VoteKind;

    fn read(note: FirstNote) -> Note {
        let entry = FirstEntry { version: FIRST_VERSION, round: Round(4), note };
        let bytes = codec::encode("journal entry", &entry, MAX_JOURNAL_ENTRY_BYTES).unwrap();
        let entry = Entry::decode(&bytes).unwrap();
        assert_eq!(entry.round, Round(4));
        entry.note
    }

    /// The certificate of a decision is one of its value's digest.
    #[test]
    fn an_opened_sum_keeps_the_digest_that_was_voted_on() {
        let (key, sum) = (KeyDigest([1; 32]), SumDigest([2; 32]));
        let id = Value::opened_id(&key, &sum);
        let certificate = Certificate {
            decision: Decision::Outcome,
            kind: VoteKind::Precommit,
            view: View(0),
            value: id,
            votes: Vec::new(),
        };
        let value = FirstValue::Opened { key, sum };
        let decided = Box::new(FirstDecided { value, certificate: certificate.clone() });
        let Note::Decided(decided) = read(FirstNote::Decided(decided)) else { panic!("another") };
        assert_eq!((decided.value.id(), decided.certificate), (id, certificate));
    }

    #[test]
    fn what_has_not_changed_reads_as_it_was_written() {
        assert_eq!(read(FirstNote::Ready), Note::Ready);
        assert_eq!(read(FirstNote::Reached), Note::Reached);
        let set: UpdateSet = [(MemberIndex(1), CommitmentDigest([3; 32]))].into_iter().collect();
        assert_eq!(read(FirstNote::Reported(set.clone())), Note::Reported(set));
    }
}
