"""Compares merged models with PEFT: the same logits from `adapter merge`'s folder as from base and adapter.

    python compare_merge.py FEDSHIELD-CLI

For each tiny family of this folder: merges the family's adapter with the command line, in f32, bf16 and f16, loads the
result in transformers and prints the largest difference from PEFT's logits, relative to the largest logit. f32 must
agree to 1e-5. Half precision is compared with PEFT's own merge rounded to the same type: products that are summed in
another order are rounded to the neighbouring value here and there, so the bound is one rounding. Then merges into
gguf/llama.gguf: transformers must give the folder's texts SentencePiece's ids behind the first token.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile

import torch
from peft import PeftModel
from safetensors.torch import load_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig
from transformers.utils.logging import disable_progress_bar

disable_progress_bar()
program = sys.argv[1]
FAMILIES = (
    "llama", "llama3", "mistral", "qwen2", "qwen3", "gemma3", "granite", "olmo2", "olmo3", "phi3", "phi4", "seed_oss", "smollm3",
    "qwen3_moe",
)
BOUNDS = {"f32": 1e-5, "bf16": 3e-3, "f16": 1e-3}
here = os.path.dirname(os.path.abspath(__file__))
torch.set_num_threads(1)
failed = False


def logits(model, ids):
    with torch.no_grad():
        return model.float().eval()(input_ids=ids).logits


def load(folder):
    return AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager"
    )


with tempfile.TemporaryDirectory() as work:
    for family in FAMILIES:
        source = os.path.join(here, family)
        base = os.path.join(work, family)
        os.mkdir(base)
        for name in ("config.json", "model.safetensors"):
            shutil.copy(os.path.join(source, name), base)
        words = WordLevel({f"w{i}": i for i in range(64)}, unk_token="w0")
        Tokenizer(words).save(os.path.join(base, "tokenizer.json"))
        # Some families' classes name tokens that these words lack.
        names = dict(tokenizer_class="PreTrainedTokenizerFast", eos_token="w0", unk_token="w0", pad_token="w0")
        with open(os.path.join(base, "tokenizer_config.json"), "w") as file:
            json.dump(names, file)
        adapter = os.path.join(source, "adapter")
        ids = load_file(os.path.join(source, "reference.safetensors"))["ids"].long()
        beside = logits(PeftModel.from_pretrained(load(base), adapter), ids)
        for name, dtype in (("f32", torch.float32), ("bf16", torch.bfloat16), ("f16", torch.float16)):
            out = os.path.join(work, f"{family}-{name}")
            command = [program, "adapter", "merge", adapter, "--model", base, "--out", out]
            subprocess.run(command + ["--dtype", name], check=True, stdout=subprocess.DEVNULL)
            merged = AutoModelForCausalLM.from_pretrained(out, attn_implementation="eager")
            assert merged.dtype == dtype, merged.dtype
            ours = logits(merged, ids)
            theirs = beside
            if dtype != torch.float32:
                rounded = PeftModel.from_pretrained(load(base), adapter).merge_and_unload()
                theirs = logits(rounded.to(dtype), ids)
            difference = ((ours - theirs).abs().max() / theirs.abs().max()).item()
            failed |= difference > BOUNDS[name]
            print(f"{family} {name}: {difference:.2e}")
    out = os.path.join(work, "from-gguf")
    source = os.path.join(here, "gguf", "llama.gguf")
    command = [program, "adapter", "merge", os.path.join(here, "llama", "adapter"), "--model", source, "--out", out]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    tokenizer = AutoTokenizer.from_pretrained(out)
    texts = json.load(open(os.path.join(here, "gguf", "texts.json")))
    wrong = [t["text"] for t in texts if tokenizer(t["text"])["input_ids"] != [tokenizer.bos_token_id] + t["ids"]]
    failed |= bool(wrong)
    ends = GenerationConfig.from_pretrained(out).eos_token_id
    failed |= ends not in (2, [2])
    print(f"from gguf: {len(texts) - len(wrong)} of {len(texts)} texts have SentencePiece's ids; ends {ends}", *wrong)
sys.exit(failed)
