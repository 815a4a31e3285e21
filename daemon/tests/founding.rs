//! Founding from draft to signed manifest, over an in-memory port, with everything that can go
//! wrong on the way.

mod founders;

use fedshield_fixtures::real;
use fedshield_protocol::ids::Digest;
use fedshield_protocol::manifest::{Algorithm, LocalOptimizer, TermsFields, ValidManifest};
use fedshieldd::control::api::{ErrorCode, InviteRequest, JoinRequest, NewFederation, NodeState};
use fedshieldd::founding::{FoundingError, Local};
use fedshieldd::home::Home;
use tokio_util::sync::CancellationToken;

use founders::{Network, Node, open, owner, owner as owner_elsewhere, terms, terms_with};

#[tokio::test]
async fn four_nodes_found_a_federation_and_all_store_the_same_manifest() {
    let network = Network::default();
    let owner = owner(&network).await;
    let mut nodes = vec![];
    for name in ["b", "c", "d"] {
        let node = Node::new(&network, name);
        node.join(&owner.invite().await).await.unwrap();
        assert_eq!(node.state(), NodeState::Joining);
        nodes.push(node);
    }
    let draft = owner.founding.federation().unwrap();
    assert_eq!(draft.summary.members, ["owner", "b", "c", "d"]);
    assert!(!draft.frozen && draft.summary.id.is_none());
    let frozen = owner.freeze().await.unwrap();
    assert!(frozen.frozen && !frozen.founded);
    let numbers = frozen.listing.terms();
    assert_eq!((numbers.min_contributors, numbers.committee_size), (Some(3), Some(3)));
    assert_eq!(owner.state(), NodeState::Founding);

    // The first two sign and have to wait for the third.
    for node in &nodes[..2] {
        node.settle().await;
        assert_eq!(node.state(), NodeState::Founding);
        assert!(node.founding.founded().is_none());
    }
    nodes[2].settle().await;
    let stop = CancellationToken::new();
    let mut digests = vec![];
    for node in nodes.iter().rev().chain([&owner]) {
        let signed = node.founding.run(&stop).await.unwrap().unwrap();
        let valid = ValidManifest::founded(signed).unwrap();
        assert_eq!(node.state(), NodeState::Active);
        digests.push(valid.digest());
    }
    assert!(digests.windows(2).all(|pair| pair[0] == pair[1]));

    // All of it is there after a restart, and nothing can be started anew.
    for node in &mut nodes {
        node.restart();
        assert_eq!(node.state(), NodeState::Active);
        let again = node.founding.new_federation(NewFederation { terms: terms() }).await;
        assert_eq!(again.unwrap_err().code(), ErrorCode::AlreadyInFederation);
        assert_eq!(node.freeze().await.unwrap_err().code(), ErrorCode::NotOwner);
        assert!(node.founding.members().iter().all(|member| member.signed_manifest));
    }
}

#[tokio::test]
async fn a_crash_after_any_step_repeats_the_step_and_contradicts_nothing() {
    let network = Network::default();
    let mut owner = owner(&network).await;
    let mut nodes: Vec<Node> = ["b", "c"].map(|name| Node::new(&network, name)).into();
    for node in &mut nodes {
        owner.restart();
        let invite = owner.invite().await;
        owner.restart();
        node.join(&invite).await.unwrap();
        node.restart();
        owner.restart();
        node.founding.poll().await.unwrap();
        assert_eq!(node.state(), NodeState::Joining);
    }
    owner.freeze().await.unwrap();
    for index in [0, 1, 0] {
        owner.restart();
        nodes[index].settle().await;
        nodes[index].restart();
    }
    owner.restart();
    assert_eq!(owner.state(), NodeState::Active);
    let signed: Vec<_> = nodes.iter().map(|node| node.founding.founded().unwrap()).collect();
    assert!(signed.iter().all(|it| Some(it) == owner.founding.founded().as_ref()));
}

