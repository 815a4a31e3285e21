"""Makes gguf/<family>.gguf, small random models of the families that GGUF files hold beside Llama, with the logits of transformers
in gguf/<family>.safetensors. llama.cpp must agree, up to the f16 of its key-value cache.

    pip install torch transformers safetensors gguf xllamacpp
    python make_gguf_families.py

Weights are random, in f16, norms in f32; names, order of rows and metadata are those of llama.cpp's converter. Granite comes in three
shards.
"""

import ctypes
import os
import sys

import gguf
import numpy as np
import torch
from make_pre import library
from safetensors.numpy import save_file
from transformers import (
    Gemma3ForCausalLM, Gemma3TextConfig, GraniteConfig, GraniteForCausalLM, Olmo2Config, Olmo2ForCausalLM, Olmo3Config,
    Olmo3ForCausalLM, Phi3Config, Phi3ForCausalLM, Qwen3Config, Qwen3ForCausalLM, Qwen3MoeConfig, Qwen3MoeForCausalLM, SeedOssConfig,
    SeedOssForCausalLM, SmolLM3Config, SmolLM3ForCausalLM,
)

VOCAB, LENGTH = 64, 12
SHAPE = dict(
    hidden_size=32, intermediate_size=32, num_attention_heads=4, num_key_value_heads=2, vocab_size=VOCAB,
    max_position_embeddings=64, initializer_range=0.2, bos_token_id=1, eos_token_id=2, pad_token_id=0,
    attn_implementation="eager", rms_norm_eps=1e-5,
)
MODELS = {
    "qwen3": (Qwen3Config, Qwen3ForCausalLM, dict(
        head_dim=16, num_hidden_layers=2, rope_theta=50.0, rope_scaling=dict(
            rope_type="yarn", factor=4.0, original_max_position_embeddings=16,
        ),
    )),
    "smollm3": (SmolLM3Config, SmolLM3ForCausalLM, dict(num_hidden_layers=4)),
    "granite": (GraniteConfig, GraniteForCausalLM, dict(
        num_hidden_layers=2, embedding_multiplier=3.0, attention_multiplier=0.21, residual_multiplier=0.7, logits_scaling=2.5,
        tie_word_embeddings=True,
    )),
    "olmo2": (Olmo2Config, Olmo2ForCausalLM, dict(num_hidden_layers=2, tie_word_embeddings=False)),
    "phi3": (Phi3Config, Phi3ForCausalLM, dict(
        # Shorter than the sequence: llama.cpp takes the long factors by the length of its cache, transformers by that of
        # the sequence.
        num_hidden_layers=2, tie_word_embeddings=False, original_max_position_embeddings=8, partial_rotary_factor=0.5,
        rope_scaling=dict(type="longrope", short_factor=[1.0, 1.5], long_factor=[1.2, 4.0]),
    )),
    "gemma3": (Gemma3TextConfig, Gemma3ForCausalLM, dict(
        num_hidden_layers=6, head_dim=16, query_pre_attn_scalar=16, sliding_window=4, rope_theta=5000.0,
        rope_scaling=dict(rope_type="linear", factor=8.0),
    )),
    "qwen3moe": (Qwen3MoeConfig, Qwen3MoeForCausalLM, dict(
        num_hidden_layers=2, head_dim=16, num_experts=6, num_experts_per_tok=2, moe_intermediate_size=32, norm_topk_prob=True,
    )),
    "olmo3": (Olmo3Config, Olmo3ForCausalLM, dict(
        # What llama.cpp follows: one base, and of YaRN the usual settings, which are written as its converter does.
        num_hidden_layers=4, tie_word_embeddings=False, sliding_window=4, rope_parameters=dict(
            sliding_attention=dict(rope_type="default", rope_theta=300.0), full_attention=dict(
                rope_type="yarn", rope_theta=300.0, factor=4.0, attention_factor=1 + 0.1 * float(np.log(4)), beta_fast=32.0,
                beta_slow=1.0, original_max_position_embeddings=16,
            ),
        ),
    )),
    "seed_oss": (SeedOssConfig, SeedOssForCausalLM, dict(num_hidden_layers=2, head_dim=16, tie_word_embeddings=False)),
}
ARCHITECTURES = {
    "qwen3moe": gguf.MODEL_ARCH.QWEN3MOE,
    "qwen3": gguf.MODEL_ARCH.QWEN3, "smollm3": gguf.MODEL_ARCH.SMOLLM3, "granite": gguf.MODEL_ARCH.GRANITE,
    "olmo2": gguf.MODEL_ARCH.OLMO2, "olmo3": gguf.MODEL_ARCH.OLMO2, "seed_oss": gguf.MODEL_ARCH.SEED_OSS, "phi3": gguf.MODEL_ARCH.PHI3, "gemma3": gguf.MODEL_ARCH.GEMMA3,
}


