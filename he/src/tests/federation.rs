//! A small federation in memory.

use chacha20::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use crate::*;

pub(crate) fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

/// The share index `number`, which must not be 0.
pub(crate) fn index(number: u16) -> ShareIndex {
    ShareIndex::new(number).unwrap()
}

/// A sharing whose numbers must be valid.
pub(crate) fn sharing(threshold: u16, members: u16) -> Sharing {
    Sharing::new(threshold, members).unwrap()
}

/// [`decrypt`](crate::decrypt) into one vector.
pub(crate) fn decrypt_to_vec(
    context: &RoundContext,
    set: &ContributorSet,
    key: &OpenedKey,
    shape: SumShape,
    aggregate: &[u8],
) -> Result<(Vec<i64>, SumSummary), Error> {
    let mut values = Vec::new();
    let summary = decrypt(context, set, key, shape, aggregate, |block| {
        values.extend_from_slice(block);
        Ok(())
    })?;
    Ok((values, summary))
}

/// One contributor's part of a round.
pub(super) struct Contributor {
    pub(super) index: ShareIndex,
    pub(super) values: Vec<f32>,
    pub(super) weight: u32,
    pub(super) nonce: [u8; 32],
    pub(super) ciphertext: Vec<u8>,
    pub(super) commitment: ShareCommitment,
    pub(super) package: SecretPackage,
}

/// A round without sealing (sealing has its own tests): members `1..=members`.
pub(super) struct Federation {
    pub(super) context: RoundContext,
    pub(super) members: u16,
    pub(super) threshold: u16,
    pub(super) max_faulty: u16,
    pub(super) scale: f64,
    /// What the next contributors have measured.
    pub(super) measurement: Option<u16>,
    pub(super) contributors: Vec<Contributor>,
    pub(super) rng: ChaCha20Rng,
}

impl Federation {
    pub(super) fn new(preset: &str, members: u16, seed: u64) -> Self {
        let preset = Preset::by_name(preset).unwrap();
        let max_faulty = (members - 1) / 3;
        Self {
            context: RoundContext::new([7; 32], 3, preset),
            members,
            threshold: (members + max_faulty) / 2 + 1,
            max_faulty,
            scale: 1.0,
            measurement: None,
            contributors: Vec::new(),
            rng: rng(seed),
        }
    }

    /// Contributes honestly.
    pub(super) fn contribute(&mut self, index: u16, values: Vec<f32>, weight: u32) {
        let mut nonce = [0; 32];
        self.rng.fill_bytes(&mut nonce);
        let (key, ciphertext) = self.encrypt(index, &values, weight, &nonce);
        let shared = self.share(index, &key, &ciphertext);
        self.add(index, values, weight, nonce, ciphertext, shared);
    }

    pub(super) fn sharing(&self) -> Sharing {
        sharing(self.threshold, self.members)
    }

    pub(super) fn robust(&self) -> RobustSharing {
        RobustSharing::new(self.sharing(), self.max_faulty).unwrap()
    }

    pub(super) fn encrypt(
        &mut self,
        number: u16,
        values: &[f32],
        weight: u32,
        nonce: &[u8; 32],
    ) -> (OneTimeKey, Vec<u8>) {
        let update = Update {
            values,
            scale: self.scale * f64::from(weight),
            nonce,
            measurement: self.measurement,
        };
        let mut ciphertext = Vec::new();
        let (key, summary) =
            encrypt(&self.context, index(number), &update, &mut self.rng, &mut ciphertext).unwrap();
        assert_eq!(summary.bytes, ciphertext.len() as u64);
        let expected = self.context.ciphertext_len(values.len() as u64).unwrap();
        assert_eq!(summary.bytes, expected);
        (key, ciphertext)
    }

