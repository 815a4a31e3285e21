"""Makes rope.json: the rotary frequencies that transformers computes for every kind and spelling of rotary parameters.

    pip install torch transformers
    python make_rope.py

Each entry has a config.json, the length of a sequence, and what transformers makes of them: the frequencies (radians per
position), of the layers with a window too where they have their own, and what cosines and sines are multiplied by; or
`error`, where transformers refuses.
"""

import copy
import json

import torch
from transformers import CONFIG_MAPPING, AutoModelForCausalLM
from transformers.utils import logging

SHAPE = dict(
    hidden_size=64, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
    vocab_size=64, max_position_embeddings=64, pad_token_id=0, bos_token_id=1, eos_token_id=2,
)
YARN = dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=16)
LLAMA3 = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0)
LINEAR = dict(rope_type="linear", factor=4.0)
SHORT, LONG = [1.0 + j / 4 for j in range(8)], [2.0 + j for j in range(8)]
LONGROPE = dict(rope_type="longrope", short_factor=SHORT, long_factor=LONG)
FULL, SLIDING = "full_attention", "sliding_attention"
TYPES = dict(layer_types=[SLIDING, FULL], sliding_window=8, head_dim=16)
CASES = [
    # Precedence.
    ("llama", {}),
    ("llama", dict(rope_theta=500.0)),
    ("llama", dict(rope_theta=500.0, rope_scaling=None)),
    ("llama", dict(rope_theta=500.0, rope_parameters=dict(rope_theta=70.0, rope_type="default"))),
    ("llama", dict(rope_theta=500.0, rope_parameters=dict(rope_type="default"))),
    ("llama", dict(rope_scaling=dict(type="linear", factor=2.0), rope_parameters=dict(LINEAR, rope_theta=500.0))),
    ("llama", dict(rope_scaling=dict(rope_theta=9.0, **LINEAR), rope_theta=500.0)),
    ("llama", dict(rope_scaling={}, rope_parameters=dict(LINEAR, rope_theta=500.0), rope_theta=77.0)),
    ("llama", dict(rope_scaling=dict(type="linear", rope_type="default", factor=2.0))),
    ("llama", dict(rope_scaling=dict(type="default", rope_type="linear", factor=2.0))),
    ("llama", dict(rope_scaling=dict(factor=2.0))),
    ("llama", dict(rope_scaling=dict(type="linear"))),
    ("llama", dict(rope_scaling=dict(rope_type=None, factor=2.0))),
    ("llama", dict(rope_scaling=dict(type="mrope", factor=2.0))),
    ("llama", dict(rope_parameters=dict(rope_theta=None, rope_type="default"))),
    ("smollm3", {}),
    ("mistral", {}),
    ("qwen3", dict(head_dim=16)),
    # Kinds.
    ("llama", dict(rope_scaling=dict(type="dynamic", factor=3.0)), 64),
    ("llama", dict(rope_scaling=dict(type="dynamic", factor=3.0)), 65),
    ("llama", dict(rope_scaling=dict(type="dynamic", factor=3.0)), 150),
    ("llama", dict(rope_scaling=LLAMA3)),
    ("llama", dict(rope_scaling=dict(LLAMA3, original_max_position_embeddings=16))),
    ("llama", dict(rope_scaling=dict(LLAMA3, original_max_position_embeddings=16), original_max_position_embeddings=24)),
    ("llama", dict(rope_scaling=YARN)),
    ("llama", dict(rope_scaling=YARN, rope_theta=300.0)),
    ("llama", dict(rope_scaling=dict(YARN, factor=None))),
    ("llama", dict(rope_scaling=dict(rope_type="yarn", original_max_position_embeddings=16))),
    ("llama", dict(rope_scaling=dict(rope_type="yarn", factor=2.0))),
    ("llama", dict(rope_scaling=dict(YARN), original_max_position_embeddings=32)),
    ("llama", dict(rope_scaling=dict(YARN, attention_factor=1.7))),
    ("llama", dict(rope_scaling=dict(YARN, mscale=0.7, mscale_all_dim=1.1))),
    ("llama", dict(rope_scaling=dict(YARN, mscale=0.7))),
    ("llama", dict(rope_scaling=dict(YARN, mscale=0.0, mscale_all_dim=0.0))),
    ("llama", dict(rope_scaling=dict(YARN, beta_fast=6, beta_slow=0.5))),
    ("llama", dict(rope_scaling=dict(YARN, beta_fast=6, beta_slow=0.5, truncate=False))),
    ("llama", dict(rope_scaling=dict(YARN, finetuned=True))),
    ("llama", dict(rope_scaling=dict(LONGROPE, factor=2.0, original_max_position_embeddings=16)), 16),
    ("llama", dict(rope_scaling=dict(LONGROPE, factor=2.0, original_max_position_embeddings=16)), 17),
    ("llama", dict(rope_scaling=dict(LONGROPE, attention_factor=1.3, original_max_position_embeddings=16)), 40),
    # Phi-3: its own field for the context, its older names, a part of each head.
    ("phi3", dict(partial_rotary_factor=0.5)),
    ("phi3", dict(rope_scaling=LONGROPE, original_max_position_embeddings=16), 12),
    ("phi3", dict(rope_scaling=LONGROPE, original_max_position_embeddings=16), 17),
    ("phi3", dict(rope_scaling=dict(LONGROPE, original_max_position_embeddings=8), original_max_position_embeddings=16), 12),
    ("phi3", dict(rope_scaling=LONGROPE)),
    ("phi3", dict(rope_scaling=dict(type="su", short_factor=SHORT, long_factor=LONG), original_max_position_embeddings=16)),
    ("phi3", dict(rope_scaling=dict(type="su", short_factor=SHORT, long_factor=LONG, original_max_position_embeddings=16))),
    ("phi3", dict(rope_scaling=dict(type="su", short_factor=SHORT, long_factor=LONG, original_max_position_embeddings=8), original_max_position_embeddings=16), 20),
    ("phi3", dict(rope_scaling=dict(type="longrope", short_factor=SHORT[:4], long_factor=LONG[:4]), partial_rotary_factor=0.5, original_max_position_embeddings=16), 20),
    ("phi3", dict(rope_scaling=dict(LONGROPE, short_factor=[1.0]), original_max_position_embeddings=16)),
    ("phi3", dict(rope_scaling=LINEAR)),
    # Gemma 3: parameters by type of layer.
    ("gemma3_text", TYPES),
    ("gemma3_text", dict(TYPES, rope_theta=3000.0, rope_local_base_freq=90.0, rope_scaling=LINEAR)),
    ("gemma3_text", dict(TYPES, rope_parameters={FULL: dict(LINEAR, rope_theta=3000.0), SLIDING: dict(rope_type="default", rope_theta=90.0)})),
    ("gemma3_text", dict(TYPES, rope_parameters={FULL: dict(LINEAR)}, rope_theta=3000.0)),
    ("gemma3_text", dict(TYPES, rope_parameters={FULL: dict(type="linear", factor=2.0), SLIDING: None})),
    ("gemma3_text", dict(TYPES, rope_parameters={FULL: dict(rope_theta=3000.0), SLIDING: dict(LINEAR)}, rope_scaling=dict(YARN))),
    ("gemma3_text", dict(TYPES, rope_scaling=dict(type="linear", factor=2.0))),
]


def entry(kind, extra, length=32):
    config = {"model_type": kind, **SHAPE, **extra}
    entry = dict(config=copy.deepcopy(config), length=length)
    try:
        model = AutoModelForCausalLM.from_config(CONFIG_MAPPING[kind].from_dict(config))
        rotary, positions = model.model.rotary_emb, torch.arange(length)[None]
        if kind == "gemma3_text":
            for name, place in ((FULL, ""), (SLIDING, "local_")):
                rotary(torch.zeros(1), positions, name)
                entry[place + "frequencies"] = getattr(rotary, name + "_inv_freq").tolist()
                entry[place + "factor"] = getattr(rotary, name + "_attention_scaling")
        else:
            rotary(torch.zeros(1), positions)
            entry.update(frequencies=rotary.inv_freq.tolist(), factor=rotary.attention_scaling)
    except Exception as error:
        entry["error"] = type(error).__name__
    return entry


if __name__ == "__main__":
    logging.set_verbosity_error()
    entries = [entry(*case) for case in CASES]
    with open("rope.json", "w") as file:
        file.write("[\n" + ",\n".join(json.dumps(e) for e in entries) + "\n]\n")
    print(len(entries), "configurations,", sum("error" in e for e in entries), "refused")
