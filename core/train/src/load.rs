//! Reading models from disk.

mod digest;
mod folder;
mod gguf;
mod loaded;
mod safetensors;
mod writer;

pub use loaded::{LoadedModel, open_tokenizer};
pub use safetensors::{SafetensorsSource, save_base, write_safetensors, write_safetensors_f16};
pub use writer::{Precision, SafetensorsWriter};
