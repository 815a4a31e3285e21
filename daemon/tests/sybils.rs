//! Owners that freeze a list with members of their own making: nobody signs what nobody has
//! compared, and whoever compares finds it.

mod founders;

use fedshieldd::control::api::{ErrorCode, ExpectedMember, FoundRequest, NodeState};
use fedshieldd::founding::FoundingError;
use fedshieldd::home::Home;

use founders::{Network, Node, joined, open, owner};

/// Names of those whose signature the node has.
fn signed(node: &Node) -> Vec<String> {
    node.founding.federation().unwrap().summary.signed
}

async fn poll(nodes: &[&Node]) {
    for _ in 0..3 {
        for node in nodes {
            let _ = node.founding.poll().await;
        }
    }
}

/// What every one of these nodes should be told of all of them.
fn all_expected(nodes: &[&Node]) -> Option<Vec<ExpectedMember>> {
    Some(nodes.iter().map(|node| node.expected()).collect())
}

fn found_expecting(nodes: &[&Node]) -> FoundRequest {
    FoundRequest { expect: all_expected(nodes) }
}

#[tokio::test]
async fn a_key_of_the_owners_own_under_an_expected_name_and_more_members_than_agreed() {
    let network = Network::default();
    // `farm` is a node of the owner, and so is `court`, which nobody knows. The real farm is never
    // admitted.
    let (owner, nodes) = joined(&network, &["hospital", "farm", "court"]).await;
    owner.founding.found(FoundRequest::default()).await.unwrap();
    poll(&[&nodes[0]]).await;
    assert_eq!(signed(&owner), Vec::<String>::new(), "nobody has compared the list");
    poll(&[&nodes[1], &nodes[2], &nodes[0]]).await;
    assert!(nodes[0].founding.founded().is_none(), "the hospital is alone with the owner");
    // Its operator sees every identity, and what to do.
    let view = nodes[0].founding.federation().unwrap();
    assert_eq!(view.summary.members, ["owner", "hospital", "farm", "court"]);
    assert!(!view.confirmed && view.frozen_at_s.is_some());
    let waits = nodes[0].condition("list-unconfirmed").expect("people are told");
    assert!(waits.hint.is_some_and(|hint| hint.contains("federation confirm")));
    // They refuse it: the owner is told why, and whoever was to confirm as well.
    let left = nodes[0].founding.reject().await.unwrap();
    assert!(left.owner_told && !left.had_signed);
    let told = owner.condition("member-left").expect("the owner is told");
    assert!(told.message.contains("hospital rejected the list"), "{told:?}");
    poll(&[&nodes[1]]).await;
    let told = nodes[1].condition("draft-reopened").expect("the others are told");
    assert!(told.message.contains("hospital rejected the list"), "{told:?}");
}

/// Two honest founders, and an owner that shows each of them another list: the second sees what
/// `copy` freezes.
struct TwoLists {
    first: Node,
    copy: fedshieldd::founding::Founding,
    nodes: Vec<Node>,
    _folder: tempfile::TempDir,
}

async fn two_lists(expecting: bool) -> TwoLists {
    let network = Network::default();
    let first = owner(&network).await;
    let nodes = ["b", "c"].map(|name| Node::new(&network, name));
    let sybils = ["x", "y"].map(|name| Node::new(&network, name));
    for (node, sybil) in nodes.iter().zip(&sybils) {
        // The owner has handed out different lists as well.
        let expect = all_expected(&[&first, &nodes[0], &nodes[1], sybil]);
        let expect = if expecting { expect } else { None };
        node.join_expecting(&first.invite().await, expect).await.unwrap();
    }
    let invites = [first.invite().await, first.invite().await];
    // A copy of the owner, with its key and its draft.
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(first.home().draft(), Home::new(folder.path()).draft()).unwrap();
    let copy = open(&folder, &first.identity, &first.local, &network).unwrap();
    network.mislead(&nodes[1], &copy);
    for ((sybil, invite), by) in sybils.iter().zip(&invites).zip([&first.founding, &copy]) {
        network.mislead(sybil, by);
        sybil.join(invite).await.unwrap();
        by.found(FoundRequest::default()).await.unwrap();
    }
    TwoLists { first, copy, nodes: nodes.into(), _folder: folder }
}

