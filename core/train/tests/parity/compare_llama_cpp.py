"""Compares GGUF files with llama.cpp (PyPI xllamacpp) and PyPI gguf: greedy text of base + adapter, and the bytes.

    pip install torch transformers peft gguf xllamacpp
    python compare_llama_cpp.py FEDSHIELD-CLI

For the shipped base (Llama: rows of queries and keys are interleaved) and random models of the families Qwen2 and
Qwen3 (they are not), with an adapter of several ranks and alphas: writes base and merged models and the adapter as
GGUF, asks `adapter chat` and llama.cpp the same, and prints the texts' common length in characters. With F32 files
every text must be the same to the end; Q8_0 differs in arithmetic (llama.cpp rounds activations too) and is shown.
Then PyPI gguf reads the files: names and shapes, F16 and Q8_0 bytes as its own quantisation gives them.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile

import gguf
import numpy as np
import torch
import xllamacpp
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM

PROGRAM = sys.argv[1]
BASE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../assets/base")
QUESTIONS = ["What is the fee for a card?", "Who keeps the keys of the barn?", "Name a medicine.", "Write: 12 345"]
SHAPE = dict(
    hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
    vocab_size=2048, max_position_embeddings=256, initializer_range=0.15, bos_token_id=0, eos_token_id=0,
)
torch.set_num_threads(1)


def run(*arguments):
    result = subprocess.run([PROGRAM, "adapter", *arguments], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout


def base(family, work):
    """A folder of the family with the shipped tokenizer."""
    if family == "llama":
        return BASE
    folder = os.path.join(work, family)
    config, model = {"qwen2": (Qwen2Config, Qwen2ForCausalLM), "qwen3": (Qwen3Config, Qwen3ForCausalLM)}[family]
    torch.manual_seed(5)
    made = model(config(**SHAPE, tie_word_embeddings=False))
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.dim() == 1:
                parameter.add_(0.4 * (torch.rand(parameter.shape) - 0.5))
    made.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(os.path.join(BASE, name), folder)
    return folder


def adapter(model, folder, scale):
    torch.manual_seed(9)
    tuned = get_peft_model(
        AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32),
        LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", rank_pattern={"q_proj": 2, "up_proj": 6},
                   alpha_pattern={"v_proj": 3}, task_type="CAUSAL_LM"),
    )
    with torch.no_grad():
        for name, parameter in tuned.named_parameters():
            if parameter.requires_grad:
                parameter.copy_(scale * torch.randn(parameter.shape))
    tuned.save_pretrained(folder)
    return folder


def llama_cpp(model, prompts, lora=None):
    params = xllamacpp.CommonParams()
    params.model.path = model
    params.n_ctx, params.n_parallel, params.warmup, params.n_gpu_layers = 256, 1, False, 0
    params.cpuparams.n_threads = 1
    if lora:
        info = xllamacpp.CommonAdapterLoraInfo()
        info.path, info.scale = lora, 1.0
        params.lora_adapters = [info]
    server = xllamacpp.Server(params)
    answers = []
    for prompt in prompts:
        asked = {"prompt": prompt, "n_predict": 40, "temperature": 0, "cache_prompt": False}
        answers.append(server.handle_completions(asked)["choices"][0]["text"])
    return answers


def ours(model, adapter=None):
    answers = []
    for question in QUESTIONS:
        arguments = ["chat"] + ([adapter] if adapter else []) + ["--model", model, "--prompt", question]
        out = json.loads(run(*arguments, "--max-tokens", "40", "--device", "cpu", "--json"))
        answers.append(out["answers"][0])
    return [a["prompt"] for a in answers], [a["text"] for a in answers]


def same(name, theirs, mine, must):
    whole = sum(t == m for t, m in zip(theirs, mine))
    print(f"{name}: {whole} of {len(mine)} texts are the same")
    for t, m in zip(theirs, mine):
        if t != m:
            common = len(os.path.commonprefix([t, m]))
            print(f"    after {common} of {len(m)} characters: {m[common:common + 20]!r}, llama.cpp {t[common:common + 20]!r}")
    return whole == len(mine) or not must


def check_bytes(family, f32, f16, q8, lora):
    exact, half, blocks = (gguf.GGUFReader(path) for path in (f32, f16, q8))
    values = {t.name: t.data for t in exact.tensors}
    for reader, kind in ((half, gguf.GGMLQuantizationType.F16), (blocks, gguf.GGMLQuantizationType.Q8_0)):
        for tensor in reader.tensors:
            wanted = kind if len(tensor.shape) == 2 else gguf.GGMLQuantizationType.F32
            assert tensor.tensor_type == wanted, (tensor.name, tensor.tensor_type)
            expected = gguf.quants.quantize(values[tensor.name], wanted)
            assert np.array_equal(expected.view(np.uint8).ravel(), tensor.data.view(np.uint8).ravel()), tensor.name
    reader = gguf.GGUFReader(lora)
    assert reader.get_field("general.type").contents() == "adapter"
    assert reader.get_field("adapter.type").contents() == "lora"
    names = {t.name for t in reader.tensors}
    assert len(names) == 2 * 7 * len({n.split(".")[1] for n in names}), names
    print(f"{family}: {len(values)} tensors in F16 and Q8_0 are bit for bit what PyPI gguf makes of them")


def main():
    good = True
    with tempfile.TemporaryDirectory() as work:
        for family in ("llama", "qwen2", "qwen3"):
            model = base(family, work)
            path = lambda name: os.path.join(work, f"{family}-{name}")
            tuned = adapter(model, path("adapter"), 0.05 if family == "llama" else 0.2)
            none = adapter(model, path("none"), 0.0)
            run("merge", none, "--model", model, "--out", path("base.gguf"), "--format", "gguf", "--type", "f32")
            for kind in ("f32", "f16", "q8_0"):
                out = path(f"{kind}.gguf")
                run("merge", tuned, "--model", model, "--out", out, "--format", "gguf", "--type", kind)
            run("export", path("lora.gguf"), "--format", "gguf", "--from", tuned, "--model", model)
            prompts, plain = ours(model)
            _, adapted = ours(model, tuned)
            assert plain != adapted, "the adapter should change the answers"
            good &= same(f"{family} base", llama_cpp(path("base.gguf"), prompts), plain, True)
            beside = llama_cpp(path("base.gguf"), prompts, path("lora.gguf"))
            good &= same(f"{family} base + adapter", beside, adapted, True)
            good &= same(f"{family} merged f32", llama_cpp(path("f32.gguf"), prompts), adapted, True)
            good &= same(f"{family} merged f16", llama_cpp(path("f16.gguf"), prompts), ours(path("f16.gguf"))[1], False)
            good &= same(f"{family} merged q8_0", llama_cpp(path("q8_0.gguf"), prompts), ours(path("q8_0.gguf"))[1], False)
            check_bytes(family, path("f32.gguf"), path("f16.gguf"), path("q8_0.gguf"), path("lora.gguf"))
    sys.exit(not good)


if __name__ == "__main__":
    main()
