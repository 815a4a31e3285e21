//! Evidence in words, for the operators who have to act on it.

use core::fmt;

use super::{Evidence, Proof, Rule};
use crate::wire::Body;

impl Rule {
    /// The word for it, as in JSON.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Equivocation => "equivocation",
            Self::SetTooSmall => "set-too-small",
            Self::WrongOpening => "wrong-opening",
            Self::MalformedCiphertext => "malformed-ciphertext",
            Self::WrongAnswer => "wrong-answer",
        }
    }

    /// The rule itself.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Equivocation => "a member signs no two contradicting statements in a round",
            Self::SetTooSmall => {
                "a sum is proposed only if it has at least the manifest's least number of contributors"
            }
            Self::WrongOpening => {
                "a contributor answers a complaint with the share that its commitment binds it to"
            }
            Self::MalformedCiphertext => {
                "a ciphertext has the form and length that the terms and the round's mask give it"
            }
            Self::WrongAnswer => {
                "a partial decryption is the sum of the shares that its sender holds of the decided set"
            }
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl Evidence {
    /// What was done, in words; without the member and the round.
    #[must_use]
    pub fn description(&self) -> String {
        match &self.proof {
            Proof::Equivocation(both) => {
                let [(first, _), _] = both.as_ref();
                match first {
                    Body::Vote(vote) => format!("two different votes in view {}", vote.view),
                    first => format!("two different messages of kind {}", first.kind()),
                }
            }
            Proof::SetTooSmall(_) => "a proposal of a set with too few updates".to_owned(),
            Proof::WrongOpening { answer, .. } => match &answer.0 {
                Body::ShareOpening { member, .. } => {
                    format!("a wrong answer to the complaint of member {member}")
                }
                _ => "a wrong answer to a complaint".to_owned(),
            },
            Proof::Rejected { rejections, .. } => {
                format!("a malformed ciphertext, rejected by {} members", rejections.len())
            }
            Proof::WrongAnswer(answer) => format!(
                "a wrong partial decryption: {} others agree on another one",
                answer.agreeing.len()
            ),
        }
    }
}
