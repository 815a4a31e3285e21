//! What the modules of a text model are called in a checkpoint: the usual names, or those of the
//! language model inside a multimodal one.

use serde::{Deserialize, Serialize};

/// The names that an adapter uses for its modules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ModuleNames {
    /// `model.layers.0.…`: a text model.
    #[default]
    Text,
    /// `model.language_model.layers.0.…`: a multimodal model since transformers 4.52.
    Multimodal,
    /// `language_model.model.layers.0.…`: a multimodal model before that, and in vLLM.
    NestedText,
}

impl ModuleNames {
    const ALL: [Self; 3] = [Self::Text, Self::Multimodal, Self::NestedText];

    /// What replaces `model` at the beginning of a text model's module names.
    fn root(self) -> &'static str {
        match self {
            Self::Text => "model",
            Self::Multimodal => "model.language_model",
            Self::NestedText => "language_model.model",
        }
    }

    /// The name in such a checkpoint of the module that a text model calls `name`.
    pub(super) fn spell(self, name: &str) -> String {
        match (name.strip_prefix("model"), self) {
            (Some(rest), _) => format!("{}{rest}", self.root()),
            (None, Self::NestedText) if name == "lm_head" => "language_model.lm_head".to_owned(),
            (None, _) => name.to_owned(),
        }
    }

    /// Which names a module's name belongs to, and what follows the word `layers` in it.
    pub(super) fn of(module: &str) -> Option<(Self, &str)> {
        Self::ALL.into_iter().find_map(|names| {
            let inside = module.strip_prefix(names.root())?.strip_prefix(".layers.")?;
            Some((names, inside))
        })
    }
}

/// Whether a tensor belongs to a part of a multimodal model that text does not pass through.
pub(super) fn is_beside_text(tensor: &str) -> bool {
    ["vision_tower", "vision_model", "multi_modal_projector", "audio_tower"]
        .into_iter()
        .any(|part| tensor.split('.').any(|piece| piece == part))
}

/// What a configuration of a multimodal model excludes, so that `q_proj` means the language model's
/// alone.
pub(super) const BESIDE_TEXT: &str = r".*(vision_tower|multi_modal_projector).*";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_spelled_and_recognised() {
        let q = "model.layers.3.self_attn.q_proj";
        for (names, wanted, head) in [
            (ModuleNames::Text, q, "lm_head"),
            (ModuleNames::Multimodal, "model.language_model.layers.3.self_attn.q_proj", "lm_head"),
            (
                ModuleNames::NestedText,
                "language_model.model.layers.3.self_attn.q_proj",
                "language_model.lm_head",
            ),
        ] {
            assert_eq!(names.spell(q), wanted);
            assert_eq!(names.spell("lm_head"), head);
            assert_eq!(ModuleNames::of(wanted), Some((names, "3.self_attn.q_proj")));
        }
        assert_eq!(ModuleNames::of("language_model.layers.3.mlp.up_proj"), None);
    }

    #[test]
    fn parts_beside_the_text_model_are_recognised_by_whole_pieces() {
        let root = "base_model.model.model";
        assert!(is_beside_text(&format!("{root}.vision_tower.encoder.layers.0.fc1.lora_A.weight")));
        assert!(!is_beside_text(&format!("{root}.layers.0.vision_tower2.lora_A.weight")));
    }
}
