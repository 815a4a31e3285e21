//! The addresses that this node's operator has given for members: `[peers]` in the configuration
//! and `peer add`.
//!
//! They are dialled before any other and not passed on: only a member's own signature makes others
//! dial.

mod names;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use fedshield_net::limits::MAX_OPERATOR_ADDRESSES;
use fedshield_net::{MemberAddr, Multiaddr, NetHandle};
use fedshield_protocol::ids::IdentityKey;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::NodeError;
use crate::conditions::Conditions;
use crate::control::api::{
    ApiError, ErrorCode, MemberView, NodeStatus, PeerAddresses, PeerRequest,
};
use crate::durable;
use crate::founding::Founding;
use names::{is_self, member_named, nobody, usable};

/// The longest file: eight addresses of each of 128 members.
const MAX_BYTES: u64 = 1 << 20;
/// Most members with added addresses.
const MAX_PEERS: usize = 128;

/// The operator's addresses of members. Cheap to clone.
#[derive(Clone)]
pub(super) struct Peers(Arc<Inner>);

struct Inner {
    file: PathBuf,
    /// From the configuration, by member name.
    configured: BTreeMap<String, Vec<String>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Added with `peer add`, as stored on disk.
    added: Vec<Added>,
    /// All of these addresses for members whose keys are known.
    resolved: BTreeMap<IdentityKey, Vec<Multiaddr>>,
}

/// One member for which the operator has added addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Added {
    /// The member's name when it was added.
    name: String,
    key: IdentityKey,
    addresses: Vec<String>,
}

impl Peers {
    /// Reads the addresses that were added before.
    ///
    /// # Errors
    /// If the file cannot be read, or was not written by this program.
    pub(super) fn open(
        file: PathBuf,
        configured: BTreeMap<String, Vec<String>>,
    ) -> Result<Self, NodeError> {
        let added: Vec<Added> = match durable::read_if_present(&file, MAX_BYTES)? {
            Some(bytes) => serde_json::from_slice(&bytes).map_err(|error| NodeError::Setting {
                key: "peers",
                reason: format!("{}: {error}; fix or remove this file", file.display()),
            })?,
            None => Vec::new(),
        };
        let state = Mutex::new(State { added, resolved: BTreeMap::new() });
        let peers = Self(Arc::new(Inner { file, configured, state }));
        peers.resolve(&[]);
        Ok(peers)
    }

    /// The addresses that the operator has given for one member.
    pub(super) fn of(&self, key: &IdentityKey) -> Vec<Multiaddr> {
        self.lock().resolved.get(key).cloned().unwrap_or_default()
    }

    /// `POST /v1/peer/add`.
    ///
    /// # Errors
    /// No such member, an address that cannot be dialled, or a failure of the disk; nothing is
    /// changed then.
    pub(super) fn add(
        &self,
        request: &PeerRequest,
        members: &[MemberView],
    ) -> Result<PeerAddresses, ApiError> {
        let member = member_named(&request.name, members)?;
        let address = usable(&request.address, &member.identity_key)?;
        self.change(member, members, |addresses| {
            if addresses.contains(&address) {
                return Ok(());
            }
            if addresses.len() >= MAX_OPERATOR_ADDRESSES {
                let text = format!("{MAX_OPERATOR_ADDRESSES} addresses of one member are the most");
                return Err(ApiError::new(ErrorCode::InvalidRequest, text)
                    .with_hint("take one back with `fedshield-cli peer remove NAME ADDRESS`"));
            }
            // The newest address is the most likely to be right.
            addresses.insert(0, address);
            Ok(())
        })
    }

    /// `POST /v1/peer/remove`.
    ///
    /// # Errors
    /// No such member or address, or a failure of the disk; nothing is changed then.
    pub(super) fn remove(
        &self,
        request: &PeerRequest,
        members: &[MemberView],
    ) -> Result<PeerAddresses, ApiError> {
        let member = member_named(&request.name, members)?;
        let wanted = request.address.trim();
        let configured = self
            .0
            .configured
            .get(&member.name)
            .is_some_and(|all| all.iter().any(|address| address.trim() == wanted));
        self.change(member, members, |addresses| {
            let before = addresses.len();
            addresses.retain(|address| address != wanted);
            if addresses.len() < before {
                return Ok(());
            }
            let name = &member.name;
            Err(if configured {
                let text = format!("{wanted} of {name} is set in the configuration");
                ApiError::new(ErrorCode::InvalidRequest, text)
                    .with_hint("remove it under [peers] in config.toml and restart the daemon")
            } else {
                let text = format!("{wanted} was not added for {name}");
                ApiError::new(ErrorCode::InvalidRequest, text)
                    .with_hint("`fedshield-cli members --long` shows what was added by hand")
            })
        })
    }

