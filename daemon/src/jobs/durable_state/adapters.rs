//! The common adapter and this member's local memory: what it has not sent.
//!
//! An adapter is identified by t, the number of rounds applied in it. Applying a round produces the
//! next adapter before the round has its record. After a crash in between, the round continues from
//! the one before. So two are stored; the first one is derived and needs no disk.

use std::path::{Path, PathBuf};

use fedshield_protocol::object::ObjectRef;
use fedshield_train::federated::{GlobalAdapter, LocalMemory};

use super::{name, read_value, write_value};
use crate::identity::SecretStore;
use crate::jobs::PipelineError;
use crate::learning::Learning;
use crate::objects::{ObjectStoreError, Objects};
use crate::terms::MemberTerms;

/// State that outlives a round. The adapter is an object, because other members may fetch it.
pub(in crate::jobs) struct State {
    pub(in crate::jobs) global: GlobalAdapter,
    pub(in crate::jobs) memory: LocalMemory,
    /// The object that holds `global`; `None` for the first adapter.
    object: Option<ObjectRef>,
    before: Option<(u64, ObjectRef)>,
    folder: PathBuf,
}

impl State {
    pub(in crate::jobs) fn open(
        folder: &Path,
        terms: &MemberTerms,
        learning: &Learning,
        objects: &Objects,
        secrets: &SecretStore,
    ) -> Result<Self, PipelineError> {
        let pointer = folder.join(name::ADAPTER);
        let object = if pointer.exists() { Some(read_value(&pointer)?) } else { None };
        let kept = object.map(|object| read_adapter(objects, &object)).transpose()?.flatten();
        let (global, object) = match kept {
            Some(global) => (global, object),
            None => (learning.first_adapter(terms)?, None),
        };
        // Without this pointer the adapter before is fetched from the other members if it is
        // needed.
        let before = read_value(&folder.join(name::ADAPTER_BEFORE)).ok();
        let memory = match secrets.get(name::LOCAL_MEMORY)? {
            Some(bytes) => LocalMemory::from_bytes(&bytes)?,
            None => LocalMemory::new(&global),
        };
        Ok(Self { global, memory, object, before, folder: folder.to_path_buf() })
    }

    /// The objects that the pointers in `folder` name.
    pub(in crate::jobs) fn held(folder: &Path) -> Vec<ObjectRef> {
        let newest = read_value::<ObjectRef>(&folder.join(name::ADAPTER)).ok();
        let before = read_value::<(u64, ObjectRef)>(&folder.join(name::ADAPTER_BEFORE)).ok();
        newest.into_iter().chain(before.map(|(_, object)| object)).collect()
    }

    /// The adapter of `t` applied rounds, if it is the one before or the first.
    pub(in crate::jobs) fn earlier(
        &self,
        t: u64,
        terms: &MemberTerms,
        learning: &Learning,
        objects: &Objects,
    ) -> Result<Option<GlobalAdapter>, PipelineError> {
        if t == 0 {
            return Ok(Some(learning.first_adapter(terms)?));
        }
        let Some((_, object)) = self.before.filter(|(before, _)| *before == t) else {
            return Ok(None);
        };
        let kept = read_adapter(objects, &object)?;
        Ok(kept.filter(|adapter| adapter.applied() == t))
    }

    /// Replaces the current adapter, on disk first.
    pub(in crate::jobs) fn set_global(
        &mut self,
        global: GlobalAdapter,
        object: &ObjectRef,
    ) -> Result<(), PipelineError> {
        // In this order: after a crash in between, both pointers name the same adapter, and none is
        // lost.
        if let Some(newest) = self.object.filter(|newest| newest != object) {
            let before = (self.global.applied(), newest);
            write_value(&self.folder.join(name::ADAPTER_BEFORE), &before)?;
            self.before = Some(before);
        }
        write_value(&self.folder.join(name::ADAPTER), object)?;
        (self.global, self.object) = (global, Some(*object));
        Ok(())
    }

    /// Writes the local memory to disk.
    pub(in crate::jobs) fn save_memory(&self, secrets: &SecretStore) -> Result<(), PipelineError> {
        secrets.put(name::LOCAL_MEMORY, &self.memory.to_bytes())?;
        Ok(())
    }
}

/// Reads the adapter; `None` if the disk has lost or damaged it, and then it is fetched from other
/// members before the next round.
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
