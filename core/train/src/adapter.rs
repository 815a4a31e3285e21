//! Adapters and models in the formats of other programs.

mod config;
mod factors;
mod gguf;
mod merge;
mod ordered;
mod patterns;
mod peft;
mod refused;
mod rendering;
mod stored;

pub(crate) use factors::check_fits;
pub use factors::{AdaptedProjection, Adapter, LoraAdapter};
pub use gguf::{GgufType, export_gguf_adapter, export_gguf_model};
pub use merge::export_model;
pub use peft::{PeftAdapter, export_peft, import_peft};
pub use rendering::AdapterRendering;
