"""Makes quant/more.safetensors: random blocks of the GGUF encodings that make_quant.py does not have, and what they stand for.

    pip install gguf safetensors
    python make_quant_more.py

For each encoding E the file has E.bytes (u8) and E.values (f32, decoded by the numpy code of the gguf package). The bytes
are random but for the scales, which are of the size that weights have.
"""

import gguf
import numpy as np
from safetensors.numpy import save_file

BLOCKS = 4
# Where a block has f16 scales, and E8M0 exponents.
SCALES = {"Q2_K": [80, 82], "Q3_K": [108], "IQ4_NL": [0], "IQ4_XS": [0], "MXFP4": []}


def main():
    random, stored = np.random.default_rng(5), {}
    for name, places in SCALES.items():
        kind = gguf.GGMLQuantizationType[name]
        _, width = gguf.GGML_QUANT_SIZES[kind]
        blocks = random.integers(0, 256, (BLOCKS, width), np.uint8)
        for place in places:
            scales = random.uniform(-0.02, 0.02, (BLOCKS, 1)).astype(np.float16)
            blocks[:, place : place + 2] = scales.view(np.uint8).reshape(BLOCKS, 2)
        if name == "MXFP4":
            blocks[:, 0] = [0, 1, 121, 124]
        data = blocks.reshape(-1)
        stored[f"{name.lower()}.bytes"] = data
        stored[f"{name.lower()}.values"] = gguf.quants.dequantize(data, kind).reshape(-1).astype(np.float32)
    save_file(stored, "quant/more.safetensors")


if __name__ == "__main__":
    main()
