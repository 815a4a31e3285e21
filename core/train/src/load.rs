//! Reading models from disk.

mod digest;
mod folder;
mod gguf;
mod loaded;
mod packed;
mod safetensors;
mod stored;
mod writer;

pub use loaded::{LoadedModel, open_tokenizer};
pub use safetensors::{SafetensorsSource, write_safetensors};
pub use writer::{Precision, SafetensorsWriter};
