"""Makes the reference values that tests/parity.rs compares with: tiny random models of every family,
run by transformers + PEFT. Run it in this folder; it writes one folder for each family.

    pip install torch transformers peft safetensors
    python make_reference.py

With names as arguments, only those. In each folder: config.json and the base (model.safetensors in f32, or
shards with an index in the type given below), adapter/ (a PEFT adapter with random factors),
reference.safetensors (ids, loss, logits, the gradient of every adapter tensor, and every adapter tensor after
one AdamW step at 1e-3). `versions.txt` in the folder, else the one beside this script, says what made them.
"""

import json
import os
import shutil
import sys
import tempfile

import peft
import torch
import transformers
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import (
    Gemma3Config, Gemma3ForCausalLM, Gemma3ForConditionalGeneration, Gemma3TextConfig, GraniteConfig,
    GraniteForCausalLM, LlamaConfig, LlamaForCausalLM, Mistral3Config, Mistral3ForConditionalGeneration,
    MistralConfig, MistralForCausalLM, Olmo2Config,
    Olmo2ForCausalLM, Olmo3Config, Olmo3ForCausalLM, Phi3Config, Phi3ForCausalLM, Qwen2Config, Qwen2ForCausalLM,
    Qwen3Config, Qwen3ForCausalLM, Qwen3MoeConfig, Qwen3MoeForCausalLM, SeedOssConfig, SeedOssForCausalLM, SmolLM3Config,
    SmolLM3ForCausalLM,
)

