//! Reading a home without its daemon: the ledger, the reports, the evidence and the adapter.
//! Changes nothing in the home, takes no lock and needs no index: the files are append-only, so a
//! daemon may start meanwhile.

use std::path::Path;

use fedshield_protocol::ids::Digest;
use fedshield_protocol::manifest::{TermsFields, ValidManifest};
use fedshield_train::adapter::export_peft;
use fedshield_train::federated::GlobalAdapter;
use tempfile::TempDir;

use super::export::scratch_folder;
use crate::adapter_export::{adapter_files, not_written};
use crate::control::api::{
    AdapterKind, ApiError, ErrorCode, EvidenceView, ExportView, RoundReport,
};
use crate::durable::DiskError;
use crate::home::Home;
use crate::node::evidence;
use crate::objects::{ObjectStoreError, Objects};
use crate::store::{Ledger, Opened, StoreError};
use crate::terms::rendering_of;

/// A home without its daemon.
#[derive(Debug)]
pub struct OfflineHome {
    home: Home,
    ledger: Ledger,
    remarks: Vec<String>,
    /// Temporary files converted from those of an earlier version.
    _scratch: TempDir,
}

impl OfflineHome {
    /// Opens `home`; `None` if no daemon has ever stored anything in it.
    ///
    /// # Errors
    /// If its files cannot be read.
    pub fn open(home: &Home) -> Result<Option<Self>, ApiError> {
        let scratch = scratch_folder()?;
        let opened = Ledger::open_to_read(home, scratch.path()).map_err(not_readable)?;
        let Some(Opened { ledger, repairs, mut remarks }) = opened else { return Ok(None) };
        remarks.extend(repairs.iter().map(ToString::to_string));
        Ok(Some(Self { home: home.clone(), ledger, remarks, _scratch: scratch }))
    }

    /// Warnings about the files, for instance that the last entry is ignored because it is damaged.
    #[must_use]
    pub fn remarks(&self) -> &[String] {
        &self.remarks
    }

    /// The ledger's canonical bytes.
    ///
    /// # Errors
    /// Errors of the store.
    pub fn ledger(&self) -> Result<Vec<u8>, ApiError> {
        Ok(self.ledger.bytes()?)
    }

    /// All reports, oldest round first.
    ///
    /// # Errors
    /// Errors of the store.
    pub fn rounds(&self) -> Result<Vec<RoundReport>, ApiError> {
        Ok(self.ledger.reports()?)
    }

    /// All evidence, in the order in which it arrived.
    ///
    /// # Errors
    /// Errors of the store.
    pub fn evidence(&self) -> Result<Vec<EvidenceView>, ApiError> {
        let signed = crate::node::founded(&self.home);
        let members = signed.map(|signed| signed.manifest.members).unwrap_or_default();
        let names: Vec<String> = members.into_iter().map(|member| member.name).collect();
        evidence::list(&self.ledger, &names)
    }

    /// One proof as a file for others.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidRequest`] if there is none of this name, or in a form that others cannot check.
    pub fn evidence_file(&self, digest: &Digest) -> Result<Vec<u8>, ApiError> {
        let signed = crate::node::founded(&self.home);
        let manifest = signed.and_then(|signed| ValidManifest::founded(signed).ok());
        let manifest = manifest.ok_or_else(|| {
            ApiError::new(ErrorCode::NoFederation, "the manifest of this home cannot be read")
        })?;
        evidence::file(&self.ledger, manifest.federation(), digest)
    }

    /// Writes the ledger's last adapter as a PEFT folder; `base_model` is the name of the base
    /// model in its configuration.
    ///
    /// # Errors
    /// If no round was applied, the adapter is not stored here, or the folder cannot be written.
    pub fn export(&self, directory: &Path, base_model: &str) -> Result<ExportView, ApiError> {
        let Some((round, adapter)) = self.ledger.last_applied()? else {
            return Err(ApiError::new(ErrorCode::WrongState, "no round has been applied yet")
                .with_hint("start the daemon and wait for the first round"));
        };
        let failed = |error: String| ApiError::new(ErrorCode::Internal, error);
        let objects = Objects::open_to_read(&self.home.objects());
        let bytes = objects.read(&adapter)?;
        let global =
            GlobalAdapter::from_bytes(&bytes).map_err(|error| failed(error.to_string()))?;
        export_peft(directory, &global, base_model).map_err(|error| not_written(&error))?;
        if let Some(signed) = crate::node::founded(&self.home) {
            let terms = TermsFields::of(&signed.manifest);
            let rendering = rendering_of(&terms)?;
            rendering.write(directory).map_err(|error| not_written(&error))?;
        }
        Ok(ExportView {
            directory: directory.to_path_buf(),
            files: adapter_files(directory),
            kind: AdapterKind::Common,
            adapter_digest: adapter.root,
            round,
        })
    }
}

fn not_readable(error: StoreError) -> ApiError {
    let denied = matches!(&error, StoreError::Disk(DiskError::Io { source, .. })
        if source.kind() == std::io::ErrorKind::PermissionDenied);
    let answer = ApiError::from(error);
    if denied { answer.with_hint("run the command as the user of the daemon") } else { answer }
}

impl From<ObjectStoreError> for ApiError {
    fn from(error: ObjectStoreError) -> Self {
        let missing =
            matches!(error, ObjectStoreError::NotFound { .. } | ObjectStoreError::Damaged { .. });
        let answer = Self::new(error.code(), error.to_string());
        if missing {
            answer.with_hint("start the daemon: it fetches the adapter from the other members")
        } else {
            answer
        }
    }
}
