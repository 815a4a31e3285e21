//! Organisations of one trade: hospitals that write discharge notes.
//!
//! All follow the same guidelines, so what one knows helps the others. Each has its own
//! [`house`] style, sees few patients, and some conditions so seldom that only the others' notes
//! say what their guideline is. The guidelines are invented and no advice.

mod example;
mod guidelines;
mod house;

pub use house::Hospital;

pub(super) use example::WARDS;
pub(super) use guidelines::GUIDELINES;
