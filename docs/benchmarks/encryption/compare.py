#!/usr/bin/env python3
"""`rlwe-sum` beside TenSEAL with the settings of the FedShield-LLM reference code and beside OpenFHE, in one run.

    python3.10 -m venv /tmp/venv && /tmp/venv/bin/pip install tenseal==0.3.16 openfhe==1.6.1.0.22.4
    cargo build --release -p fedshield-he --example measure_encryption
    /tmp/venv/bin/python docs/benchmarks/encryption/compare.py target/release/examples/measure_encryption --plot \\
        docs/benchmarks/encryption/compare.svg

(Python 3.10 is what OpenFHE's wheel is built for, and TenSEAL 0.3.16 the newest release for it.) CPU seconds of one core.
TenSEAL: N = 8192, [60, 40, 40, 60], scale 2^40, one shared key, without its serialisation. OpenFHE: CKKS, one shared key,
depth 0, one 60-bit modulus, N = 4096: its smallest setting that can add; encoding included, serialisation not. Ours: expansion
of the common polynomials, encoding, encryption and packing together. All are measured in turns, several times; the
fastest of each counts."""

import argparse
import json
import os
import random
import subprocess
import time

os.environ["OMP_NUM_THREADS"] = "1"
VALUES = 1 << 17  # for the other libraries: 32 ciphertexts of 4096 values, 64 of 2048


def cpu(run):
    start = time.process_time()
    result = run()
    return result, time.process_time() - start


class TenSeal:
    name = "TenSEAL, N = 8192, [60, 40, 40, 60]"

    def __init__(self, values):
        import tenseal

        self.tenseal = tenseal
        self.context = tenseal.context(
            tenseal.SCHEME_TYPE.CKKS, poly_modulus_degree=8192, coeff_mod_bit_sizes=[60, 40, 40, 60]
        )
        self.context.global_scale = 2**40
        self.chunks = [values[i : i + 4096] for i in range(0, VALUES, 4096)]

    def measure(self):
        sealed, encrypt = cpu(lambda: [self.tenseal.ckks_vector(self.context, c) for c in self.chunks])
        _, decrypt = cpu(lambda: [v.decrypt() for v in sealed])
        size = len(sealed[0].serialize()) / len(self.chunks[0])
        return {"encrypt": encrypt / VALUES, "decrypt": decrypt / VALUES, "bytes": size}


class OpenFhe:
    name = "OpenFHE CKKS, N = 4096, depth 0"

    def __init__(self, values):
        import openfhe

        self.openfhe = openfhe
        numbers = openfhe.CCParamsCKKSRNS()
        numbers.SetMultiplicativeDepth(0)
        numbers.SetScalingModSize(40)
        numbers.SetFirstModSize(60)
        numbers.SetScalingTechnique(openfhe.ScalingTechnique.FIXEDMANUAL)
        numbers.SetKeySwitchTechnique(openfhe.KeySwitchTechnique.BV)
        self.context = openfhe.GenCryptoContext(numbers)
        self.context.Enable(openfhe.PKESchemeFeature.PKE)
        self.keys = self.context.KeyGen()
        slots = self.context.GetRingDimension() // 2
        assert slots == 2048
        self.chunks = [values[i : i + slots] for i in range(0, VALUES, slots)]

    def measure(self):
        def seal(chunk):
            plain = self.context.MakeCKKSPackedPlaintext(chunk)
            return self.context.Encrypt(self.keys.publicKey, plain)

        sealed, encrypt = cpu(lambda: [seal(c) for c in self.chunks])
        _, decrypt = cpu(lambda: [self.context.Decrypt(c, self.keys.secretKey) for c in sealed])
        size = len(self.openfhe.Serialize(sealed[0], self.openfhe.BINARY)) / len(self.chunks[0])
        return {"encrypt": encrypt / VALUES, "decrypt": decrypt / VALUES, "bytes": size}


