"""Makes packed/nf4 and packed/fp8: whole folders whose projections are packed, and the logits of transformers.

    pip install torch transformers safetensors bitsandbytes accelerate
    python make_packed_folders.py

packed/nf4 is written by transformers with bitsandbytes (double quantisation), read back and decoded by them for the logits. packed/fp8 has a
scale for each block of 128 x 128, as DeepSeek and Qwen publish it; transformers reads it with the weights decoded (`dequantize`),
because products in FP8 round the activations too and need a GPU. reference.safetensors in each: ids and logits.
"""

import json
import os
import shutil

import torch
from make_packed import fp8
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, FineGrainedFP8Config, LlamaConfig, LlamaForCausalLM

VOCAB, LENGTH = 64, 12
CONFIG = dict(
    hidden_size=128, intermediate_size=256, num_hidden_layers=1, num_attention_heads=4, num_key_value_heads=4, vocab_size=VOCAB,
    max_position_embeddings=64, initializer_range=0.2, bos_token_id=1, eos_token_id=2, pad_token_id=0, tie_word_embeddings=False,
)
TOKENIZER = {
    "version": "1.0", "added_tokens": [], "normalizer": None, "pre_tokenizer": {"type": "Whitespace"}, "post_processor": None,
    "decoder": None, "model": {"type": "WordLevel", "vocab": {"<unk>": 0}, "unk_token": "<unk>"},
}


def nf4(plain, folder):
    four = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=torch.float32,
    )
    model = AutoModelForCausalLM.from_pretrained(plain, quantization_config=four, dtype=torch.float32, device_map="cpu")
    model.save_pretrained(folder)
    return AutoModelForCausalLM.from_pretrained(folder, device_map="cpu").dequantize()


def block_scaled(plain, folder):
    shutil.copytree(plain, folder)
    tensors = {}
    for name, values in load_file(os.path.join(plain, "model.safetensors")).items():
        tensors[name] = values
        if "_proj." in name:
            tensors[name], tensors[name + "_scale_inv"], _ = fp8(values)
    save_file(tensors, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})
    path = os.path.join(folder, "config.json")
    with open(path) as file:
        config = json.load(file)
    config["quantization_config"] = dict(quant_method="fp8", activation_scheme="dynamic", weight_block_size=[128, 128])
    with open(path, "w") as file:
        json.dump(config, file, indent=2)
    decoded = FineGrainedFP8Config(dequantize=True)
    return AutoModelForCausalLM.from_pretrained(folder, quantization_config=decoded, dtype=torch.float32)


def main():
    torch.manual_seed(5)
    torch.set_num_threads(1)
    plain = "packed/plain"
    for name, make in (("nf4", nf4), ("fp8", block_scaled)):
        folder = os.path.join("packed", name)
        shutil.rmtree(folder, ignore_errors=True)
        LlamaForCausalLM(LlamaConfig(**CONFIG)).float().save_pretrained(plain)
        model = make(plain, folder).eval()
        ids = torch.randint(0, VOCAB, (1, LENGTH))
        with torch.no_grad():
            logits = model(input_ids=ids, use_cache=False).logits.float()
        save_file({"ids": ids.float(), "logits": logits}, os.path.join(folder, "reference.safetensors"))
        with open(os.path.join(folder, "tokenizer.json"), "w") as file:
            json.dump(TOKENIZER, file)
        shutil.rmtree(plain)
        print(name, sorted(os.listdir(folder)), {type(m).__name__ for m in model.modules()})


if __name__ == "__main__":
    main()
