//! The agreement on one value: what a member does ([`algorithm`]), what it has received ([`ballots`]), what it makes of
//! the values ([`validity`]), the type that joins them ([`agreement`]), and one decision between messages, agreement and
//! journal ([`driver`]).

mod agreement;
mod algorithm;
mod ballots;
mod driver;
mod validity;

pub(crate) use agreement::{Action, Agreement, Wait};
pub(crate) use driver::{Driver, Judge, Values};
pub(crate) use validity::ValueValidity;