#[tokio::test]
async fn two_founders_are_shown_two_lists() {
    let TwoLists { first, copy, nodes, _folder } = two_lists(false).await;
    poll(&[&nodes[0], &nodes[1]]).await;
    let lists = nodes.iter().map(Node::members).collect::<Vec<_>>();
    assert_eq!(lists, [["owner", "b", "c", "x"], ["owner", "b", "c", "y"]]);
    assert_eq!(signed(&first), Vec::<String>::new());
    assert_eq!(copy.federation().unwrap().summary.signed, Vec::<String>::new());
    // The two read out their phrases to each other.
    let phrases = nodes.iter().map(|node| node.phrase().unwrap()).collect::<Vec<_>>();
    assert_ne!(phrases[0], phrases[1]);
    for (node, heard) in nodes.iter().zip([&phrases[1], &phrases[0]]) {
        let error = node.confirm(heard).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::ListMismatch);
        assert!(error.to_string().contains("another list"), "{error}");
        assert!(error.hint().contains("different lists"), "{}", error.hint());
    }
    poll(&[&nodes[0], &nodes[1]]).await;
    assert!(nodes.iter().all(|node| !node.founding.federation().unwrap().confirmed));
}

#[tokio::test]
async fn whoever_expects_what_the_owner_shows_it_signs_that_list_and_no_other() {
    // Both were given different expectations, as if by the owner. Each signs its own list; neither
    // is ever complete, because each lacks the signature of the other under the same digest.
    let TwoLists { first, copy, nodes, _folder } = two_lists(true).await;
    poll(&[&nodes[0], &nodes[1]]).await;
    assert_eq!(signed(&first), ["b"]);
    assert_eq!(copy.federation().unwrap().summary.signed, ["c"]);
    assert!(nodes.iter().all(|node| node.founding.founded().is_none()));
}

#[tokio::test]
async fn an_expected_list_is_confirmed_automatically_and_any_other_is_not() {
    let network = Network::default();
    let owner = owner(&network).await;
    let [hospital, farm, false_farm] =
        ["hospital", "farm", "farm"].map(|name| Node::new(&network, name));
    let expect = all_expected(&[&owner, &hospital, &farm]);
    hospital.join_expecting(&owner.invite().await, expect.clone()).await.unwrap();
    // Somebody else under the name of the farm.
    false_farm.join(&owner.invite().await).await.unwrap();
    poll(&[&hospital]).await;
    let early = hospital.condition("list-differs").expect("it is said before the freeze");
    assert!(early.message.contains("the draft is not as it was expected: farm has the identity"));
    let error = owner.founding.found(found_expecting(&[&owner, &hospital, &farm])).await;
    let error = error.unwrap_err();
    assert_eq!(error.code(), ErrorCode::ListMismatch);
    assert!(error.to_string().contains("farm has the identity"), "{error}");
    assert!(!owner.founding.federation().unwrap().frozen, "nothing is frozen");
    owner.freeze().await.unwrap();
    poll(&[&hospital, &false_farm]).await;
    assert_eq!(signed(&owner), ["owner"]);
    let differs = hospital.condition("list-differs").expect("it is said by name");
    assert!(differs.message.contains("farm has the identity"), "{differs:?}");
    assert!(hospital.condition("list-unconfirmed").is_some());
    // The false one is dropped; the real one joins, and no operator has to be asked.
    owner.founding.drop_member("farm").await.unwrap();
    poll(&[&hospital]).await;
    farm.join_expecting(&owner.invite().await, expect).await.unwrap();
    owner.founding.found(found_expecting(&[&owner, &hospital, &farm])).await.unwrap();
    poll(&[&hospital, &farm, &hospital]).await;
    let founded = owner.founding.founded().expect("all have signed");
    assert_eq!(hospital.founding.founded(), Some(founded));
}

