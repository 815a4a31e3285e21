"""Makes packed/: matrices as bitsandbytes (NF4) and torch (FP8 with a scale for each block) pack them, and what they stand for.

    pip install torch safetensors bitsandbytes
    python make_packed.py

packed.safetensors has the tensors as checkpoints store them, values.safetensors the decoded values in f32.
"""

import os

import bitsandbytes.functional as bnb
import torch
from safetensors.torch import save_file

BLOCK = 128


def fp8(weight):
    rows, columns = weight.shape
    down, across = -(-rows // BLOCK), -(-columns // BLOCK)
    scales, packed = torch.empty(down, across), torch.empty(rows, columns, dtype=torch.float8_e4m3fn)
    values = torch.empty(rows, columns)
    for i in range(down):
        for j in range(across):
            place = slice(i * BLOCK, (i + 1) * BLOCK), slice(j * BLOCK, (j + 1) * BLOCK)
            scales[i, j] = weight[place].abs().max() / 448
            packed[place] = (weight[place] / scales[i, j]).to(torch.float8_e4m3fn)
            values[place] = packed[place].float() * scales[i, j]
    return packed, scales, values


def main():
    torch.manual_seed(9)
    os.makedirs("packed", exist_ok=True)
    stored, values = {}, {}
    name = "fp8.weight"
    stored[name], stored[name + "_scale_inv"], values[name] = fp8(torch.randn(130, 140) * 0.05)
    for name, nested, dtype in (("nf4.weight", False, torch.float32), ("nf4_bf16.weight", True, torch.bfloat16), ("nf4_f16.weight", True, torch.float16)):
        weight = (torch.randn(72, 64) * 0.05).to(dtype)
        packed, state = bnb.quantize_4bit(weight, quant_type="nf4", compress_statistics=nested, blocksize=64)
        stored[name] = packed
        for key, value in state.as_dict(packed=True).items():
            stored[f"{name}.{key}"] = value
        values[name] = bnb.dequantize_4bit(packed, state).float()
    save_file({k: v.contiguous() for k, v in stored.items()}, "packed/packed.safetensors")
    save_file({k: v.contiguous() for k, v in values.items()}, "packed/values.safetensors")
    for key, value in stored.items():
        print(key, tuple(value.shape), value.dtype)


if __name__ == "__main__":
    main()
