"""Makes configs.json: what transformers makes of config.json files in which one field after the other is changed, for every
family. tests/configs.rs compares: the same logits, or refused by name.

    pip install torch transformers safetensors
    python make_configs.py

With names as arguments, only those families are made anew.

Every field of the family's configuration class, of files on the hub, and of other families that change the computation, is left
out, set to null and to other values of its own and of other types. A case is what is changed, and the logits of a few positions or
the error; `like` is the number of an earlier case of the family with the same outcome. Weights are not stored: both sides compute
them from the tensors' names. `layouts` has the tensors of the models; one that is `like` an earlier one says what differs.
"""

import contextlib
import json
import os
import sys
import tempfile
import warnings

import numpy as np
import torch
import transformers
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

warnings.filterwarnings("ignore")
transformers.logging.set_verbosity(transformers.logging.CRITICAL)
transformers.logging.disable_progress_bar()

LENGTH = 12
IDS = [[(7 * i + 3 * i * i) % 40 + 1 for i in range(LENGTH)]]
SHAPE = dict(
    hidden_size=16, intermediate_size=24, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2, vocab_size=48,
    max_position_embeddings=32, bos_token_id=1, eos_token_id=2, pad_token_id=0, tie_word_embeddings=False,
)
EXPERTS = dict(num_experts=4, num_experts_per_tok=2, moe_intermediate_size=12, norm_topk_prob=True)
# What sets a family apart, so that it takes effect.
FAMILIES = {
    "llama": dict(head_dim=4),
    "mistral": dict(sliding_window=4, head_dim=4),
    "ministral": dict(sliding_window=4, head_dim=4, layer_types=["sliding_attention", "full_attention", "sliding_attention"]),
    "qwen2": dict(use_sliding_window=True, sliding_window=4, max_window_layers=1),
    "qwen3": dict(head_dim=8, use_sliding_window=True, sliding_window=4, max_window_layers=1),
    "qwen3_moe": dict(EXPERTS, head_dim=8),
    "smollm3": dict(no_rope_layers=[1, 0, 1], use_sliding_window=True, sliding_window=4),
    "granite": dict(embedding_multiplier=3.0, attention_multiplier=0.21, residual_multiplier=0.7, logits_scaling=2.5),
    "olmo2": dict(),
    "olmo3": dict(sliding_window=4, layer_types=["sliding_attention", "sliding_attention", "full_attention"]),
    "seed_oss": dict(head_dim=8),
    "phi3": dict(sliding_window=4, original_max_position_embeddings=32, partial_rotary_factor=1.0),
    "gemma3_text": dict(
        head_dim=8, query_pre_attn_scalar=24, sliding_window=4, sliding_window_pattern=2, rope_local_base_freq=100.0,
    ),
}
# Values of fields that are texts or objects, beside what is made of numbers and flags.
LINEAR = dict(rope_type="linear", factor=2.0)
YARN = dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=8)
LLAMA3 = dict(rope_type="llama3", factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=8)
ROPES = [
    {}, LINEAR, YARN, LLAMA3, dict(type="linear", factor=2.0), dict(rope_type="dynamic", factor=3.0), dict(rope_type="default"),
    dict(rope_type="linear"), dict(rope_type="linear", factor=0.5), dict(rope_type="linear", factor="2"), dict(rope_type="none"),
    dict(LINEAR, rope_theta=50.0), dict(rope_type="default", rope_theta=50.0), dict(rope_type="default", partial_rotary_factor=0.5),
    dict(YARN, mscale=0.7, mscale_all_dim=0.4), dict(YARN, attention_factor=0.8), dict(YARN, beta_fast=4, beta_slow=2),
    dict(type="mrope", mrope_section=[1, 1, 1]), dict(rope_type="default", mrope_section=[1, 1]), dict(rope_type="proportional"),
    dict(rope_type="longrope", short_factor=[1.0, 1.5], long_factor=[1.2, 4.0], original_max_position_embeddings=8),
    dict(type="su", short_factor=[1.0, 1.5], long_factor=[1.2, 4.0], original_max_position_embeddings=8),
    dict(full_attention=dict(rope_type="default", rope_theta=50.0), sliding_attention=dict(rope_type="default", rope_theta=9.0)),
    dict(full_attention=LINEAR, sliding_attention=LINEAR), dict(full_attention=dict(rope_type="default", partial_rotary_factor=0.5)),
]
ACTIVATIONS = [
    "gelu", "gelu_new", "gelu_pytorch_tanh", "gelu_fast", "quick_gelu", "gelu_10", "relu", "relu2", "silu", "swish", "mish",
    "tanh", "sigmoid", "linear", "laplace", "SiLU", "",
]
FULL, SLIDING = "full_attention", "sliding_attention"
TYPES = [
    [FULL] * 3, [SLIDING] * 3, [SLIDING, FULL, SLIDING], [FULL, SLIDING, FULL], [FULL] * 2, [FULL] * 4, [],
    ["chunked_attention", FULL, FULL], ["linear_attention", FULL, FULL], "full_attention",
]
DTYPES = ["float32", "bfloat16", "float16", "auto", "torch.bfloat16", "float8_e4m3fn", "int8", "nonsense", 16]
QUANTISED = [
    dict(quant_method="gptq", bits=4, group_size=128, desc_act=False), dict(quant_method="awq", bits=4, group_size=128, zero_point=True),
    dict(quant_method="bitsandbytes", load_in_8bit=True), dict(quant_method="bitsandbytes", load_in_4bit=True, bnb_4bit_quant_type="fp4"),
    dict(quant_method="compressed-tensors", format="float-quantized"), dict(quant_method="mxfp4"), dict(quant_method="hqq"),
    dict(quant_method="fp8", activation_scheme="static", weight_block_size=[128, 128]),
    dict(quant_method="fp8", activation_scheme="dynamic", weight_block_size=[64, 64]), dict(quant_method="modelopt"), dict(),
    dict(bits=4), dict(quant_method="surprise"),
]
CURATED = {
    "rope_scaling": ROPES, "rope_parameters": ROPES, "hidden_act": ACTIVATIONS, "hidden_activation": ACTIVATIONS,
    "layer_types": TYPES, "torch_dtype": DTYPES, "dtype": DTYPES, "quantization_config": QUANTISED,
    "no_rope_layers": [[], [0, 0, 0], [1, 1, 1], [1, 0], [1, 0, 1, 0], [2, 0, 1], [True, False, True], "101"],
    "mlp_only_layers": [[], [0], [1, 2], [0, 1, 2], [7], [-1], ["0"], 1],
    "architectures": [["LlamaModel"], ["LlamaForSequenceClassification"], [], ["Surprise"], "LlamaForCausalLM"],
    "model_type": ["Llama", "llama ", "mistral", "qwen2", "gemma", 7],
    "auto_map": [{"AutoModelForCausalLM": "modeling_x.XForCausalLM"}],
    "partial_rotary_factor": [0.25, 0.5, 0.75, 1.0, 1.5],
    "tie_word_embeddings": [True, False, 1, "true"],
    "eos_token_id": [[1, 2], 5, [], 4000, -1, "2", 2.0],
    "bos_token_id": [5, 4000, -1, [1], "1"],
}
# Fields of older files and of other families. Those that a family knows change what it computes.
FOREIGN = {
    "rope_theta": [50, 50.0, 1.0, 0, "50"], "rope_scaling": [], "rope_parameters": [], "rope_type": ["linear"], "rope_local_base_freq": [50.0],
    "partial_rotary_factor": [], "rotary_pct": [0.5], "original_max_position_embeddings": [8, 64], "attn_logit_softcapping": [5.0],
    "final_logit_softcapping": [5.0], "query_pre_attn_scalar": [24, 16.0], "embedding_multiplier": [3.0], "residual_multiplier": [0.5],
    "attention_multiplier": [0.3], "logits_scaling": [3.0], "logit_scale": [0.5], "scale_emb": [12], "head_dim": [8, 16, 4],
    "layer_types": [], "sliding_window": [4, 1], "use_sliding_window": [True], "max_window_layers": [1], "sliding_window_pattern": [2],
    "no_rope_layers": [], "no_rope_layer_interval": [2], "attention_bias": [True], "mlp_bias": [True], "use_bias": [True], "qkv_bias": [True],
    "attention_dropout": [0.5], "hidden_dropout": [0.5], "resid_pdrop": [0.5], "embd_pdrop": [0.5], "dropout": [0.5], "pretraining_tp": [2],
    "is_decoder": [True, False], "is_encoder_decoder": [True], "add_cross_attention": [True], "is_causal": [False],
    "use_bidirectional_attention": [True], "torch_dtype": [], "dtype": [], "quantization_config": [], "auto_map": [], "architectures": [],
    "hidden_act": [], "hidden_activation": [], "num_experts": [4], "num_local_experts": [3], "use_qk_norm": [True], "qk_norm": [True],
    "clip_qkv": [0.5], "attention_sinks": [True], "layer_norm_eps": [0.1], "norm_eps": [0.1], "rms_norm_eps": [0.1, 1e-9], "num_labels": [3],
    "tie_encoder_decoder": [True], "tie_words_embeddings": [True], "chunk_size_feed_forward": [2], "output_attentions": [True],
    "output_hidden_states": [True], "return_dict": [False], "use_cache": [False], "pruned_heads": [{"0": [1]}], "torchscript": [True],
    "cross_attention_hidden_size": [8], "attn_implementation": ["eager"], "_attn_implementation": ["flash_attention_2"], "model_type": [],
    "tie_word_embeddings": [], "eos_token_id": [], "bos_token_id": [], "output_router_logits": [True], "mlp_only_layers": [],
    "surprise": [1], "max_position_embeddings": [8], "head_size": [8], "n_embd": [8], "rotary_dim": [2], "use_parallel_residual": [True],
}