#[tokio::test]
async fn a_member_whose_data_no_longer_go_with_the_terms_signs_nothing() {
    let network = Network::default();
    let owner = owner(&network).await;
    let mut nodes: Vec<Node> = ["b", "c"].map(|name| Node::new(&network, name)).into();
    for node in &nodes {
        node.join(&owner.invite().await).await.unwrap();
    }
    owner.freeze().await.unwrap();
    nodes[0].settle().await;
    let late = &mut nodes[1];
    late.founding.poll().await.unwrap();
    let phrase = late.phrase().unwrap();
    // Between joining and signing somebody has changed the data.
    late.refused_template = Box::leak(terms().training.template.clone().into_boxed_str());
    late.restart();
    let refused = late.confirm(&phrase).await.unwrap_err();
    assert!(matches!(refused, FoundingError::Terms { own: false, .. }), "{refused}");
    assert!(late.founding.poll().await.is_err());
    assert!(owner.founding.founded().is_none() && late.state() == NodeState::Founding);
    // Once they are fixed, what was confirmed is signed.
    late.refused_template = "";
    late.restart();
    late.founding.poll().await.unwrap();
    assert!(owner.founding.founded().is_some());
}

#[tokio::test]
async fn an_invite_lets_one_identity_in_once() {
    let network = Network::default();
    let owner = owner(&network).await;
    let (first, second) = (Node::new(&network, "b"), Node::new(&network, "c"));
    let invite = owner.invite().await;
    first.join(&invite).await.unwrap();
    let used = second.join(&invite).await.unwrap_err();
    assert_eq!(used.code(), ErrorCode::InviteUsed);
    assert_eq!(second.state(), NodeState::Idle);
    let truncated = second.join(&invite[..invite.len() - 1]).await.unwrap_err();
    assert_eq!(truncated.code(), ErrorCode::InviteInvalid);
    let other = owner_elsewhere(&Network::default()).await.invite().await;
    assert_eq!(second.join(&other).await.unwrap_err().code(), ErrorCode::Unreachable);
    // An invite whose content was changed to look good is still not known to the owner.
    let forged: fedshieldd::founding::Invite = invite.parse().unwrap();
    let forged = fedshieldd::founding::Invite {
        token: fedshieldd::founding::Token::random().unwrap(),
        ..forged
    };
    assert_eq!(
        second.join(&forged.to_string()).await.unwrap_err().code(),
        ErrorCode::InviteUnknown
    );
    let expired = fedshieldd::founding::Invite { expires_at_s: 1, ..forged };
    assert_eq!(
        second.join(&expired.to_string()).await.unwrap_err().code(),
        ErrorCode::InviteExpired
    );
    second.join(&owner.invite().await).await.unwrap();
    assert_eq!(owner.freeze().await.unwrap().summary.members.len(), 3);
    let late = Node::new(&network, "d");
    assert_eq!(
        owner.founding.invite(InviteRequest { expires_s: 9 }).await.unwrap_err().code(),
        ErrorCode::DraftFrozen
    );
    assert!(late.join(&invite).await.is_err());
}

#[tokio::test]
async fn another_base_model_is_named_with_both_digests() {
    let network = Network::default();
    let owner = owner(&network).await;
    let node = Node::with_model(&network, "b", 6);
    let invite = owner.invite().await;
    let preview = JoinRequest { invite: invite.clone(), ..JoinRequest::default() };
    let view = node.founding.join(preview).await.unwrap();
    assert!(!view.joined && !view.model_matches && view.owner == "owner");
    let error = node.join(&invite).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::ModelMismatch);
    let text = error.to_string();
    assert!(text.contains(&"05".repeat(32)) && text.contains(&"06".repeat(32)), "{text}");
    assert_eq!(node.state(), NodeState::Idle);
    assert_eq!(owner.founding.federation().unwrap().summary.members, ["owner"]);
}

