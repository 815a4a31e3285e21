//! The reasons for which evidence is refused.

use crate::ids::MemberIndex;

/// Why evidence proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotProof {
    /// The accused is not in the manifest.
    #[error("member {0} is not in this manifest")]
    NotAMember(MemberIndex),
    /// A signature does not verify: forged, changed, or of another federation.
    #[error("the {what} is not signed by member {member} in this federation and round")]
    NotSigned {
        /// The kind of statement.
        what: &'static str,
        /// Who should have signed it.
        member: MemberIndex,
    },
    /// A statement that no message can hold.
    #[error("the {0} has an impossible content")]
    Impossible(&'static str),
    /// Both statements can be made by one honest member.
    #[error("the two statements do not contradict each other")]
    NoContradiction,
    /// The set is as large as it has to be, or there is none.
    #[error("no set below the least number of contributors was proposed")]
    NotTooSmall,
    /// The statements are about different things.
    #[error("the {0} is about something else")]
    NotAbout(&'static str),
    /// Fewer signed than it takes.
    #[error("{found} {what}, {needed} are needed")]
    TooFew {
        /// What is counted.
        what: &'static str,
        /// Number that there is.
        found: usize,
        /// Number that is needed.
        needed: usize,
    },
    /// A certificate that does not decide what it should.
    #[error("the certificate of the {0} is wrong")]
    Certificate(&'static str),
}