VOCAB, BATCH, LENGTH = 64, 2, 12
SHAPE = dict(
    hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, vocab_size=VOCAB, max_position_embeddings=64, initializer_range=0.2,
    attn_implementation="eager", bos_token_id=1, eos_token_id=2, pad_token_id=0,
)
EVERY = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
FUSED = ["qkv_proj", "o_proj", "gate_up_proj", "down_proj"]
ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
LLAMA3 = dict(
    rope_type="llama3", factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0,
    original_max_position_embeddings=16,
)
# What the weights are stored in where it is not one f32 file: the type, in shards of at most 24 kB.
SHARDED = {"llama_linear": torch.bfloat16, "qwen2_window": torch.float16, "qwen3_window": torch.float32}
# Saved as transformers 5 holds them in memory, the experts of a layer in one tensor.
STACKED = ["qwen3_moe"]
EXPERTS = dict(num_experts=6, moe_intermediate_size=24, head_dim=8)
MODELS = {
    "llama": (LlamaConfig, LlamaForCausalLM, dict(tie_word_embeddings=True), ATTENTION),
    "llama_linear": (LlamaConfig, LlamaForCausalLM, dict(
        tie_word_embeddings=False, rope_scaling=dict(rope_type="linear", factor=2.5), rope_theta=10000.0,
        attention_bias=True, mlp_bias=True,
    ), ATTENTION),
    "qwen2_window": (Qwen2Config, Qwen2ForCausalLM, dict(
        tie_word_embeddings=False, use_sliding_window=True, sliding_window=4, max_window_layers=1,
        layer_types=["full_attention", "sliding_attention"],
    ), ATTENTION),
    "qwen3_window": (Qwen3Config, Qwen3ForCausalLM, dict(
        tie_word_embeddings=False, head_dim=16, use_sliding_window=True, sliding_window=3, max_window_layers=0,
        layer_types=["sliding_attention", "full_attention"],
    ), ATTENTION),
    "llama3": (LlamaConfig, LlamaForCausalLM, dict(
        tie_word_embeddings=False, rope_scaling=LLAMA3, rope_theta=10000.0,
    ), ATTENTION + ["gate_proj", "up_proj", "down_proj"]),
    "mistral": (MistralConfig, MistralForCausalLM, dict(
        tie_word_embeddings=False, sliding_window=4, head_dim=8,
    ), ATTENTION),
    "qwen2": (Qwen2Config, Qwen2ForCausalLM, dict(tie_word_embeddings=True), ATTENTION),
    # Longer than the context of the pretraining, so that the base of the frequencies grows.
    "llama_dynamic": (LlamaConfig, LlamaForCausalLM, dict(
        tie_word_embeddings=True, max_position_embeddings=8, rope_scaling=dict(type="dynamic", factor=3.0),
    ), ATTENTION),
    "qwen2_yarn": (Qwen2Config, Qwen2ForCausalLM, dict(
        tie_word_embeddings=True, rope_theta=200.0, rope_scaling=dict(
            rope_type="yarn", factor=4.0, original_max_position_embeddings=16, beta_fast=8.0, beta_slow=0.5,
            mscale=0.9, mscale_all_dim=0.3, truncate=False,
        ),
    ), ATTENTION),
    "smollm3": (SmolLM3Config, SmolLM3ForCausalLM, dict(
        tie_word_embeddings=True, no_rope_layers=[1, 0], use_sliding_window=True, sliding_window=5,
    ), EVERY),
    "granite": (GraniteConfig, GraniteForCausalLM, dict(
        tie_word_embeddings=True, embedding_multiplier=3.0, attention_multiplier=0.21, residual_multiplier=0.7,
        logits_scaling=2.5, attention_bias=True,
    ), EVERY),
    "olmo2": (Olmo2Config, Olmo2ForCausalLM, dict(tie_word_embeddings=False), EVERY),
    "olmo3": (Olmo3Config, Olmo3ForCausalLM, dict(
        tie_word_embeddings=False, sliding_window=4, layer_types=["sliding_attention", "full_attention"],
        rope_theta=300.0, rope_scaling=dict(
            rope_type="yarn", factor=4.0, original_max_position_embeddings=16, attention_factor=1.2,
        ),
    ), EVERY),
    "seed_oss": (SeedOssConfig, SeedOssForCausalLM, dict(tie_word_embeddings=False, head_dim=12), EVERY),
    "phi3": (Phi3Config, Phi3ForCausalLM, dict(tie_word_embeddings=False, sliding_window=5), FUSED),
    # More tokens than the context of the pretraining: the long factors.
    "phi4": (Phi3Config, Phi3ForCausalLM, dict(
        tie_word_embeddings=True, partial_rotary_factor=0.5, original_max_position_embeddings=8,
        rope_scaling=dict(type="longrope", short_factor=[1.0, 1.5], long_factor=[1.2, 4.0]),
    ), FUSED),
    "gemma3": (Gemma3TextConfig, Gemma3ForCausalLM, dict(
        tie_word_embeddings=True, head_dim=16, query_pre_attn_scalar=24, sliding_window=4,
        layer_types=["sliding_attention", "full_attention"], rope_theta=5000.0, rope_local_base_freq=100.0,
        rope_scaling=dict(rope_type="linear", factor=8.0),
    ), EVERY),
    # Models that also see: reference and adapter have the names of their text models.
    "mistral3_vision": (Mistral3Config, Mistral3ForConditionalGeneration, dict(
        tie_word_embeddings=False, image_token_index=63, vision_config=dict(
            model_type="pixtral", hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2,
            head_dim=4, image_size=28, patch_size=14,
        ),
        text_config=dict(
            **{key: value for key, value in SHAPE.items() if key != "attn_implementation"}, model_type="mistral",
            head_dim=12, sliding_window=None, rope_theta=500.0,
        ),
    ), r".*language_model.*\.(q_proj|v_proj|down_proj)"),
    "gemma3_vision": (Gemma3Config, Gemma3ForConditionalGeneration, dict(
        tie_word_embeddings=True, image_token_index=63, mm_tokens_per_image=4, vision_config=dict(
            model_type="siglip_vision_model", hidden_size=8, intermediate_size=8, num_hidden_layers=1,
            num_attention_heads=2, image_size=28, patch_size=14,
        ),
        text_config=dict(
            **{key: value for key, value in SHAPE.items() if key != "attn_implementation"}, head_dim=16,
            query_pre_attn_scalar=24, sliding_window=4, layer_types=["sliding_attention", "full_attention"],
        ),
    ), r".*language_model.*\.(q_proj|v_proj|down_proj)"),
    "qwen3_moe": (Qwen3MoeConfig, Qwen3MoeForCausalLM, dict(
        **EXPERTS, num_experts_per_tok=2, norm_topk_prob=True, tie_word_embeddings=False,
    ), ATTENTION),
    # One layer in two has experts, whose weights are not scaled to a sum of one.
    "qwen3_moe_step": (Qwen3MoeConfig, Qwen3MoeForCausalLM, dict(
        **EXPERTS, num_experts_per_tok=3, norm_topk_prob=False, decoder_sparse_step=2, tie_word_embeddings=True,
        attention_bias=True, use_sliding_window=True, sliding_window=5,
    ), ATTENTION),
    "qwen3": (Qwen3Config, Qwen3ForCausalLM, dict(tie_word_embeddings=True, head_dim=16), ATTENTION),
}


def randomise(parameters, generator):
    """Norms and biases start at one and zero, which would hide mistakes in them."""
    for _, parameter in parameters:
        if parameter.dim() == 1:
            with torch.no_grad():
                noise = torch.rand(parameter.shape, generator=generator) - 0.5
                parameter.add_(0.6 * noise)