/// Whatever a trainer command is not asked for is refused before anybody signs, by its field.
#[tokio::test]
async fn a_node_with_a_trainer_command_joins_no_federation_that_it_cannot_train_for() {
    type Change = fn(&mut TermsFields);
    let table: [(&str, Change); 5] = [
        ("fed-sb", |terms| terms.training.algorithm = Algorithm::FedSb),
        ("halves", |terms| terms.training.algorithm = Algorithm::Halves),
        ("training.rate_ratio", |terms| terms.training.rate_ratio = real(2.0)),
        ("training.proximal", |terms| terms.training.proximal = real(0.1)),
        ("training.local_optimizer", |terms| {
            terms.training.local_optimizer = LocalOptimizer::Kept;
        }),
    ];
    for (word, change) in table {
        let network = Network::default();
        let node = Node::new(&network, "owner");
        let terms = terms_with(change);
        node.founding.new_federation(NewFederation { terms: terms.clone() }).await.unwrap();
        let mut other = Node::new(&network, "b");
        other.local.trainer_command = true;
        other.restart();
        let error = other.join(&node.invite().await).await.unwrap_err();
        assert!(matches!(error, FoundingError::TrainerCommand { .. }), "{error}");
        assert!(error.to_string().contains(word), "{error}");
        assert_eq!(other.state(), NodeState::Idle);
        // Nor does it start one.
        let error = other.founding.new_federation(NewFederation { terms }).await.unwrap_err();
        assert!(matches!(error, FoundingError::TrainerCommand { .. }), "{error}");
        other.local.trainer_command = false;
        other.restart();
        other.join(&node.invite().await).await.unwrap();
    }
}

#[tokio::test]
async fn terms_that_were_not_read_are_not_accepted() {
    let network = Network::default();
    let owner = owner(&network).await;
    let node = Node::new(&network, "b");
    let invite = owner.invite().await;
    let terms_digest = Some(Digest([1; 32]));
    let wrong = JoinRequest { invite, accept: true, terms_digest, expect: None };
    let error = node.founding.join(wrong).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::TermsChanged);
    assert_eq!(owner.freeze().await.unwrap_err().code(), ErrorCode::TooFewMembers);
    assert_eq!(node.founding.federation().unwrap_err().code(), ErrorCode::NoFederation);
}

#[tokio::test]
async fn a_name_is_taken_once_and_new_addresses_replace_old_ones() {
    let network = Network::default();
    let owner = owner(&network).await;
    let mut node = Node::new(&network, "b");
    node.join(&owner.invite().await).await.unwrap();
    let error = Node::new(&network, "b").join(&owner.invite().await).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Refused);
    node.local.member.addresses = vec!["/memory/elsewhere".into()];
    node.restart();
    node.founding.poll().await.unwrap();
    assert_eq!(owner.founding.members()[1].addresses, ["/memory/elsewhere"]);
}

#[tokio::test]
async fn a_manifest_file_of_another_model_stops_the_start() {
    let network = Network::default();
    let owner = owner(&network).await;
    let nodes = ["b", "c"].map(|name| Node::new(&network, name));
    for node in &nodes {
        node.join(&owner.invite().await).await.unwrap();
    }
    owner.freeze().await.unwrap();
    for node in &nodes {
        node.settle().await;
    }
    let stop = CancellationToken::new();
    let (b, c) = tokio::join!(nodes[0].founding.run(&stop), nodes[1].founding.run(&stop));
    assert_eq!(b.unwrap(), c.unwrap());
    let other = Local { base_model: Digest([7; 32]), ..owner.local.clone() };
    let error = open(&owner.folder, &owner.identity, &other, &network).unwrap_err();
    assert_eq!(error.code(), ErrorCode::ModelMismatch);
}

