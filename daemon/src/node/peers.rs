//! What this node's operator says of where members are: `[peers]` in the configuration and `peer add`.
//!
//! It is dialled before anything else and told to nobody: only a member's own signature makes others dial.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use fedshield_net::limits::MAX_OPERATOR_ADDRESSES;
use fedshield_net::{MemberAddr, Multiaddr, NetHandle, check_dial};
use fedshield_protocol::ids::IdentityKey;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::NodeError;
use crate::conditions::Conditions;
use crate::control::api::{
    ApiError, Condition, ErrorCode, MemberView, NodeStatus, PeerAddresses, PeerRequest, Severity,
};
use crate::durable;
use crate::founding::Founding;

/// The longest file: eight addresses of each of 128 members.
const MAX_BYTES: u64 = 1 << 20;
/// Members of whom addresses were added.
const MAX_PEERS: usize = 128;

/// Cheap to clone.
#[derive(Clone)]
pub(super) struct Peers(Arc<Inner>);

struct Inner {
    file: PathBuf,
    /// By name, as the configuration has them.
    configured: BTreeMap<String, Vec<String>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// With `peer add`, as on disk.
    added: Vec<Added>,
    /// All that is known of members whose keys are known.
    resolved: BTreeMap<IdentityKey, Vec<Multiaddr>>,
}

/// One member of whom the operator has added addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Added {
    /// As it was called then.
    name: String,
    key: IdentityKey,
    addresses: Vec<String>,
}

impl Peers {
    /// Reads what was added before.
    ///
    /// # Errors
    /// What the disk says, or a file that this program has not written.
    pub(super) fn open(
        file: PathBuf,
        configured: BTreeMap<String, Vec<String>>,
    ) -> Result<Self, NodeError> {
        let added: Vec<Added> = match durable::read_if_present(&file, MAX_BYTES)? {
            Some(bytes) => serde_json::from_slice(&bytes).map_err(|error| NodeError::Setting {
                key: "peers",
                reason: format!("{}: {error}; mend or remove this file", file.display()),
            })?,
            None => Vec::new(),
        };
        let state = Mutex::new(State { added, resolved: BTreeMap::new() });
        let peers = Self(Arc::new(Inner { file, configured, state }));
        peers.resolve(&[]);
        Ok(peers)
    }

    /// What the operator says of one member.
    pub(super) fn of(&self, key: &IdentityKey) -> Vec<Multiaddr> {
        self.lock().resolved.get(key).cloned().unwrap_or_default()
    }

    /// `POST /v1/peer/add`.
    ///
    /// # Errors
    /// No such member, an address that leads nowhere, or what the disk says; nothing is changed then.
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
            // The newest is the one that somebody has just looked up.
            addresses.insert(0, address);
            Ok(())
        })
    }

    /// `POST /v1/peer/remove`.
    ///
    /// # Errors
    /// No such member or address, or what the disk says; nothing is changed then.
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
                let text = format!("{wanted} of {name} stands in the configuration");
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
        // On disk first, in force then.
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

    /// Finds out who is meant, now that these are the members; gives the configured names that nobody has.
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
                Err(_) => unknown.push(name.clone()),
            }
        }
        state.resolved = resolved;
        unknown
    }

    /// Tells the network, now.
    pub(super) async fn apply(&self, net: &NetHandle) {
        let all = self.lock().resolved.clone();
        let all = all.into_iter().map(|(key, addresses)| MemberAddr { key, addresses }).collect();
        // An error means that the network is down, and so is this node.
        let _ = net.set_operator_addresses(all).await;
    }

    /// Tells the network whenever the members change, until `stop`.
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

/// Names in the configuration that no member has; while there is no federation, that says nothing.
fn nobody(unknown: &[String], members: &[MemberView]) -> Option<Condition> {
    if unknown.is_empty() || members.is_empty() {
        return None;
    }
    let text =
        format!("[peers] in config.toml names {}, which no member is called", unknown.join(", "));
    let condition = Condition::new("peers-unknown", Severity::Warning, text);
    Some(condition.with_hint(format!("the members are {}", names(members))))
}

fn names(members: &[MemberView]) -> String {
    members.iter().map(|member| member.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// By name, or by identity key in full.
fn member_named<'a>(name: &str, members: &'a [MemberView]) -> Result<&'a MemberView, ApiError> {
    let wanted = name.trim();
    let found = members
        .iter()
        .find(|member| member.name == wanted || member.identity_key.to_string() == wanted);
    match found {
        Some(member) if member.is_self => {
            let text = format!("{wanted} is this node itself");
            Err(ApiError::new(ErrorCode::InvalidRequest, text).with_hint(
                "where others look for it is set by `external_addresses` in config.toml",
            ))
        }
        Some(member) => Ok(member),
        None if members.is_empty() => {
            let text = "this node knows no members: it is in no federation and no draft";
            Err(ApiError::new(ErrorCode::NoFederation, text)
                .with_hint("an invite carries its owner's addresses; ask the owner for a new one"))
        }
        None => {
            let text = format!("no member is called {wanted}");
            Err(ApiError::new(ErrorCode::InvalidRequest, text)
                .with_hint(format!("the members are {}", names(members))))
        }
    }
}

