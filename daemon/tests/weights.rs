//! Weights in a draft: each founder declares its own, all see them, and none counts more than the
//! terms allow.

mod founders;

use fedshield_protocol::manifest::Weights;
use fedshieldd::control::api::NewFederation;
use fedshieldd::founding::FoundingError;

use founders::{Network, Node, terms, terms_with};

/// A node whose config.toml says `weight = N`.
fn node(network: &Network, name: &str, weight: u32) -> Node {
    let mut node = Node::new(network, name);
    node.local.member.weight = weight;
    node.restart();
    node
}

fn weights(node: &Node) -> Vec<u32> {
    let listing = node.founding.federation().unwrap().listing;
    listing.members().iter().map(|member| member.weight).collect()
}

#[tokio::test]
async fn declared_weights_are_seen_by_all_and_capped() {
    let network = Network::default();
    let mut owner = node(&network, "owner", 300);
    let declared = terms_with(|terms| {
        terms.weights = Some(Weights::Declared);
        terms.weight_cap = 500;
    });
    owner.founding.new_federation(NewFederation { terms: declared }).await.unwrap();
    let mut clinic = node(&network, "clinic", 20);
    clinic.join(&owner.invite().await).await.unwrap();
    assert_eq!(weights(&owner), [300, 20]);
    assert_eq!(weights(&clinic), [300, 20]);
    // Above the cap it is refused by the node itself, with what to do.
    let greedy = node(&network, "greedy", 501);
    let error = greedy.join(&owner.invite().await).await.unwrap_err();
    assert!(matches!(&error, FoundingError::Request(it) if it.contains("501")), "{error}");
    assert_eq!(weights(&owner), [300, 20]);
    // A node that joins now sees the others' weights before it accepts.
    let last = node(&network, "last", 500);
    let preview = last.preview(&owner.invite().await).await.unwrap();
    assert_eq!(preview.draft.members[1].weight, 20);
    last.join(&owner.invite().await).await.unwrap();
    owner.restart();
    clinic.restart();
    clinic.founding.poll().await.unwrap();
    assert_eq!(weights(&owner), [300, 20, 500]);
    assert_eq!(weights(&clinic), [300, 20, 500]);
}

#[tokio::test]
async fn where_weights_are_equal_no_member_declares_one() {
    let network = Network::default();
    let owner = node(&network, "owner", 300);
    owner.founding.new_federation(NewFederation { terms: terms() }).await.unwrap();
    let clinic = node(&network, "clinic", 20);
    clinic.join(&owner.invite().await).await.unwrap();
    assert_eq!(weights(&owner), [1, 1]);
    assert_eq!(weights(&clinic), [1, 1]);
}
