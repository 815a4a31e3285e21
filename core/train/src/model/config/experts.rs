//! The experts of a sparse feed-forward block, and which layers have one.

/// Most experts of a whole model. It bounds what a hostile configuration can have allocated; the
/// largest published model has half as many.
const MOST: usize = 1 << 16;

/// Shape of the sparse feed-forward blocks of a mixture of experts.
#[derive(Clone, Debug, PartialEq)]
pub struct ExpertShape {
    /// Experts of a layer.
    pub count: usize,
    /// Experts that compute each token.
    pub chosen: usize,
    /// Width of one expert.
    pub width: usize,
    /// Whether the weights of a token's experts are scaled to a sum of 1.
    pub normalised: bool,
    /// Which layers have experts; the others have a dense feed-forward block.
    pub layers: Vec<bool>,
}

impl ExpertShape {
    /// Checks the sizes against each other and against the number of layers; the error says which
    /// are not consistent.
    pub(super) fn check(&self, layers: usize) -> Result<(), String> {
        let Self { count, chosen, width, .. } = *self;
        if count == 0 || count.saturating_mul(layers) > MOST {
            return Err(format!("num_experts is {count} in {layers} layers"));
        }
        if chosen == 0 || chosen > count {
            return Err(format!("num_experts_per_tok is {chosen} of {count} experts"));
        }
        if width == 0 || width > 1 << 24 {
            return Err(format!("moe_intermediate_size is {width}"));
        }
        match self.layers.len() == layers {
            true => Ok(()),
            false => Err(format!("experts of {} layers, {layers} layers", self.layers.len())),
        }
    }
}
