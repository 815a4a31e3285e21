//! Bulk transfer: objects by name, chunk by chunk, verified on arrival, from any holder.
//!
//! Reading order: `frame` (bytes), `wire` (timeouts), `served` and `holder` (giving), `link`,
//! `pool`, `work`, `fetch` (taking), `engine` (the table of fetches).

mod engine;
mod fetch;
pub(crate) mod frame;
mod holder;
mod link;
mod pool;
mod served;
mod store;
mod wire;
mod work;

pub(crate) use engine::{Bulk, BulkSetup};
pub use served::Audience;
pub use store::{ObjectStore, PartialObject};
