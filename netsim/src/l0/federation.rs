//! The federation of a run: a valid manifest with fixed keys, and its rules without a planted bug.

use std::collections::BTreeMap;
use std::sync::Arc;

use ed25519_dalek::SigningKey;
use fedshield_protocol::MachineConfig;
use fedshield_protocol::ids::{IdentityKey, MemberIndex, Round};
use fedshield_protocol::manifest::{Deadlines, Evaluation, Manifest, Rules, Stop, ValidManifest};
use fedshield_protocol::roster::Roster;
use fedshield_protocol::sign::{Signature, Signatures};
use fedshield_protocol::wire::{Body, Scope, Signed};

use super::signatures::{Secrets, SimSigner};

/// A federation whose members' keys the simulation knows.
#[derive(Clone)]
pub struct Federation {
    /// The correct manifest, which checkers use.
    pub manifest: Arc<ValidManifest>,
    /// The manifest that the machines use: the same, unless a bug is planted.
    pub used: Arc<ValidManifest>,
    secrets: Secrets,
}

impl Federation {
    /// A federation of `member_count` members with the default terms of the simulation.
    ///
    /// # Panics
    /// If `member_count` is outside what manifests allow.
    #[must_use]
    pub fn new(member_count: u16) -> Self {
        let keys: Vec<SigningKey> = (0..member_count).map(fedshield_fixtures::key).collect();
        let manifest = match ValidManifest::check(manifest(member_count)) {
            Ok(manifest) => Arc::new(manifest),
            Err(error) => panic!("the simulation's own manifest: {error}"),
        };
        let secrets: BTreeMap<IdentityKey, [u8; 32]> = keys
            .iter()
            .map(|key| (IdentityKey(key.verifying_key().to_bytes()), key.to_bytes()))
            .collect();
        Self { used: Arc::clone(&manifest), manifest, secrets: Arc::new(secrets) }
    }

    /// The same federation with other deadlines.
    ///
    /// # Panics
    /// If the deadlines are outside what manifests allow.
    #[must_use]
    pub fn with_deadlines(mut self, deadlines: Deadlines) -> Self {
        let manifest = Manifest { deadlines, ..self.manifest.manifest().clone() };
        match ValidManifest::check(manifest) {
            Ok(manifest) => self.manifest = Arc::new(manifest),
            Err(error) => panic!("the simulation's own manifest: {error}"),
        }
        self.used = Arc::clone(&self.manifest);
        self
    }

    /// The same federation, whose machines follow other rules.
    #[cfg(feature = "planted-bugs")]
    #[must_use]
    pub fn with_bug(mut self, bug: super::Bug) -> Self {
        Arc::make_mut(&mut self.used).plant(|rules| bug.change(rules));
        self
    }

    /// The correct rules.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        self.manifest.rules()
    }

    pub(crate) fn scope(&self, round: Round) -> Scope {
        let epoch = self.manifest.epoch();
        Scope { federation: self.manifest.federation(), epoch, round }
    }

    pub(crate) fn signatures(&self, member: MemberIndex) -> SimSigner {
        let secret = self.manifest.key_of(member).and_then(|key| self.secrets.get(key));
        SimSigner { own: secret.copied().unwrap_or_default(), secrets: Arc::clone(&self.secrets) }
    }

    /// The signature of `member` over `body` that the others accept: over the simulation's own
    /// digest.
    pub(crate) fn sign(&self, member: MemberIndex, round: Round, body: &Body) -> Option<Signature> {
        let signatures = self.signatures(member);
        let roster = Roster::new(&self.manifest, &signatures);
        Some(signatures.sign(&roster.digest(round, member, body).ok()?))
    }

    /// The message by which `member` sends `body`.
    pub(crate) fn message(&self, member: MemberIndex, round: Round, body: Body) -> Option<Vec<u8>> {
        let signature = self.sign(member, round, &body)?;
        Signed::new(self.scope(round), member, body, signature).encode().ok()
    }

    pub(crate) fn config(&self, member: MemberIndex) -> MachineConfig {
        MachineConfig::with_signatures(
            Arc::clone(&self.used),
            member,
            Box::new(self.signatures(member)),
        )
    }
}

fn manifest(member_count: u16) -> Manifest {
    let mut manifest = Manifest {
        name: "simulation".into(),
        rounds: 1000,
        evaluation: Evaluation::Mean,
        // It lets the federation train on for longer than any run.
        stop: Some(Stop { after: 1, fall: 1000 }),
        min_contributors: Rules::default_contributors(member_count),
        committee_size: Rules::default_committee(member_count),
        deadlines: Deadlines {
            commit_ms: 3_000,
            transfer_ms: 3_000,
            view_ms: 2_000,
            decrypt_ms: 6_000,
            round_ms: 12_000,
        },
        ..fedshield_fixtures::manifest(member_count)
    };
    manifest.members.iter_mut().for_each(|member| member.addresses.clear());
    manifest
}
