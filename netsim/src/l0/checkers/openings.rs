//! An honest contributor opens the shares of at most f members in one round, whatever restarts come
//! in between, and persists whose before it opens them.

use std::collections::{BTreeMap, BTreeSet};

use fedshield_protocol::ids::{MemberIndex, Round};
use fedshield_protocol::job::Job;
use fedshield_protocol::wire::journal::Note;

use super::Fact;
use crate::l0::federation::Federation;
use crate::l0::node::Node;

#[derive(Default)]
pub(super) struct Openings {
    journalled: BTreeSet<(MemberIndex, Round, MemberIndex)>,
    opened: BTreeMap<(MemberIndex, Round), BTreeSet<MemberIndex>>,
}

impl Openings {
    pub(super) fn observe(
        &mut self,
        federation: &Federation,
        node: &Node,
        fact: &Fact<'_>,
    ) -> Result<(), String> {
        match fact {
            Fact::Noted(entry) => {
                if let Note::ShareOpened(to) = entry.note {
                    self.journalled.insert((node.member, entry.round, to));
                }
                Ok(())
            }
            Fact::Started(Job::OpenShare { round, member }) => {
                if !self.journalled.contains(&(node.member, *round, *member)) {
                    return Err(format!("round {round}: opens a share that is not journalled"));
                }
                let opened = self.opened.entry((node.member, *round)).or_default();
                opened.insert(*member);
                match opened.len() > usize::from(federation.rules().max_faulty) {
                    true => Err(format!("round {round}: opens {} shares", opened.len())),
                    false => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }
}
