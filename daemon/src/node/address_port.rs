//! The members' signed addresses on disk.

use std::io;
use std::path::PathBuf;

use fedshield_net::AddressStore;

use crate::durable;

/// The longest file, in bytes: more than the records of the largest federation take.
const MAX_BYTES: u64 = 1 << 20;

/// One file in the home.
pub(super) struct AddressFile(pub(super) PathBuf);

impl AddressStore for AddressFile {
    fn load(&self) -> io::Result<Option<Vec<u8>>> {
        Ok(durable::read_if_present(&self.0, MAX_BYTES)?)
    }

    fn save(&self, bytes: &[u8]) -> io::Result<()> {
        Ok(durable::replace(&self.0, bytes)?)
    }
}