/// The address as it is kept, if it can be dialled and does not name somebody else.
fn usable(text: &str, key: &IdentityKey) -> Result<String, ApiError> {
    let text = text.trim();
    let refuse = |reason: String| {
        ApiError::new(ErrorCode::InvalidRequest, format!("{text} is of no use: {reason}"))
            .with_hint("the other organisation reads it off its `fedshield-cli status`")
    };
    let address: Multiaddr = text
        .parse()
        .map_err(|_| refuse("it is not a multiaddress like /ip4/192.0.2.7/tcp/7000".into()))?;
    let (place, peer) = match text.split_once("/p2p/") {
        Some((place, peer)) => (place, Some(peer)),
        None => (text, None),
    };
    let expected = fedshield_net::peer_id_of(key).map(|peer| peer.to_string());
    if peer.is_some_and(|peer| Some(peer) != expected.as_deref()) {
        return Err(refuse("the /p2p part at its end is another node's".into()));
    }
    let address = if peer.is_some() {
        place.parse().map_err(|_| refuse("it is not a multiaddress".into()))?
    } else {
        address
    };
    check_dial(&address).map_err(refuse)?;
    Ok(address.to_string())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use fedshield_protocol::ids::MemberIndex;

    use super::*;

    fn member(name: &str, byte: u8, is_self: bool) -> MemberView {
        let key = ed25519_dalek::SigningKey::from_bytes(&[byte; 32]);
        let identity_key = IdentityKey(key.verifying_key().to_bytes());
        MemberView {
            name: name.into(),
            is_self,
            ..MemberView::new(MemberIndex(u16::from(byte)), identity_key)
        }
    }

    fn ask(name: &str, address: &str) -> PeerRequest {
        PeerRequest { name: name.into(), address: address.into() }
    }

    #[test]
    fn what_was_added_is_there_after_a_restart_and_can_be_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("peers.json");
        let members = [member("bank", 1, true), member("clinic", 2, false)];
        let configured = BTreeMap::from([(
            "clinic".to_owned(),
            vec!["/dns4/clinic.example/tcp/7000".to_owned()],
        )]);
        let open = || Peers::open(file.clone(), configured.clone()).unwrap();
        let address = "/ip4/192.0.2.7/tcp/7000";
        let peers = open();
        let clinic = members[1].identity_key;
        assert!(peers.of(&clinic).is_empty(), "nobody knows yet who that is");
        let answer = peers.add(&ask("clinic", address), &members).unwrap();
        assert_eq!((answer.identity_key, answer.addresses), (clinic, vec![address.to_owned()]));
        peers.add(&ask("clinic", address), &members).unwrap();

        let peers = open();
        assert_eq!(peers.of(&clinic).len(), 1, "by its key, before the members are known");
        assert_eq!(peers.resolve(&members), Vec::<String>::new());
        let known: Vec<String> = peers.of(&clinic).iter().map(ToString::to_string).collect();
        assert_eq!(known, [address, "/dns4/clinic.example/tcp/7000"]);
        // By key, and with the peer id that others copy along.
        let key = clinic.to_string();
        let id = fedshield_net::peer_id_of(&clinic).unwrap();
        peers.add(&ask(&key, &format!("{address}/p2p/{id}")), &members).unwrap();
        assert_eq!(peers.of(&clinic).len(), 2);

        let error = peers.remove(&ask("clinic", "/dns4/clinic.example/tcp/7000"), &members);
        assert!(error.unwrap_err().hint.unwrap().contains("config.toml"));
        assert!(peers.remove(&ask("clinic", "/ip4/192.0.2.9/tcp/1"), &members).is_err());
        peers.remove(&ask("clinic", address), &members).unwrap();
        assert_eq!(open().of(&clinic), []);
    }

    #[test]
    fn what_is_of_no_use_is_refused_by_name_and_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("peers.json");
        let peers = Peers::open(file.clone(), BTreeMap::new()).unwrap();
        let members = [member("bank", 1, true), member("clinic", 2, false)];
        let other = fedshield_net::peer_id_of(&members[0].identity_key).unwrap();
        let of_another = format!("/ip4/192.0.2.7/tcp/7000/p2p/{other}");
        for (name, address, expected) in [
            ("clinc", "/ip4/192.0.2.7/tcp/7000", "no member is called clinc"),
            ("bank", "/ip4/192.0.2.7/tcp/7000", "this node itself"),
            ("clinic", "192.0.2.7:7000", "not a multiaddress"),
            ("clinic", "/ip4/0.0.0.0/tcp/7000", "no single machine"),
            ("clinic", "/ip4/192.0.2.7/tcp/0", "port 0"),
            ("clinic", "/ip4/192.0.2.7/udp/7000", "quic-v1"),
            ("clinic", &of_another, "another node"),
        ] {
            let error = peers.add(&ask(name, address), &members).unwrap_err();
            assert!(error.message.contains(expected), "{error:?}");
            assert!(error.hint.is_some(), "{error:?}");
        }
        let error = peers.add(&ask("clinic", "/ip4/192.0.2.7/tcp/1"), &[]).unwrap_err();
        assert_eq!(error.code, ErrorCode::NoFederation);
        assert!(!file.exists());
        for port in 1..=MAX_OPERATOR_ADDRESSES {
            peers.add(&ask("clinic", &format!("/ip4/192.0.2.7/tcp/{port}")), &members).unwrap();
        }
        let error = peers.add(&ask("clinic", "/ip4/192.0.2.7/tcp/100"), &members).unwrap_err();
        assert!(error.hint.unwrap().contains("peer remove"));
    }

    #[test]
    fn a_configured_name_that_nobody_has_is_said_once_there_are_members() {
        let folder = tempfile::tempdir().unwrap();
        let configured = BTreeMap::from([("clinc".to_owned(), Vec::new())]);
        let peers = Peers::open(folder.path().join("peers.json"), configured).unwrap();
        assert_eq!(nobody(&peers.resolve(&[]), &[]), None);
        let members = [member("bank", 1, true), member("clinic", 2, false)];
        let condition = nobody(&peers.resolve(&members), &members).unwrap();
        assert!(condition.message.contains("clinc"), "{condition:?}");
        assert!(condition.hint.unwrap().contains("bank, clinic"));
    }
}
