//! The founding as the status shows it, and the node's problems as the draft's owner is told them.

use std::sync::Arc;

use fedshield_protocol::status::Phase;

use super::turn::Node;
use crate::conditions::Conditions;
use crate::control::api::{NodeState, Severity};
use crate::founding::FOUNDING_CONDITIONS;

impl Node {
    pub(super) fn show_founding(&mut self) {
        let view = self.founding.view().borrow().clone();
        let summary = view.summary(&self.identity.key());
        let before = std::mem::replace(&mut self.founding_error, view.last_error.clone());
        self.status.send_modify(|status| {
            status.state = view.state;
            status.federation = summary;
            // Clears an error that was repaired; conditions that others have set since stay.
            if view.last_error.is_some() || (before.is_some() && status.last_error == before) {
                status.last_error = view.last_error;
            }
        });
        let board = Conditions::new(Arc::clone(&self.status));
        for name in FOUNDING_CONDITIONS {
            let holds = view.conditions.iter().find(|condition| condition.name == name);
            board.show(name, holds.cloned());
        }
    }

    /// Reports what would keep this node from taking part to the owner of the draft before it is
    /// frozen: by name only, because messages name files.
    pub(super) fn report_problems(&self) {
        if self.host.is_some() {
            return;
        }
        let status = self.status.borrow();
        let blocking = status.conditions.iter().filter(|it| it.severity == Severity::Blocking);
        self.founding.set_problems(blocking.map(|it| it.name.clone()).collect());
    }

    pub(super) fn show_done(&self) {
        self.status.send_if_modified(|status| {
            let done = status.machine.as_ref().is_some_and(|machine| machine.phase == Phase::Done);
            let changed = done && status.state != NodeState::Done;
            if changed {
                status.state = NodeState::Done;
            }
            changed
        });
    }
}
