//! Builds the pipeline of a founded federation from model, data and terms, and waits for whichever
//! does not fit yet.

use std::sync::Arc;

use fedshield_protocol::manifest::{SignedManifest, ValidManifest};
use tokio::sync::watch;

use super::NodeError;
use super::early::note_start;
use super::opening::open_model;
use super::waiter::{Waiter, on_thread};
use crate::conditions::Conditions;
use crate::control::api::NodeStatus;
use crate::founding::FoundingError;
use crate::home::Home;
use crate::host::ProgressBoard;
use crate::identity::{Identity, SecretStore};
use crate::jobs::Pipeline;
use crate::learning::{LearningSources, OpenedModel};
use crate::objects::Objects;
use crate::terms::MemberTerms;

/// The inputs of a pipeline.
pub(super) struct Activation {
    pub(super) signed: SignedManifest,
    pub(super) home: Home,
    pub(super) identity: Arc<Identity>,
    pub(super) sources: LearningSources,
    /// Read at the start; a failed attempt consumes it.
    pub(super) model: Option<OpenedModel>,
    pub(super) objects: Arc<Objects>,
    pub(super) secrets: Arc<SecretStore>,
    pub(super) status: Arc<watch::Sender<NodeStatus>>,
    pub(super) conditions: Conditions,
}

/// A pipeline, and the federation that it belongs to.
pub(super) struct Activated {
    pub(super) signed: SignedManifest,
    pub(super) pipeline: Arc<Pipeline>,
    pub(super) progress: Arc<ProgressBoard>,
}

impl Activation {
    /// Builds the pipeline, however long that takes. May be dropped at any time.
    ///
    /// # Errors
    /// Errors that waiting cannot resolve.
    pub(super) async fn run(mut self) -> Result<Activated, NodeError> {
        note_start(&self.conditions, "prepares model and data for the federation");
        let valid = Arc::new(ValidManifest::founded(self.signed.clone())?);
        let conditions = self.conditions.clone();
        let mut waiter = Waiter::new(&conditions, self.files());
        loop {
            let progress = Arc::new(ProgressBoard::new(Arc::clone(&self.status)));
            match self.attempt(Arc::clone(&valid), Arc::clone(&progress)).await? {
                Ok(pipeline) => {
                    waiter.done();
                    return Ok(Activated {
                        signed: self.signed,
                        pipeline: Arc::new(pipeline),
                        progress,
                    });
                }
                Err(error) => waiter.wait(error).await?,
            }
        }
    }

    async fn attempt(
        &mut self,
        valid: Arc<ValidManifest>,
        progress: Arc<ProgressBoard>,
    ) -> Result<Result<Pipeline, NodeError>, NodeError> {
        let (model, sources, key) = (self.model.take(), self.sources.clone(), self.identity.key());
        let (objects, secrets) = (Arc::clone(&self.objects), Arc::clone(&self.secrets));
        let folder = self.home.training();
        on_thread("pipeline", move || {
            let me = valid.member_by_key(&key).ok_or(NodeError::Gone("this node's membership"))?;
            let terms = MemberTerms::new(&valid, me)?;
            let model = model.map_or_else(|| open_model(sources), Ok)?;
            let expected = valid.manifest().base_model;
            if model.digest() != expected {
                return Err(FoundingError::ModelMismatch { own: model.digest(), expected }.into());
            }
            let learning = Arc::new(model.prepare(&terms)?);
            Ok(Pipeline::open(terms, learning, objects, secrets, folder, progress)?)
        })
        .await
    }

    /// The files that an attempt reads.
    fn files(&self) -> Vec<std::path::PathBuf> {
        let sources = &self.sources;
        let data = sources.files();
        data.chain([&sources.model, &sources.first_adapter]).cloned().collect()
    }
}
