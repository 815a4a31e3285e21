#!/usr/bin/env python3
"""`rlwe-sum` beside TenSEAL with the settings of the FedShield-LLM reference code, in one run.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install tenseal==0.3.18
    cargo build --release -p fedshield-he --example measure
    /tmp/venv/bin/python docs/benchmarks/encryption/compare.py target/release/examples/measure

CPU seconds of one core. TenSEAL: N = 8192, [60, 40, 40, 60], scale 2^40, one shared key, without its
serialisation. Ours: expansion of the common polynomials, encoding, encryption and packing together.
The two are measured in turns, several times; the fastest of each counts."""

import json
import os
import random
import subprocess
import sys
import time

import tenseal

VALUES = 1 << 17  # for TenSEAL: 32 ciphertexts of 4096 values
ROUNDS = 3


def cpu(run):
    start = time.process_time()
    result = run()
    return result, time.process_time() - start


def measure_tenseal(context, chunks):
    sealed, encrypt = cpu(lambda: [tenseal.ckks_vector(context, c) for c in chunks])
    size = len(sealed[0].serialize()) / len(chunks[0])
    _, decrypt = cpu(lambda: [v.decrypt() for v in sealed])
    return {"encrypt": encrypt / VALUES, "decrypt": decrypt / VALUES, "bytes": size}


def measure_ours(program, capacity):
    arguments = ["--values", "1048576", "--members", "3", "--bits", "16", "--json"]
    report = json.loads(
        subprocess.check_output([program, *arguments, "--capacity", str(capacity)])
    )
    stages, values = report["stages"], report["values"]
    plain, summed = stages["plain u64 add"]["cpu_s"], stages["aggregate"]["cpu_s"]
    return {
        "preset": report["preset"],
        "path": report["path"],
        "encrypt": stages["encrypt"]["cpu_s"] / values,
        "decrypt": stages["decrypt"]["cpu_s"] / values,
        "bytes": report["bytes_per_value"],
        "sum_speed_of_plain_add": plain / summed,
        "extra_memory_bytes": report["extra_memory_bytes"],
    }


def fastest(runs):
    best = dict(runs[0])
    for key in ("encrypt", "decrypt"):
        best[key] = min(run[key] for run in runs)
    if "sum_speed_of_plain_add" in best:
        best["sum_speed_of_plain_add"] = max(run["sum_speed_of_plain_add"] for run in runs)
    return best


def main():
    program = sys.argv[1]
    os.sched_setaffinity(0, {0})
    context = tenseal.context(
        tenseal.SCHEME_TYPE.CKKS, poly_modulus_degree=8192, coeff_mod_bit_sizes=[60, 40, 40, 60]
    )
    context.global_scale = 2**40
    values = [random.uniform(-0.05, 0.05) for _ in range(VALUES)]
    chunks = [values[i : i + 4096] for i in range(0, VALUES, 4096)]
    theirs, ours = [], {16: [], 128: []}
    for _ in range(ROUNDS):
        theirs.append(measure_tenseal(context, chunks))
        for capacity in ours:
            ours[capacity].append(measure_ours(program, capacity))
    them = fastest(theirs)
    print("| | encrypt ns/value | decrypt ns/value | bytes/value | ratios | sum / plain add |")
    print("|---|---|---|---|---|---|")
    print(f"| TenSEAL | {them['encrypt'] * 1e9:.0f} | {them['decrypt'] * 1e9:.0f} | {them['bytes']:.1f} | | |")
    for runs in ours.values():
        us = fastest(runs)
        ratios = [them[k] / us[k] for k in ("encrypt", "decrypt", "bytes")]
        print(
            f"| {us['preset']}, {us['path']} | {us['encrypt'] * 1e9:.1f} | {us['decrypt'] * 1e9:.1f} "
            f"| {us['bytes']:.3f} | {ratios[0]:.0f}, {ratios[1]:.0f}, {ratios[2]:.0f} "
            f"| {us['sum_speed_of_plain_add']:.2f} |"
        )


if __name__ == "__main__":
    main()
