//! Nodes that found a federation over an in-memory port: each with a home and an identity of its own, all in one process.
#![allow(
    clippy::mod_module_files,
    reason = "beside tests, `founders.rs` would be a test of its own"
)]
#![allow(dead_code, reason = "each test file uses a part")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use fedshield_fixtures::long_deadlines;
use fedshield_protocol::ids::{Digest, IdentityKey};
use fedshield_protocol::manifest::{Draft, Member, Terms, TermsFields};
use fedshieldd::control::api::{
    Condition, ConfirmRequest, DataSummary, ExpectedMember, FederationView, FoundRequest,
    InviteRequest, JoinRequest, JoinView, NewFederation, NodeState,
};
use fedshieldd::founding::{
    CheckTerms, Founding, FoundingError, JoinPort, JoinPortError, Local, finish_leaving,
};
use fedshieldd::home::Home;
use fedshieldd::identity::{Identity, Protection};
use fedshieldd::jobs::PipelineError;
use fedshieldd::terms::Plan;

/// The join protocol of all nodes in memory. A node that is not in the list or is absent cannot be
/// reached.
#[derive(Clone, Default)]
pub(crate) struct Network {
    nodes: Arc<Mutex<BTreeMap<IdentityKey, Founding>>>,
    away: Arc<Mutex<BTreeSet<IdentityKey>>>,
    /// Nodes that reach another copy of the node that they ask.
    misled: Arc<Mutex<BTreeMap<IdentityKey, Founding>>>,
}

impl Network {
    /// Whatever `asker` asks is answered by `by`, which has the key of the node that is asked.
    pub(crate) fn mislead(&self, asker: &Node, by: &Founding) {
        self.misled.lock().unwrap().insert(asker.identity.key(), by.clone());
    }
}

/// One node's end of it.
struct End {
    network: Network,
    own: IdentityKey,
}

impl JoinPort for End {
    fn request(
        &self,
        to: IdentityKey,
        _: Vec<String>,
        bytes: Vec<u8>,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<Vec<u8>, JoinPortError>> + Send>> {
        let away = self.network.away.lock().unwrap().contains(&to);
        let own = self.own;
        let misled = self.network.misled.lock().unwrap().get(&own).cloned();
        let target = self.network.nodes.lock().unwrap().get(&to).filter(|_| !away).cloned();
        let target = misled.or(target);
        Box::pin(async move {
            let target = target.ok_or(JoinPortError::Unreachable("nobody there".into()))?;
            target.answer(&own, &bytes).ok_or(JoinPortError::Declined)
        })
    }
}

/// Stands in for a model and data: checks those terms that need neither, and refuses one template
/// in addition.
pub(crate) struct Check {
    pub refused_template: &'static str,
}

impl CheckTerms for Check {
    fn check(&self, draft: &Draft) -> Result<DataSummary, PipelineError> {
        Plan::of_draft(draft)?;
        if draft.offer.terms.training.template == self.refused_template {
            let source = std::io::Error::other("line 3 does not go with this template");
            return Err(PipelineError::File { path: "data.jsonl".into(), source });
        }
        Ok(DataSummary { examples: 7, ..DataSummary::default() })
    }
}

pub(crate) struct Node {
    pub folder: tempfile::TempDir,
    pub identity: Arc<Identity>,
    pub local: Local,
    pub network: Network,
    pub refused_template: &'static str,
    pub founding: Founding,
}

impl Node {
    pub(crate) fn new(network: &Network, name: &str) -> Self {
        Self::with_model(network, name, 5)
    }

    pub(crate) fn with_model(network: &Network, name: &str, model: u8) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = Home::new(folder.path()).identity();
        let identity = Arc::new(Identity::create(&path, &Protection::None).unwrap());
        let member = Member {
            name: name.to_owned(),
            identity_key: identity.key(),
            sealing_key: Vec::new(),
            addresses: vec![format!("/memory/{name}")],
            weight: 1,
        };
        let base_model = Digest([model; 32]);
        let local = Local { member, base_model, trainer_command: false };
        let founding = open(&folder, &identity, &local, network).unwrap();
        network.nodes.lock().unwrap().insert(identity.key(), founding.clone());
        let network = network.clone();
        Self { folder, identity, local, network, refused_template: "", founding }
    }

    /// What a daemon does at its start.
    pub(crate) fn restart(&mut self) {
        finish_leaving(&self.home()).unwrap();
        let check = Check { refused_template: self.refused_template };
        self.founding =
            open_with(&self.folder, &self.identity, &self.local, &self.network, check).unwrap();
        let key = self.identity.key();
        self.network.nodes.lock().unwrap().insert(key, self.founding.clone());
    }

    pub(crate) fn home(&self) -> Home {
        Home::new(self.folder.path())
    }

