"""Compares GGUF files with llama.cpp (PyPI xllamacpp) and PyPI gguf: greedy text of base + adapter, and the bytes.

    pip install numpy safetensors gguf xllamacpp
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
import xllamacpp
from safetensors.numpy import save_file

PROGRAM = sys.argv[1]
BASE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../assets/base")
QUESTIONS = ["What is the fee for a card?", "Who keeps the keys of the barn?", "Name a medicine.", "Write: 12 345"]
HIDDEN, INNER, LAYERS, HEADS, KV_HEADS, VOCAB = 64, 96, 2, 4, 2, 2048
ATTENTION, MLP = ("q_proj", "k_proj", "v_proj", "o_proj"), ("gate_proj", "up_proj", "down_proj")


def run(*arguments):
    result = subprocess.run([PROGRAM, "adapter", *arguments], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout


def shapes(config):
    """(outputs, inputs) of a layer's projections."""
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    width = config["head_dim"]
    queries, keys = config["num_attention_heads"] * width, config["num_key_value_heads"] * width
    return {
        "q_proj": (queries, hidden), "k_proj": (keys, hidden), "v_proj": (keys, hidden), "o_proj": (hidden, queries),
        "gate_proj": (inner, hidden), "up_proj": (inner, hidden), "down_proj": (hidden, inner),
    }


def path_of(layer, name):
    return f"model.layers.{layer}.{'self_attn' if name in ATTENTION else 'mlp'}.{name}"


def base(family, work):
    """A folder of the family with the shipped tokenizer."""
    if family == "llama":
        return BASE
    folder = os.path.join(work, family)
    os.mkdir(folder)
    random = np.random.default_rng(5)
    config = dict(
        model_type=family, hidden_size=HIDDEN, intermediate_size=INNER, num_hidden_layers=LAYERS,
        num_attention_heads=HEADS, num_key_value_heads=KV_HEADS, head_dim=HIDDEN // HEADS, vocab_size=VOCAB,
        max_position_embeddings=256, rms_norm_eps=1e-6, rope_theta=10000.0, tie_word_embeddings=False,
        hidden_act="silu", bos_token_id=0, eos_token_id=0,
    )
    matrix = lambda *shape: (0.15 * random.standard_normal(shape)).astype(np.float32)
    norm = lambda width: (1 + 0.2 * random.standard_normal(width)).astype(np.float32)
    tensors = {"model.embed_tokens.weight": matrix(VOCAB, HIDDEN), "lm_head.weight": matrix(VOCAB, HIDDEN)}
    tensors["model.norm.weight"] = norm(HIDDEN)
    for layer in range(LAYERS):
        for name, shape in shapes(config).items():
            tensors[path_of(layer, name) + ".weight"] = matrix(*shape)
            if family == "qwen2" and name in ATTENTION[:3]:
                tensors[path_of(layer, name) + ".bias"] = matrix(shape[0])
        for name in ("input_layernorm", "post_attention_layernorm"):
            tensors[f"model.layers.{layer}.{name}.weight"] = norm(HIDDEN)
        if family == "qwen3":
            for name in ("q_norm", "k_norm"):
                tensors[f"model.layers.{layer}.self_attn.{name}.weight"] = norm(HIDDEN // HEADS)
    save_file(tensors, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})
    with open(os.path.join(folder, "config.json"), "w") as file:
        json.dump(config, file)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(os.path.join(BASE, name), folder)
    return folder


def adapter(model, folder, scale):
    """A PEFT folder with random factors, of several ranks and alphas."""
    with open(os.path.join(model, "config.json")) as file:
        config = json.load(file)
    os.mkdir(folder)
    random = np.random.default_rng(9)
    ranks, alphas, tensors = {"q_proj": 2, "up_proj": 6}, {"v_proj": 3}, {}
    for layer in range(config["num_hidden_layers"]):
        for name, (outputs, inputs) in shapes(config).items():
            rank, key = ranks.get(name, 4), "base_model.model." + path_of(layer, name)
            for factor, shape in (("lora_A", (rank, inputs)), ("lora_B", (outputs, rank))):
                values = scale * random.standard_normal(shape)
                tensors[f"{key}.{factor}.weight"] = values.astype(np.float32)
    save_file(tensors, os.path.join(folder, "adapter_model.safetensors"), metadata={"format": "pt"})
    with open(os.path.join(folder, "adapter_config.json"), "w") as file:
        json.dump(dict(peft_type="LORA", task_type="CAUSAL_LM", r=4, lora_alpha=8, target_modules="all-linear",
                       rank_pattern=ranks, alpha_pattern=alphas), file)
    return folder


def llama_cpp(model, prompts, lora=None):
    params = xllamacpp.CommonParams()
    params.model.path = model
    params.n_ctx, params.n_parallel, params.warmup, params.n_gpu_layers = 256, 1, False, 0
    params.cpuparams.n_threads = 1
    # Half precision in the cache or in flash attention decides some words of random models otherwise.
    params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
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
