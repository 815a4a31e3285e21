//! A folder's tensors under the names of this crate, which are those of a published text model.
//! Files may store the experts of a layer in one tensor, as transformers 5 holds them in memory,
//! and a multimodal model stores its text model under a prefix.

use std::path::Path;

use super::digest::BaseDigest;
use super::safetensors::{Part, SafetensorsSource};
use crate::model::{ExpertShape, ModelConfig, TensorSource};
use crate::{Result, TrainError};

/// Prefixes of a multimodal model's text model, and the names of its head: as published, and as
/// transformers holds them in memory.
const TEXT_PREFIXES: [(&str, &str); 2] = [
    ("language_model.model.", "language_model.lm_head.weight"),
    ("model.language_model.", "lm_head.weight"),
];
/// Prefixes of the tensors that see, which text does not reach.
const VISION_PREFIXES: [&str; 4] = [
    "vision_tower.",
    "multi_modal_projector.",
    "model.vision_tower.",
    "model.multi_modal_projector.",
];

/// The weights of a Hugging Face folder.
pub struct FolderSource {
    files: SafetensorsSource,
    /// Whether the folder holds a model that also sees.
    multimodal: bool,
    experts: Option<ExpertShape>,
    hidden: usize,
}

/// Where a tensor is stored: as a whole, or as a part of a stack.
pub(super) struct Place {
    pub(super) stored: String,
    part: Option<Part>,
}

impl FolderSource {
    /// Opens the weights of `folder`, which `config` describes; see
    /// [`SafetensorsSource::open_folder`].
    ///
    /// # Errors
    /// Files that are missing or cannot be read.
    pub fn open(folder: &Path, config: &ModelConfig) -> Result<Self> {
        let files = SafetensorsSource::open_folder(folder)?;
        let (experts, hidden) = (config.experts.clone(), config.hidden_size);
        Ok(Self { files, multimodal: config.multimodal, experts, hidden })
    }

    /// The names of all stored tensors, sorted.
    pub(super) fn stored_names(&self) -> impl Iterator<Item = &str> {
        self.files.names()
    }

    /// The file of a stored tensor.
    pub(super) fn stored_file(&self, stored: &str) -> &Path {
        self.files.file(stored)
    }

    /// Whether a stored tensor belongs to what a multimodal model sees with.
    pub(super) fn is_vision(&self, stored: &str) -> bool {
        self.multimodal && VISION_PREFIXES.iter().any(|prefix| stored.starts_with(prefix))
    }

    /// Where a tensor is stored; `None` if it is not.
    pub(super) fn place(&self, name: &str) -> Option<Place> {
        let candidates = self.candidates(name);
        if let Some(stored) = candidates.iter().find(|stored| self.files.contains(stored)) {
            return Some(Place { stored: stored.clone(), part: None });
        }
        let experts = self.experts.as_ref()?;
        candidates.iter().find_map(|name| {
            let (stored, part) = stacked(name, experts, self.hidden)?;
            self.files.contains(&stored).then_some(Place { stored, part: Some(part) })
        })
    }

    fn candidates(&self, name: &str) -> Vec<String> {
        if !self.multimodal {
            return vec![name.to_owned()];
        }
        let prefixed = |(prefix, head): (&str, &str)| match name.strip_prefix("model.") {
            Some(rest) => format!("{prefix}{rest}"),
            None => head.to_owned(),
        };
        TEXT_PREFIXES.map(prefixed).to_vec()
    }

    /// Whether two tensors have the same shape and values.
    pub(super) fn same(&self, one: &str, other: &str) -> Result<bool> {
        match (self.place(one), self.place(other)) {
            (Some(one), Some(other)) => self.files.same(&one.stored, &other.stored),
            _ => Ok(false),
        }
    }

    /// Adds the bytes of every file, in the order of their names, to the digest of a model.
    pub(super) fn digest_into(&self, digest: &mut BaseDigest) {
        self.files.digest_into(digest);
    }
}

impl TensorSource for FolderSource {
    fn path(&self) -> &Path {
        self.files.path()
    }

    fn file(&self, name: &str) -> &Path {
        self.place(name).map_or(self.files.path(), |place| self.files.file(&place.stored))
    }

    fn contains(&self, name: &str) -> bool {
        self.place(name).is_some()
    }

    fn read(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let place =
            self.place(name).ok_or_else(|| TrainError::tensor(self.path(), name, "missing"))?;
        match place.part {
            None => self.files.read(&place.stored, shape),
            Some(part) => self.files.read_part(&place.stored, &part),
        }
    }
}

/// The stack that holds an expert's projection, and which part of it that is: `gate_up_proj` is
/// `[experts, 2 * width, hidden]`, `down_proj` is `[experts, hidden, width]`.
fn stacked(name: &str, shape: &ExpertShape, hidden: usize) -> Option<(String, Part)> {
    let (block, rest) = name.split_once("experts.")?;
    let (number, projection) = rest.split_once('.')?;
    let index = number.parse().ok()?;
    let ExpertShape { count, width, .. } = *shape;
    let (stack, dims, rows) = match projection {
        "gate_proj.weight" => ("gate_up_proj", [count, 2 * width, hidden], 0..width),
        "up_proj.weight" => ("gate_up_proj", [count, 2 * width, hidden], width..2 * width),
        "down_proj.weight" => ("down_proj", [count, hidden, width], 0..hidden),
        _ => return None,
    };
    Some((format!("{block}experts.{stack}"), Part { dims, index, rows }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn experts_are_found_in_their_stack() {
        let layers = vec![true];
        let shape = ExpertShape { count: 6, chosen: 2, width: 16, normalised: true, layers };
        let find = |name: &str| stacked(name, &shape, 32);
        let (stored, part) = find("model.layers.0.mlp.experts.5.up_proj.weight").unwrap();
        assert_eq!(stored, "model.layers.0.mlp.experts.gate_up_proj");
        assert_eq!((part.dims, part.index, part.rows), ([6, 32, 32], 5, 16..32));
        let (stored, part) = find("model.layers.0.mlp.experts.2.down_proj.weight").unwrap();
        assert_eq!(stored, "model.layers.0.mlp.experts.down_proj");
        assert_eq!((part.dims, part.index, part.rows), ([6, 32, 16], 2, 0..32));
        for other in ["mlp.experts.0.gate_proj.bias", "mlp.experts.x.up_proj.weight", "mlp.gate"] {
            assert!(find(other).is_none(), "{other}");
        }
    }
}
