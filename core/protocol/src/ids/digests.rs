//! Digests, each with a type of its own: one of a set is never taken for one of a commitment. All
//! are 32 bytes and encoded alike, so a type changes nothing on the wire.

use core::cmp::Ordering;
use core::fmt;
use core::str::FromStr;

use data_encoding::HEXLOWER_PERMISSIVE;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::ParseIdError;

bytes32!(
    /// A BLAKE3 digest made by [`crate::hash`]: of an object's chunk or its root, of the base
    /// model, of bytes under a signature, and of whatever has no type of its own below.
    Digest
);
bytes32!(
    /// Of the canonical bytes of a manifest
    /// ([`Manifest::digest`](crate::manifest::Manifest::digest)).
    ManifestDigest
);
bytes32!(
    /// Names a federation for all of its epochs; follows from the digest of its first manifest.
    FederationId
);
bytes32!(
    /// Of a commitment's body, its contributor and its round
    /// ([`Scope::commitment`](crate::wire::Scope::commitment)); names the update.
    CommitmentDigest
);
bytes32!(
    /// Of a set of updates ([`UpdateSet::digest`](crate::wire::UpdateSet::digest)).
    SetDigest
);
bytes32!(
    /// Of a value that members vote on ([`Value::id`](crate::wire::Value::id)).
    ValueDigest
);
bytes32!(
    /// Of a record of the ledger ([`record_digest`](crate::ledger::record_digest)). The record
    /// before the first one is represented by the digest of the manifest.
    RecordDigest
);
bytes32!(
    /// Of an opened sum, in the encoding of `fedshield-he`.
    SumDigest
);
bytes32!(
    /// Of the sum of the contributors' nonces, which is opened with the sum; seeds the next beacon.
    NonceDigest
);
bytes32!(
    /// Of root and length of a summed key ([`Value::key_name`](crate::wire::Value::key_name)).
    KeyDigest
);
bytes32!(
    /// Of the layout of an update: what each of its slots stands for.
    LayoutDigest
);
bytes32!(
    /// What nobody could know before the round before had decided: seeds election, mask and
    /// batches.
    Beacon
);

impl From<ManifestDigest> for RecordDigest {
    fn from(manifest: ManifestDigest) -> Self {
        Self(manifest.0)
    }
}
