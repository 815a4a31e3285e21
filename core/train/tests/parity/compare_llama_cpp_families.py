"""Compares greedy texts with llama.cpp (PyPI xllamacpp) for the families and tokenizers that compare_llama_cpp.py leaves out.

    pip install torch transformers peft safetensors sentencepiece gguf xllamacpp
    python compare_llama_cpp_families.py FEDSHIELD-CLI

For small random models of SmolLM3, Granite, OLMo 2 and 3, Seed-OSS, Qwen3-MoE, Phi-3, Phi-4 (partial rotary embedding, LongRoPE, tied head) and Gemma 3, made by
transformers, with an adapter of several ranks and alphas, made by PEFT: base, base with adapter and merged model as GGUF, from the folder
and from a GGUF base. With F32 files every text must be that of `adapter chat`; F16 and Q8_0 are shown. Folders with SentencePiece's
tokenizer come in the three layouts that transformers 5 has; llama.cpp must give texts the ids that transformers gives them.
"""

import ctypes
import json
import os
import shutil
import sys
import tempfile

import torch
from compare_llama_cpp import BASE, QUESTIONS, llama_cpp, run, same
from make_gguf import TEXTS, pieces
from make_pre import library
from peft import LoraConfig, get_peft_model
from transformers import (
    AutoTokenizer, Gemma3ForCausalLM, Gemma3TextConfig, GraniteConfig, GraniteForCausalLM, LlamaConfig, LlamaForCausalLM, Olmo2Config,
    Olmo2ForCausalLM, Olmo3Config, Olmo3ForCausalLM, Phi3Config, Phi3ForCausalLM, Qwen3MoeConfig, Qwen3MoeForCausalLM, SeedOssConfig,
    SeedOssForCausalLM, SmolLM3Config, SmolLM3ForCausalLM,
)

SHAPE = dict(
    hidden_size=64, intermediate_size=96, num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=256,
    initializer_range=0.12, pad_token_id=0, rms_norm_eps=1e-5, attn_implementation="eager",
)
# Seeds of the models' weights; any will do.
SEEDS = {}
SEPARATE = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
ATTENTION = SEPARATE[:4]
FUSED = ["qkv_proj", "o_proj", "gate_up_proj", "down_proj"]
PATTERNS = dict(rank_pattern={"o_proj": 2, "down_proj": 6}, alpha_pattern={"k_proj": 3, "gate_up_proj": 5})
GEMMA = dict(num_hidden_layers=7, head_dim=16, query_pre_attn_scalar=16, sliding_window=16, rope_theta=5000.0)
# Name, classes, further settings, adapted projections, tokenizer.
MODELS = [
    ("smollm3", SmolLM3Config, SmolLM3ForCausalLM, dict(num_hidden_layers=4), SEPARATE, "bytes"),
    ("granite", GraniteConfig, GraniteForCausalLM, dict(
        num_hidden_layers=2, embedding_multiplier=3.0, attention_multiplier=0.21, residual_multiplier=0.7, logits_scaling=2.5,
        attention_bias=True, mlp_bias=True,
    ), SEPARATE, "bytes"),
    ("olmo2", Olmo2Config, Olmo2ForCausalLM, dict(num_hidden_layers=2, tie_word_embeddings=False), SEPARATE, "bytes"),
    ("olmo2-tied", Olmo2Config, Olmo2ForCausalLM, dict(num_hidden_layers=2, tie_word_embeddings=True), SEPARATE, "bytes"),
    ("olmo3", Olmo3Config, Olmo3ForCausalLM, dict(
        num_hidden_layers=5, tie_word_embeddings=False, sliding_window=16, rope_parameters=dict(
            sliding_attention=dict(rope_type="default", rope_theta=500.0), full_attention=dict(
                rope_type="yarn", rope_theta=500.0, factor=4.0, original_max_position_embeddings=64,
            ),
        ),
    ), SEPARATE, "bytes"),
    ("seed_oss", SeedOssConfig, SeedOssForCausalLM, dict(num_hidden_layers=2, head_dim=32, tie_word_embeddings=False), SEPARATE, "bytes"),
    ("qwen3_moe", Qwen3MoeConfig, Qwen3MoeForCausalLM, dict(
        num_hidden_layers=2, head_dim=16, num_experts=8, num_experts_per_tok=3, moe_intermediate_size=32, norm_topk_prob=True,
    ), ATTENTION, "bytes"),
    ("phi3", Phi3Config, Phi3ForCausalLM, dict(num_hidden_layers=2, tie_word_embeddings=False), FUSED, "llama"),
    ("phi4", Phi3Config, Phi3ForCausalLM, dict(
        num_hidden_layers=2, tie_word_embeddings=True, original_max_position_embeddings=256, max_position_embeddings=1024,
        rope_parameters=dict(
            rope_type="longrope", rope_theta=10000.0, partial_rotary_factor=0.5, original_max_position_embeddings=256,
            short_factor=[1.0, 1.2, 1.5, 2.0], long_factor=[1.2, 2.0, 3.0, 4.0],
        ),
    ), FUSED, "bytes"),
    ("gemma3", Gemma3TextConfig, Gemma3ForCausalLM, GEMMA, SEPARATE, "gemma"),
    ("llama-legacy", LlamaConfig, LlamaForCausalLM, dict(num_hidden_layers=2), SEPARATE, "llama-legacy"),
    ("llama-file", LlamaConfig, LlamaForCausalLM, dict(num_hidden_layers=2), SEPARATE, "llama-file"),
    ("llama-yarn", LlamaConfig, LlamaForCausalLM, dict(num_hidden_layers=2, rope_parameters=dict(
        rope_type="yarn", rope_theta=500.0, factor=4.0, original_max_position_embeddings=64,
    )), SEPARATE, "bytes"),
]
TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}{{ m.role }}: {{ m.content }}{{ eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}"
)


