//! The ways out of a draft: leave, drop, abandon; with every race and every crash in between.

mod founders;

use fedshield_protocol::manifest::ValidManifest;
use fedshieldd::control::api::{ErrorCode, NewFederation, NodeState};
use fedshieldd::founding::FoundingError;
use tokio_util::sync::CancellationToken;

use founders::{Network, Node, joined, owner, terms};

/// The node can begin and join again: nothing of what it was in stands in the way.
async fn is_free(node: &mut Node) {
    for _ in 0..2 {
        assert_eq!(node.state(), NodeState::Idle);
        assert_eq!(node.founding.federation().unwrap_err().code(), ErrorCode::NoFederation);
        assert_eq!(node.sealing_keys(), Vec::<String>::new(), "no key of a draft is left");
        node.restart();
    }
    node.founding.new_federation(NewFederation { terms: terms() }).await.unwrap();
    node.invite().await;
    node.founding.abandon().await.unwrap();
    assert_eq!(node.sealing_keys(), Vec::<String>::new());
    node.restart();
    let other = Node::new(&node.network, "elsewhere");
    other.founding.new_federation(NewFederation { terms: terms() }).await.unwrap();
    node.join(&other.invite().await).await.unwrap();
    node.founding.leave().await.unwrap();
    assert_eq!(node.state(), NodeState::Idle);
}

/// Every node polls, and its operator confirms what is shown, until nothing changes any more.
async fn settle(nodes: &[&Node]) {
    for _ in 0..4 {
        for node in nodes {
            node.settle().await;
        }
    }
}

async fn all_found(owner: &Node, nodes: &[&Node]) {
    owner.freeze().await.unwrap();
    settle(nodes).await;
    let founded = owner.founding.founded().expect("the owner has it");
    let names: Vec<String> =
        founded.manifest.members.iter().map(|member| member.name.clone()).collect();
    for node in nodes {
        assert_eq!(node.founding.founded().as_ref(), Some(&founded), "{names:?}");
        // The one first sealing key is that of the draft that was founded.
        assert_eq!(node.sealing_keys(), ["wrapped-0-sealing-key"]);
    }
    ValidManifest::founded(founded).unwrap();
}

#[tokio::test]
async fn a_founder_that_leaves_an_open_draft_is_free_and_may_come_back() {
    let network = Network::default();
    let (owner, mut nodes) = joined(&network, &["b", "c", "d"]).await;
    let invite = owner.invite().await;
    let left = nodes[0].founding.leave().await.unwrap();
    assert!(left.owner_told && !left.had_signed, "{left:?}");
    assert_eq!(owner.members(), ["owner", "c", "d"]);
    let shown = owner.condition("member-left").expect("the owner is told");
    assert!(shown.message.contains("b left"), "{shown:?}");
    is_free(&mut nodes[0]).await;
    // It joins again, and is a member like any other.
    nodes[0].join(&invite).await.unwrap();
    all_found(&owner, &[&nodes[0], &nodes[1], &nodes[2]]).await;
}

#[tokio::test]
async fn every_way_out_is_also_refused_where_there_is_none() {
    let network = Network::default();
    let (owner, nodes) = joined(&network, &["b", "c"]).await;
    let idle = Node::new(&network, "idle");
    assert_eq!(idle.founding.leave().await.unwrap_err().code(), ErrorCode::NoFederation);
    assert_eq!(idle.founding.abandon().await.unwrap_err().code(), ErrorCode::NoFederation);
    assert_eq!(nodes[0].founding.abandon().await.unwrap_err().code(), ErrorCode::NotOwner);
    assert_eq!(nodes[0].founding.drop_member("c").await.unwrap_err().code(), ErrorCode::NotOwner);
    assert!(matches!(owner.founding.leave().await, Err(FoundingError::OwnDraft)));
    assert!(matches!(owner.founding.drop_member("owner").await, Err(FoundingError::OwnDraft)));
    let error = owner.founding.drop_member("x").await.unwrap_err().to_string();
    assert!(error.contains("`x`") && error.contains("b, c"), "{error}");
    all_found(&owner, &[&nodes[0], &nodes[1]]).await;
    for error in [
        owner.founding.drop_member("b").await.unwrap_err(),
        owner.founding.abandon().await.unwrap_err(),
        owner.founding.leave().await.unwrap_err(),
        nodes[0].founding.leave().await.unwrap_err(),
    ] {
        assert!(matches!(error, FoundingError::Complete), "{error}");
    }
}

