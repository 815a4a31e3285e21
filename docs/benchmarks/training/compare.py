"""Our training step beside PyTorch + PEFT's, in turns, as a table.

    cargo build --release -p fedshield-train-tools --example measure
    pip install torch==2.15.0 transformers==5.24.0 peft==0.21.2 gguf
    python compare.py MODEL --ours target/release/examples/measure --rounds 5 [--allocator LIBRARY]

MODEL as torch_step.py takes it. Every round starts each program once for each shape, one after the other; the table holds
medians over the rounds, and the smallest and largest ratio of one round. `--allocator` preloads a library into ours;
`--theirs-allocator` into theirs. `--avx2` keeps both from using AVX-512: ours by avx2.sh, theirs by the variables of
PyTorch, oneDNN and MKL. A shape is BATCHxSEQUENCE; `c` after it means gradient checkpointing on both sides.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys

parser = argparse.ArgumentParser()
parser.add_argument("model")
parser.add_argument("--ours", required=True)
parser.add_argument("--rounds", type=int, default=5)
parser.add_argument("--steps", type=int, default=3)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--rank", type=int, default=32)
parser.add_argument("--shapes", default="2x128,2x512,8x128,8x512")
parser.add_argument("--allocator")
parser.add_argument("--theirs-allocator")
parser.add_argument("--avx2", action="store_true")
parser.add_argument("--json")
options = parser.parse_args()
HERE = os.path.dirname(os.path.abspath(__file__))
TORCH = os.path.join(HERE, "torch_step.py")
OURS = [os.path.join(HERE, "avx2.sh"), options.ours] if options.avx2 else [options.ours]
if options.avx2:
    os.environ.update(ATEN_CPU_CAPABILITY="avx2", ONEDNN_MAX_CPU_ISA="AVX2", MKL_ENABLE_INSTRUCTIONS="AVX2")


def run(command, preload):
    environment = dict(os.environ, **({"LD_PRELOAD": preload} if preload else {}))
    out = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE).stdout
    return json.loads(out.decode().strip().splitlines()[-1])


def flags(shape):
    batch, seq = shape.removesuffix("c").split("x")
    return ["--batch", batch, "--seq", seq, "--rank", str(options.rank), "--steps", str(options.steps),
            "--threads", str(options.threads)] + ["--checkpoint"] * shape.endswith("c")


rows = []
for shape in options.shapes.split(","):
    ours, theirs = [], []
    for _ in range(options.rounds):
        ours.append(run(OURS + ["--model", options.model, "--json"] + flags(shape), options.allocator))
        theirs.append(run([sys.executable, TORCH, options.model] + flags(shape), options.theirs_allocator))
        print(shape, "ours", round(ours[-1]["step_seconds"], 3), "theirs", round(theirs[-1]["step_seconds"], 3),
              file=sys.stderr)
    rows.append({"shape": shape, "ours": ours, "theirs": theirs})
if options.json:
    with open(options.json, "w") as file:
        json.dump(rows, file, indent=1)

print("| batch x sequence | tokens/s: ours, theirs | ratio (lowest, highest round) | CPU s a step: ours, theirs | "
      "cores busy: ours, theirs | peak MiB: ours, theirs | memory ratio | loss of the first step: ours, theirs |")
print("|---|---|---|---|---|---|---|---|")
for row in rows:
    def median(side, key):
        return statistics.median(entry[key] for entry in row[side])

    ratios = [o["tokens_per_second"] / t["tokens_per_second"] for o, t in zip(row["ours"], row["theirs"])]
    speed = [median(side, "tokens_per_second") for side in ("ours", "theirs")]
    busy = [statistics.median(entry["cpu_seconds"] / entry["step_seconds"] for entry in row[side])
            for side in ("ours", "theirs")]
    memory = [median(side, "peak_memory_mib") for side in ("ours", "theirs")]
    print(f"| {row['shape'].replace('x', ' x ')} | {speed[0]:.0f}, {speed[1]:.0f} "
          f"| **{statistics.median(ratios):.2f}** ({min(ratios):.2f}, {max(ratios):.2f}) "
          f"| {median('ours', 'cpu_seconds'):.2f}, {median('theirs', 'cpu_seconds'):.2f} "
          f"| {busy[0]:.2f}, {busy[1]:.2f} | {memory[0]:.0f}, {memory[1]:.0f} | **{memory[0] / memory[1]:.2f}** "
          f"| {row['ours'][0]['first_loss']:.4f}, {row['theirs'][0]['first_loss']:.4f} |")