def sentencepiece_files(folder, kind):
    """tokenizer.json as it is published for models of SentencePiece's BPE, and the settings of the class."""
    spm = pieces()
    scores = {spm.id_to_piece(i): spm.get_score(i) for i in range(spm.vocab_size())}
    vocabulary = {piece: i for i, piece in enumerate(scores)}
    merges = []
    for piece, score in scores.items():
        cuts = [(piece[:at], piece[at:]) for at in range(1, len(piece))]
        merges += [(score, left, right) for left, right in cuts if left in vocabulary and right in vocabulary]
    merges.sort(key=lambda merge: (merge[0], len(merge[1]), len(merge[2])), reverse=True)
    special = lambda i: dict(
        id=i, content=spm.id_to_piece(i), single_word=False, lstrip=False, rstrip=False, normalized=False, special=True,
    )
    replace = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
    bos = {"SpecialToken": {"id": "<s>", "type_id": 0}}
    text = lambda which: {"Sequence": {"id": which, "type_id": 0}}
    back = [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}]
    if kind != "gemma":
        back.append({"type": "Strip", "content": " ", "start": 1, "stop": 0})
    tokenizer = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [special(i) for i in range(3)],
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, replace]}
        if kind != "gemma" else replace,
        "pre_tokenizer": None,
        "post_processor": {
            "type": "TemplateProcessing", "single": [bos, text("A")], "pair": [bos, text("A"), bos, text("B")],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}},
        },
        "decoder": {"type": "Sequence", "decoders": back},
        "model": {
            "type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None, "end_of_word_suffix": None,
            "fuse_unk": True, "byte_fallback": True, "ignore_merges": False, "vocab": vocabulary,
            "merges": [[left, right] for _, left, right in merges],
        },
    }
    classes = {"llama": "LlamaTokenizer", "llama-legacy": "LlamaTokenizer", "gemma": "GemmaTokenizer"}
    settings = dict(
        tokenizer_class=classes.get(kind, "PreTrainedTokenizerFast"), bos_token="<s>", eos_token="</s>", unk_token="<unk>",
        pad_token="<unk>", chat_template=TEMPLATE, legacy=kind == "llama-legacy",
    )
    for name, content in (("tokenizer.json", tokenizer), ("tokenizer_config.json", settings)):
        with open(os.path.join(folder, name), "w") as file:
            json.dump(content, file)
    return spm.vocab_size()


def make(work, name, config_class, model_class, extra, targets, kind):
    """A model's folder and an adapter's."""
    folder, tuned = os.path.join(work, name), os.path.join(work, name + "-adapter")
    os.mkdir(folder)
    vocab, ends = 2048, dict(bos_token_id=0, eos_token_id=0)
    if kind == "bytes":
        for file in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copy(os.path.join(BASE, file), folder)
    else:
        vocab, ends = sentencepiece_files(folder, kind), dict(bos_token_id=1, eos_token_id=2)
    torch.manual_seed(SEEDS.get(name, len(name)))
    model = model_class(config_class(**{**SHAPE, **ends, "vocab_size": vocab, **extra})).float().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.add_(0.4 * (torch.rand(parameter.shape) - 0.5))
        if kind != "bytes":
            # No bytes in the answers: where they form no letter, the programs show them in different ways.
            model.get_output_embeddings().weight[3:259] = 0
    model.save_pretrained(folder)
    adapted = get_peft_model(model, LoraConfig(r=4, lora_alpha=8, target_modules=targets, task_type="CAUSAL_LM", **PATTERNS))
    with torch.no_grad():
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter.copy_(0.2 * torch.randn(parameter.shape))
    adapted.save_pretrained(tuned)
    return folder, tuned


