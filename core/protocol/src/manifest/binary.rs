//! The canonical bytes of a manifest, in two forms.
//!
//! A manifest of the first form begins with its name, which is never empty; it says nothing about weights. One of the second form
//! begins with an empty text, then how weights are given, then all of the first form, then the members' weights. So the bytes
//! and digests of what was founded before are what they were, and no bytes can be read in both ways.

use core::fmt;

use serde::de::{self, SeqAccess, Visitor};
use serde::ser::SerializeTuple;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{
    Adapter, Deadlines, Encryption, Manifest, Member, Pruning, ServerOptimizer, Training, Weights,
};
use crate::ids::{Digest, Epoch, IdentityKey};

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
        Self {
            name: member.name.clone(),
            identity_key: member.identity_key,
            sealing_key: member.sealing_key.clone(),
            addresses: member.addresses.clone(),
        }
    }
}

/// Text leaves out a weight of one. Binary forms know no names of fields, so there it always stands.
impl Serialize for Member {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return Self::serialize(self, serializer);
        }
        (Unweighted::of(self), self.weight).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Member {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::deserialize(deserializer)
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
    adapter: Adapter,
    training: Training,
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
            adapter: it.adapter,
            training: it.training,
            pruning: it.pruning,
            encryption: it.encryption,
            server_optimizer: it.server_optimizer,
            deadlines: it.deadlines,
            members: it.members.iter().map(Unweighted::of).collect(),
        }
    }

    /// The manifest, with the weights of its members in their order; `None` if there are not as many.
    fn manifest(self, name: String, weights: Option<(Weights, Vec<u32>)>) -> Option<Manifest> {
        let count = self.members.len();
        let (weights, each) = match weights {
            Some((weights, each)) => (Some(weights), each),
            None => (None, vec![1; count]),
        };
        let member = |(member, weight): (Unweighted, u32)| Member {
            name: member.name,
            identity_key: member.identity_key,
            sealing_key: member.sealing_key,
            addresses: member.addresses,
            weight,
        };
        (each.len() == count).then(|| Manifest {
            name,
            weights,
            founding_id: self.founding_id,
            epoch: self.epoch,
            rounds: self.rounds,
            min_contributors: self.min_contributors,
            committee_size: self.committee_size,
            weight_cap: self.weight_cap,
            base_model: self.base_model,
            adapter: self.adapter,
            training: self.training,
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
        let Some(weights) = self.weights else {
            let mut tuple = serializer.serialize_tuple(2)?;
            tuple.serialize_element(&self.name)?;
            tuple.serialize_element(&rest)?;
            return tuple.end();
        };
        let each: Vec<u32> = self.members.iter().map(|member| member.weight).collect();
        let mut tuple = serializer.serialize_tuple(5)?;
        tuple.serialize_element("")?;
        tuple.serialize_element(&weights)?;
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
        deserializer.deserialize_tuple(5, Forms)
    }
}

/// Reads either form.
struct Forms;

impl<'de> Visitor<'de> for Forms {
    type Value = Manifest;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a manifest")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Manifest, A::Error> {
        let first: String = next(&mut sequence)?;
        let (name, weights) = match first.is_empty() {
            false => (first, None),
            true => {
                let weights: Weights = next(&mut sequence)?;
                (next(&mut sequence)?, Some(weights))
            }
        };
        let rest: Rest = next(&mut sequence)?;
        let weights = match weights {
            Some(weights) => Some((weights, next(&mut sequence)?)),
            None => None,
        };
        rest.manifest(name, weights).ok_or_else(|| de::Error::custom("a weight for each member"))
    }
}

fn next<'de, A: SeqAccess<'de>, T: Deserialize<'de>>(sequence: &mut A) -> Result<T, A::Error> {
    sequence.next_element()?.ok_or_else(|| de::Error::custom("a manifest that ends early"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_alone_keeps_its_weight_in_every_form() {
        for weight in [1, 2, 1 << 24] {
            let member = Member {
                name: "clinic".into(),
                identity_key: IdentityKey([3; 32]),
                sealing_key: vec![1, 2, 3],
                addresses: vec!["/ip4/192.0.2.1/tcp/7000".into()],
                weight,
            };
            let bytes = postcard::to_allocvec(&(&member, 7_u8)).unwrap();
            assert_eq!(postcard::from_bytes(&bytes), Ok((member.clone(), 7_u8)));
            let text = toml::to_string(&member).unwrap();
            assert_eq!(text.contains("weight"), weight != 1, "{text}");
            assert_eq!(toml::from_str(&text), Ok(member));
        }
    }
}
