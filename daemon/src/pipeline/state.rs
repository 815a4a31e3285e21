//! The common adapter and this member's memory of what it has not sent.

use std::path::{Path, PathBuf};

use fedshield_protocol::object::ObjectRef;
use fedshield_train::federated::{GlobalAdapter, LocalMemory};

use super::round_folder::{read_value, write_value};
use super::{Learning, PipelineError, Terms};
use crate::identity::SecretStore;
use crate::objects::{ObjectStoreError, Objects};

/// Name of the file that says which object is the adapter.
const POINTER: &str = "adapter";
/// Name of the sealed local memory.
const MEMORY: &str = "local-memory";

/// What outlives a round. The adapter is an object, because other members may ask for it.
pub(super) struct State {
    pub(super) global: GlobalAdapter,
    pub(super) memory: LocalMemory,
    pointer: PathBuf,
}

impl State {
    pub(super) fn open(
        folder: &Path,
        terms: &Terms,
        learning: &Learning,
        objects: &Objects,
        secrets: &SecretStore,
    ) -> Result<Self, PipelineError> {
        let pointer = folder.join(POINTER);
        let kept =
            if pointer.exists() { read_adapter(objects, &read_value(&pointer)?)? } else { None };
        let global = match kept {
            Some(global) => global,
            None => learning.first_adapter(terms)?,
        };
        let memory = match secrets.get(MEMORY)? {
            Some(bytes) => LocalMemory::from_bytes(&bytes)?,
            None => LocalMemory::new(&global),
        };
        Ok(Self { global, memory, pointer })
    }

    /// The object that the pointer in `folder` names.
    pub(super) fn held(folder: &Path) -> Option<ObjectRef> {
        read_value(&folder.join(POINTER)).ok()
    }

    /// Takes over another adapter, on disk first.
    pub(super) fn set_global(
        &mut self,
        global: GlobalAdapter,
        object: &ObjectRef,
    ) -> Result<(), PipelineError> {
        write_value(&self.pointer, object)?;
        self.global = global;
        Ok(())
    }

    /// Puts the memory on disk.
    pub(super) fn save_memory(&self, secrets: &SecretStore) -> Result<(), PipelineError> {
        secrets.put(MEMORY, &self.memory.to_bytes())?;
        Ok(())
    }
}

/// The adapter, unless the disk has lost it: then the other members give it again before the next round.
fn read_adapter(
    objects: &Objects,
    object: &ObjectRef,
) -> Result<Option<GlobalAdapter>, PipelineError> {
    match objects.read(object) {
        Ok(bytes) => Ok(Some(GlobalAdapter::from_bytes(&bytes)?)),
        Err(error @ (ObjectStoreError::NotFound { .. } | ObjectStoreError::Damaged { .. })) => {
            tracing::warn!(%error, "the adapter is fetched from the other members");
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}
