//! One string that lets one organisation join a draft.
//!
//! `fs1` + base32(postcard([`Invite`]) + checksum). Base32 because it survives being read aloud and
//! typed; the checksum tells a typing error from a wrong invite.

use std::fmt;
use std::str::FromStr;

use data_encoding::{Encoding, Specification};
use fedshield_protocol::ids::{Digest, IdentityKey};
use fedshield_protocol::limits::{MAX_ADDRESS_BYTES, MAX_ADDRESSES};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use crate::randomness::{self, RandomnessError};

/// What every invite of this version begins with.
const PREFIX: &str = "fs1";
const CHECKSUM_BYTES: usize = 4;
/// Eight addresses of 256 bytes in base32, with a margin.
const MAX_TEXT_BYTES: usize = 4096;

/// 128 random bits that let one identity in, once.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token([u8; 16]);

impl Token {
    /// A fresh token from the system's randomness.
    ///
    /// # Errors
    /// If the operating system returns no random bytes.
    pub fn random() -> Result<Self, RandomnessError> {
        let mut bytes = [0; 16];
        randomness::fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// The digest that the owner stores; the token itself is only in the invite.
    #[must_use]
    pub fn fingerprint(&self) -> Digest {
        Digest(blake3::derive_key("fedshield v1 invite token", &self.0))
    }

    /// Whether `fingerprint` is this token's, in constant time.
    #[must_use]
    pub fn has_fingerprint(&self, fingerprint: &Digest) -> bool {
        self.fingerprint().as_bytes().ct_eq(fingerprint.as_bytes()).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// The content of an invite.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invite {
    /// The draft's founding id.
    pub founding_id: Digest,
    /// The identity that must answer at the addresses.
    pub owner: IdentityKey,
    /// Admits one identity, once.
    pub token: Token,
    /// Expiry by the owner's clock, in seconds since 1970.
    pub expires_at_s: u64,
    /// Members in the draft when the invite was made.
    pub member_count: u16,
    /// Multiaddresses of the owner, most useful first.
    pub addresses: Vec<String>,
}

/// Why a string is not an invite.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InviteError {
    /// It does not begin with the prefix of an invite.
    #[error("this is not an invite: invites begin with `{PREFIX}`")]
    NotAnInvite,
    /// A character outside the base32 alphabet.
    #[error("the invite has a wrong character at position {position}")]
    Character {
        /// Its position, counted from 1, the prefix included.
        position: usize,
    },
    /// The checksum does not match.
    #[error("the invite is truncated or mistyped: its checksum does not match")]
    Checksum,
    /// The checksum matches but the content cannot be decoded.
    #[error("the invite was made by a version that this one does not understand")]
    Content,
}

impl Invite {
    /// Whether it is past its expiry at `now_s`, seconds since 1970. The owner's clock decides.
    #[must_use]
    pub const fn is_expired(&self, now_s: u64) -> bool {
        now_s >= self.expires_at_s
    }

    fn is_consistent(&self) -> bool {
        !self.addresses.is_empty()
            && self.addresses.len() <= MAX_ADDRESSES
            && self.addresses.iter().all(|address| address.len() <= MAX_ADDRESS_BYTES)
    }
}

impl fmt::Display for Invite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = postcard::to_allocvec(self).map_err(|_| fmt::Error)?;
        bytes.extend_from_slice(&checksum(&bytes));
        write!(f, "{PREFIX}{}", base32().ok_or(fmt::Error)?.encode(&bytes))
    }
}

impl FromStr for Invite {
    type Err = InviteError;

    fn from_str(text: &str) -> Result<Self, InviteError> {
        // Mail programs break lines and some people type capitals.
        let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let text = text.to_ascii_lowercase();
        let body = text.strip_prefix(PREFIX).ok_or(InviteError::NotAnInvite)?;
        if body.len() > MAX_TEXT_BYTES {
            return Err(InviteError::Content);
        }
        let alphabet = |c: char| c.is_ascii_lowercase() || ('2'..='7').contains(&c);
        if let Some(at) = body.chars().position(|c| !alphabet(c)) {
            return Err(InviteError::Character { position: PREFIX.len() + at + 1 });
        }
        let bytes = base32()
            .and_then(|base32| base32.decode(body.as_bytes()).ok())
            .ok_or(InviteError::Checksum)?;
        let (content, check) =
            bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or(InviteError::Checksum)?;
        if *check != checksum(content) {
            return Err(InviteError::Checksum);
        }
        match postcard::take_from_bytes::<Self>(content) {
            Ok((invite, [])) if invite.is_consistent() => Ok(invite),
            _ => Err(InviteError::Content),
        }
    }
}

/// RFC 4648 in lower case, without padding.
fn base32() -> Option<Encoding> {
    let mut specification = Specification::new();
    specification.symbols.push_str("abcdefghijklmnopqrstuvwxyz234567");
    specification.encoding().ok()
}

fn checksum(bytes: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let [first, second, third, fourth, ..] =
        blake3::derive_key("fedshield v1 invite checksum", bytes);
    [first, second, third, fourth]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn invite() -> Invite {
        Invite {
            founding_id: Digest([1; 32]),
            owner: IdentityKey([2; 32]),
            token: Token([3; 16]),
            expires_at_s: 1000,
            member_count: 1,
            addresses: vec!["/ip4/10.0.0.1/tcp/7000".into(), "/dns4/a.example/tcp/1".into()],
        }
    }

    #[test]
    fn an_invite_is_read_back_also_with_line_breaks_and_capitals() {
        let text = invite().to_string();
        assert!(text.starts_with("fs1"));
        assert_eq!(text.parse::<Invite>().unwrap(), invite());
        let capitals = text.to_uppercase();
        let (head, tail) = capitals.split_at(40);
        let folded = format!("  {head}\r\n{tail}\n");
        assert_eq!(folded.parse::<Invite>().unwrap(), invite());
    }

    #[test]
    fn every_way_to_be_wrong_has_its_own_name() {
        let text = invite().to_string();
        let wrong = |text: &str| text.parse::<Invite>().unwrap_err();
        assert_eq!(wrong("hello"), InviteError::NotAnInvite);
        assert_eq!(wrong(""), InviteError::NotAnInvite);
        assert_eq!(wrong("fs1"), InviteError::Checksum);
        assert_eq!(wrong("fs1a1"), InviteError::Character { position: 5 });
        for cut in 4..text.len() {
            assert_eq!(wrong(&text[..cut]), InviteError::Checksum, "cut at {cut}");
        }
        for at in 3..text.len() {
            let mut typo = text.clone().into_bytes();
            typo[at] = if typo[at] == b'a' { b'b' } else { b'a' };
            assert_eq!(wrong(std::str::from_utf8(&typo).unwrap()), InviteError::Checksum);
        }
        let homeless = Invite { addresses: vec![], ..invite() };
        assert_eq!(wrong(&homeless.to_string()), InviteError::Content);
        assert!(!invite().is_expired(999) && invite().is_expired(1000));
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in "(fs1)?.{0,200}") {
            let _ = text.parse::<Invite>();
        }
    }
}
