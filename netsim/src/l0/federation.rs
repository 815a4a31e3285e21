//! The federation of a run: a valid manifest with fixed keys, and its rules as they should be.

use std::collections::BTreeMap;
use std::sync::Arc;

use ed25519_dalek::SigningKey;
use fedshield_protocol::ids::{Digest, Epoch, IdentityKey, MemberIndex};
use fedshield_protocol::machine::Config;
use fedshield_protocol::manifest::{
    Adapter, Algorithm, Deadlines, Encryption, Manifest, Member, Pruning, PruningRule, Real, Rules,
    ServerOptimizer, Training, ValidManifest,
};

use super::signatures::{KeyedHash, Secrets};

/// A federation whose members' keys the simulation knows.
#[derive(Clone)]
pub struct Federation {
    /// The manifest as it should be; checkers use this one.
    pub manifest: Arc<ValidManifest>,
    /// The manifest that the machines use: the same, unless a bug is planted.
    pub used: Arc<ValidManifest>,
    secrets: Secrets,
}

fn real(value: f64) -> Real {
    Real::new(value).unwrap_or_else(|| unreachable!("a finite literal"))
}

impl Federation {
    /// A federation of `member_count` members with the usual choices.
    ///
    /// # Panics
    /// If `member_count` is outside what manifests allow.
    #[must_use]
    pub fn new(member_count: u16) -> Self {
        let keys: Vec<SigningKey> =
            (0..member_count).map(|i| SigningKey::from_bytes(&[i as u8 + 1; 32])).collect();
        let manifest = manifest(member_count, &keys);
        let manifest = match ValidManifest::check(manifest) {
            Ok(manifest) => Arc::new(manifest),
            Err(error) => panic!("the simulation's own manifest: {error}"),
        };
        let secrets: BTreeMap<IdentityKey, [u8; 32]> = keys
            .iter()
            .map(|key| (IdentityKey(key.verifying_key().to_bytes()), key.to_bytes()))
            .collect();
        Self { used: Arc::clone(&manifest), manifest, secrets: Arc::new(secrets) }
    }

    /// The same federation, whose machines follow other rules.
    #[cfg(feature = "planted-bugs")]
    #[must_use]
    pub fn with_bug(mut self, bug: super::Bug) -> Self {
        Arc::make_mut(&mut self.used).plant(|rules| bug.change(rules));
        self
    }

    /// The rules as they should be.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        self.manifest.rules()
    }

    pub(crate) fn signatures(&self, member: MemberIndex) -> KeyedHash {
        let secret = self.manifest.key_of(member).and_then(|key| self.secrets.get(key));
        KeyedHash { own: secret.copied().unwrap_or_default(), secrets: Arc::clone(&self.secrets) }
    }

    pub(crate) fn config(&self, member: MemberIndex) -> Config {
        Config::with_signatures(Arc::clone(&self.used), member, Box::new(self.signatures(member)))
    }
}

fn manifest(member_count: u16, keys: &[SigningKey]) -> Manifest {
    let members = keys
        .iter()
        .enumerate()
        .map(|(i, key)| Member {
            name: format!("member-{i}"),
            identity_key: IdentityKey(key.verifying_key().to_bytes()),
            sealing_key: vec![i as u8 + 1; 32],
            addresses: Vec::new(),
        })
        .collect();
    Manifest {
        name: "simulation".into(),
        founding_id: Digest([7; 32]),
        epoch: Epoch(0),
        rounds: 1000,
        min_contributors: Rules::default_contributors(member_count),
        committee_size: Rules::default_committee(member_count),
        weight_cap: 1000,
        base_model: Digest([1; 32]),
        adapter: Adapter { rank: 8, alpha: 16, target_modules: vec!["q_proj".into()], first: None },
        training: Training {
            algorithm: Algorithm::Rolora,
            steps_per_round: 10,
            batch_size: 4,
            sequence_length: 128,
            learning_rate: real(1e-3),
            learning_rate_final: real(1e-4),
            max_gradient_norm: real(1.0),
            template: "alpaca".into(),
        },
        pruning: Pruning {
            rule: PruningRule::Shared,
            initial: real(0.0),
            last: real(0.5),
            start_round: 0,
            end_round: 2,
            explore: real(0.1),
            memory: real(0.9),
        },
        encryption: Encryption { preset: "rlwe-sum/b16/n16".into(), clip: real(0.1) },
        server_optimizer: ServerOptimizer::Plain { rate: real(1.0) },
        deadlines: Deadlines {
            commit_ms: 3_000,
            transfer_ms: 3_000,
            view_ms: 2_000,
            decrypt_ms: 6_000,
            round_ms: 12_000,
        },
        members,
    }
}
