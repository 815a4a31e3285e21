//! The canonical bytes of a manifest in four forms, and of a member that stands alone (in a request to join, for instance) in two.
//!
//! A manifest of the first form begins with its name, which is never empty; it says nothing about weights. One of the second form
//! begins with an empty text, then how weights are given (0 or 1), then all of the first form, then the members' weights. One of the
//! third form, which has a date for templates, begins with an empty text, the number 3, the date, and how weights are given, if they
//! are; it goes on as the second. One of the fourth form begins with an empty text, the number 4 and what it adds to the first form
//! (`Added`); it goes on as the second. Each is written in the first form that has a place for all it says. So the bytes and digests of what was founded before are what they were, and no bytes can be read
//! in two ways. A member alone is of the first form where it counts one, else of the second: an empty text, its weight, then
//! all of the first form.

mod learner;

use core::fmt;

use serde::de::{self, SeqAccess, Visitor};
use serde::ser::SerializeTuple;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{
    Algorithm, Deadlines, Encryption, Evaluation, Manifest, Member, Pruning, ServerOptimizer, Stop,
    Weights,
};
use crate::ids::{Digest, Epoch, IdentityKey};
use crate::wire::codec::CodecError;
use crate::wire::version::MANIFEST;
use learner::{FirstAdapter, FirstTraining, Learner};

/// Refuses the bytes of a manifest that a later version wrote. A manifest of the second form has 0 or 1 behind the empty text,
/// for how weights are given; those of the third and of later versions have their number there.
///
/// # Errors
/// [`CodecError::Version`].
pub(super) fn check_version(what: &'static str, bytes: &[u8]) -> Result<(), CodecError> {
    let Some(rest) = bytes.strip_prefix(&[0]) else { return Ok(()) };
    match postcard::take_from_bytes::<u32>(rest) {
        Ok((found, _)) if found > u32::from(MANIFEST.newest) => {
            Err(CodecError::Version { what, found, read: MANIFEST })
        }
        _ => Ok(()),
    }
}

/// Behind the empty text of the third form.
const THIRD_FORM: u32 = 3;
/// Behind the empty text of the fourth form.
const FOURTH_FORM: u32 = 4;

/// What the fourth form adds to the first, in one list.
#[derive(Clone, Serialize, Deserialize)]
struct Added {
    template_date: Option<String>,
    weights: Option<Weights>,
    evaluation: Evaluation,
    stop: Option<Stop>,
    learner: Learner,
}

impl Added {
    fn of(manifest: &Manifest) -> Self {
        Self {
            template_date: manifest.template_date.clone(),
            weights: manifest.weights,
            evaluation: manifest.evaluation,
            stop: manifest.stop,
            learner: Learner::of(manifest),
        }
    }

    /// What the earlier forms say.
    const fn earlier(template_date: Option<String>, weights: Option<Weights>) -> Self {
        Self {
            template_date,
            weights,
            evaluation: Evaluation::Off,
            stop: None,
            learner: Learner::EARLIER,
        }
    }

    /// Whether an earlier form has a place for all of it, and `manifest` has no value of which the
    /// versions that wrote those forms did not know.
    fn fits_earlier(&self, manifest: &Manifest) -> bool {
        self.evaluation.is_off()
            && self.stop.is_none()
            && self.learner == Learner::EARLIER
            && manifest.training.algorithm != Algorithm::Halves
            && !matches!(manifest.server_optimizer, ServerOptimizer::Nesterov { .. })
    }
}

/// A member without its weight.
#[derive(Serialize, Deserialize)]
struct Unweighted {
    name: String,
    identity_key: IdentityKey,
    #[serde(with = "super::terms::base64_bytes")]
    sealing_key: Vec<u8>,
    addresses: Vec<String>,
}

impl Unweighted {
    fn of(member: &Member) -> Self {
        let Member { name, identity_key, sealing_key, addresses, weight: _ } = member.clone();
        Self { name, identity_key, sealing_key, addresses }
    }

    fn with(self, weight: u32) -> Member {
        let Self { name, identity_key, sealing_key, addresses } = self;
        Member { name, identity_key, sealing_key, addresses, weight }
    }
}

impl Serialize for Member {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return Self::serialize(self, serializer);
        }
        if self.weight == 1 {
            return Unweighted::of(self).serialize(serializer);
        }
        let mut tuple = serializer.serialize_tuple(3)?;
        tuple.serialize_element("")?;
        tuple.serialize_element(&self.weight)?;
        tuple.serialize_element(&Unweighted::of(self))?;
        tuple.end()
    }
}

impl<'de> Deserialize<'de> for Member {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            return Self::deserialize(deserializer);
        }
        deserializer.deserialize_tuple(4, MemberForms)
    }
}

/// What follows the name of a member of the first form.
#[derive(Deserialize)]
struct AfterName {
    identity_key: IdentityKey,
    #[serde(with = "super::terms::base64_bytes")]
    sealing_key: Vec<u8>,
    addresses: Vec<String>,
}

/// Reads either form of a member.
struct MemberForms;

impl<'de> Visitor<'de> for MemberForms {
    type Value = Member;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Member, A::Error> {
        let name: String = next(&mut sequence)?;
        if name.is_empty() {
            let weight = next(&mut sequence)?;
            return next::<A, Unweighted>(&mut sequence).map(|member| member.with(weight));
        }
        let AfterName { identity_key, sealing_key, addresses } = next(&mut sequence)?;
        Ok(Unweighted { name, identity_key, sealing_key, addresses }.with(1))
    }
}