def generated(name, shape):
    """Weights that both sides compute: splitmix64 from a hash (FNV-1a) of the name."""
    state = np.uint64(0xCBF29CE484222325)
    with np.errstate(over="ignore"):
        for byte in name.encode():
            state = (state ^ np.uint64(byte)) * np.uint64(0x100000001B3)
        count = int(np.prod(shape, dtype=np.int64))
        z = state + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    unit = (z >> np.uint64(40)).astype(np.float32) / np.float32(1 << 23) - np.float32(1)
    if len(shape) == 1 and name.endswith("weight"):
        unit = np.float32(1) + np.float32(0.25) * unit
    else:
        unit = np.float32(0.375) * unit
    return torch.from_numpy(unit.reshape(shape))


def base_of(family):
    """A small configuration as files on the hub have it: every field of the class, rotary fields by their older names."""
    fields = CONFIG_MAPPING[family](**{**SHAPE, **FAMILIES[family]}).to_dict()
    # Published files name the experts once.
    for name in ("num_local_experts", "rope_parameters", "transformers_version", "_sliding_window_pattern"):
        fields.pop(name, None)
    known = {key: value for key, value in FAMILIES[family].items() if key not in fields}
    return {**fields, **known, "model_type": family, "rope_theta": 1000.0}


def other_values(value):
    if isinstance(value, bool):
        return [not value, int(value), str(value).lower()]
    if isinstance(value, int):
        return [0, 1, value + 1, 2 * value, -1, float(value), str(value), value + 0.5, True]
    if isinstance(value, float):
        return [0.0, 1.0, 0.5 * value, 4 * value, -value, 2, str(value), True]
    if isinstance(value, list):
        return [[], value[::-1], value[:-1], value + value[:1], "x"]
    return ["x", 1, True]