    pub(super) fn share(
        &mut self,
        number: u16,
        key: &OneTimeKey,
        ciphertext: &[u8],
    ) -> (ShareCommitment, SecretPackage) {
        let digest = CiphertextDigest::new(*blake3::hash(ciphertext).as_bytes());
        let sharing = self.sharing();
        share(&self.context, index(number), sharing, key, digest, &mut self.rng).unwrap()
    }

    pub(super) fn add(
        &mut self,
        number: u16,
        values: Vec<f32>,
        weight: u32,
        nonce: [u8; 32],
        ciphertext: Vec<u8>,
        (commitment, package): (ShareCommitment, SecretPackage),
    ) {
        self.contributors.push(Contributor {
            index: index(number),
            values,
            weight,
            nonce,
            ciphertext,
            commitment,
            package,
        });
    }

    pub(super) fn value_count(&self) -> u64 {
        self.contributors[0].values.len() as u64
    }

    /// The shape of a sum whose contributors use all bits of the preset.
    pub(super) fn shape(&self) -> SumShape {
        SumShape::full(self.context.preset(), self.contributors.len() as u16, self.value_count())
    }

    pub(super) fn set(&self) -> ContributorSet {
        let entries = self.contributors.iter().map(|c| (c.index, c.commitment.id(&self.context)));
        ContributorSet::new(&self.context, 1, entries).unwrap()
    }

    pub(super) fn aggregate(&self) -> Result<Vec<u8>, Error> {
        let inputs = self.contributors.iter().map(|c| (c.index, c.ciphertext.as_slice()));
        let mut out = Vec::new();
        let bytes = aggregate(&self.context, &self.set(), self.value_count(), inputs, &mut out)?;
        assert_eq!(bytes, out.len() as u64);
        Ok(out)
    }

    pub(super) fn shares(&self, member: u16) -> Result<Vec<KeyShare>, Error> {
        self.contributors
            .iter()
            .map(|c| {
                let receiver = index(member);
                let bytes = c.package.opening_for(receiver).unwrap().to_bytes(&self.context);
                ShareOpening::from_bytes(&self.context, &c.commitment, receiver, &bytes)?
                    .verify(&self.context, &c.commitment)
            })
            .collect()
    }

    pub(super) fn answer(&self, member: u16) -> PartialDecryption {
        let shares = self.shares(member).unwrap();
        partial_decrypt(&self.context, &self.set(), index(member), &shares).unwrap()
    }

    /// Combines, and checks that the values it hands out are those that the key decrypts to.
    pub(super) fn combine(&self, answers: &[PartialDecryption]) -> Result<CombinedSum, Error> {
        let aggregate = self.aggregate()?;
        let (sharing, set) = (self.robust(), self.set());
        let (shape, mut values) = (self.shape(), Vec::new());
        let sink = |block: &[i64]| {
            values.extend_from_slice(block);
            Ok(())
        };
        let combined =
            combine(&self.context, &set, sharing, answers, shape, aggregate.as_slice(), sink)?;
        assert_eq!(self.decrypt(&combined.key), (values, combined.summary.clone()));
        Ok(combined)
    }

    /// Opens the sum with these members' answers.
    pub(super) fn open(&self, members: &[u16]) -> (Vec<i64>, SumSummary) {
        let answers: Vec<_> = members.iter().map(|&m| self.answer(m)).collect();
        let combined = self.combine(&answers).unwrap();
        assert_eq!(combined.answers, Answers::Consistent);
        self.decrypt(&combined.key)
    }

    pub(super) fn decrypt(&self, key: &OpenedKey) -> (Vec<i64>, SumSummary) {
        let aggregate = self.aggregate().unwrap();
        decrypt_to_vec(&self.context, &self.set(), key, self.shape(), aggregate.as_slice()).unwrap()
    }

    /// The plain sum of integer values (scale 1), weighted.
    pub(super) fn expected(&self) -> Vec<i64> {
        (0..self.value_count() as usize)
            .map(|i| {
                self.contributors.iter().map(|c| c.values[i] as i64 * i64::from(c.weight)).sum()
            })
            .collect()
    }
}
