//! No honest member fetches a ciphertext or sealed share whose length differs from the round's
//! shape.

use fedshield_protocol::effect::Purpose;
use fedshield_protocol::object::ObjectRef;

use super::Fact;
use crate::l0::content::CONTENT_BYTES;

/// Checks the length of each object of an update that is fetched.
pub(super) struct Shape;

impl Shape {
    pub(super) fn observe(&self, fact: &Fact<'_>) -> Result<(), String> {
        let Fact::Fetched(ObjectRef { length, .. }, purpose) = fact else { return Ok(()) };
        let is_of_update = matches!(purpose, Purpose::Ciphertext | Purpose::Share);
        if is_of_update && *length != CONTENT_BYTES as u64 {
            return Err(format!("fetches {length} bytes of an update: {purpose:?}"));
        }
        Ok(())
    }
}