#[tokio::test]
async fn a_join_that_was_lost_is_made_again_and_a_draft_that_is_gone_is_left() {
    let network = Network::default();
    let mut owner = owner(&network).await;
    let file = Home::new(owner.folder.path()).draft();
    let before_invite = std::fs::read(&file).unwrap();
    let node = Node::new(&network, "b");
    let invite = owner.invite().await;
    let before_join = std::fs::read(&file).unwrap();
    node.join(&invite).await.unwrap();

    // As if the request had never arrived.
    std::fs::write(&file, before_join).unwrap();
    owner.restart();
    assert_eq!(owner.founding.members().len(), 1);
    node.founding.poll().await.unwrap();
    assert_eq!(owner.founding.members().len(), 2);

    // As if the owner had begun anew.
    std::fs::write(&file, before_invite).unwrap();
    owner.restart();
    let error = node.founding.poll().await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::InviteUnknown);
    assert_eq!(node.state(), NodeState::Idle);
    assert!(node.founding.view().borrow().last_error.is_some());
    node.join(&owner.invite().await).await.unwrap();
}

#[tokio::test]
async fn stopping_ends_the_wait() {
    let network = Network::default();
    let owner = owner(&network).await;
    let stop = CancellationToken::new();
    stop.cancel();
    assert_eq!(owner.founding.run(&stop).await.unwrap(), None);
}

#[tokio::test]
async fn an_invite_that_has_ended_names_both_clocks() {
    let network = Network::default();
    let owner = owner(&network).await;
    let node = Node::new(&network, "b");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    // Made when the clock of this machine was behind by a day: here it has ended, at its owner it
    // has not.
    let invite: fedshieldd::founding::Invite = owner.invite().await.parse().unwrap();
    let early = fedshieldd::founding::Invite { expires_at_s: now - 86_400, ..invite.clone() };
    let view = node.preview(&early.to_string()).await.unwrap();
    assert!(!view.joined && view.warnings.is_empty(), "the owner's clock counts: {view:?}");
    // Its owner cannot be reached, so only the local clock is known.
    owner.become_unreachable();
    let error = node.preview(&early.to_string()).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::InviteExpired);
    let text = error.to_string();
    assert!(text.contains("expired 1 day ago by this machine's clock"), "{text}");
    assert!(text.contains("nobody there") && error.hint().contains("check this machine's clock"));
    // An invite that is good by this clock: what is wrong is the way there.
    let error = node.preview(&invite.to_string()).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Unreachable);
    owner.become_reachable();
    // Past its end at its owner, by whose clock is said.
    let short = owner.founding.invite(InviteRequest { expires_s: 1 }).await.unwrap().invite;
    tokio::time::sleep(std::time::Duration::from_millis(2100)).await;
    let error = node.preview(&short).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::InviteExpired);
    assert!(error.to_string().contains("second"), "{error}");
    // A clock here that is behind by two days: both are named.
    let short: fedshieldd::founding::Invite = short.parse().unwrap();
    let late = fedshieldd::founding::Invite { expires_at_s: now + 172_800 + 1_800, ..short };
    let error = node.preview(&late.to_string()).await.unwrap_err();
    let text = error.to_string();
    for part in ["by the owner's clock", "by this machine's", "the two clocks differ by 2 days"] {
        assert!(text.contains(part), "{text}");
    }
    assert!(error.hint().contains("both machines' clocks"));
}

#[tokio::test]
async fn what_keeps_a_founder_from_taking_part_is_reported_before_the_draft_is_frozen() {
    let network = Network::default();
    let mut owner = owner(&network).await;
    let nodes = ["b", "c"].map(|name| Node::new(&network, name));
    for node in &nodes {
        node.join(&owner.invite().await).await.unwrap();
    }
    nodes[0].founding.set_problems(vec!["data-missing".into(), "x\u{1b}[2J".into()]);
    for node in &nodes {
        node.founding.poll().await.unwrap();
    }
    let warnings = owner.founding.federation().unwrap().warnings;
    let [warning] = &warnings[..] else { panic!("one founder has a problem: {warnings:?}") };
    assert!(warning.contains("b reports") && warning.contains("data-missing"), "{warning}");
    assert!(!warning.contains('\u{1b}'), "{warning:?}");
    // Fixed, and reported.
    nodes[0].founding.set_problems(vec![]);
    nodes[0].founding.poll().await.unwrap();
    assert_eq!(owner.founding.federation().unwrap().warnings, Vec::<String>::new());
    // A restarted owner has received no request yet.
    owner.restart();
    assert_eq!(owner.founding.federation().unwrap().warnings.len(), 2);
}

