"""Compares what `adapter export --from` writes with PEFT, under both kinds of names.

    pip install torch transformers peft safetensors
    python compare_adapters.py FEDSHIELD-CLI

For each adapter of adapters/: PEFT loads the exported folder on the tiny Llama 3 without a missing or surplus key, and gives the logits that
it gave with the original; where the original has one rank and alpha, every field of the configuration is PEFT's. Then a small random
Gemma3ForConditionalGeneration: an adapter of its text model, exported with --names multimodal, adapts the same modules there and gives
the same logits; and an adapter that PEFT made on it (the vision tower with B zero among its targets) is merged into the text model.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import warnings

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from transformers import (
    AutoModelForCausalLM, Gemma3Config, Gemma3ForCausalLM, Gemma3ForConditionalGeneration, Gemma3TextConfig, SiglipVisionConfig,
)

HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAM = sys.argv[1]
EVEN = ("all_linear", "default_keys", "excluded_regex", "orthogonal", "fractional_alpha")
# These select the modules; what they select is compared by the loaded keys.
SELECTING = {"target_modules", "exclude_modules"}


def run(*arguments):
    result = subprocess.run([PROGRAM, "adapter", *arguments], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def difference(ours, theirs):
    return ((ours - theirs).abs().max() / theirs.abs().max()).item()


def loaded(model, folder):
    """The model with the adapter; a key that PEFT misses or does not know is an error."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        tuned = PeftModel.from_pretrained(model, folder)
    said = [str(one.message) for one in said if "adapter keys" in str(one.message)]
    assert not said, said
    names = {name for name, _ in tuned.named_parameters() if "lora_" in name}
    stored = {name.replace(".weight", ".default.weight") for name in load_file(f"{folder}/adapter_model.safetensors")}
    assert names == stored, names ^ stored
    return tuned.eval()


def check_fields(name, ours, theirs):
    one, other = (LoraConfig.from_pretrained(folder).to_dict() for folder in (ours, theirs))
    for field in sorted(one):
        if field in SELECTING | {"peft_version", "init_lora_weights"}:
            continue
        assert one[field] == other[field], (name, field, one[field], other[field])
    return len(one)


def options(work):
    base = os.path.join(HERE, "llama3")
    ids = load_file(os.path.join(base, "reference.safetensors"))["ids"].long()
    logits = load_file(os.path.join(HERE, "adapters", "logits.safetensors"))
    worst, fields = 0.0, 0
    for name in sorted(set(logits) - {"base"}):
        source, out = os.path.join(HERE, "adapters", name), os.path.join(work, name)
        run("export", out, "--from", source)
        model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, attn_implementation="eager")
        with torch.no_grad():
            worst = max(worst, difference(loaded(model, out)(input_ids=ids, use_cache=False).logits, logits[name]))
        if name in EVEN:
            fields = check_fields(name, out, source)
    print(f"{len(logits) - 1} adapters exported and loaded by PEFT: {worst:.1e}; {fields} fields of {len(EVEN)} of them compared")
    return worst <= 1e-5


def multimodal(work):
    torch.manual_seed(2)
    text = dict(
        hidden_size=32, intermediate_size=48, num_attention_heads=4, num_key_value_heads=2, num_hidden_layers=6, head_dim=16,
        query_pre_attn_scalar=16, vocab_size=2048, sliding_window=8, max_position_embeddings=256, initializer_range=0.2,
        bos_token_id=0, eos_token_id=0, pad_token_id=1,
    )
    vision = SiglipVisionConfig(
        hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=28, patch_size=14,
    )
    config = Gemma3Config(text_config=Gemma3TextConfig(**text), vision_config=vision, mm_tokens_per_image=4)
    make = lambda: Gemma3ForConditionalGeneration(config).float().eval()
    whole = make()
    weights = {name: value.clone() for name, value in whole.state_dict().items()}
    alone = Gemma3ForCausalLM(Gemma3TextConfig(**text)).float().eval()
    inside = {name.replace("model.language_model.", "model."): value for name, value in weights.items()}
    alone.load_state_dict({name: inside[name] for name in alone.state_dict()})
    base = os.path.join(work, "gemma")
    alone.save_pretrained(base)
    shipped = os.path.join(HERE, "../../assets/base")
    shutil.copy(os.path.join(shipped, "tokenizer.json"), base)
    with open(os.path.join(base, "tokenizer_config.json"), "w") as file:
        json.dump(dict(tokenizer_class="PreTrainedTokenizerFast", eos_token="<|end|>"), file)
    ids = torch.randint(0, 2048, (1, 24))

    def logits(model):
        with torch.no_grad():
            return model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits

    def tuned(model, folder, **settings):
        adapted = get_peft_model(model, LoraConfig(r=3, lora_alpha=5, task_type="CAUSAL_LM", **settings))
        with torch.no_grad():
            for name, parameter in adapted.named_parameters():
                if parameter.requires_grad and "vision_tower" not in name:
                    parameter.copy_(0.2 * torch.randn(parameter.shape))
        adapted.save_pretrained(folder)
        return logits(adapted.eval())

    def fresh():
        model = make()
        model.load_state_dict(weights)
        return model

    worst = difference(logits(alone), logits(whole))
    plain, exported = os.path.join(work, "plain"), os.path.join(work, "exported")
    wanted = tuned(alone, plain, target_modules=["q_proj", "v_proj", "up_proj"])
    run("export", exported, "--from", plain, "--names", "multimodal")
    worst = max(worst, difference(logits(loaded(fresh(), exported)), wanted))
    patterns = dict(rank_pattern={"q_proj": 2}, alpha_pattern={"layers.1.mlp.up_proj": 2})
    uneven, exported = os.path.join(work, "uneven"), os.path.join(work, "uneven-exported")
    base_again = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    wanted = tuned(base_again, uneven, target_modules=["q_proj", "v_proj", "up_proj"], **patterns)
    run("export", exported, "--from", uneven, "--names", "multimodal")
    worst = max(worst, difference(logits(loaded(fresh(), exported)), wanted))
    seeing, merged = os.path.join(work, "seeing"), os.path.join(work, "merged")
    wanted = tuned(fresh(), seeing, target_modules=["q_proj", "v_proj"])
    assert any("vision_tower" in name for name in load_file(f"{seeing}/adapter_model.safetensors"))
    run("merge", seeing, "--model", base, "--out", merged)
    model = AutoModelForCausalLM.from_pretrained(merged, dtype=torch.float32)
    worst = max(worst, difference(logits(model.eval()), wanted))
    print(f"Gemma 3, multimodal and alone: {worst:.1e}")
    return worst <= 1e-5


with tempfile.TemporaryDirectory() as work:
    torch.set_num_threads(1)
    sys.exit(not all([options(work), multimodal(work)]))
