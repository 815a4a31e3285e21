//! After every start this member is in doubt: its disk may be a new one, or an old backup, and it may have said more in
//! the round than its journal knows. It asks the others and says nothing that binds it until enough of them have told.
//!
//! Why q answers, its own included, are enough. Before anything else in a round a member says that it takes part
//! ([`Body::Ready`]), and it begins only when q members, itself included, have that in their journals (`round::elect`). Count a
//! member that lost its disk as one of the f faulty ones, until the round is over. Two sets of q - 1 others of whom f - 1
//! are faulty share an honest one, because 2q > n + f: among those that answer is one that knows. It cannot have gone on
//! to a later round, because only members in the asker's round answer, and of them none whose journal says that it has been
//! in a later one (`ahead`). So a member that passes has said nothing in its round,
//! nor in a later one.
//!
//! What it finds lacking beyond that, in the middle of a round (an old state of a disk that still knows `Ready`), is as
//! good as the memory of those that answer.

use std::collections::BTreeSet;

use super::{Machine, Question};
use crate::ids::{MemberIndex, Round};
use crate::ledger::record_digest;
use crate::limits::{MAX_DIRECT_BYTES, MAX_STATEMENTS};
use crate::sign::Signature;
use crate::wire::{Body, Nonce, SignedHeartbeat, Statement};

/// Room in an answer for everything but the statements, in bytes.
const ENVELOPE_BYTES: usize = 1024;

/// The question of this life, and who has answered it in the current round.
#[derive(Debug, Clone)]
pub(crate) struct Doubt {
    nonce: Nonce,
    asked: Option<Round>,
    answered: BTreeSet<MemberIndex>,
}

impl Machine {
    /// A life begins.
    pub(super) fn doubt_itself(&mut self, nonce: Nonce) {
        #[cfg(feature = "planted-bugs")]
        if self.config.rules().trust_the_disk {
            return self.begin_life();
        }
        self.doubt = Some(Doubt { nonce, asked: None, answered: BTreeSet::new() });
    }

    /// Asks everyone, once in each round: answers count for the round that they were given in.
    pub(crate) fn ask_in_doubt(&mut self) {
        let round = self.round.number;
        if let Some(doubt) = self.doubt.as_mut().filter(|doubt| doubt.asked != Some(round)) {
            doubt.asked = Some(round);
            doubt.answered.clear();
            self.ask_again_in_doubt();
        }
    }

    /// A status tick: questions and answers may be lost. To each member directly: answers come that way too, and gossip is
    /// silent for a while where a member has come back before its old connection was found dead.
    pub(super) fn ask_again_in_doubt(&mut self) {
        let Some(nonce) = self.open_question() else { return };
        let Some(signature) = self.sign(self.round.number, &Body::RecoveryRequest(nonce)) else {
            return;
        };
        for to in self.silent_about_me() {
            self.forward(to, self.config.me, Body::RecoveryRequest(nonce), signature);
        }
    }

    /// `member` can be reached now.
    pub(super) fn ask_one_in_doubt(&mut self, member: MemberIndex) {
        if let Some(nonce) = self.open_question() {
            self.tell(member, Body::RecoveryRequest(nonce));
        }
    }

    /// Of a round in which this member is silent in any case it need not know.
    fn open_question(&self) -> Option<Nonce> {
        let doubt = self.doubt.as_ref().filter(|_| !self.is_silent() && !self.is_done())?;
        Some(doubt.nonce)
    }

    /// Whose answers are missing.
    pub(super) fn silent_about_me(&self) -> Vec<MemberIndex> {
        let Some(doubt) = &self.doubt else { return Vec::new() };
        let missing =
            |member: &MemberIndex| *member != self.config.me && !doubt.answered.contains(member);
        self.config.manifest.members().filter(missing).collect()
    }

    /// `asker` has started: tells it what it has said.
    pub(crate) fn take_doubt(&mut self, asker: MemberIndex, nonce: Nonce) {
        if self.is_behind() {
            return self.dropped("recovery request: what was heard in this round is forgotten");
        }
        if !self.may_answer(asker, Question::RecoveryRequest) {
            return;
        }
        let mut room = MAX_DIRECT_BYTES.saturating_sub(ENVELOPE_BYTES);
        let mut said = self.round.statements_of(asker);
        said.truncate(MAX_STATEMENTS);
        said.retain(|statement| {
            let size = postcard::experimental::serialized_size(statement).unwrap_or(usize::MAX);
            let fits = size <= room;
            room = room.saturating_sub(if fits { size } else { 0 });
            fits
        });
        let heartbeat = self.peers.get(asker.position()).and_then(|peer| peer.newest.clone());
        self.tell(asker, Body::RecoveryResponse { nonce, statements: said, heartbeat });
    }

    /// What `sender` remembers of this member.
    pub(crate) fn take_memory(
        &mut self,
        sender: MemberIndex,
        nonce: &Nonce,
        said: Vec<(Statement, Signature)>,
        heartbeat: Option<Box<SignedHeartbeat>>,
    ) {
        let Some(doubt) = &self.doubt else {
            return self.dropped("recovery response: no longer in doubt");
        };
        if doubt.nonce != *nonce {
            return self.dropped("recovery response: an answer to another question");
        }
        if doubt.answered.contains(&sender) {
            return;
        }
        let (round, me) = (self.round.number, self.config.me);
        let roster = self.config.roster();
        if !said.iter().all(|(it, signature)| roster.is_signed_by(round, me, &it.body(), signature))
        {
            return self.dropped("recovery response: not what this member said");
        }
        if let Some(newest) = heartbeat {
            let SignedHeartbeat { round, heartbeat, signature } = *newest;
            let body = Body::Heartbeat(Box::new(heartbeat.clone()));
            if !roster.is_signed_by(round, me, &body, &signature) {
                return self.dropped("recovery response: not what this member said");
            }
            self.note_earlier_life(heartbeat.incarnation);
        }
        if !said.iter().all(|(it, _)| self.remembers(it)) {
            return self.stay_silent(round);
        }
        let Some(doubt) = self.doubt.as_mut() else { return };
        doubt.answered.insert(sender);
        let answers = doubt.answered.len().saturating_add(1);
        if answers >= usize::from(self.config.rules().quorum) && !self.is_silent() {
            self.doubt = None;
            self.begin_life();
            self.show_keys();
        }
    }

    /// Whether the journal has it that this member said so in the current round.
    fn remembers(&self, statement: &Statement) -> bool {
        let (round, me) = (&self.round, self.config.me);
        match statement {
            Statement::Ready => round.presence.said,
            Statement::Commitment(body) => {
                let digest = self.config.roster().scope(round.number).commitment(me, body);
                digest.is_ok_and(|digest| round.own == Some(digest))
            }
            Statement::Report(set) => round.reports.get(&me).is_some_and(|(own, _)| own == set),
            Statement::Attestation { set, aggregate } => {
                let attested = round.attestations.get(set).and_then(|attested| attested.get(&me));
                attested.is_some_and(|(own, _)| own == aggregate)
            }
            Statement::Vote(vote) => round.vote_on(vote.decision).has_cast(vote),
            Statement::Partial { set, object } => round.released == Some((*set, *object)),
            Statement::RecordSignature(digest) => {
                round.signed_before.as_ref().is_some_and(|own| record_digest(own) == *digest)
            }
        }
    }
}
