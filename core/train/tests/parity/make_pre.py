"""Makes pre.json: how llama.cpp and tokenizers cut and merge text for each `tokenizer.ggml.pre` that we read.

    pip install gguf tokenizers xllamacpp
    python make_pre.py

One byte-level vocabulary, trained on the shipped texts without cutting them into words, so that its tokens cross every
border that a pre-tokenizer draws: another cut gives other tokens. For each name a tiny model with that vocabulary is written
and llama.cpp (the library inside the xllamacpp wheel) tokenises the texts. Where the model's own tokenizer.json is known
to cut otherwise than llama.cpp (letters outside of ASCII), `own` has the ids that tokenizers gives with its pattern.
"""

import ctypes
import importlib.metadata
import json
import os
import tempfile

import gguf
import numpy as np
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

VOCAB = 1500
# Words that are tokens and that no merges build: a pre-tokenizer that takes such words whole shows itself by them.
WHOLE = ["ĠHTTPServer", "Ġwords", "12345", "Ġ!!!", "ĠDON"]
NAMES = [
    "default", None, "gpt-2", "smollm", "llama-bpe", "dbrx", "qwen2", "deepseek-r1-qwen", "tekken", "gpt-4o", "llama4",
    "deepseek-llm", "deepseek-coder", "deepseek-v3",
]
TEXTS = [
    "The fee is 150 francs a year, it's 12345678 in all.", " two  spaces and a tab\tend ", "\n\nline breaks\n \n  x",
    "WE'LL don't HTTPServer camelCase snake_case iPhone's", "Zürich, 5 °C — «Straße» ÉCOLE naïve", "snow: ☃ and 雪 日本語のテキスト 한국어",
    "x = [1, 2]; if (a != b) { return f(x)[0] / 3.14; }\r\n\t// done", "العربية עברית हिन्दी ไทย", "🙂🙂 emoji 👩‍👩‍👧 end",
    "e\u0301 combining A\u030a marks", "1 22 333 4444 ½ ² ٣٤٥", "    indented\n        more   ", "a/b//c\n/d", "",
    "12345 words in HTTPServer !!! DON'T do 7up 3rd x1y22z333", "they'LL we'Ve I'M he's 'tis rock'n'roll", "ABCdef GHIjkl XYZ AbC aBC XMLHttpRequest",
    "!abc .def (ghi) {jkl} #mno $pqr -stu _vwx /yz", "a!b.c(d)e{f}g#h$i-j_k/l", "...\n!!!\n\n???\r\n///\n", "  a   b\n   c\t\td\n\n\n  e  \n",
    "中文字ab日本12かな漢字カナ한글abc", "医院。数据，在！（这里）：「吗」？", "ａｂｃ　１２３！ “quoted” ‘single’ …", "ǅ ǆ ß ﬁ ª º ʰ ʼn", "a\u0301b\u0302 क़ ค่า",
]
CAPITALS, SMALL = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
REST = r"\s*[\r\n]+|\s+(?!\S)|\s+"
CONTRACTION = "(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
BEFORE = r"[^\r\n\p{L}\p{N}]?"


def cased(ending, digits):
    return (
        f"{BEFORE}{CAPITALS}*{SMALL}+{ending}|{BEFORE}{CAPITALS}+{SMALL}*{ending}|{digits}|"
        rf" ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{REST}"
    )


QWEN = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|" + REST
# The patterns of the models' own tokenizer.json, where llama.cpp's differ from them, whether a word that is a token is taken
# whole, and whether text is composed (NFC) first.
OWN = {
    "tekken": (cased("", r"\p{N}"), True, False), "gpt-4o": (cased(CONTRACTION, r"\p{N}{1,3}"), False, False),
    "llama4": (cased(CONTRACTION, r"\p{N}{1,3}"), False, False), "qwen2": (QWEN, False, True),
}


def trained():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    lines = []
    for name in ("bank", "court", "farm", "hospital"):
        for line in open(f"../../assets/domains/{name}.jsonl"):
            lines.append(json.loads(line)["output"][:80])
    # Enough of each text for tokens of its letters.
    lines += TEXTS * 30
    trainer = trainers.BpeTrainer(vocab_size=VOCAB, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator(lines, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].get)
    tokens += [word for word in WHOLE if word not in tokens]
    return tokens, [" ".join(pair) for pair in model["merges"]]