/// All but name and weights, in the order of the first form.
#[derive(Serialize, Deserialize)]
struct Rest {
    founding_id: Digest,
    epoch: Epoch,
    rounds: u64,
    min_contributors: u16,
    committee_size: u16,
    weight_cap: u32,
    base_model: Digest,
    adapter: FirstAdapter,
    training: FirstTraining,
    pruning: Pruning,
    encryption: Encryption,
    server_optimizer: ServerOptimizer,
    deadlines: Deadlines,
    members: Vec<Unweighted>,
}

impl Rest {
    fn of(manifest: &Manifest) -> Self {
        let it = manifest.clone();
        Self {
            founding_id: it.founding_id,
            epoch: it.epoch,
            rounds: it.rounds,
            min_contributors: it.min_contributors,
            committee_size: it.committee_size,
            weight_cap: it.weight_cap,
            base_model: it.base_model,
            adapter: FirstAdapter::of(it.adapter),
            training: FirstTraining::of(it.training),
            pruning: it.pruning,
            encryption: it.encryption,
            server_optimizer: it.server_optimizer,
            deadlines: it.deadlines,
            members: it.members.iter().map(Unweighted::of).collect(),
        }
    }

    /// The manifest, with the weights of its members in their order; `None` if there are not as many.
    fn manifest(self, head: Head, each: Vec<u32>) -> Option<Manifest> {
        let member = |(member, weight): (Unweighted, u32)| member.with(weight);
        (each.len() == self.members.len()).then(|| Manifest {
            name: head.name,
            weights: head.added.weights,
            template_date: head.added.template_date,
            evaluation: head.added.evaluation,
            stop: head.added.stop,
            founding_id: self.founding_id,
            epoch: self.epoch,
            rounds: self.rounds,
            min_contributors: self.min_contributors,
            committee_size: self.committee_size,
            weight_cap: self.weight_cap,
            base_model: self.base_model,
            adapter: self.adapter.with(&head.added.learner),
            training: self.training.with(&head.added.learner),
            pruning: self.pruning,
            encryption: self.encryption,
            server_optimizer: self.server_optimizer,
            deadlines: self.deadlines,
            members: self.members.into_iter().zip(each).map(member).collect(),
        })
    }
}

impl Serialize for Manifest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return Self::serialize(self, serializer);
        }
        let rest = Rest::of(self);
        let mut tuple = serializer.serialize_tuple(FORMS_LENGTH)?;
        let added = Added::of(self);
        match (&self.template_date, self.weights) {
            _ if !added.fits_earlier(self) => {
                tuple.serialize_element("")?;
                tuple.serialize_element(&FOURTH_FORM)?;
                tuple.serialize_element(&added)?;
            }
            (None, None) => {
                tuple.serialize_element(&self.name)?;
                tuple.serialize_element(&rest)?;
                return tuple.end();
            }
            (None, Some(weights)) => {
                tuple.serialize_element("")?;
                tuple.serialize_element(&weights)?;
            }
            (Some(date), weights) => {
                tuple.serialize_element("")?;
                tuple.serialize_element(&THIRD_FORM)?;
                tuple.serialize_element(date)?;
                tuple.serialize_element(&weights)?;
            }
        }
        let each: Vec<u32> = self.members.iter().map(|member| member.weight).collect();
        tuple.serialize_element(&self.name)?;
        tuple.serialize_element(&rest)?;
        tuple.serialize_element(&each)?;
        tuple.end()
    }
}

impl<'de> Deserialize<'de> for Manifest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            return Self::deserialize(deserializer);
        }
        deserializer.deserialize_tuple(FORMS_LENGTH, Forms)
    }
}

/// Most elements of a form. The bytes do not contain their number.
const FORMS_LENGTH: usize = 7;

/// What precedes the fields that all forms have.
struct Head {
    name: String,
    added: Added,
}

/// Reads any form.
struct Forms;

impl<'de> Visitor<'de> for Forms {
    type Value = Manifest;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a manifest")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Manifest, A::Error> {
        let name: String = next(&mut sequence)?;
        if !name.is_empty() {
            let rest: Rest = next(&mut sequence)?;
            let each = vec![1; rest.members.len()];
            let head = Head { name, added: Added::earlier(None, None) };
            return rest.manifest(head, each).ok_or_else(unequal);
        }
        let added = match next(&mut sequence)? {
            0 => Added::earlier(None, Some(Weights::Equal)),
            1 => Added::earlier(None, Some(Weights::Declared)),
            THIRD_FORM => {
                let date: String = next(&mut sequence)?;
                Added::earlier(Some(date), next(&mut sequence)?)
            }
            FOURTH_FORM => next(&mut sequence)?,
            _ => return Err(de::Error::custom("a manifest of no known form")),
        };
        let head = Head { name: next(&mut sequence)?, added };
        let rest: Rest = next(&mut sequence)?;
        let each: Vec<u32> = next(&mut sequence)?;
        rest.manifest(head, each).ok_or_else(unequal)
    }
}

fn unequal<E: de::Error>() -> E {
    E::custom("a weight for each member")
}

fn next<'de, A: SeqAccess<'de>, T: Deserialize<'de>>(sequence: &mut A) -> Result<T, A::Error> {
    sequence.next_element()?.ok_or_else(|| de::Error::custom("a manifest that ends early"))
}
