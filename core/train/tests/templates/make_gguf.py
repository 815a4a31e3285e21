"""Folders and GGUF files of the same tokenizers: writes gguf/*.gguf and gguf/ids.json, which are committed.

    pip install gguf xllamacpp transformers
    python make_gguf.py

The files say what llama.cpp's converter says of such models. ids.json has for each text the token ids of transformers
(folder) and of llama.cpp (file), each with the tokens that they put around a text.
"""

import json
import pathlib
import sys

import gguf
import numpy as np
from transformers import AutoTokenizer

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "parity"))
from make_pre import library  # noqa: E402

NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6
# Folder and name of the pre-tokenizer; `None` is a SentencePiece vocabulary.
MODELS = {
    "llama_always": None, "llama_first": None, "llama_never": None, "prepend": None,
    "byte_level": "gpt-2", "bos_by_post_processor": "llama-bpe", "qwen2": "qwen2",
}
TEXTS = [
    "The quick brown fox", " two  spaces ", "\n\nline\n breaks\t", "it's 12345 DON'T", "医院的数据。 データ 한국어", "Zürich e\u0301 👩‍👧 ☃",
    "", " ", "<|im_start|>user\none?<|im_end|>\n<|im_start|>assistant\n", "<s>begins", "a</s>b", "a </s> b <think>c", "</think>\n\nx", "▁x", "<0x41> x", "<unk> x",
]
SIZE = 8


def pieces_of(file):
    """Tokens, scores and types of a SentencePiece vocabulary, from the merges of a tokenizer.json."""
    vocabulary = file["model"]["vocab"]
    tokens = sorted(vocabulary, key=vocabulary.get)
    ranks = {}
    for rank, merge in enumerate(file["model"]["merges"]):
        ranks.setdefault("".join(merge if isinstance(merge, list) else merge.split(" ")), rank)
    return tokens, [-float(ranks[t] + 1) if t in ranks else 0.0 for t in tokens]


def write(path, name, pre):
    folder = HERE / "tokenizers" / name
    file = json.loads((folder / "tokenizer.json").read_text())
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    tokens, scores = pieces_of(file)
    special = {token["content"] for token in file["added_tokens"] if token["special"]}
    kind = lambda t: UNKNOWN if t == "<unk>" and pre is None else CONTROL if t in special else (
        BYTE if pre is None and len(t) == 6 and t.startswith("<0x") else NORMAL
    )
    writer = gguf.GGUFWriter(str(path), "llama")
    for add, value in [
        (writer.add_context_length, 64), (writer.add_embedding_length, SIZE), (writer.add_block_count, 1),
        (writer.add_feed_forward_length, SIZE), (writer.add_head_count, 2), (writer.add_head_count_kv, 2),
        (writer.add_layer_norm_rms_eps, 1e-5), (writer.add_bos_token_id, tokens.index("<s>")),
        (writer.add_eos_token_id, tokens.index("</s>")),
    ]:
        add(value)
    writer.add_tokenizer_model("gpt2" if pre else "llama")
    writer.add_token_list(tokens)
    writer.add_token_types([kind(token) for token in tokens])
    if pre:
        writer.add_tokenizer_pre(pre)
        writer.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in file["model"]["merges"]])
    else:
        writer.add_tokenizer_pre("default")
        writer.add_token_scores(scores)
        writer.add_unk_token_id(tokens.index("<unk>"))
        if settings.get("add_prefix_space") is False:
            writer.add_add_space_prefix(False)
    begins = AutoTokenizer.from_pretrained(folder)("a")["input_ids"][0] == tokens.index("<s>")
    writer.add_add_bos_token(begins)
    shapes = {"token_embd": (len(tokens), SIZE), "output_norm": (SIZE,)}
    shapes |= {f"blk.0.{norm}": (SIZE,) for norm in ("attn_norm", "ffn_norm")}
    for matrix in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"):
        shapes[f"blk.0.{matrix}"] = (SIZE, SIZE)
    for tensor, shape in shapes.items():
        writer.add_tensor(tensor + ".weight", np.zeros(shape, np.float16 if len(shape) == 2 else np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def by_llama_cpp(lib, path):
    import ctypes

    model = lib.llama_model_load_from_file(str(path).encode(), lib.llama_model_default_params())
    assert model, path
    vocabulary, out = lib.llama_model_get_vocab(model), (ctypes.c_int32 * 4096)()
    rows = []
    for text in TEXTS:
        data = text.encode()
        count = lib.llama_tokenize(vocabulary, data, len(data), out, 4096, True, True)
        assert count >= 0
        rows.append(list(out[:count]))
    return rows


def main():
    lib, found = library(), []
    (HERE / "gguf").mkdir(exist_ok=True)
    for name, pre in MODELS.items():
        path = HERE / "gguf" / f"{name}.gguf"
        write(path, name, pre)
        tokenizer = AutoTokenizer.from_pretrained(HERE / "tokenizers" / name)
        folder, file = [tokenizer(text)["input_ids"] for text in TEXTS], by_llama_cpp(lib, path)
        for text, a, b in zip(TEXTS, folder, file):
            if a != b:
                print(name, repr(text), "folder", a, "llama.cpp", b)
        found.append({"name": name, "folder": folder, "file": file})
    lines = ",\n".join(json.dumps(entry) for entry in found)
    (HERE / "gguf" / "ids.json").write_text(
        '{"texts": ' + json.dumps(TEXTS) + ',\n"models": [\n' + lines + "\n]}\n"
    )


if __name__ == "__main__":
    main()
