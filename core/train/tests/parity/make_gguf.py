"""Makes gguf/: a small Llama in one GGUF file with a SentencePiece tokenizer and Llama 3's rotary table, and what
transformers and SentencePiece say about it. Run it in this folder.

    pip install torch transformers safetensors gguf sentencepiece
    python make_gguf.py

llama.gguf: random weights in f16, norms in f32, 512 pieces trained on the shipped domains' texts with byte fallback.
reference.safetensors: ids and the logits of transformers on the same (f16) weights. texts.json: texts with the ids
that SentencePiece gives them.
"""

import importlib.metadata
import json
import math
import os
import tempfile

import gguf
import numpy as np
import sentencepiece
import torch
from safetensors.numpy import save_file
from transformers import LlamaConfig, LlamaForCausalLM

VOCAB, HEADS, KV_HEADS, HIDDEN, LAYERS = 512, 4, 2, 32, 2
THETA, FACTOR, ORIGINAL = 10000.0, 4.0, 16
TEXTS = [
    "The fee is 150 francs a year.", " two  spaces and a tab\tend ", "", "\n\nline breaks\n", "Zürich, 5 °C",
    "snow: ☃ and 雪", "patient Ms Toth, kidney clinic", "aaaaabbbbb",
]


def pieces():
    """A SentencePiece BPE model, trained on the shipped texts."""
    with tempfile.TemporaryDirectory() as folder:
        corpus = os.path.join(folder, "corpus.txt")
        with open(corpus, "w") as out:
            for name in ("bank", "court", "farm", "hospital"):
                for line in open(f"../../assets/domains/{name}.jsonl"):
                    out.write(json.loads(line)["output"].replace("\n", " ") + "\n")
        sentencepiece.SentencePieceTrainer.train(
            input=corpus, model_prefix=os.path.join(folder, "m"), model_type="bpe", vocab_size=VOCAB,
            byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False,
            num_threads=1, minloglevel=2,
        )
        return sentencepiece.SentencePieceProcessor(model_file=os.path.join(folder, "m.model"))


def divisors():
    """What each rotary frequency is divided by, as Llama 3's rule has it."""
    table = []
    for j in range(HIDDEN // HEADS // 2):
        wavelength = 2 * math.pi * THETA ** (2 * j * HEADS / HIDDEN)
        if wavelength < ORIGINAL / 4:
            table.append(1.0)
        elif wavelength > ORIGINAL:
            table.append(FACTOR)
        else:
            smooth = (ORIGINAL / wavelength - 1) / 3
            table.append(1 / ((1 - smooth) / FACTOR + smooth))
    return np.array(table, np.float32)


def interleaved(weight, heads):
    """Query and key rows in the order GGUF wants: neighbours are rotated together."""
    rows, width = weight.shape
    return weight.reshape(heads, 2, rows // heads // 2, width).swapaxes(1, 2).reshape(rows, width)


def main():
    os.makedirs("gguf", exist_ok=True)
    torch.manual_seed(3)
    torch.set_num_threads(1)
    processor = pieces()
    model = LlamaForCausalLM(LlamaConfig(
        hidden_size=HIDDEN, intermediate_size=48, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
        num_key_value_heads=KV_HEADS, vocab_size=VOCAB, max_position_embeddings=64, initializer_range=0.2,
        tie_word_embeddings=True, rms_norm_eps=1e-5, attn_implementation="eager",
        rope_parameters=dict(
            rope_type="llama3", rope_theta=THETA, factor=FACTOR, low_freq_factor=1.0, high_freq_factor=4.0,
            original_max_position_embeddings=ORIGINAL,
        ),
    )).float().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.add_(0.6 * (torch.rand(parameter.shape) - 0.5))
            else:
                parameter.copy_(parameter.half().float())
    writer = gguf.GGUFWriter("gguf/llama.gguf", "llama")
    writer.add_context_length(64)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(48)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(THETA)
    writer.add_rope_scaling_orig_ctx_len(ORIGINAL)
    writer.add_tokenizer_model("llama")
    ids = range(processor.vocab_size())
    kind = lambda i: 2 if processor.is_unknown(i) else 3 if processor.is_control(i) else 6 if processor.is_byte(i) else 1
    writer.add_token_list([processor.id_to_piece(i) for i in ids])
    writer.add_token_scores([processor.get_score(i) for i in ids])
    writer.add_token_types([kind(i) for i in ids])
    writer.add_bos_token_id(processor.bos_id())
    writer.add_eos_token_id(processor.eos_id())
    writer.add_tensor("rope_freqs.weight", divisors())
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, LAYERS)
    for name, parameter in model.named_parameters():
        values = parameter.detach().numpy()
        for which, heads in (("q_proj", HEADS), ("k_proj", KV_HEADS)):
            if which in name:
                values = interleaved(values, heads)
        values = values.astype(np.float16 if values.ndim == 2 else np.float32)
        writer.add_tensor(names.get_name(name, (".weight",)), np.ascontiguousarray(values))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    tokens = torch.randint(0, VOCAB, (1, 32))
    with torch.no_grad():
        logits = model(input_ids=tokens, use_cache=False).logits
    save_file({"ids": tokens.float().numpy(), "logits": logits.numpy()}, "gguf/reference.safetensors")
    with open("gguf/texts.json", "w") as file:
        json.dump([{"text": t, "ids": processor.encode(t)} for t in TEXTS], file, indent=1)
        file.write("\n")
    with open("gguf/versions.txt", "w") as file:
        for package in ("torch", "transformers", "gguf", "sentencepiece"):
            file.write(f"{package} {importlib.metadata.version(package)}\n")


if __name__ == "__main__":
    main()