def as_text_model(folder, targets):
    """Gives an adapter of a multimodal model the names that it has on the text model alone."""
    path = os.path.join(folder, "adapter_model.safetensors")
    save_file({text_name(key): value for key, value in load_file(path).items()}, path)
    path = os.path.join(folder, "adapter_config.json")
    with open(path) as file:
        config = json.load(file)
    config["target_modules"] = targets
    with open(path, "w") as file:
        json.dump(config, file, indent=2)


def rename(name, model_class, logits, ids):
    """The weights once more under the names that transformers gives them in memory, which files have, too: transformers reads the
    same model from them."""
    published = load_file(os.path.join(name, "model.safetensors"))
    names = {
        "language_model.lm_head.": "lm_head.", "language_model.model.": "model.language_model.", "vision_tower.": "model.vision_tower.",
        "multi_modal_projector.": "model.multi_modal_projector.",
    }
    renamed = {}
    for key, value in published.items():
        (prefix, other), = [pair for pair in names.items() if key.startswith(pair[0])]
        renamed[other + key.removeprefix(prefix)] = value
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(os.path.join(name, "config.json"), folder)
        save_file(renamed, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})
        again = model_class.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
        assert torch.equal(again(input_ids=ids, use_cache=False).logits, logits), name
        shutil.copy(os.path.join(folder, "model.safetensors"), os.path.join(name, "renamed.safetensors"))


def text_name(key):
    return key.replace("model.language_model.", "model.").replace(".default", "")


def make(name, config_class, model_class, extra, targets):
    generator = torch.Generator().manual_seed(7)
    torch.manual_seed(1)
    model = model_class(config_class(**{**SHAPE, **extra})).float().eval()
    randomise(model.named_parameters(), generator)
    shutil.rmtree(name, ignore_errors=True)
    if name in SHARDED:
        # Read back, so that the reference is of the weights as they are stored. (Casting the model and back
        # would round its rotary frequencies as well.)
        model.to(SHARDED[name]).save_pretrained(name, max_shard_size="24KB")
        model = model_class.from_pretrained(name, dtype=torch.float32, attn_implementation="eager").eval()
    else:
        model.save_pretrained(name)
    if name in STACKED:
        tensors = {key: value.contiguous() for key, value in model.state_dict().items()}
        save_file(tensors, os.path.join(name, "model.safetensors"), metadata={"format": "pt"})
    for file in os.listdir(name):
        if file != "config.json" and not file.startswith("model"):
            os.remove(os.path.join(name, file))
    if name == "gemma3_vision":
        ids = torch.arange(LENGTH)[None]
        rename(name, model_class, model(input_ids=ids, use_cache=False).logits, ids)
    lora = LoraConfig(
        r=3, lora_alpha=6, target_modules=targets, lora_dropout=0.0, init_lora_weights=False,
        task_type="CAUSAL_LM",
    )
    tuned = get_peft_model(model, lora)
    tuned.save_pretrained(os.path.join(name, "adapter"))
    for file in os.listdir(os.path.join(name, "adapter")):
        if file not in ("adapter_config.json", "adapter_model.safetensors"):
            os.remove(os.path.join(name, "adapter", file))
    if name.endswith("_vision"):
        as_text_model(os.path.join(name, "adapter"), ["q_proj", "v_proj", "down_proj"])
    ids = torch.randint(0, VOCAB, (BATCH, LENGTH), generator=generator)
    labels = ids.clone()
    labels[:, :4] = -100
    out = tuned(input_ids=ids, use_cache=False)
    loss = torch.nn.functional.cross_entropy(
        out.logits[:, :-1].reshape(-1, VOCAB), labels[:, 1:].reshape(-1), ignore_index=-100
    )
    loss.backward()
    reference = {
        "ids": ids.float(), "loss": loss.detach().reshape(1), "logits": out.logits.detach().contiguous(),
    }
    trained = [(text_name(n), p) for n, p in tuned.named_parameters() if p.requires_grad]
    for key, parameter in trained:
        reference["gradient." + key] = parameter.grad.clone().contiguous()
    optimiser = torch.optim.AdamW([p for _, p in trained], lr=1e-3, weight_decay=0.01, eps=1e-8)
    optimiser.step()
    for key, parameter in trained:
        reference["stepped." + key] = parameter.detach().clone().contiguous()
    save_file(reference, os.path.join(name, "reference.safetensors"))
    with open(os.path.join(name, "versions.txt"), "w") as file:
        file.write(f"torch {torch.__version__}\ntransformers {transformers.__version__}\n")
        file.write(f"peft {peft.__version__}\n")
    print(name, loss.item(), len(trained))


if __name__ == "__main__":
    torch.set_num_threads(1)
    for name, arguments in MODELS.items():
        if not sys.argv[1:] or name in sys.argv[1:]:
            make(name, *arguments)
