//! Whether evidence proves what it claims, including the arithmetic of the encryption: one function
//! for nodes that receive evidence and for anyone with a file of it and the manifest.

use fedshield_he::{
    Error as HeError, Fault, Preset, ReleasedAnswer, RoundContext, ShareCommitment, ShareOpening,
    is_wrong_answer,
};
use fedshield_protocol::ids::{MemberIndex, Round};
use fedshield_protocol::manifest::ValidManifest;
use fedshield_protocol::wire::evidence::{Evidence, NotProof, Proof, SignedAnswer, WrongAnswer};
use fedshield_protocol::wire::{Body, CommitmentBody};

use crate::encryption::{self, ciphertext_digest, share_index};

/// Why evidence proves nothing, or cannot be checked here.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    /// The signatures or certificates are invalid, or are about something else.
    #[error(transparent)]
    NotProof(#[from] NotProof),
    /// The accused member's statement is correct.
    #[error("{0}")]
    Right(&'static str),
    /// The arithmetic does not confirm the accusation.
    #[error("the arithmetic does not show it: {0}")]
    Arithmetic(#[source] HeError),
    /// This version of the program does not know the manifest's encryption.
    #[error("the encryption of this manifest is not known to this version of the program: {0}")]
    Unknown(String),
}

/// Checks evidence against a manifest; needs no other state.
///
/// # Errors
/// [`EvidenceError`].
pub fn check(evidence: &Evidence, manifest: &ValidManifest) -> Result<(), EvidenceError> {
    evidence.verify(manifest)?;
    match &evidence.proof {
        Proof::WrongOpening { commitment, answer } => {
            let context = context(manifest, evidence.round)?;
            let Body::ShareOpening { member, opening, .. } = &answer.0 else {
                return Err(EvidenceError::Right("it holds no answer to a complaint"));
            };
            let dealer = evidence.member;
            match answer_to(&context, manifest, dealer, &commitment.0, *member, opening) {
                Ok(()) => Err(EvidenceError::Right("the answer to the complaint is true")),
                Err(_) => Ok(()),
            }
        }
        Proof::WrongAnswer(answer) => check_answer(answer, evidence, manifest),
        Proof::Equivocation(_) | Proof::SetTooSmall(_) | Proof::Rejected { .. } => Ok(()),
    }
}

fn context(manifest: &ValidManifest, round: Round) -> Result<RoundContext, EvidenceError> {
    let name = &manifest.manifest().encryption.preset;
    let preset = Preset::by_name(name).map_err(|e| EvidenceError::Unknown(e.to_string()))?;
    preset
        .check_members(manifest.rules().member_count)
        .map_err(|e| EvidenceError::Unknown(e.to_string()))?;
    Ok(RoundContext::new(manifest.digest().0, round.0, preset))
}

/// Checks the dealer's commitment and the share that it opened. Any error in either is the dealer's
/// fault, because it has signed both.
fn answer_to(
    context: &RoundContext,
    manifest: &ValidManifest,
    dealer: MemberIndex,
    body: &CommitmentBody,
    member: MemberIndex,
    opening: &[u8],
) -> Result<(), HeError> {
    let sharing = encryption::sharing(manifest.rules())?.sharing();
    let dealer = share_index(dealer);
    let commitment = ShareCommitment::from_bytes(context, dealer, sharing, &body.shares)?;
    if commitment.ciphertext() != ciphertext_digest(&body.ciphertext) {
        let (member, field) = (Some(dealer), "ciphertext digest");
        return Err(HeError::Remote { member, field, fault: Fault::Digest });
    }
    ShareOpening::from_bytes(context, &commitment, share_index(member), opening)?
        .verify(context, &commitment)
        .map(drop)
}

fn check_answer(
    answer: &WrongAnswer,
    evidence: &Evidence,
    manifest: &ValidManifest,
) -> Result<(), EvidenceError> {
    let context = context(manifest, evidence.round)?;
    let agreeing: Vec<ReleasedAnswer<'_>> = answer.agreeing.iter().map(released).collect();
    let accused = released(&answer.accused);
    let sharing = encryption::sharing(manifest.rules()).map_err(EvidenceError::Arithmetic)?;
    match is_wrong_answer(&context, &answer.key, sharing, &agreeing, accused) {
        Ok(true) => Ok(()),
        Ok(false) => Err(EvidenceError::Right("the partial decryption is right")),
        Err(error) => Err(EvidenceError::Arithmetic(error)),
    }
}

/// An answer in the types of the encryption.
fn released(answer: &SignedAnswer) -> ReleasedAnswer<'_> {
    ReleasedAnswer { member: share_index(answer.member), bytes: &answer.bytes }
}
