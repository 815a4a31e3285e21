//! Whether an exported adapter is the one that a ledger records.

use std::path::Path;

use fedshield_protocol::object::ObjectRef;
use fedshield_train::TrainError;
use fedshield_train::adapter::PeftAdapter;
use fedshield_train::federated::GlobalAdapter;

use super::OfflineError;

/// Checks that `canonical` are the bytes that `recorded` names, and that the PEFT folder `folder`
/// holds exactly the tensors that follow from them, bit for bit.
///
/// # Errors
/// [`OfflineError::Adapter`] with what differs.
pub fn check_recorded(
    canonical: &[u8],
    recorded: &ObjectRef,
    folder: &Path,
) -> Result<(), OfflineError> {
    if ObjectRef::of(canonical) != *recorded {
        let reason = "these canonical bytes are not those of the adapter that the ledger records";
        return Err(OfflineError::Adapter(TrainError::Adapter(reason.to_owned())));
    }
    let global = GlobalAdapter::from_bytes(canonical).map_err(OfflineError::Adapter)?;
    PeftAdapter::open(folder).and_then(|peft| peft.check_is(&global)).map_err(OfflineError::Adapter)
}
