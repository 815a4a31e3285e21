"""Makes adapters/: small PEFT adapters that use one option each, on the tiny Llama 3 of this folder, and the logits
that PEFT computes with them. tests/peft_options.rs compares. Run it in this folder.

    pip install torch transformers peft safetensors
    python make_adapters.py

Each adapters/NAME holds adapter_config.json as PEFT writes it and adapter_model.safetensors; logits.safetensors holds
`base` and one tensor for each name, for the ids of ../llama3/reference.safetensors. The factors are random, in bf16.
"""

import importlib.metadata
import json
import os
import shutil

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

BASE, ALL = "llama3", ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
OPTIONS = {
    "rslora": dict(r=4, lora_alpha=6, target_modules=["q_proj", "v_proj"], use_rslora=True),
    "rank_pattern": dict(
        r=2, lora_alpha=4, target_modules=ALL,
        rank_pattern={"layers.1.self_attn.q_proj": 5, r"layers\.0\..*(k|v)_proj": 3, "q_proj": 1, "mlp.up_proj": 4},
    ),
    "alpha_pattern": dict(
        r=2, lora_alpha=4, target_modules=ALL,
        alpha_pattern={"q_proj": 7, r"model\.layers\.[1-9]\.mlp\..*": 0.5, "layers.0.mlp.down_proj": 9},
    ),
    "rslora_patterns": dict(
        r=2, lora_alpha=4, target_modules=["q_proj", "o_proj", "up_proj"], use_rslora=True,
        rank_pattern={"o_proj": 4}, alpha_pattern={"up_proj": 3},
    ),
    "one_layer": dict(r=2, lora_alpha=4, target_modules=["q_proj", "down_proj"], layers_to_transform=[1]),
    "layers_pattern": dict(
        r=2, lora_alpha=4, target_modules=["k_proj"], layers_to_transform=0, layers_pattern="layers",
    ),
    "excluded": dict(r=2, lora_alpha=4, target_modules=ALL, exclude_modules=["layers.0.mlp.up_proj", "v_proj"]),
    "excluded_regex": dict(r=2, lora_alpha=4, target_modules="all-linear", exclude_modules=r".*\.mlp\..*"),
    "regex": dict(r=2, lora_alpha=4, target_modules=r"model\.layers\.(?!0\.)\d+\.(self_attn\.[qo]|mlp\.gate)_proj"),
    "all_linear": dict(r=2, lora_alpha=3, target_modules="all-linear"),
    "full_names": dict(
        r=2, lora_alpha=4, target_modules=["model.layers.0.self_attn.q_proj", "layers.1.mlp.gate_proj"],
    ),
    "fractional_alpha": dict(r=2, lora_alpha=2.5, target_modules=["q_proj", "k_proj"]),
    "orthogonal": dict(r=2, lora_alpha=4, target_modules=["q_proj"], init_lora_weights="orthogonal"),
    "default_keys": dict(r=2, lora_alpha=4, target_modules=["q_proj", "v_proj"]),
}


def base():
    model = AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32, attn_implementation="eager")
    return model.eval()


def main():
    torch.set_num_threads(1)
    ids = load_file(os.path.join(BASE, "reference.safetensors"))["ids"].long()
    with torch.no_grad():
        logits = {"base": base()(input_ids=ids, use_cache=False).logits.contiguous()}
    for seed, (name, options) in enumerate(OPTIONS.items()):
        torch.manual_seed(seed)
        folder = os.path.join("adapters", name)
        shutil.rmtree(folder, ignore_errors=True)
        tuned = get_peft_model(base(), LoraConfig(task_type="CAUSAL_LM", **options))
        with torch.no_grad():
            for parameter in tuned.parameters():
                if parameter.requires_grad:
                    parameter.copy_((0.3 * torch.randn(parameter.shape)).bfloat16())
        tuned.save_pretrained(folder)
        os.remove(os.path.join(folder, "README.md"))
        # What counts is what PEFT makes of the files.
        with torch.no_grad():
            logits[name] = PeftModel.from_pretrained(base(), folder)(input_ids=ids, use_cache=False).logits.contiguous()
        path = os.path.join(folder, "adapter_model.safetensors")
        tensors = {key: value.bfloat16() for key, value in load_file(path).items()}
        if name == "default_keys":
            # As a state_dict has them that was saved without PEFT's own function.
            tensors = {key.replace(".weight", ".default.weight"): value for key, value in tensors.items()}
        save_file(tensors, path, metadata={"format": "pt"})
        difference = (logits[name] - logits["base"]).abs().max().item()
        print(f"{name}: {len(tensors)} tensors, moves the logits by up to {difference:.2f}")
    save_file(logits, os.path.join("adapters", "logits.safetensors"))
    with open(os.path.join("adapters", "versions.txt"), "w") as file:
        for package in ("torch", "transformers", "peft"):
            file.write(f"{package} {importlib.metadata.version(package)}\n")


if __name__ == "__main__":
    main()
