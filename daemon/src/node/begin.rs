//! From a founded federation to a running host: prepares model and data, then starts the protocol
//! machine.

use std::sync::Arc;

use fedshield_net::MemberAddr;
use fedshield_protocol::manifest::{SignedManifest, ValidManifest};
use fedshield_protocol::{Machine, MachineConfig};

use super::NodeError;
use super::activation::{Activated, Activation};
use super::turn::Node;
use crate::conditions::Conditions;
use crate::control::api::{Condition, Severity};
use crate::host::{Host, HostParts, PauseFile};
use crate::jobs::PipelineError;
use crate::randomness::nonce;
use crate::store::CheckpointKey;

impl Node {
    /// The federation is founded: prepares model and data for it.
    pub(super) fn activation(&mut self, signed: SignedManifest) -> Activation {
        Activation {
            signed,
            home: self.home.clone(),
            identity: Arc::clone(&self.identity),
            sources: self.sources.clone(),
            model: self.model.take(),
            objects: Arc::clone(&self.objects),
            secrets: Arc::clone(&self.secrets),
            status: Arc::clone(&self.status),
            conditions: self.conditions.clone(),
        }
    }

    /// Starts the host: from here on the protocol machine decides.
    pub(super) async fn boot(&mut self, activated: Activated) -> Result<(), NodeError> {
        let Activated { signed, pipeline, progress } = activated;
        let valid = ValidManifest::founded(signed.clone())?;
        let config = MachineConfig::new(signed, self.identity.signing_key().clone())?;
        let Some((journal, entries)) = self.journal.take() else {
            return Err(NodeError::Gone("the journal"));
        };
        let members = &valid.manifest().members;
        let addresses = members
            .iter()
            .map(|member| MemberAddr {
                key: member.identity_key,
                addresses: member.addresses.iter().filter_map(|text| text.parse().ok()).collect(),
            })
            .collect();
        self.net.set_members(valid.federation(), addresses).await?;
        let parts = HostParts {
            machine: Machine::new(config),
            members: members.iter().map(|member| member.identity_key).collect(),
            names: members.iter().map(|member| member.name.clone()).collect(),
            net: self.net.clone(),
            journal,
            ledger: Arc::clone(&self.ledger),
            objects: Arc::clone(&self.objects),
            pipeline,
            progress,
            status: Arc::clone(&self.status),
            home: self.home.path().to_path_buf(),
            low_priority: self.low_priority.clone(),
            pause: PauseFile::new(self.home.pause()),
            nonce: nonce()?,
            checkpoint: CheckpointKey::from_seed(&self.identity.seed()),
            personal: self.personal,
        };
        tracing::info!(federation = %valid.federation(), members = members.len(), "founded");
        self.host = Some(Host::boot(parts, entries).await?);
        Ok(())
    }

    /// Terms under which no member can train, which earlier versions accepted, do not end the node,
    /// because only a running node can be told to leave.
    pub(super) fn or_wait_for_leave(&self, error: NodeError) -> Result<(), NodeError> {
        let error = match error {
            NodeError::Pipeline(error) => error,
            other => return Err(other),
        };
        if !matches!(
            error,
            PipelineError::Manifest { .. } | PipelineError::Earlier | PipelineError::Terms(_)
        ) {
            return Err(error.into());
        }
        let text = format!("no round can begin under the terms of this federation: {error}");
        let condition =
            Condition::new("terms-unusable", Severity::Blocking, text).with_hint(error.hint());
        Conditions::new(Arc::clone(&self.status)).set(condition);
        Ok(())
    }
}
