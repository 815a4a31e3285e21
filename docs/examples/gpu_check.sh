#!/usr/bin/env bash
# Packs what measures training on a borrowed machine with an NVIDIA GPU: one from which nothing can be reached, which has
# neither Rust nor this repository, and which one has for a quarter of an hour.
#
#   sudo docs/examples/gpu_check.sh WORK FOLDER [--built]
#
# Builds the suite of parity and the benchmark of a step with build_cuda.sh in WORK (see there), or with --built takes
# what lies in /opt/fedshield from an earlier build, and puts into FOLDER, at most 50 MiB:
#
#   programs.tar.xz   both programs and their libraries, for /opt/fedshield
#   reference.tar.xz  what the suite of parity compares with, for /repository
#   torch_step.py     the same step with PyTorch + PEFT
#   run.sh            what runs there
#
# Carry FOLDER to the machine and run there, as root:
#
#   FOLDER/run.sh quick RESULTS     parity, and 135M in f32 and bf16: about two minutes
#   FOLDER/run.sh full RESULTS      then 1B, 3B and 7B as well: at most six
#
# Each row is printed and kept in RESULTS/rows.jsonl when it is measured, so that a run that is cut short is worth
# something; RESULTS/table.md is made at the end. The machine needs NVIDIA's driver, a CUDA toolkit with libdevice, xz, and
# for the rows of PyTorch python3 with torch, transformers and peft.
set -euo pipefail

if [ $# -lt 2 ]; then
    sed -n '5,6p' "$0" | cut -c3- >&2
    exit 2
fi
repository=$(cd "$(dirname "$0")/../.." && pwd)
work=$1 folder=$2 out=/opt/fedshield
if [ "${3:-}" != --built ]; then
    PROFILE=${PROFILE:-gpu-release} "$repository/docs/examples/build_cuda.sh" "$work" "$out" measure parity
fi
for program in measure parity; do
    [ -x "$out/bin/$program" ] || { echo "$out/bin/$program is missing: run without --built" >&2; exit 1; }
done
mkdir -p "$folder"
# The two programs share most of their bytes. A dictionary that reaches from one into the other packs those once.
tar -C / -c "${out#/}/bin/measure" "${out#/}/bin/parity" "${out#/}/lib" |
    xz -T1 --lzma2=preset=3,dict=256MiB >"$folder/programs.tar.xz"
tar -C "$repository" -c core/train/tests/parity | xz >"$folder/reference.tar.xz"
cp "$repository/docs/benchmarks/training/torch_step.py" "$folder/"
cat >"$folder/run.sh" <<'RUN'
#!/usr/bin/env bash
# run.sh quick|full RESULTS: see docs/examples/gpu_check.sh in the repository of FedShield.
set -u
case ${1:-} in
    quick | full) ;;
    *) echo "usage: $0 quick|full RESULTS" >&2; exit 2 ;;
esac
stage=$1 results=${2:?where the results go}
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$results" /repository
results=$(cd "$results" && pwd)
tar -xJf "$here/programs.tar.xz" -C /
tar -xJf "$here/reference.tar.xz" -C /repository

# The programs bring their own C library, so of this machine's libraries they may see the driver's and the toolkit's alone.
libraries=$(mktemp -d)
find / -xdev \( -path /proc -o -path /sys \) -prune -o \
    \( -name 'libcuda.so.1' -o -name 'libnvidia-*.so*' -o -name 'libnvrtc*.so*' \) ! -path '*/stubs/*' -print 2>/dev/null |
    while read -r file; do ln -sf "$file" "$libraries/"; done
# Drivers are often mounted, and -xdev stays out of mounts.
for file in /usr/lib/x86_64-linux-gnu/libcuda.so.1 /usr/lib64/libcuda.so.1 /usr/local/nvidia/lib64/libcuda.so.1 \
    $(ldconfig -p 2>/dev/null | sed -n 's/.*=> \(.*\/lib\(cuda\.so\.1\|nvidia-.*\)\)$/\1/p'); do
    [ -e "$file" ] && ln -sf "$file" "$libraries/"
done
toolkit=$(find /usr/local /opt -name 'libdevice.10.bc' 2>/dev/null | head -1)
export CUDA_PATH=${toolkit%/nvvm/libdevice/libdevice.10.bc}
ours=(env "LD_LIBRARY_PATH=$libraries")
nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader | tee "$results/card.txt"