#[tokio::test]
async fn a_founder_that_never_comes_back_is_dropped_and_the_others_sign_anew_by_themselves() {
    let network = Network::default();
    let (mut owner, mut nodes) = joined(&network, &["b", "c", "d"]).await;
    let gone = nodes.remove(1);
    gone.become_unreachable();
    owner.restart();
    settle(&[&nodes[0], &nodes[1]]).await;
    let warnings = owner.founding.federation().unwrap().warnings;
    assert!(
        warnings.iter().all(|it| it.starts_with("no request from c has arrived")),
        "{warnings:?}"
    );
    let frozen = owner.freeze().await.unwrap();
    assert_eq!(frozen.warnings, warnings, "`found` warns of it too");
    let before = owner.founding.federation().unwrap().summary;
    settle(&[&nodes[0]]).await;
    assert_eq!(nodes[0].state(), NodeState::Founding);
    // Who has not signed is named, at the owner and at those who have.
    for node in [&owner, &nodes[0]] {
        let waits = node.condition("founding-waits").expect("it waits");
        assert!(waits.message.contains('c') && waits.message.contains('d'), "{waits:?}");
        let signed = node.founding.federation().unwrap().summary.signed;
        assert_eq!(signed, ["owner", "b"]);
    }
    let open = owner.founding.drop_member("c").await.unwrap();
    assert!(!open.frozen);
    assert_ne!(open.summary.founding_id, before.founding_id);
    assert_eq!(open.returning, ["b", "d"]);
    owner.restart();
    let early = owner.freeze().await.unwrap_err();
    assert!(early.to_string().contains("b, d have not come back"), "{early}");
    nodes[0].restart();
    settle(&[&nodes[0], &nodes[1]]).await;
    assert!(nodes[0].condition("draft-reopened").is_some_and(|it| it.message.contains("void")));
    assert_eq!(owner.members(), ["owner", "b", "d"]);
    all_found(&owner, &[&nodes[0], &nodes[1]]).await;

    // The one that was dropped comes back after all: it is told, and is free, though it knows
    // nothing yet.
    let mut gone = gone;
    gone.become_reachable();
    gone.restart();
    let error = gone.founding.poll().await.unwrap_err();
    assert!(matches!(error, FoundingError::Dropped), "{error}");
    assert!(gone.condition("draft-dropped").is_some_and(|it| it.message.contains("owner has")));
    gone.restart();
    assert!(gone.condition("draft-dropped").is_some(), "also after a restart");
    is_free(&mut gone).await;
}

#[tokio::test]
async fn one_that_was_dropped_needs_a_fresh_invite() {
    let network = Network::default();
    let owner = owner(&network).await;
    let node = Node::new(&network, "b");
    let invite = owner.invite().await;
    node.join(&invite).await.unwrap();
    owner.founding.drop_member("b").await.unwrap();
    assert_eq!(owner.members(), ["owner"]);
    assert!(matches!(node.founding.poll().await, Err(FoundingError::Dropped)));
    assert_eq!(node.state(), NodeState::Idle);
    assert!(matches!(node.join(&invite).await, Err(FoundingError::Dropped)));
    node.join(&owner.invite().await).await.unwrap();
    assert_eq!(owner.members(), ["owner", "b"]);
}

#[tokio::test]
async fn an_abandoned_draft_frees_every_founder_also_those_that_signed_or_were_offline() {
    let network = Network::default();
    let (mut owner, mut nodes) = joined(&network, &["b", "c", "d"]).await;
    let unused = owner.invite().await;
    owner.freeze().await.unwrap();
    settle(&[&nodes[0]]).await;
    assert_eq!(nodes[0].state(), NodeState::Founding);
    owner.founding.abandon().await.unwrap();
    is_free(&mut owner).await;
    // Whatever the owner does next, who asks is told.
    owner.founding.new_federation(NewFederation { terms: terms() }).await.unwrap();
    owner.restart();
    for node in &mut nodes {
        node.restart();
        let error = node.founding.poll().await.unwrap_err();
        assert!(matches!(error, FoundingError::Abandoned { .. }), "{error}");
        let shown = node.condition("draft-abandoned").expect("people are told");
        assert!(shown.message.contains("owner has abandoned the draft `trial`"), "{shown:?}");
        assert!(node.founding.view().borrow().last_error.is_some());
    }
    is_free(&mut nodes[0]).await;
    let late = Node::new(&network, "late");
    assert!(matches!(late.join(&unused).await, Err(FoundingError::Abandoned { .. })));
    // The same people found the next one.
    for node in &nodes {
        node.join(&owner.invite().await).await.unwrap();
    }
    all_found(&owner, &[&nodes[0], &nodes[1], &nodes[2]]).await;
}