    fn change(
        &self,
        member: &MemberView,
        members: &[MemberView],
        change: impl FnOnce(&mut Vec<String>) -> Result<(), ApiError>,
    ) -> Result<PeerAddresses, ApiError> {
        let mut state = self.lock();
        let mut next = state.added.clone();
        let place = next.iter().position(|added| added.key == member.identity_key);
        let mut entry = match place {
            Some(place) => next.remove(place),
            None if next.len() >= MAX_PEERS => {
                let text = format!("addresses of {MAX_PEERS} members are the most");
                return Err(ApiError::new(ErrorCode::InvalidRequest, text)
                    .with_hint("take some back with `fedshield-cli peer remove NAME ADDRESS`"));
            }
            None => {
                Added { name: member.name.clone(), key: member.identity_key, addresses: Vec::new() }
            }
        };
        entry.name.clone_from(&member.name);
        change(&mut entry.addresses)?;
        let addresses = entry.addresses.clone();
        if !addresses.is_empty() {
            next.push(entry);
        }
        // Written to disk before it takes effect.
        let bytes = serde_json::to_vec_pretty(&next)
            .map_err(|error| ApiError::new(ErrorCode::Internal, error.to_string()))?;
        durable::replace(&self.0.file, &bytes)
            .map_err(|error| ApiError::new(error.code(), error.to_string()))?;
        state.added = next;
        drop(state);
        self.resolve(members);
        let (name, identity_key) = (member.name.clone(), member.identity_key);
        Ok(PeerAddresses { name, identity_key, addresses })
    }

    /// Resolves names to the present members. Returns the configured names that no member has; this
    /// node's own name counts as known, so that all members can share one list.
    fn resolve(&self, members: &[MemberView]) -> Vec<String> {
        let mut state = self.lock();
        let mut resolved: BTreeMap<IdentityKey, Vec<Multiaddr>> = BTreeMap::new();
        let parse = |text: &String| text.trim().parse::<Multiaddr>().ok();
        for added in &state.added {
            resolved.entry(added.key).or_default().extend(added.addresses.iter().filter_map(parse));
        }
        let mut unknown = Vec::new();
        for (name, addresses) in &self.0.configured {
            match member_named(name, members) {
                Ok(member) => {
                    let known = resolved.entry(member.identity_key).or_default();
                    known.extend(addresses.iter().filter_map(parse));
                }
                Err(_) if is_self(name, members) => {}
                Err(_) => unknown.push(name.clone()),
            }
        }
        state.resolved = resolved;
        unknown
    }

    /// Passes the addresses to the network.
    pub(super) async fn apply(&self, net: &NetHandle) {
        let all = self.lock().resolved.clone();
        let all = all.into_iter().map(|(key, addresses)| MemberAddr { key, addresses }).collect();
        // An error means that the network is down, and so is this node.
        let _ = net.set_operator_addresses(all).await;
    }

    /// Passes the addresses to the network whenever the members change, until `stop`.
    pub(super) fn follow(
        &self,
        net: NetHandle,
        founding: Founding,
        status: Arc<watch::Sender<NodeStatus>>,
        stop: CancellationToken,
    ) {
        let peers = self.clone();
        tokio::spawn(async move {
            let mut view = founding.view();
            let board = Conditions::new(status);
            loop {
                view.borrow_and_update();
                let members = founding.members();
                let unknown = peers.resolve(&members);
                board.show("peers-unknown", nobody(&unknown, &members));
                peers.apply(&net).await;
                tokio::select! {
                    () = stop.cancelled() => return,
                    changed = view.changed() => if changed.is_err() { return },
                }
            }
        });
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
