//! `quantization_config`: which packed weights a file announces. Those that are decoded here are
//! let through, and what the tensors themselves say is checked when they are read.

use serde_json::Value;

use super::fields::{COMMAND_TRAINER, Fields};

type Outcome<T> = std::result::Result<T, String>;

/// Rows and columns that share a scale in FP8.
const FP8_BLOCK: [u64; 2] = [128, 128];

/// Refuses, by name, weights that are packed in a way that is not decoded here.
pub(super) fn check(top: Fields<'_>) -> Outcome<()> {
    let Some(object) = top.or_null().object("quantization_config")? else { return Ok(()) };
    let fields = Fields::new(object, "quantization_config.");
    let four_bits = fields.flag("load_in_4bit")?.unwrap_or(false);
    let eight_bits = fields.flag("load_in_8bit")?.unwrap_or(false);
    let method = match fields.text("quant_method")? {
        Some(method) => method,
        // Files of older versions do not name it.
        None if four_bits || eight_bits => "bitsandbytes",
        None => return Err("quantization_config.quant_method is missing".to_owned()),
    };
    let refuse = |what: String| Err(format!("quantization_config: {what}: {COMMAND_TRAINER}"));
    match method {
        "bitsandbytes" => {
            let kind = fields.text("bnb_4bit_quant_type")?.unwrap_or("fp4");
            match (four_bits, kind) {
                _ if eight_bits => {
                    refuse("bitsandbytes in 8 bits (load_in_8bit) is not read, only nf4".to_owned())
                }
                (true, "nf4") => Ok(()),
                (true, _) => refuse(format!("bitsandbytes {kind} is not read, only nf4")),
                (false, _) => refuse("bitsandbytes without load_in_4bit is not read".to_owned()),
            }
        }
        "fp8" => {
            let block = fields.list("weight_block_size")?;
            let size = |value: &Value| value.as_u64().unwrap_or(0);
            let block = block.map(|block| block.iter().map(size).collect::<Vec<_>>());
            let scheme = fields.text("activation_scheme")?.unwrap_or("dynamic");
            match block.as_deref().unwrap_or(&FP8_BLOCK) == FP8_BLOCK && scheme == "dynamic" {
                true => Ok(()),
                false => {
                    refuse("fp8 is read in blocks of 128 x 128, with dynamic scales".to_owned())
                }
            }
        }
        other => refuse(format!("quant_method {other:?} is not one of bitsandbytes, fp8")),
    }
}
