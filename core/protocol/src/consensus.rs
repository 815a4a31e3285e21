//! The agreement on one value: what a member does ([`algorithm`]), the votes that it has received
//! ([`ballots`]), which values it finds valid ([`validity`]), the type that joins them
//! ([`agreement`]); and what one decision adds: the values ([`values`]), their proposals
//! ([`proposals`]), and the connection to messages and journal ([`driver`]).

mod agreement;
mod algorithm;
mod ballots;
mod driver;
mod proposals;
mod validity;
mod values;

pub(crate) use agreement::{Action, Agreement, Wait};
pub(crate) use driver::Driver;
pub(crate) use validity::{Judge, ValueValidity};
pub(crate) use values::Values;
