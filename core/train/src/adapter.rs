//! Adapters and models in the formats of other programs.

mod config;
mod factors;
mod federated_shape;
mod gguf;
mod merge;
mod names;
mod ordered;
mod patterns;
mod peft;
mod refused;
mod rendering;
mod stored;
mod written;

pub(crate) use factors::check_fits;
pub use factors::{AdaptedProjection, Adapter, LoraAdapter};
pub use gguf::{GgufType, export_gguf_adapter, export_gguf_model};
pub use merge::export_model;
pub use names::ModuleNames;
pub use peft::{PeftAdapter, export_peft, import_peft};
pub use rendering::AdapterRendering;
