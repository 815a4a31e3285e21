//! The common adapter and this member's memory of what it has not sent.

use std::path::{Path, PathBuf};

use fedshield_protocol::object::ObjectRef;
use fedshield_train::federated::{GlobalAdapter, LocalMemory};

use super::round_folder::{read_value, write_value};
use super::{Learning, PipelineError, Terms};
use crate::identity::SecretStore;
use crate::objects::Objects;

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
        let pointer = folder.join("adapter");
        let global = if pointer.exists() {
            let object: ObjectRef = read_value(&pointer)?;
            GlobalAdapter::from_bytes(&objects.read(&object)?)?
        } else {
            learning.first_adapter(terms)?
        };
        let memory = match secrets.get(MEMORY)? {
            Some(bytes) => LocalMemory::from_bytes(&bytes)?,
            None => LocalMemory::new(global.layout()),
        };
        Ok(Self { global, memory, pointer })
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
