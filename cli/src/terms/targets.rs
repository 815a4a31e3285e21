//! `--target-modules` where it does not name projections one by one: what it means depends on the
//! family of the model.

use std::path::Path;

use fedshieldd::control::api::ErrorCode;
use fedshieldd::offline::target_modules;

use super::TermsFlags;
use crate::failure::Failure;

const FLAG: &str = "--target-modules";
/// PEFT's name for every projection of the layers.
const ALL_LINEAR: &str = "all-linear";

impl TermsFlags {
    /// The flags with the projections named: without the flag those of the attention of the model at
    /// `model`, and all of its projections for `all-linear`. Without a model that can be read, which
    /// a trainer command may use, the flag stays as it is.
    ///
    /// # Errors
    /// `all-linear` beside other names, without a model, or where layers differ in what they have.
    pub fn for_model(mut self, model: Option<&Path>) -> Result<Self, Failure> {
        let all = match &self.target_modules {
            None => false,
            Some(names) if !names.iter().any(|name| name == ALL_LINEAR) => return Ok(self),
            Some(names) if names.len() > 1 => {
                return Err(refused(format!("{ALL_LINEAR} already means every projection"))
                    .next("give it alone"));
            }
            Some(_) => true,
        };
        let targets = model.map(target_modules);
        self.target_modules = match (targets, all) {
            (Some(Ok(targets)), false) => Some(targets.attention),
            (Some(Ok(targets)), true) => Some(targets.all_linear.ok_or_else(|| {
                let what = format!(
                    "{ALL_LINEAR}: not every layer of this {} model has the same projections",
                    targets.family
                );
                refused(what)
                    .next(format!("name those of all layers: {}", targets.attention.join(",")))
            })?),
            (_, false) => None,
            (Some(Err(error)), true) => {
                return Err(refused(format!("{ALL_LINEAR}: {error}")).next("name the projections"));
            }
            (None, true) => {
                let what =
                    format!("what {ALL_LINEAR} means depends on the model, and none is configured");
                return Err(refused(what).next("name the projections, or set `model.path`"));
            }
        };
        Ok(self)
    }
}

fn refused(what: String) -> Failure {
    Failure::new(ErrorCode::InvalidRequest, what).at(FLAG)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(config: &str, flag: Option<&str>) -> Result<Option<Vec<String>>, Failure> {
        let folder = tempfile::tempdir().unwrap();
        let sizes = r#""hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
            "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 64"#;
        let text = format!("{{{config}, {sizes}}}");
        std::fs::write(folder.path().join("config.json"), text).unwrap();
        let target_modules = flag.map(|flag| flag.split(',').map(str::to_owned).collect());
        let flags = TermsFlags { target_modules, ..TermsFlags::default() };
        flags.for_model(Some(folder.path())).map(|flags| flags.target_modules)
    }

    fn names(config: &str, flag: Option<&str>) -> String {
        named(config, flag).unwrap().unwrap().join(" ")
    }

    #[test]
    fn the_projections_are_those_of_the_family() {
        let (llama, phi3) = (r#""model_type": "llama""#, r#""model_type": "phi3""#);
        assert_eq!(names(llama, None), "q_proj k_proj v_proj o_proj");
        assert_eq!(names(phi3, None), "qkv_proj o_proj");
        assert_eq!(names(phi3, Some("all-linear")), "qkv_proj o_proj gate_up_proj down_proj");
        let seven = "q_proj k_proj v_proj o_proj gate_proj up_proj down_proj";
        assert_eq!(names(llama, Some("all-linear")), seven);
        assert_eq!(names(llama, Some("v_proj,q_proj")), "v_proj q_proj");
        let experts = r#""model_type": "qwen3_moe""#;
        assert_eq!(names(experts, Some("all-linear")), "q_proj k_proj v_proj o_proj");
    }

    #[test]
    fn what_all_linear_cannot_mean_is_refused() {
        let dense = r#""model_type": "qwen3_moe", "mlp_only_layers": [1]"#;
        for (config, flag) in [
            (dense, "all-linear"),
            (r#""model_type": "mamba""#, "all-linear"),
            (r#""model_type": "llama""#, "all-linear,q_proj"),
        ] {
            let failure = named(config, Some(flag)).unwrap_err();
            assert_eq!(failure.place.as_deref(), Some(FLAG));
        }
        let flags =
            TermsFlags { target_modules: Some(vec!["all-linear".into()]), ..TermsFlags::default() };
        assert_eq!(flags.for_model(None).unwrap_err().place.as_deref(), Some(FLAG));
        // A model of another family is for a trainer command.
        assert_eq!(named(r#""model_type": "mamba""#, None).unwrap(), None);
        assert_eq!(TermsFlags::default().for_model(None).unwrap().target_modules, None);
    }
}
