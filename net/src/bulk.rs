//! Bulk transfer: content-addressed objects, fetched in verified chunks from several holders at
//! once.
//!
//! Reading order: `frame` (wire format), `wire` (framed I/O with a stall timeout), `served` and
//! `responder` (the serving side), `holder_stream`, `holder_selector`, `chunk_queue`, `fetch` (the
//! fetching side), `engine` (the table of fetches).

mod chunk_queue;
mod engine;
mod fetch;
pub(crate) mod frame;
mod holder_selector;
mod holder_stream;
mod responder;
mod served;
mod store;
mod wire;

pub(crate) use engine::{Bulk, BulkParts};
pub use served::Audience;
pub use store::{ObjectStore, PartialObject};