class Ours:
    def __init__(self, program, bits, capacity):
        self.command = [program, "--values", "1048576", "--members", "3", "--json"]
        self.command += ["--bits", str(bits), "--capacity", str(capacity), "--repeat", "11"]

    def measure(self):
        report = json.loads(subprocess.check_output(self.command))
        stages, values = report["stages"], report["values"]
        self.name = f"{report['preset']}, {report['path']}"
        return {
            "encrypt": stages["encrypt"]["cpu_s"] / values,
            "decrypt": stages["decrypt"]["cpu_s"] / values,
            "bytes": report["ciphertext_bytes_per_value"],
            "sum": stages["plain u64 add"]["cpu_s"] / stages["aggregate"]["cpu_s"],
        }


def fastest(runs):
    best = {key: min(run[key] for run in runs) for key in ("encrypt", "decrypt", "bytes")}
    ratios = sorted(run["sum"] for run in runs if "sum" in run)
    return best | ({"sum": (ratios[0], ratios[len(ratios) // 2])} if ratios else {})


def table(rows):
    them = rows[0][1]
    yield "| | encrypt ns/value | decrypt ns/value | bytes/value | TenSEAL over it | sum / plain add: lowest, median |"
    yield "|---|---|---|---|---|---|"
    for name, row in rows:
        ratios = ", ".join(f"{them[k] / row[k]:.3g}" for k in ("encrypt", "decrypt", "bytes"))
        add = "{:.2f}, {:.2f}".format(*row["sum"]) if "sum" in row else ""
        times = f"{row['encrypt'] * 1e9:.1f} | {row['decrypt'] * 1e9:.1f}"
        yield f"| {name} | {times} | {row['bytes']:.3f} | {ratios} | {add} |"


def plot(rows):
    """Bars on logarithmic scales, one group for each scheme: an SVG written by hand needs no library."""
    import math

    panels = [
        ("encrypt, ns per value", lambda r: r["encrypt"] * 1e9, 1, 10_000),
        ("decrypt, ns per value", lambda r: r["decrypt"] * 1e9, 1, 10_000),
        ("bytes per value", lambda r: r["bytes"], 1, 1_000),
    ]
    bar, left, width = 18, 250, 420
    height = len(panels) * (len(rows) * bar + 40)
    yield f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 80}" height="{height}"'
    yield ' font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>'
    y = 0
    for title, value, low, high in panels:
        yield f'<text x="8" y="{y + 22}" font-weight="bold">{title} (logarithmic)</text>'
        y += 30
        for name, row in rows:
            x = max(2, width * math.log(value(row) / low) / math.log(high / low))
            colour = "#1f6f8b" if name.startswith("rlwe-sum") else "#c98b5a"
            yield f'<text x="8" y="{y + 13}">{name}</text>'
            yield f'<rect x="{left}" y="{y + 2}" width="{x:.0f}" height="{bar - 4}" fill="{colour}"/>'
            yield f'<text x="{left + x + 5:.0f}" y="{y + 13}">{value(row):.3g}</text>'
            y += bar
        y += 10
    yield "</svg>"


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("program", help="the example `measure_encryption`")
    options.add_argument("--plot", help="write an SVG here")
    options.add_argument("--rounds", type=int, default=5)
    options = options.parse_args()
    os.sched_setaffinity(0, {0})
    random.seed(1)
    values = [random.uniform(-0.05, 0.05) for _ in range(VALUES)]
    schemes = [TenSeal(values), OpenFhe(values)]
    schemes += [Ours(options.program, *preset) for preset in ((16, 16), (16, 128), (8, 16))]
    runs = [[] for _ in schemes]
    for _ in range(options.rounds):
        for scheme, results in zip(schemes, runs):
            results.append(scheme.measure())
    rows = [(scheme.name, fastest(results)) for scheme, results in zip(schemes, runs)]
    print("\n".join(table(rows)))
    if options.plot:
        with open(options.plot, "w") as file:
            file.write("\n".join(plot(rows)) + "\n")


if __name__ == "__main__":
    main()