#[tokio::test]
async fn a_home_of_the_version_before_goes_on_with_its_one_sealing_key() {
    use fedshieldd::identity::SecretStore;
    let network = Network::default();
    let mut owner = owner(&network).await;
    let mut nodes = ["b", "c"].map(|name| Node::new(&network, name));
    for node in &nodes {
        node.join(&owner.invite().await).await.unwrap();
    }
    // What that version kept: one key, called after the first round, for all drafts.
    for node in nodes.iter_mut().chain([&mut owner]) {
        let secrets = SecretStore::open(&node.home().secrets(), &node.identity).unwrap();
        let [name] = &node.sealing_keys()[..] else { panic!("one key") };
        let key = secrets.get(name).unwrap().unwrap();
        secrets.put("sealing-00000000000000000000", &key).unwrap();
        secrets.erase(name).unwrap();
        let before = node.founding.members();
        node.restart();
        assert_eq!(node.founding.members(), before);
        assert!(node.sealing_keys()[0].starts_with("draft-"), "{:?}", node.sealing_keys());
    }
    owner.freeze().await.unwrap();
    for index in [0, 1, 0] {
        nodes[index].settle().await;
    }
    for node in nodes.iter().chain([&owner]) {
        assert_eq!(node.state(), NodeState::Active);
        assert_eq!(node.sealing_keys(), ["wrapped-0-sealing-key"]);
    }
}

/// Rewrites a file as the version wrote it that knew nothing of confirmations: another beginning,
/// and less at its end.
fn of_the_version_before(file: &std::path::Path, magic: &[u8], less: usize) {
    let bytes = std::fs::read(file).unwrap();
    let body = &bytes[8..bytes.len() - less];
    std::fs::write(file, [magic, body].concat()).unwrap();
}

#[tokio::test]
async fn homes_that_the_version_before_left_in_the_middle_of_a_founding_go_on() {
    let network = Network::default();
    let mut owner = owner(&network).await;
    let mut nodes: Vec<Node> = ["b", "c"].map(|name| Node::new(&network, name)).into();
    for node in &nodes {
        node.join(&owner.invite().await).await.unwrap();
    }
    owner.freeze().await.unwrap();
    nodes[0].settle().await;
    // That version did not store when the list was frozen, which list was confirmed and which
    // members are expected.
    of_the_version_before(&owner.home().draft(), b"fsdraft2", 5);
    of_the_version_before(&nodes[0].home().joining(), b"", 1 + 32 + 5 + 1 + 32 + 1);
    of_the_version_before(&nodes[1].home().joining(), b"", 3);
    owner.restart();
    nodes.iter_mut().for_each(Node::restart);
    for node in [&owner, &nodes[0]] {
        let told = node.condition("list-unconfirmed").expect("nobody was asked");
        assert!(told.message.contains("an earlier version"), "{told:?}");
        let signed = node.founding.federation().unwrap();
        assert!(signed.confirmed && signed.frozen_at_s.is_none());
    }
    nodes[1].founding.poll().await.unwrap();
    assert_eq!(owner.founding.federation().unwrap().summary.signed, ["owner", "b"]);
    nodes[1].settle().await;
    nodes[0].settle().await;
    for node in nodes.iter().chain([&owner]) {
        assert_eq!(node.state(), NodeState::Active);
        assert!(node.condition("list-unconfirmed").is_none());
    }
}
