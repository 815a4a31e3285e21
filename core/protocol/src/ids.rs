//! Identifiers: digests by what they are of, keys, members, rounds. They are hexadecimal in text
//! formats and raw bytes in binary ones.

use core::cmp::Ordering;
use core::fmt;
use core::str::FromStr;

use data_encoding::HEXLOWER_PERMISSIVE;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Why a hexadecimal identifier could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected} hexadecimal characters, got `{got}`")]
pub struct ParseIdError {
    expected: usize,
    got: String,
}

macro_rules! bytes32 {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash)]
        pub struct $name(pub [u8; 32]);

        /// The order of the bytes, compared eight at a time: names are looked up in maps all the
        /// time.
        impl Ord for $name {
            fn cmp(&self, other: &Self) -> Ordering {
                let (own, others) = (self.0.as_chunks::<8>().0, other.0.as_chunks::<8>().0);
                let words = own.iter().zip(others);
                let mut words =
                    words.map(|(a, b)| u64::from_be_bytes(*a).cmp(&u64::from_be_bytes(*b)));
                words.find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
            }
        }

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }

        impl $name {
            /// The 32 bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// The first eight hexadecimal characters, for display.
            #[must_use]
            pub fn short(&self) -> String {
                self.to_string().chars().take(8).collect()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&HEXLOWER_PERMISSIVE.encode(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.short())
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                HEXLOWER_PERMISSIVE
                    .decode(text.as_bytes())
                    .ok()
                    .and_then(|bytes| <[u8; 32]>::try_from(bytes).ok())
                    .map(Self)
                    .ok_or_else(|| ParseIdError {
                        expected: 64,
                        got: text.chars().take(80).collect(),
                    })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.collect_str(self)
                } else {
                    self.0.serialize(serializer)
                }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if deserializer.is_human_readable() {
                    String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
                } else {
                    <[u8; 32]>::deserialize(deserializer).map(Self)
                }
            }
        }
    };
}

bytes32!(
    /// A member's ed25519 identity key: signs its messages and is its libp2p identity.
    IdentityKey
);

// Behind the macro that it uses.
mod digests;

pub use digests::{
    Beacon, CommitmentDigest, Digest, FederationId, KeyDigest, LayoutDigest, ManifestDigest,
    NonceDigest, RecordDigest, SetDigest, SumDigest, ValueDigest,
};

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl $name {
            /// The next one; saturates.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0.saturating_add(1))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

number!(
    /// A federated round. Numbers never repeat, also across epochs.
    Round(u64)
);
number!(
    /// The life of one manifest.
    Epoch(u32)
);
number!(
    /// A voting attempt inside one decision.
    View(u32)
);
number!(
    /// A member's position in the manifest, from 0.
    MemberIndex(u16)
);

impl MemberIndex {
    /// As an index into a list in manifest order.
    #[must_use]
    pub const fn position(self) -> usize {
        self.0 as usize
    }
}

/// Milliseconds on the host's monotonic clock; only differences mean anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Time(pub u64);

impl Time {
    /// This time and `ms` milliseconds.
    #[must_use]
    pub const fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }
}
