//! The agreement on one value: what a member does ([`algorithm`]), what it has received ([`ballots`]), what it makes of
//! the values ([`validity`]), and the type that joins them ([`agreement`]).

mod agreement;
mod algorithm;
mod ballots;
mod validity;

pub(crate) use agreement::{Action, Agreement, Wait};
pub(crate) use validity::ValueValidity;
