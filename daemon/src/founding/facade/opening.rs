//! Reads what earlier runs left in a home, and completes what a crash interrupted: a draft that was
//! being left or abandoned, founded or opened again; and homes of the version that had one sealing
//! key for all drafts.

use std::sync::{Arc, Mutex};

use fedshield_protocol::ids::Digest;
use fedshield_protocol::limits::MAX_MANIFEST_BYTES;
use fedshield_protocol::manifest::{Member, SignedManifest, ValidManifest};
use tokio::sync::watch;

use super::super::joiner::{Joiner, Joining};
use super::super::owner::{KeptDraft, Owner};
use super::super::partings::{Partings, PartingsFile};
use super::super::{Announced, CheckTerms, FoundingError, FoundingView, JoinPort};
use super::{Founding, Inner, Local, State};
use crate::durable;
use crate::home::Home;
use crate::identity::{Identity, SecretStore};
use crate::randomness::os_random;
use crate::sealing_keys;

impl Founding {
    /// Reads what earlier runs left in `home`.
    ///
    /// # Errors
    /// A file that cannot be read, a manifest that is not valid or does not include this node,
    /// another base model than the manifest's.
    pub fn open(
        home: &Home,
        identity: Arc<Identity>,
        local: Local,
        port: Arc<dyn JoinPort>,
        check: Arc<dyn CheckTerms>,
    ) -> Result<Self, FoundingError> {
        let secrets = SecretStore::open(&home.secrets(), &identity)?;
        let partings = PartingsFile::load(home.partings())?;
        let mut draft = KeptDraft::read(&home.draft())?;
        let mut joining = Joining::read(&home.joining())?;
        // The key is erased before the file that names it.
        if joining.as_ref().is_some_and(|it| partings.all.has_left(&it.own.sealing_key)) {
            sealing_keys::erase_drafts(&secrets, None)?;
            durable::erase(&home.joining())?;
            joining = None;
        }
        let given_up = |it: &KeptDraft| partings.all.has_abandoned(&it.founding_id());
        if draft.as_ref().is_some_and(given_up) {
            sealing_keys::erase_drafts(&secrets, None)?;
            durable::erase(&home.draft())?;
            draft = None;
        }
        let founded = load_founded(home, &local)?;
        let current = Current { secrets: &secrets, own: &local.member, partings: &partings.all };
        let (owner, joiner) = match &founded {
            Some(signed) => {
                current.settle_founded(signed)?;
                durable::erase(&home.joining())?;
                let resume = |draft| Owner::resume(&home.draft(), draft, &local.member);
                (draft.map(resume).transpose()?, None)
            }
            None => {
                let (id, written) = match (&draft, &joining) {
                    (Some(it), _) => (Some(it.founding_id()), it.draft.members.first()),
                    (None, Some(it)) => (Some(it.invite.founding_id), Some(&it.own)),
                    (None, None) => (None, None),
                };
                let own = current.entry(id.as_ref(), written)?;
                let owner = draft.map(|draft| Owner::resume(&home.draft(), draft, &own));
                let joiner = joining.map(|it| Joiner::resume(&home.joining(), it, &own));
                (owner.transpose()?, joiner.transpose()?)
            }
        };
        let state = State {
            founded,
            owner,
            joiner,
            partings,
            leaving: false,
            problems: Vec::new(),
            reported: None,
            remark: None,
            last_error: None,
        };
        let (view, _) = watch::channel(FoundingView::idle());
        let addresses = local.member.addresses.clone();
        let inner = Inner {
            home: home.clone(),
            identity,
            told: Mutex::new(Announced { addresses, left_out: Vec::new() }),
            local,
            port,
            check,
            secrets,
            state: Mutex::new(state),
            command: tokio::sync::Mutex::new(()),
            view,
        };
        let founding = Self { inner: Arc::new(inner) };
        {
            let mut state = founding.lock();
            founding.settle_owner(&mut state)?;
        }
        founding.publish();
        Ok(founding)
    }
}

/// The sealing keys of this home, and this node's entry without its key.
struct Current<'a> {
    secrets: &'a SecretStore,
    own: &'a Member,
    partings: &'a Partings,
}

impl Current<'_> {
    /// The manifest is on disk: its key is that of the first round, and drafts have none.
    fn settle_founded(&self, signed: &SignedManifest) -> Result<(), FoundingError> {
        let manifest = &signed.manifest;
        let mut members = manifest.members.iter();
        if let Some(own) = members.find(|it| it.identity_key == self.own.identity_key) {
            sealing_keys::promote(self.secrets, &manifest.founding_id, &own.sealing_key)?;
        }
        Ok(sealing_keys::erase_drafts(self.secrets, None)?)
    }

    /// This node's entry in the draft of this id, as `written` there or with a fresh key if that
    /// one is lost. Keys of other drafts are erased.
    fn entry(
        &self,
        founding_id: Option<&Digest>,
        written: Option<&Member>,
    ) -> Result<Member, FoundingError> {
        let (Some(id), Some(written)) = (founding_id, written) else {
            // A draft whose file is missing may come back, from a backup for instance; one that was
            // left may not.
            for id in self.partings.ended() {
                sealing_keys::erase_draft(self.secrets, &id)?;
            }
            return Ok(self.own.clone());
        };
        sealing_keys::demote(self.secrets, id, &written.sealing_key)?;
        let pair = match sealing_keys::of_draft(self.secrets, id)? {
            Some(pair) => pair,
            None => {
                let mut rng = os_random()?;
                sealing_keys::new_for_draft(self.secrets, id, &mut rng)?
            }
        };
        sealing_keys::erase_drafts(self.secrets, Some(id))?;
        Ok(Member { sealing_key: pair.public().to_bytes(), ..self.own.clone() })
    }
}

fn load_founded(home: &Home, local: &Local) -> Result<Option<SignedManifest>, FoundingError> {
    let path = home.manifest();
    let limit = MAX_MANIFEST_BYTES as u64;
    let Some(bytes) = durable::read_if_present(&path, limit)? else { return Ok(None) };
    let file = path.display().to_string();
    let signed = SignedManifest::decode(&bytes)
        .map_err(|error| FoundingError::File { file: file.clone(), reason: error.to_string() })?;
    let valid = ValidManifest::founded(signed.clone())?;
    if valid.member_by_key(&local.member.identity_key).is_none() {
        let reason = "this node's identity is not one of its members".to_owned();
        return Err(FoundingError::File { file, reason });
    }
    let expected = valid.manifest().base_model;
    if expected != local.base_model {
        return Err(FoundingError::ModelMismatch { own: local.base_model, expected });
    }
    Ok(Some(signed))
}