def ours(model, adapter=None):
    """Prompts and answers; prompts without the token that llama.cpp puts before them itself."""
    prompts, answers = [], []
    for question in QUESTIONS:
        arguments = ["chat"] + ([adapter] if adapter else []) + ["--model", model, "--prompt", question]
        answer = json.loads(run(*arguments, "--max-tokens", "40", "--device", "cpu", "--json"))["answers"][0]
        prompts.append(answer["prompt"].removeprefix("<s>"))
        answers.append(answer["text"].removeprefix(" "))
    return prompts, answers


def asked(path, prompts, lora=None):
    """llama.cpp's answers, without the space that SentencePiece's decoder takes off the beginning of a text."""
    return [text.removeprefix(" ") for text in llama_cpp(path, prompts, lora)]


def ids_of(lib, path, texts):
    model = lib.llama_model_load_from_file(path.encode(), lib.llama_model_default_params())
    assert model, path
    vocabulary, out, rows = lib.llama_model_get_vocab(model), (ctypes.c_int32 * 4096)(), []
    for text in texts:
        data = text.encode()
        count = lib.llama_tokenize(vocabulary, data, len(data), out, 4096, False, True)
        rows.append(list(out[:count]))
    return rows


def check_ids(lib, name, folder, path, prompts):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    good = True
    for what, texts in (("prompts", ["<s>" + prompt for prompt in prompts]), ("texts", TEXTS)):
        theirs = ids_of(lib, path, texts)
        wrong = [t for t, ids in zip(texts, theirs) if tokenizer(t, add_special_tokens=False)["input_ids"] != ids]
        print(f"{name}: {len(texts) - len(wrong)} of {len(texts)} {what} have transformers' ids", *map(repr, wrong))
        good &= what != "prompts" or not wrong
    return good


def main():
    torch.set_num_threads(1)
    lib, good = library(), True
    with tempfile.TemporaryDirectory() as work:
        for name, *rest in MODELS:
            if sys.argv[2:] and name not in sys.argv[2:]:
                continue
            model, tuned = make(work, name, *rest)
            path = lambda what: os.path.join(work, f"{name}-{what}.gguf")
            none = os.path.join(work, name + "-none")
            shutil.copytree(tuned, none)
            zero(os.path.join(none, "adapter_model.safetensors"))
            merge = lambda adapter, base, out, kind: run(
                "merge", adapter, "--model", base, "--out", out, "--format", "gguf", "--type", kind,
            )
            merge(none, model, path("base"), "f32")
            for kind in ("f32", "f16", "q8_0"):
                merge(tuned, model, path(kind), kind)
            merge(tuned, path("base"), path("again"), "f32")
            run("export", path("lora"), "--format", "gguf", "--from", tuned, "--model", model)
            run("export", path("lora-again"), "--format", "gguf", "--from", tuned, "--model", path("base"))
            prompts, plain = ours(model)
            _, adapted = ours(model, tuned)
            assert plain != adapted, "the adapter should change the answers"
            good &= same(f"{name} base", asked(path("base"), prompts), plain, True)
            for lora in ("lora", "lora-again"):
                good &= same(f"{name} base + {lora}", asked(path("base"), prompts, path(lora)), adapted, True)
            for merged in ("f32", "again"):
                good &= same(f"{name} merged {merged}", asked(path(merged), prompts), adapted, True)
            for kind in ("f16", "q8_0"):
                good &= same(f"{name} merged {kind}", asked(path(kind), prompts), ours(path(kind))[1], False)
            if rest[-1] != "bytes":
                good &= check_ids(lib, name, model, path("base"), prompts)
    sys.exit(not good)


def zero(path):
    from safetensors.torch import load_file, save_file

    save_file({name: 0 * value for name, value in load_file(path).items()}, path, metadata={"format": "pt"})


if __name__ == "__main__":
    main()
