//! Organisations of one trade: hospitals that write discharge notes.
//!
//! All follow the same guidelines and quote them in the same words, so what one knows helps the
//! others. The rest of a note is in the [`house`]'s own style. Each hospital sees few patients, and
//! some conditions so seldom that only the others' notes say what their guideline is. The guidelines
//! are invented and no advice.

mod example;
mod guidelines;
mod house;
mod questions;

pub use example::Parts;
pub use house::Hospital;

pub(super) use example::WARDS;
pub(super) use guidelines::GUIDELINES;