# row NAME SECONDS COMMAND...: prints and keeps the command's last line, with the most memory that the card had in use.
row() {
    local name=$1 limit=$2 watcher line
    shift 2
    (while :; do
        nvidia-smi --query-gpu=memory.used --format=csv,noheader,nounits
        sleep 0.3
    done) >"$results/.memory" 2>/dev/null &
    watcher=$!
    line=$(timeout "$limit" "$@" 2>"$results/.errors" | tail -1)
    kill "$watcher" 2>/dev/null
    wait "$watcher" 2>/dev/null
    case $line in
        '{'*'}') ;;
        *) line="{\"failed\": $(tail -c 400 "$results/.errors" | python3 -c 'import json, sys; print(json.dumps(sys.stdin.read()))')}" ;;
    esac
    echo "{\"row\": \"$name\", \"card_memory_mib\": $(sort -n "$results/.memory" | tail -1), \"result\": $line}" |
        tee -a "$results/rows.jsonl" | cut -c1-600
}
us() {
    local name=$1 model=$2 steps=$3 limit=$4
    shift 4
    row "ours $name" "$limit" "${ours[@]}" /opt/fedshield/bin/measure --model "shape:$model" --rank 32 --batch 8 --seq 512 \
        --steps "$steps" --device cuda --json "$@"
}
pytorch() {
    local name=$1 model=$2 steps=$3 limit=$4
    shift 4
    row "pytorch $name" "$limit" python3 "$here/torch_step.py" "shape:$model" --rank 32 --batch 8 --seq 512 \
        --steps "$steps" --threads 8 --device cuda "$@"
}

: >"$results/rows.jsonl"
# One family first: if that fails, the rest need not be waited for.
export FEDSHIELD_PARITY_DEVICE=cuda
(timeout 60 "${ours[@]}" /opt/fedshield/bin/parity --test-threads 1 --exact llama &&
    timeout 100 "${ours[@]}" /opt/fedshield/bin/parity --test-threads 1 --skip every_precision) \
    2>&1 | tee "$results/parity.txt" | grep -E '^test |of .*e|panicked' | cut -c1-200
us "135M bf16" 135m 10 60 --compute-precision bf16
us "135M f32" 135m 5 60
pytorch "135M bf16" 135m 10 60 --dtype bfloat16
if [ "$stage" = full ]; then
    us "1B bf16" 1b 5 60 --compute-precision bf16 --base-precision bf16
    pytorch "1B bf16" 1b 5 60 --dtype bfloat16
    us "3B bf16" 3b 3 60 --compute-precision bf16 --base-precision bf16
    pytorch "3B bf16" 3b 3 60 --dtype bfloat16
    us "7B bf16, checkpointing" 7b 3 90 --compute-precision bf16 --base-precision bf16 --checkpoint
    pytorch "7B bf16, checkpointing" 7b 3 60 --dtype bfloat16 --checkpoint
fi
rm -f "$results/.memory" "$results/.errors"
python3 - "$results" <<'TABLE'
import json, pathlib, sys

folder = pathlib.Path(sys.argv[1])
lines = ["| " + (folder / "card.txt").read_text().strip() + " | tokens/s | step, s | first step, s | memory of the card, MiB |",
         "|---|---|---|---|---|"]
for line in (folder / "rows.jsonl").read_text().splitlines():
    row = json.loads(line)
    result = row["result"]
    if "failed" in result:
        lines.append(f"| {row['row']} | failed | | | {row['card_memory_mib']} |")
        continue
    numbers = [f"{result['tokens_per_second']:.0f}", f"{result['step_seconds']:.3f}", f"{result['first_step_seconds']:.1f}"]
    lines.append(f"| {row['row']} | " + " | ".join(numbers) + f" | {row['card_memory_mib']} |")
table = "\n".join(lines) + "\n"
(folder / "table.md").write_text(table)
print(table)
TABLE
RUN
chmod +x "$folder/run.sh"
size=$(du -sk "$folder" | cut -f1)
echo "$folder: $((size / 1024)) MiB"
[ "$size" -le $((50 * 1024)) ] || { echo "that is more than 50 MiB" >&2; exit 1; }
echo "to be run there: $(basename "$folder")/run.sh quick RESULTS"
