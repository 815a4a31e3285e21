//! Reads a home whose daemon does not run: finished rounds can be shown without one.

use fedshieldd::control::api::{ApiError, ErrorCode};
use fedshieldd::home::Home;
use fedshieldd::offline::OfflineHome;

use crate::failure::Failure;
use crate::screen::Screen;

/// The daemon's answer or, if none runs, what `read` finds in the home.
///
/// # Errors
/// The daemon's, or that of the home if it cannot be read.
pub fn or_home<T>(
    answer: Result<T, ApiError>,
    home: &Home,
    screen: &Screen,
    read: impl FnOnce(&OfflineHome) -> Result<T, ApiError>,
) -> Result<T, Failure> {
    match answer {
        Err(error) if error.code == ErrorCode::NotRunning => match OfflineHome::open(home)? {
            Some(offline) => {
                screen.remark("no daemon runs here: read from the home itself");
                for remark in offline.remarks() {
                    screen.remark(remark);
                }
                Ok(read(&offline)?)
            }
            None => Err(error.into()),
        },
        other => Ok(other?),
    }
}
