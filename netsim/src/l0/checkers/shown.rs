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
pub(super) struct Shown {
    noted: BTreeSet<(MemberIndex, Round, MemberIndex)>,
    shown: BTreeMap<(MemberIndex, Round), BTreeSet<MemberIndex>>,
}

impl Shown {
    pub(super) fn observe(
        &mut self,
        federation: &Federation,
        node: &Node,
        fact: &Fact<'_>,
    ) -> Result<(), String> {
        match fact {
            Fact::Noted(entry) => {
                if let Note::ShareOpened(to) = entry.note {
                    self.noted.insert((node.member, entry.round, to));
                }
                Ok(())
            }
            Fact::Started(Job::OpenShare { round, member }) => {
                if !self.noted.contains(&(node.member, *round, *member)) {
                    return Err(format!("round {round}: shows a share that is not noted"));
                }
                let shown = self.shown.entry((node.member, *round)).or_default();
                shown.insert(*member);
                match shown.len() > usize::from(federation.rules().max_faulty) {
                    true => Err(format!("round {round}: shows {} shares", shown.len())),
                    false => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }
}