#[tokio::test]
async fn what_is_expected_must_make_sense_before_anybody_joins() {
    let network = Network::default();
    let owner = owner(&network).await;
    let nodes = ["b", "c", "d"].map(|name| Node::new(&network, name));
    let invite = owner.invite().await;
    for (expect, part) in [
        (all_expected(&[&owner, &nodes[1], &nodes[2]]), "is not among the expected members"),
        (all_expected(&[&owner, &nodes[0]]), "2 members are expected"),
        (all_expected(&[&owner, &nodes[0], &nodes[1], &nodes[0]]), "with one identity"),
        (all_expected(&[&nodes[0], &nodes[1], &nodes[2]]), "somebody else's draft"),
    ] {
        let error = nodes[0].join_expecting(&invite, expect).await.unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
        assert_eq!(nodes[0].state(), NodeState::Idle);
    }
    let mut renamed = all_expected(&[&owner, &nodes[0], &nodes[1]]).unwrap();
    renamed[1].name = "bee".into();
    let error = nodes[0].join_expecting(&invite, Some(renamed)).await.unwrap_err();
    assert!(error.to_string().contains("expected as `bee` and is called `b`"), "{error}");
    nodes[0].join_expecting(&invite, all_expected(&[&owner, &nodes[0], &nodes[1]])).await.unwrap();
}

#[tokio::test]
async fn a_confirmation_is_kept_over_restarts_and_counts_for_one_list_only() {
    let network = Network::default();
    let (mut owner, mut nodes) = joined(&network, &["b", "c", "d"]).await;
    assert!(matches!(nodes[0].confirm("abandon").await, Err(FoundingError::NotFrozen)));
    assert!(matches!(owner.confirm("abandon").await, Err(FoundingError::NotFrozen)));
    owner.founding.found(FoundRequest::default()).await.unwrap();
    owner.restart();
    poll(&[&nodes[0]]).await;
    let phrase = nodes[0].phrase().unwrap();
    assert_eq!(owner.phrase().as_deref(), Some(phrase.as_str()));
    // Confirmed while the owner is unreachable: it is stored, and sent when the owner is back.
    owner.become_unreachable();
    let view = nodes[0].confirm(&phrase).await.unwrap();
    assert!(view.confirmed);
    nodes[0].restart();
    assert!(nodes[0].founding.federation().unwrap().confirmed);
    owner.become_reachable();
    assert_eq!(signed(&owner), Vec::<String>::new());
    poll(&[&nodes[0]]).await;
    assert_eq!(signed(&owner), ["b"]);
    // Confirming twice changes nothing.
    nodes[0].confirm(&phrase).await.unwrap();
    owner.confirm(&phrase).await.unwrap();
    owner.restart();
    assert_eq!(signed(&owner), ["owner", "b"]);
    // One goes: another list, which nobody has confirmed.
    owner.founding.drop_member("d").await.unwrap();
    poll(&[&nodes[0], &nodes[1]]).await;
    owner.founding.found(FoundRequest::default()).await.unwrap();
    poll(&[&nodes[0], &nodes[1]]).await;
    assert_eq!(signed(&owner), Vec::<String>::new());
    assert!(!nodes[0].founding.federation().unwrap().confirmed);
    let error = nodes[0].confirm(&phrase).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::ListMismatch);
    let phrase = owner.phrase().unwrap();
    for node in [&nodes[0], &nodes[1], &owner] {
        node.confirm(&phrase).await.unwrap();
    }
    poll(&[&nodes[0], &nodes[1]]).await;
    // The phrase stays for whoever compares it later.
    for node in nodes[..2].iter_mut().chain([&mut owner]) {
        node.restart();
        assert_eq!(node.state(), NodeState::Active);
        assert!(node.founding.members().iter().all(|it| it.phrase.as_ref() == Some(&phrase)));
        node.confirm(&phrase).await.unwrap();
        let error = node.confirm("abandon").await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::ListMismatch);
    }
}

#[tokio::test]
async fn names_that_look_alike_are_not_in_one_list() {
    let network = Network::default();
    let owner = owner(&network).await;
    Node::new(&network, "bank").join(&owner.invite().await).await.unwrap();
    for name in ["Bank", "b\u{430}nk", "\u{ff42}ank", "OWNER"] {
        let error = Node::new(&network, name).join(&owner.invite().await).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::Refused);
        assert!(error.to_string().contains("looks like another member's name"), "{error}");
    }
    Node::new(&network, "bank-2").join(&owner.invite().await).await.unwrap();
}
