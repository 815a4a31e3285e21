"""Compares an exported adapter in transformers + PEFT with our own logits.

    cargo run -p fedshield-train-tools --example logits -- MODEL ADAPTER PROMPTS.txt OUT
    python compare_export.py OUT ADAPTER

Prints, over all prompts, the largest difference between their logits and ours, relative to the largest
logit, and the smallest change that the adapter makes to a prompt's logits. Fails above 1e-3 or below 0.1.
"""

import sys

import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

out, adapter = sys.argv[1:3]
torch.set_num_threads(1)
ours = load_file(f"{out}/logits.safetensors")
tokenizer = AutoTokenizer.from_pretrained(f"{out}/base")
model = AutoModelForCausalLM.from_pretrained(f"{out}/base", dtype=torch.float32).eval()
prompts = sorted(key.split(".")[1] for key in ours if key.startswith("ids."))


def logits(model):
    with torch.no_grad():
        return {i: model(ours[f"ids.{i}"].long()[None]).logits[0, -1] for i in prompts}


base = logits(model)
adapted = logits(PeftModel.from_pretrained(model, adapter).eval())
worst, least = 0.0, float("inf")
for i in prompts:
    ids = ours[f"ids.{i}"].long().tolist()
    assert tokenizer(tokenizer.decode(ids), add_special_tokens=False).input_ids == ids, "tokenizer"
    for name, theirs in (("base", base[i]), ("adapted", adapted[i])):
        difference = (ours[f"{name}.{i}"] - theirs).abs().max() / theirs.abs().max()
        worst = max(worst, difference.item())
    least = min(least, (adapted[i] - base[i]).abs().max().item())
print(f"{len(prompts)} prompts: largest relative difference {worst:.2e}, smallest change {least:.3f}")
sys.exit(worst > 1e-3 or least < 0.1)