#[tokio::test]
async fn founders_of_an_owner_that_never_returns_can_leave() {
    let network = Network::default();
    let (owner, mut nodes) = joined(&network, &["b", "c", "d"]).await;
    owner.freeze().await.unwrap();
    settle(&[&nodes[0], &nodes[1]]).await;
    owner.become_unreachable();
    let left = nodes[0].founding.leave().await.unwrap();
    assert!(!left.owner_told && left.had_signed, "{left:?}");
    let undelivered_farewells =
        nodes[0].condition("farewell-untold").expect("it says what may come of it");
    assert!(undelivered_farewells.message.contains("takes no part"), "{undelivered_farewells:?}");
    nodes[0].restart();
    assert!(nodes[0].condition("farewell-untold").is_some(), "also after a restart");
    // The other members can be told all the same, by name.
    assert!(!nodes[0].founding.send_farewells_once().await, "the owner is still away");
    let told = nodes[1].condition("member-left").expect("a fellow founder is told");
    assert!(told.message.contains("b left"), "{told:?}");
    let unsigned = nodes[2].founding.leave().await.unwrap();
    assert!(!unsigned.owner_told && !unsigned.had_signed);
    is_free(&mut nodes[0]).await;
    is_free(&mut nodes[2]).await;
    // The owner comes back: it is told, once, and its draft is open again without them.
    owner.become_reachable();
    nodes[0].founding.send_farewells_once().await;
    nodes[2].founding.send_farewells_once().await;
    assert!(nodes[0].condition("farewell-untold").is_none());
    let view = owner.founding.federation().unwrap();
    assert!(!view.frozen);
    assert_eq!(view.returning, ["c"]);
}

#[tokio::test]
async fn an_owner_freezes_while_a_founder_leaves() {
    let network = Network::default();
    let (owner, mut nodes) = joined(&network, &["b", "c", "d"]).await;
    // Frozen before the leaving node has learnt of it: the draft is open again, the others come
    // back.
    owner.freeze().await.unwrap();
    settle(&[&nodes[1]]).await;
    let left = nodes[0].founding.leave().await.unwrap();
    assert!(left.owner_told && !left.had_signed);
    settle(&[&nodes[1], &nodes[2]]).await;
    assert_eq!(owner.members(), ["owner", "c", "d"]);
    is_free(&mut nodes[0]).await;
    // Frozen again, signed by one that then leaves: what was signed is void.
    let late = Node::new(&network, "e");
    late.join(&owner.invite().await).await.unwrap();
    owner.freeze().await.unwrap();
    settle(&[&late, &nodes[1]]).await;
    let left = late.founding.leave().await.unwrap();
    assert!(left.owner_told && left.had_signed);
    assert!(late.condition("farewell-untold").is_none());
    settle(&[&nodes[1], &nodes[2]]).await;
    all_found(&owner, &[&nodes[1], &nodes[2]]).await;
    assert_eq!(owner.founding.founded().unwrap().manifest.members.len(), 3);
}

#[tokio::test]
async fn one_that_leaves_in_the_moment_in_which_all_have_signed_is_told_that_it_is_in() {
    let network = Network::default();
    let (owner, nodes) = joined(&network, &["b", "c"]).await;
    owner.freeze().await.unwrap();
    settle(&[&nodes[0]]).await;
    nodes[1].settle().await;
    assert!(nodes[0].founding.founded().is_none(), "it has not received the last signature");
    let error = nodes[0].founding.leave().await.unwrap_err();
    assert!(matches!(error, FoundingError::Complete), "{error}");
    assert_eq!(nodes[0].state(), NodeState::Active);
    assert_eq!(nodes[0].founding.founded(), owner.founding.founded());
}

#[tokio::test]
async fn a_signature_that_is_used_after_its_founder_has_left_names_it_and_opens_nothing() {
    let network = Network::default();
    let (mut owner, mut nodes) = joined(&network, &["b", "c", "d"]).await;
    owner.freeze().await.unwrap();
    settle(&[&nodes[0], &nodes[1]]).await;
    // b leaves; its owner does not hear of it and completes the manifest with the signature that it
    // has.
    owner.become_unreachable();
    nodes[0].founding.leave().await.unwrap();
    assert_eq!(nodes[0].sealing_keys(), Vec::<String>::new(), "what is sealed to it stays sealed");
    owner.become_reachable();
    settle(&[&nodes[1], &nodes[2]]).await;
    let founded = owner.founding.founded().expect("all signatures are there");
    assert_eq!(founded.manifest.members.len(), 4);
    // b takes no part, whatever it is asked; the others are told who it is.
    assert!(nodes[0].founding.send_farewells_once().await);
    assert_eq!(nodes[0].state(), NodeState::Idle);
    owner.restart();
    for node in [&owner, &nodes[1], &nodes[2]] {
        let told = node.condition("member-left").expect("every member is told");
        assert!(told.message.contains("b left before the first round"), "{told:?}");
    }
    is_free(&mut nodes[0]).await;
}