def interleaved(weight, heads):
    rows, width = weight.shape
    return weight.reshape(heads, 2, rows // heads // 2, width).swapaxes(1, 2).reshape(rows, width)


def metadata(writer, name, config):
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    rope = config.rope_parameters
    if name in ("gemma3", "olmo3"):
        writer.add_sliding_window(config.sliding_window)
    if name == "gemma3":
        rope = rope["full_attention"]
    if name == "olmo3":
        writer.add_sliding_window_pattern([kind == "sliding_attention" for kind in config.layer_types])
        writer.add_rope_freq_base_swa(rope["sliding_attention"]["rope_theta"])
        rope = rope["full_attention"]
    if name == "qwen3moe":
        writer.add_expert_count(config.num_experts)
        writer.add_expert_used_count(config.num_experts_per_tok)
        writer.add_expert_feed_forward_length(config.moe_intermediate_size)
    if name in ("gemma3", "qwen3", "qwen3moe", "seed_oss"):
        writer.add_key_length(config.head_dim)
        writer.add_value_length(config.head_dim)
    writer.add_rope_freq_base(rope["rope_theta"])
    if rope["rope_type"] == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope["factor"])
    if rope["rope_type"] == "yarn":
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        writer.add_rope_scaling_factor(rope["factor"])
        writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
        if "beta_fast" in rope:
            writer.add_rope_scaling_yarn_attn_factor(rope["attention_factor"])
            writer.add_rope_scaling_yarn_beta_fast(rope["beta_fast"])
            writer.add_rope_scaling_yarn_beta_slow(rope["beta_slow"])
    if name == "granite":
        writer.add_attention_scale(config.attention_multiplier)
        writer.add_embedding_scale(config.embedding_multiplier)
        writer.add_residual_scale(config.residual_multiplier)
        writer.add_logit_scale(config.logits_scaling)
    if name == "phi3":
        head = config.hidden_size // config.num_attention_heads
        writer.add_rope_dimension_count(int(rope["partial_rotary_factor"] * head))
        writer.add_rope_scaling_orig_ctx_len(config.original_max_position_embeddings)
        writer.add_sliding_window(0)
        ratio = config.max_position_embeddings / config.original_max_position_embeddings
        writer.add_rope_scaling_attn_factors(float(np.sqrt(1 + np.log(ratio) / np.log(config.original_max_position_embeddings))))
        for which in ("long", "short"):
            writer.add_tensor(f"rope_factors_{which}.weight", np.array(rope[f"{which}_factor"], np.float32))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([chr(ord("!") + i) for i in range(VOCAB - 1)] + ['!"'])
    writer.add_token_types([1] * VOCAB)
    writer.add_token_merges(['! "'])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)


