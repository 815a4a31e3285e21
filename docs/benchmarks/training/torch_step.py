"""One training step of PyTorch + PEFT on the work of `--example measure`, printed as JSON.

    python torch_step.py MODEL --batch 2 --seq 128 --steps 5 --threads 2 --rank 32

MODEL is a Hugging Face folder, or a GGUF file (decoded to f32 by transformers). f32, SDPA attention, LoRA on
q, k, v and o, AdamW, gradient norm clipped to 1, every position labelled, the same token ids as ours.
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
options = parser.parse_args()
os.environ["OMP_NUM_THREADS"] = str(options.threads)

import torch  # noqa: E402  (after the number of threads is set)
import transformers  # noqa: E402
from peft import LoraConfig, get_peft_model  # noqa: E402

torch.set_num_threads(options.threads)
torch.manual_seed(0)
where, file = options.model, {}
if options.model.endswith(".gguf"):
    where, name = os.path.split(os.path.abspath(options.model))
    file = {"gguf_file": name}
model = transformers.AutoModelForCausalLM.from_pretrained(
    where, dtype=torch.float32, attn_implementation="sdpa", **file
)
if options.checkpoint:
    model.gradient_checkpointing_enable({"use_reentrant": False})
    model.enable_input_require_grads()
model = get_peft_model(model, LoraConfig(
    r=options.rank, lora_alpha=2 * options.rank, lora_dropout=0.0,
    target_modules=["q_proj", "k_proj", "v_proj", "o_proj"], task_type="CAUSAL_LM",
))
model.train()
trained = [p for p in model.parameters() if p.requires_grad]
optimizer = torch.optim.AdamW(trained, lr=1e-3)
vocab, count = model.config.vocab_size, options.batch * options.seq
ids = torch.tensor([(i * 7919 + 13) % vocab for i in range(count)]).view(options.batch, options.seq)


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
    "tokens_per_second": count / seconds,
    "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
}))