def cases(family, base):
    fields = {**{name: [] for name in base}, **FOREIGN}
    seen = set()
    for name in sorted(fields):
        values = [None, *fields[name], *CURATED.get(name, [])]
        if name in base and name not in CURATED:
            values += other_values(base[name])
        options = [{"drop": [name]}] if name in base else []
        options += [{"set": {name: value}} for value in values]
        if name == "rope_parameters":
            # Without the older field, as transformers 5 writes files.
            options += [{"set": {name: value}, "drop": ["rope_theta"]} for value in values]
        if name == "layer_types":
            options += [{"set": {name: value, "sliding_window": 4, "use_sliding_window": True}} for value in values]
        for option in options:
            key = json.dumps(option, sort_keys=True)
            same = [base.get(n, "none") is v for n, v in option.get("set", {}).items()]
            if key not in seen and not (same and all(same)):
                seen.add(key)
                yield option


def run(config, folder):
    with open(os.path.join(folder, "config.json"), "w") as file:
        json.dump(config, file)
    parsed = AutoConfig.from_pretrained(folder)
    parsed.quantization_config = None
    model = AutoModelForCausalLM.from_config(parsed, attn_implementation="eager")
    tied = model.get_output_embeddings().weight is model.get_input_embeddings().weight
    state = {name: list(value.shape) for name, value in model.state_dict().items()}
    if tied:
        state.pop("lm_head.weight")
    tensors = {name: generated(name, shape) for name, shape in state.items()}
    save_file(tensors, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})
    # Without the grouped products of experts, which take widths that are multiples of four alone.
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager", experts_implementation="eager",
    ).eval()
    with torch.no_grad():
        logits = model(input_ids=torch.tensor(IDS), use_cache=False, return_dict=True).logits[0]
    assert torch.isfinite(logits).all(), "logits that are not finite"
    return state, logits