def write(path, pre, tokens, merges):
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(64)
    writer.add_embedding_length(32)
    writer.add_block_count(1)
    writer.add_feed_forward_length(32)
    writer.add_head_count(2)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model("gpt2")
    if pre is not None:
        writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types([1] * len(tokens))
    writer.add_token_merges(merges)
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    shapes = {"token_embd": (len(tokens), 32), "output_norm": (32,)}
    for name in ("attn_norm", "ffn_norm"):
        shapes[f"blk.0.{name}"] = (32,)
    for name in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"):
        shapes[f"blk.0.{name}"] = (32, 32)
    for name, shape in shapes.items():
        writer.add_tensor(name + ".weight", np.zeros(shape, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


class Parameters(ctypes.Structure):
    """llama_model_params, passed as it comes: larger than it is, since its size is the library's."""

    _fields_ = [("bytes", ctypes.c_ubyte * 512)]


def library():
    files = importlib.metadata.files("xllamacpp")
    path = next(f.locate() for f in files if f.name.startswith("xllamacpp") and f.name.endswith(".so"))
    lib = ctypes.CDLL(str(path))
    lib.llama_model_default_params.restype = Parameters
    lib.llama_model_load_from_file.restype = ctypes.c_void_p
    lib.llama_model_load_from_file.argtypes = [ctypes.c_char_p, Parameters]
    lib.llama_model_get_vocab.restype = ctypes.c_void_p
    lib.llama_model_get_vocab.argtypes = [ctypes.c_void_p]
    lib.llama_tokenize.argtypes = [
        ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int32, ctypes.POINTER(ctypes.c_int32), ctypes.c_int32, ctypes.c_bool,
        ctypes.c_bool,
    ]
    lib.llama_backend_init()
    return lib


def by_llama_cpp(lib, path):
    model = lib.llama_model_load_from_file(path.encode(), lib.llama_model_default_params())
    assert model, path
    vocabulary, out = lib.llama_model_get_vocab(model), (ctypes.c_int32 * 4096)()
    rows = []
    for text in TEXTS:
        data = text.encode()
        count = lib.llama_tokenize(vocabulary, data, len(data), out, 4096, False, False)
        assert count >= 0
        rows.append(list(out[:count]))
    return rows


def by_own(pattern, ignore_merges, composed, tokens, merges):
    vocabulary = {token: i for i, token in enumerate(tokens)}
    model = models.BPE(vocabulary, [tuple(m.split(" ")) for m in merges], ignore_merges=ignore_merges)
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(pattern), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])
    if composed:
        tokenizer.normalizer = normalizers.NFC()
    return [tokenizer.encode(text).ids for text in TEXTS]


def main():
    lib = library()
    tokens, merges = trained()
    result = {"tokens": tokens, "merges": merges, "texts": TEXTS, "pre": []}
    with tempfile.TemporaryDirectory() as folder:
        for pre in NAMES:
            path = os.path.join(folder, "model.gguf")
            write(path, pre, tokens, merges)
            entry = {"name": pre, "ids": by_llama_cpp(lib, path)}
            if pre in OWN:
                entry["own"] = by_own(*OWN[pre], tokens, merges)
                same = sum(a == b for a, b in zip(entry["ids"], entry["own"]))
                print(pre, "llama.cpp as the model's own pattern in", same, "of", len(TEXTS), "texts")
            result["pre"].append(entry)
    print(len({json.dumps(entry["ids"]) for entry in result["pre"]}), "are told apart by llama.cpp")
    print(len({json.dumps(entry.get("own", entry["ids"])) for entry in result["pre"]}), "as wanted here")
    with open("pre.json", "w") as file:
        json.dump(result, file, ensure_ascii=False)
        file.write("\n")
    with open("pre.versions.txt", "w") as file:
        for package in ("gguf", "tokenizers", "xllamacpp"):
            file.write(f"{package} {importlib.metadata.version(package)}\n")


if __name__ == "__main__":
    main()
