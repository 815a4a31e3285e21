//! Reading models from disk.

mod digest;
mod folder;
mod gguf;
mod loaded;
mod names;
mod packed;
mod safetensors;
mod stored;
mod writer;

pub(crate) use gguf::{
    GgufFile, Value as GgufValue, WRITTEN_SPLITTINGS, gguf_is_interleaved, gguf_is_stacked,
    gguf_name, named_splitting,
};
pub use loaded::{LoadedModel, open_config, open_tokenizer};
pub use names::FolderSource;
pub use safetensors::{SafetensorsSource, write_safetensors};
pub use writer::{Precision, SafetensorsWriter};