#[tokio::test]
async fn one_that_has_signed_and_left_cannot_be_brought_to_sign_the_same_draft_again() {
    let network = Network::default();
    let (mut owner, nodes) = joined(&network, &["b", "c", "d"]).await;
    let file = owner.home().draft();
    let open = std::fs::read(&file).unwrap();
    let invite = owner.invite().await;
    let open_with_invite = std::fs::read(&file).unwrap();
    owner.freeze().await.unwrap();
    settle(&[&nodes[0]]).await;
    owner.become_unreachable();
    nodes[0].founding.leave().await.unwrap();
    owner.become_reachable();
    // An owner that goes back to before the freeze, with the same founding id.
    std::fs::write(&file, open_with_invite).unwrap();
    owner.restart();
    let error = nodes[0].join(&invite).await.unwrap_err();
    assert!(matches!(error, FoundingError::LeftSigned { .. }), "{error}");
    std::fs::write(&file, open).unwrap();
}

#[tokio::test]
async fn words_of_an_attempt_that_was_ended_change_nothing_later() {
    let network = Network::default();
    let (owner, nodes) = joined(&network, &["b", "c", "d"]).await;
    // Left while the owner was away; joined again before the farewell arrived.
    owner.become_unreachable();
    nodes[0].founding.leave().await.unwrap();
    owner.become_reachable();
    nodes[0].join(&owner.invite().await).await.unwrap();
    nodes[0].founding.send_farewells_once().await;
    assert_eq!(owner.members(), ["owner", "b", "c", "d"]);
    all_found(&owner, &[&nodes[0], &nodes[1], &nodes[2]]).await;
}

#[tokio::test]
async fn a_crash_after_any_step_of_leaving_is_made_good() {
    let network = Network::default();
    let (mut owner, mut nodes) = joined(&network, &["b", "c", "d"]).await;
    owner.freeze().await.unwrap();
    settle(&[&nodes[0]]).await;
    let home = nodes[0].home();
    let joining = std::fs::read(home.joining()).unwrap();
    let keys = std::fs::read_dir(home.secrets()).unwrap().next().unwrap().unwrap().path();
    let key = std::fs::read(&keys).unwrap();

    // The owner has been told, and nothing else has happened.
    nodes[0].founding.leave().await.unwrap();
    let partings = std::fs::read(home.partings()).unwrap();
    std::fs::remove_file(home.partings()).unwrap();
    std::fs::write(home.joining(), &joining).unwrap();
    std::fs::write(&keys, &key).unwrap();
    nodes[0].restart();
    assert_eq!(nodes[0].state(), NodeState::Founding);
    assert!(matches!(nodes[0].founding.poll().await, Err(FoundingError::LeftAlready)));
    is_free(&mut nodes[0]).await;

    // On disk, and the key and what was accepted are still there; the key is gone.
    for with_key in [true, false] {
        std::fs::write(home.partings(), &partings).unwrap();
        std::fs::write(home.joining(), &joining).unwrap();
        if with_key {
            std::fs::write(&keys, &key).unwrap();
        }
        nodes[0].restart();
        is_free(&mut nodes[0]).await;
    }

    // The same for an owner that gives its draft up.
    let home = owner.home();
    let draft = std::fs::read(home.draft()).unwrap();
    let keys = std::fs::read_dir(home.secrets()).unwrap().next().unwrap().unwrap().path();
    let key = std::fs::read(&keys).unwrap();
    owner.founding.abandon().await.unwrap();
    for with_key in [true, false] {
        std::fs::write(home.draft(), &draft).unwrap();
        if with_key {
            std::fs::write(&keys, &key).unwrap();
        }
        owner.restart();
        is_free(&mut owner).await;
    }
    nodes[1].restart();
    assert!(matches!(nodes[1].founding.poll().await, Err(FoundingError::Abandoned { .. })));
}

