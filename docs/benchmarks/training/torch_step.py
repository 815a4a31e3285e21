"""One training step of PyTorch + PEFT on the work of `--example measure`, printed as JSON.

    python torch_step.py MODEL --batch 2 --seq 128 --steps 5 --threads 2 --rank 32

MODEL is a Hugging Face folder, a GGUF file (decoded to f32 by transformers), or shape:135m, shape:1b, shape:3b or shape:7b (random
weights, drawn on the device). SDPA attention, LoRA on q, k, v and o in f32, AdamW, gradient norm clipped to 1, every position
labelled, the same token ids as ours. --device cuda, and --dtype bfloat16 for the base and the activations.
"""

import argparse
import json
import os
import resource
import time

parser = argparse.ArgumentParser()
parser.add_argument("model")
for name, value in (("batch", 2), ("seq", 128), ("steps", 5), ("threads", 2), ("rank", 32)):
    parser.add_argument(f"--{name}", type=int, default=value)
parser.add_argument("--checkpoint", action="store_true")
parser.add_argument("--device", default="cpu")
parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
options = parser.parse_args()
os.environ["OMP_NUM_THREADS"] = str(options.threads)

import torch  # noqa: E402  (after the number of threads is set)
import transformers  # noqa: E402
from peft import LoraConfig, get_peft_model  # noqa: E402

torch.set_num_threads(options.threads)
torch.manual_seed(0)
dtype = getattr(torch, options.dtype)
where, file = options.model, {}
if options.model.endswith(".gguf"):
    where, name = os.path.split(os.path.abspath(options.model))
    file = {"gguf_file": name}
if options.model.startswith("shape:"):
    hidden, inner, layers, heads, pairs, vocab, tied = {
        "135m": (576, 1536, 30, 9, 3, 49152, True),
        "1b": (2048, 8192, 16, 32, 8, 128256, True),
        "3b": (3072, 8192, 28, 24, 8, 128256, True),
        "7b": (4096, 11008, 32, 32, 32, 32000, False),
    }[options.model.removeprefix("shape:")]
    config = transformers.LlamaConfig(
        hidden_size=hidden, intermediate_size=inner, num_hidden_layers=layers, num_attention_heads=heads,
        num_key_value_heads=pairs, vocab_size=vocab, tie_word_embeddings=tied, max_position_embeddings=4096,
    )
    with torch.device(options.device):
        model = transformers.AutoModelForCausalLM.from_config(config, dtype=dtype, attn_implementation="sdpa")
else:
    model = transformers.AutoModelForCausalLM.from_pretrained(where, dtype=dtype, attn_implementation="sdpa", **file)
    model.to(options.device)
if options.checkpoint:
    model.gradient_checkpointing_enable({"use_reentrant": False})
    model.enable_input_require_grads()
model = get_peft_model(model, LoraConfig(
    r=options.rank, lora_alpha=2 * options.rank, lora_dropout=0.0,
    target_modules=["q_proj", "k_proj", "v_proj", "o_proj"], task_type="CAUSAL_LM",
))  # PEFT keeps the adapter in f32
model.train()
trained = [p for p in model.parameters() if p.requires_grad]
optimizer = torch.optim.AdamW(trained, lr=1e-3)
vocab, count = model.config.vocab_size, options.batch * options.seq
ids = torch.tensor([(i * 7919 + 13) % vocab for i in range(count)], device=options.device)
ids = ids.view(options.batch, options.seq)


def cpu():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


rows, losses = [], []
for _ in range(options.steps + 1):
    begin, begin_cpu = time.perf_counter(), cpu()
    loss = model(input_ids=ids, labels=ids, use_cache=False).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(trained, 1.0)
    optimizer.step()
    optimizer.zero_grad()
    losses.append(loss.item())
    rows.append((time.perf_counter() - begin, cpu() - begin_cpu))
seconds = sorted(row[0] for row in rows[1:])[options.steps // 2]
cpu_seconds = sum(row[1] for row in rows[1:]) / options.steps
print(json.dumps({
    "torch": torch.__version__, "transformers": transformers.__version__, "batch": options.batch,
    "seq": options.seq, "first_loss": losses[0], "last_loss": losses[-1], "step_seconds": seconds, "cpu_seconds": cpu_seconds,
    "tokens_per_second": count / seconds, "first_step_seconds": rows[0][0], "model": options.model, "dtype": options.dtype,
    "device_memory_mib": torch.cuda.max_memory_reserved() / 2**20 if options.device == "cuda" else None,
    "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
}))