OUTCOME = ("layout", "largest", "logits")


def packed_cases(cases):
    """Outcomes that an earlier case has, as its number."""
    seen, out = {}, []
    for index, case in enumerate(cases):
        outcome = json.dumps([case.get(name) for name in OUTCOME])
        if "logits" in case and seen.setdefault(outcome, index) != index:
            case = {key: value for key, value in case.items() if key not in OUTCOME} | {"like": seen[outcome]}
        out.append(case)
    return out


def unpacked_cases(cases):
    of = lambda case: {name: case[name] for name in OUTCOME}
    return [{k: v for k, v in case.items() if k != "like"} | of(cases[case["like"]]) if "like" in case else case for case in cases]


def packed_layouts(layouts):
    """Each as its difference from the earlier one that is nearest to it."""
    out = []
    layouts = [dict(sorted(layout.items())) for layout in layouts]
    for index, layout in enumerate(layouts):
        def difference(like):
            there = layouts[like]
            changed = {name: shape for name, shape in layout.items() if there.get(name) != shape}
            return {"like": like, "set": changed, "drop": sorted(there.keys() - layout.keys())}

        options = [{"set": layout}, *map(difference, range(index))]
        out.append(min(options, key=lambda option: len(json.dumps(option))))
    return out


def unpacked_layouts(layouts):
    out = []
    for layout in layouts:
        there = {**out[layout["like"]], **layout["set"]} if "like" in layout else layout["set"]
        out.append({name: shape for name, shape in there.items() if name not in layout.get("drop", [])})
    return out


def main():
    torch.set_num_threads(1)
    layouts, families = [], {}
    if sys.argv[1:] and os.path.exists("configs.json"):
        with open("configs.json") as file:
            kept = json.load(file)
        layouts, families = unpacked_layouts(kept["layouts"]), kept["families"]
        for one in families.values():
            one["cases"] = unpacked_cases(one["cases"])
    for family in FAMILIES:
        if sys.argv[1:] and family not in sys.argv[1:]:
            continue
        base = base_of(family)
        outcomes = []
        for option in [{}, *cases(family, base)]:
            config = {**base, **option.get("set", {})}
            for name in option.get("drop", []):
                config.pop(name, None)
            with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
                try:
                    state, logits = run(config, folder)
                except Exception as error:
                    outcomes.append({**option, "error": f"{type(error).__name__}: {error}".split("\n")[0][:100]})
                    continue
            if state not in layouts:
                layouts.append(state)
            rows = torch.cat([logits[4, :5], logits[-1, :7]])
            outcomes.append({
                **option, "layout": layouts.index(state), "largest": float(f"{logits.abs().max().item():.7g}"),
                "logits": [float(f"{value:.7g}") for value in rows.tolist()],
            })
        families[family] = {"base": base, "cases": outcomes}
        good = sum("logits" in one for one in outcomes)
        print(f"{family}: {len(outcomes)} files, {good} of them read by transformers {transformers.__version__}")
    with open("configs.json", "w") as file:
        lines = ['{"ids": %s,\n"layouts": [' % json.dumps(IDS[0])]
        lines.append(",\n".join(json.dumps(layout, separators=(",", ":")) for layout in packed_layouts(layouts)) + '],\n"families": {')
        parts = []
        for family, one in sorted(families.items()):
            body = ",\n".join(json.dumps(case, separators=(",", ":")) for case in packed_cases(one["cases"]))
            parts.append(f'"{family}": {{"base": {json.dumps(one["base"])},\n"cases": [\n{body}]}}')
        file.write("\n".join(lines) + ",\n".join(parts) + "}}\n")


if __name__ == "__main__":
    main()
