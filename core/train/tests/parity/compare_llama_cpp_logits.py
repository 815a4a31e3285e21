"""How far llama.cpp's logits (PyPI xllamacpp) are from exact ones, with its flash attention and without, and whether greedy texts part.

    pip install torch transformers peft safetensors sentencepiece gguf xllamacpp
    python compare_llama_cpp_logits.py FEDSHIELD-CLI SEEDS MODEL...

For each seed and each of the named random models of compare_llama_cpp_families.py, written by `adapter merge` as an F32 file: llama.cpp
answers four questions with up to 40 tokens each, and transformers computes the same tokens in f64. Printed is the largest difference of
log-probabilities, of llama.cpp's five best tokens at each place. Without flash attention, which rounds to half precision, it must be below
1e-4, and the texts of llama.cpp and of `adapter chat` must be the exact ones, unless the two words were nearer to each other than that.
"""

import os
import sys
import tempfile

import torch
import xllamacpp
from compare_llama_cpp import run
from compare_llama_cpp_families import MODELS, SEEDS, make, ours, zero
from transformers import AutoModelForCausalLM, AutoTokenizer

TOKENS = 40


def answers(path, prompts, flash):
    """For each prompt llama.cpp's tokens, and the log-probabilities of its best tokens at each place."""
    params = xllamacpp.CommonParams()
    params.model.path = path
    params.n_ctx, params.n_parallel, params.warmup, params.n_gpu_layers = 256, 1, False, 0
    params.cpuparams.n_threads = 1
    params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    kinds = xllamacpp.llama_flash_attn_type
    params.flash_attn_type = kinds.LLAMA_FLASH_ATTN_TYPE_ENABLED if flash else kinds.LLAMA_FLASH_ATTN_TYPE_DISABLED
    server = xllamacpp.Server(params)
    for prompt in prompts:
        asked = {"prompt": prompt, "n_predict": TOKENS, "temperature": 0, "cache_prompt": False, "logprobs": 5}
        places = server.handle_completions(asked)["choices"][0]["logprobs"]["content"]
        yield [place["id"] for place in places], [{t["id"]: t["logprob"] for t in place["top_logprobs"]} for place in places]


def exact(model, ids):
    with torch.no_grad():
        return model(torch.tensor([ids]), use_cache=False).logits[0]


def greedy(model, prompt, end):
    """The exact greedy tokens, and the logits that chose each."""
    ids, rows = list(prompt), []
    for _ in range(TOKENS):
        row = exact(model, ids)[-1]
        rows.append(row)
        token = row.argmax().item()
        if token == end:
            break
        ids.append(token)
    return ids[len(prompt):], rows


def gap(decode, text, tokens, rows):
    """How much the exact logits prefer their own token to the one with which `text` goes on otherwise; None if they agree."""
    for at, row in enumerate(rows):
        through = decode(tokens[: at + 1])
        if not text.startswith(through) or (at + 1 == len(rows) and text != through):
            order = row.sort(descending=True)
            before = tokens[:at]
            others = zip(order.values[1:], order.indices[1:])
            return next((order.values[0] - v for v, t in others if text.startswith(decode(before + [t.item()]))), torch.inf)
    return None


def without_halves(folder, tokenizer):
    """No parts of a letter in the answers: the programs show them in different ways."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    parts = [i for i in range(model.config.vocab_size) if "\ufffd" in tokenizer.decode([i])]
    with torch.no_grad():
        model.get_output_embeddings().weight[parts] = 0
    model.save_pretrained(folder)


def main():
    torch.set_num_threads(1)
    good = True
    for name, *rest in MODELS:
        if name not in sys.argv[3:]:
            continue
        for seed in range(100, 100 + int(sys.argv[2])):
            SEEDS[name] = seed
            with tempfile.TemporaryDirectory() as work:
                folder, tuned = make(work, name, *rest)
                path = os.path.join(work, "base.gguf")
                tokenizer = AutoTokenizer.from_pretrained(folder)
                without_halves(folder, tokenizer)
                zero(os.path.join(tuned, "adapter_model.safetensors"))
                run("merge", tuned, "--model", folder, "--out", path, "--format", "gguf", "--type", "f32")
                model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64, attn_implementation="eager").eval()
                good &= compare(f"{name} {seed}", tokenizer, model, path, *ours(folder))
    sys.exit(not good)


def compare(what, tokenizer, model, path, prompts, texts):
    end = model.config.eos_token_id
    decode = lambda tokens: tokenizer.decode([token for token in tokens if token != end]).removeprefix(" ")
    worst, gaps = {True: 0.0, False: 0.0}, {"llama.cpp": [], "adapter chat": []}
    for flash in worst:
        for prompt, text, (tokens, places) in zip(prompts, texts, answers(path, prompts, flash)):
            ids = tokenizer(prompt, add_special_tokens=False)["input_ids"]
            logprobs = exact(model, ids + tokens)[len(ids) - 1 :].log_softmax(-1)
            for row, place in zip(logprobs, places):
                worst[flash] = max(worst[flash], *(abs(row[token].item() - value) for token, value in place.items()))
            if not flash:
                best, rows = greedy(model, ids, end)
                for who, said in (("llama.cpp", decode(tokens)), ("adapter chat", text)):
                    found = gap(decode, said, best, rows)
                    gaps[who] += [] if found is None else [float(found)]
    shown = [f"{who} parts in {len(found)} of {len(texts)} {found or ''}" for who, found in gaps.items()]
    print(f"{what}: within {worst[False]:.1e}, with flash attention {worst[True]:.1e};", *shown, flush=True)
    return worst[False] < 1e-4 and all(found < 1e-4 for found in sum(gaps.values(), []))


if __name__ == "__main__":
    main()
