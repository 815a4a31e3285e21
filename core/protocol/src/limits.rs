//! A limit on everything that a remote member can make this one hold, in one place.

/// Fewest members of a federation: with two, each could subtract its own update from the sum.
pub const MIN_MEMBERS: u16 = 3;
/// Most members: messages that name every member stay under [`MAX_GOSSIP_BYTES`].
pub const MAX_MEMBERS: u16 = 100;

/// The longest message that may be gossiped, in bytes.
pub const MAX_GOSSIP_BYTES: usize = 16 * 1024;
/// The longest message that may be sent to one member, in bytes.
pub const MAX_DIRECT_BYTES: usize = 256 * 1024;
/// The longest canonical signed manifest, in bytes.
pub const MAX_MANIFEST_BYTES: usize = 1 << 20;
/// The longest certified record, in bytes.
pub const MAX_RECORD_BYTES: usize = 128 * 1024;
/// The longest journal entry, in bytes.
pub const MAX_JOURNAL_ENTRY_BYTES: usize = 256 * 1024;
/// Most bytes of records in one answer; leaves room for the envelope and for the kind of each.
pub const MAX_RECORDS_ANSWER_BYTES: usize = MAX_DIRECT_BYTES - 4096;

/// The longest name of a federation, member, module or preset, in bytes.
pub const MAX_NAME_BYTES: usize = 64;
/// Most addresses of one member.
pub const MAX_ADDRESSES: usize = 8;
/// The longest address, in bytes.
pub const MAX_ADDRESS_BYTES: usize = 256;
/// The longest sealing key, in bytes (X25519 with ML-KEM-768 needs 1,216).
pub const MAX_SEALING_KEY_BYTES: usize = 2048;
/// Most target modules of an adapter.
pub const MAX_TARGET_MODULES: usize = 32;
/// Most rounds of a federation.
pub const MAX_ROUNDS: u64 = 1_000_000;
/// The longest deadline: one week.
pub const MAX_DEADLINE_MS: u64 = 7 * 24 * 3600 * 1000;
/// The shortest deadline.
pub const MIN_DEADLINE_MS: u64 = 10;

/// The longest [`CommitmentBody::shares`](crate::wire::CommitmentBody::shares), in bytes: 100
/// members at a threshold of 67 need 4.4 KiB.
pub const MAX_SHARES_BYTES: usize = 8192;
/// The largest object, in bytes: 64 GiB, whose list of chunk digests takes 2 MiB.
pub const MAX_OBJECT_BYTES: u64 = 1 << 36;
/// The longest opening of a share commitment, in bytes.
pub const MAX_OPENING_BYTES: usize = 128 * 1024;
/// The largest sealed share, in bytes.
pub const MAX_SEALED_SHARE_BYTES: u64 = 256 * 1024;
/// The largest partial decryption, in bytes.
pub const MAX_PARTIAL_BYTES: u64 = 1 << 20;
/// The largest summed key, in bytes: 8.3 KiB at 4,096 coefficients.
pub const MAX_KEY_BYTES: u64 = 64 * 1024;

/// The longest evidence, in bytes: a wrong answer comes with those of up to 99 others, 8.3 KB each.
pub const MAX_EVIDENCE_BYTES: usize = 1 << 20;
/// Proofs against one member that are kept; the first ones stay, later ones add nothing.
pub const MAX_PROOFS_PER_MEMBER: usize = 8;

/// Views ahead of the current one whose votes are kept.
pub const VIEW_WINDOW: u32 = 3;
/// Different sets of which the attestations of one committee member are kept in one round.
pub const MAX_SETS: usize = 16;
/// Messages of the next round kept for one member until this member is there too.
pub const MAX_EARLY_PER_MEMBER: usize = 16;
/// Most commitments asked for in one message.
pub const MAX_REQUESTED_COMMITMENTS: usize = 8;
/// Statements of a member that has just started in one answer to it: commitments, sums and votes
/// are few.
pub const MAX_STATEMENTS: usize = 64;
/// Failed rounds of which the status names the contributors.
pub const MAX_FAILED_ROUNDS: usize = 16;
/// Most bytes that one question is answered with, and so for each half heartbeat, member and kind
/// of question.
pub const MAX_ANSWER_BYTES: usize = MAX_DIRECT_BYTES;
/// Goodbyes of a member in one round after which it came back; any more are not believed.
pub const MAX_GOODBYES: usize = 16;
/// Times that a failed job is started again in one round.
pub const MAX_ATTEMPTS: u8 = 3;
/// Number of times that a contributor reseals a share for one member in one round, asked alone and
/// in public each, and that this member looks at resealed shares of one contributor.
pub const MAX_RESEALS: u8 = 16;
/// Heartbeats after which a member that has asked a contributor for a sealed share in vain asks in
/// public.
pub const BEATS_UNTIL_PUBLIC: u8 = 2;
/// Heartbeats of a contributor that may arrive after a complaint had been forwarded to it, without
/// its answer: then it owes one.
pub const BEATS_UNTIL_OVERDUE: u8 = 3;
/// Number of times that an answer to one complaint is forwarded to the complainant.
pub const MAX_HANDED_ON: u8 = 4;
/// Most rounds for which a contributor that owed an answer is excluded.
pub const MAX_EXCLUDED_ROUNDS: u64 = 64;
/// A pause that has been in effect for so long is a long one: the secrets of rounds are erased.
pub const LONG_PAUSE_MS: u64 = 3_600_000;