    /// Makes this node unreachable until it is back.
    pub(crate) fn become_unreachable(&self) {
        self.network.away.lock().unwrap().insert(self.identity.key());
    }

    pub(crate) fn become_reachable(&self) {
        self.network.away.lock().unwrap().remove(&self.identity.key());
    }

    pub(crate) async fn preview(&self, invite: &str) -> Result<JoinView, FoundingError> {
        let request = JoinRequest { invite: invite.into(), ..JoinRequest::default() };
        self.founding.join(request).await
    }

    /// The condition of this name, if it holds.
    pub(crate) fn condition(&self, name: &str) -> Option<Condition> {
        let view = self.founding.view();
        view.borrow().conditions.iter().find(|it| it.name == name).cloned()
    }

    pub(crate) fn members(&self) -> Vec<String> {
        self.founding.members().into_iter().map(|member| member.name).collect()
    }

    /// The names of the sealing keys in the home, apart from the file of the rounds' keys.
    pub(crate) fn sealing_keys(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.home().secrets()).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| name != "wrapping-keys");
        names.sort();
        names
    }

    pub(crate) async fn invite(&self) -> String {
        self.founding.invite(InviteRequest { expires_s: 600 }).await.unwrap().invite
    }

    pub(crate) async fn join(&self, invite: &str) -> Result<(), FoundingError> {
        self.join_expecting(invite, None).await
    }

    /// Joins, and names the expected members.
    pub(crate) async fn join_expecting(
        &self,
        invite: &str,
        expect: Option<Vec<ExpectedMember>>,
    ) -> Result<(), FoundingError> {
        let invite = invite.to_owned();
        let request = JoinRequest { invite, accept: true, terms_digest: None, expect };
        self.founding.join(request).await.map(|view| assert!(view.joined))
    }

    /// What others expect of this node.
    pub(crate) fn expected(&self) -> ExpectedMember {
        let Member { name, identity_key, .. } = self.local.member.clone();
        ExpectedMember { name, identity_key }
    }

    /// The phrase of the list that this node is shown, once it is final.
    pub(crate) fn phrase(&self) -> Option<String> {
        self.founding.federation().ok()?.summary.phrase
    }

    /// The operator enters the phrase that was read out.
    pub(crate) async fn confirm(&self, phrase: &str) -> Result<FederationView, FoundingError> {
        self.founding.confirm(ConfirmRequest { phrase: phrase.to_owned() }).await
    }

    /// Polls; the operator confirms whatever list is shown.
    pub(crate) async fn settle(&self) {
        let _ = self.founding.poll().await;
        if let Some(phrase) = self.phrase() {
            let _ = self.confirm(&phrase).await;
        }
    }

    /// Freezes the draft; the operator confirms it.
    pub(crate) async fn freeze(&self) -> Result<FederationView, FoundingError> {
        let view = self.founding.found(FoundRequest::default()).await?;
        let phrase = view.summary.phrase.expect("a frozen list has a phrase");
        self.confirm(&phrase).await
    }

    pub(crate) fn state(&self) -> NodeState {
        self.founding.view().borrow().state
    }
}

pub(crate) fn open(
    folder: &tempfile::TempDir,
    identity: &Arc<Identity>,
    local: &Local,
    network: &Network,
) -> Result<Founding, FoundingError> {
    open_with(folder, identity, local, network, Check { refused_template: "" })
}

fn open_with(
    folder: &tempfile::TempDir,
    identity: &Arc<Identity>,
    local: &Local,
    network: &Network,
    check: Check,
) -> Result<Founding, FoundingError> {
    let end = End { network: network.clone(), own: identity.key() };
    let home = Home::new(folder.path());
    let check = Arc::new(check);
    Founding::open(&home, Arc::clone(identity), local.clone(), Arc::new(end), check)
}

pub(crate) fn terms() -> Terms {
    terms_with(|_| {})
}

/// The same with something else chosen.
pub(crate) fn terms_with(change: impl FnOnce(&mut TermsFields)) -> Terms {
    let mut fields = TermsFields {
        name: "trial".into(),
        min_contributors: None,
        committee_size: None,
        deadlines: long_deadlines(),
        ..fedshield_fixtures::terms()
    };
    change(&mut fields);
    Terms::new(fields).unwrap()
}

pub(crate) async fn owner(network: &Network) -> Node {
    let node = Node::new(network, "owner");
    node.founding.new_federation(NewFederation { terms: terms() }).await.unwrap();
    node
}

/// An owner and the nodes called so, all joined.
pub(crate) async fn joined(network: &Network, names: &[&str]) -> (Node, Vec<Node>) {
    let owner = owner(network).await;
    let mut nodes = Vec::new();
    for name in names {
        let node = Node::new(network, name);
        node.join(&owner.invite().await).await.unwrap();
        nodes.push(node);
    }
    (owner, nodes)
}