def parameters(model):
    """The parameters as converters know them: gate and up of the experts apart, each a stack."""
    for key, parameter in model.named_parameters():
        values = parameter.detach().numpy()
        if key.endswith("experts.gate_up_proj"):
            for which, half in zip(("gate", "up"), np.split(values, 2, axis=1)):
                yield key.replace("gate_up_proj", which + "_proj.weight"), half
        else:
            yield key + ".weight" * key.endswith("down_proj"), values


def write(name, model, folder="gguf"):
    config, architecture = model.config, ARCHITECTURES[name]
    split = dict(split_max_tensors=8) if name == "granite" else {}
    path = os.path.join(folder, name + ".gguf")
    writer = gguf.GGUFWriter(path, gguf.MODEL_ARCH_NAMES[architecture], **split)
    metadata(writer, name, config)
    names = gguf.get_tensor_name_map(architecture, config.num_hidden_layers)
    for key, values in parameters(model):
        heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
        for which, count in heads.items():
            if which in key and name in ("smollm3", "granite"):
                values = interleaved(values, count)
        if name == "gemma3" and key.endswith("norm.weight"):
            values = values + 1
        values = values.astype(np.float16 if values.ndim > 1 and "mlp.gate." not in key else np.float32)
        stored = names.get_name(key, (".weight", ".bias"))
        writer.add_tensor(stored if stored.endswith((".weight", ".bias")) else stored + ".weight", np.ascontiguousarray(values))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path if not split else os.path.join(folder, sorted(f for f in os.listdir(folder) if f.startswith(name + "-"))[0])


class Batch(ctypes.Structure):
    _fields_ = [("n_tokens", ctypes.c_int32)] + [(f"p{i}", ctypes.c_void_p) for i in range(6)]


def last_logits(lib, path, ids):
    """llama.cpp's logits after the last token."""
    parameters = lib.llama_model_default_params()
    model = lib.llama_model_load_from_file(path.encode(), parameters)
    assert model, path
    lib.llama_context_default_params.restype = type(parameters)
    lib.llama_init_from_model.restype = ctypes.c_void_p
    lib.llama_init_from_model.argtypes = [ctypes.c_void_p, type(parameters)]
    context = lib.llama_init_from_model(model, lib.llama_context_default_params())
    tokens = (ctypes.c_int32 * len(ids))(*ids)
    lib.llama_batch_get_one.restype = Batch
    lib.llama_decode.argtypes = [ctypes.c_void_p, Batch]
    lib.llama_get_logits_ith.restype = ctypes.POINTER(ctypes.c_float)
    lib.llama_get_logits_ith.argtypes = [ctypes.c_void_p, ctypes.c_int32]
    assert lib.llama_decode(context, lib.llama_batch_get_one(tokens, len(ids))) == 0
    return np.ctypeslib.as_array(lib.llama_get_logits_ith(context, -1), (VOCAB,)).copy()


def main():
    """With names as arguments, only those."""
    torch.manual_seed(11)
    torch.set_num_threads(1)
    lib = library()
    for name, (config_class, model_class, extra) in MODELS.items():
        if sys.argv[1:] and name not in sys.argv[1:]:
            continue
        model = model_class(config_class(**{**SHAPE, **extra})).float().eval()
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.dim() == 1:
                    parameter.add_(0.6 * (torch.rand(parameter.shape) - 0.5))
                else:
                    parameter.copy_(parameter.half().float())
        ids = torch.randint(0, VOCAB, (1, LENGTH))
        with torch.no_grad():
            logits = model(input_ids=ids, use_cache=False).logits
        path = write(name, model)
        theirs = last_logits(lib, path, ids[0].tolist())
        largest = logits[0, -1].abs().max().item()
        error = np.abs(theirs - logits[0, -1].numpy()).max() / largest
        print(f"{name}: llama.cpp differs from transformers by {error:.1e} of the largest logit")
        assert error < 1e-2, name
        save_file({"ids": ids.float().numpy(), "logits": logits.numpy()}, f"gguf/{name}.safetensors")


if __name__ == "__main__":
    main()