#[tokio::test]
async fn a_crash_while_the_draft_is_opened_again_is_made_good() {
    let network = Network::default();
    let (mut owner, mut nodes) = joined(&network, &["b", "c", "d"]).await;
    owner.freeze().await.unwrap();
    settle(&[&nodes[0], &nodes[1]]).await;
    let draft = std::fs::read(owner.home().draft()).unwrap();
    let secrets = owner.home().secrets();
    let old_key = std::fs::read_dir(&secrets).unwrap().next().unwrap().unwrap().path();
    let key = std::fs::read(&old_key).unwrap();
    // The fresh key is on disk, the draft is not: as if nobody had been dropped.
    owner.founding.drop_member("d").await.unwrap();
    std::fs::write(owner.home().draft(), draft).unwrap();
    std::fs::write(&old_key, key).unwrap();
    owner.restart();
    assert!(owner.founding.federation().unwrap().frozen);
    assert_eq!(owner.sealing_keys().len(), 1);
    owner.founding.drop_member("d").await.unwrap();
    for node in &mut nodes[..2] {
        node.restart();
        node.founding.poll().await.unwrap();
        node.restart();
    }
    owner.restart();
    all_found(&owner, &[&nodes[0], &nodes[1]]).await;
}

#[tokio::test]
async fn a_federation_without_a_finished_round_can_be_left_and_nothing_of_it_stays() {
    let network = Network::default();
    let (owner, mut nodes) = joined(&network, &["b", "c"]).await;
    all_found(&owner, &[&nodes[0], &nodes[1]]).await;
    let home = nodes[0].home();
    // What a first round leaves.
    for folder in [home.objects(), home.training(), home.store()] {
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("x"), b"of the round").unwrap();
    }
    std::fs::write(home.journal(), b"promises").unwrap();
    std::fs::write(home.secrets().join("local-memory"), b"memory").unwrap();
    let left = nodes[0].founding.leave_founded().unwrap();
    assert!(left.was_founded && left.had_signed);
    // A crash between any two files.
    std::fs::remove_dir_all(home.training()).unwrap();
    nodes[0].restart();
    for path in home.of_one_federation() {
        assert!(!path.exists(), "{}", path.display());
    }
    // The others are told by name.
    assert!(nodes[0].founding.send_farewells_once().await);
    for node in [&owner, &nodes[1]] {
        let told = node.condition("member-left").expect("they are told");
        assert!(told.message.contains("b left"), "{told:?}");
    }
    is_free(&mut nodes[0]).await;
}

#[tokio::test]
async fn fifty_changes_of_mind_leave_one_key_and_a_small_file() {
    let network = Network::default();
    let (mut owner, mut nodes) = joined(&network, &["b", "c", "d"]).await;
    for turn in 0..50 {
        owner.freeze().await.unwrap();
        settle(&[&nodes[0], &nodes[1]]).await;
        nodes[2].founding.leave().await.unwrap();
        if turn % 10 == 0 {
            owner.restart();
            nodes.iter_mut().for_each(Node::restart);
        }
        nodes[2].join(&owner.invite().await).await.unwrap();
        settle(&[&nodes[0], &nodes[1]]).await;
    }
    assert_eq!(owner.sealing_keys().len(), 1);
    assert!(std::fs::metadata(nodes[2].home().partings()).unwrap().len() < 256 << 10);
    all_found(&owner, &[&nodes[0], &nodes[1], &nodes[2]]).await;
}

#[tokio::test]
async fn more_come_and_go_than_there_are_invites_at_once() {
    let network = Network::default();
    let owner = owner(&network).await;
    let node = Node::new(&network, "b");
    for _ in 0..300 {
        node.join(&owner.invite().await).await.unwrap();
        node.founding.leave().await.unwrap();
    }
    node.join(&owner.invite().await).await.unwrap();
    assert_eq!(owner.members(), ["owner", "b"]);
}

#[tokio::test]
async fn the_loop_of_a_founder_follows_a_draft_that_is_opened_again_to_the_end() {
    let network = Network::default();
    let (owner, mut nodes) = joined(&network, &["b", "c", "d"]).await;
    let gone = nodes.remove(2);
    owner.freeze().await.unwrap();
    let stop = CancellationToken::new();
    let work = async {
        owner.founding.drop_member("d").await.unwrap();
        while owner.freeze().await.is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        let phrase = owner.phrase().unwrap();
        for node in &nodes {
            while node.confirm(&phrase).await.is_err() {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        }
    };
    let (b, c, o, ()) = tokio::join!(
        nodes[0].founding.run(&stop),
        nodes[1].founding.run(&stop),
        owner.founding.run(&stop),
        work
    );
    let founded = b.unwrap().unwrap();
    assert_eq!(founded.manifest.members.len(), 3);
    assert_eq!(Some(&founded), c.unwrap().as_ref());
    assert_eq!(Some(&founded), o.unwrap().as_ref());
    drop(gone);
}
