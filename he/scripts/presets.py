#!/usr/bin/env python3
"""Searches the rows of he/src/params/table.rs: for b bits per value and n members, the slots per
coefficient S, scale bits s and dropped bits l that give the fewest wire bits per value while every
bound of docs/CRYPTO.md holds, then the largest prime q = 1 mod 8192 of that size. No dependencies."""

import math

N = 4096
BASES = [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37]


def is_prime(n):
    if any(n % p == 0 for p in BASES):
        return n in BASES
    d, twos = n - 1, 0
    while d % 2 == 0:
        d, twos = d // 2, twos + 1
    for a in BASES:
        x = pow(a, d, n)
        if x in (1, n - 1):
            continue
        for _ in range(twos - 1):
            x = x * x % n
            if x == n - 1:
                break
        else:
            return False
    return True


def prime_below(bits):
    q = ((1 << bits) - 1) // (2 * N) * (2 * N) + 1
    while q >= 1 << bits or not is_prime(q):
        q -= 2 * N
    return q


def search(b, n):
    w = b + math.ceil(math.log2(n))
    error = 11 * 6.4 * math.sqrt(n) + 1
    best = None
    for slots in range(1, 8):
        for s in range(6, 30):
            log_q = slots * w + s
            if log_q > 62:
                continue
            for l in range(20):
                if 2 * error + n * (2**l - 1) + 1 >= 2**s:
                    continue
                if n << (log_q - l) >= 1 << 64:
                    continue
                cost = ((log_q - l) / slots, log_q)
                if best is None or cost < best[0]:
                    best = (cost, slots, log_q, s, l)
    return best


for b in (8, 12, 16, 20):
    for n in (16, 32, 64, 128, 256, 512):
        _, slots, log_q, s, l = search(b, n)
        q = prime_below(log_q)
        w = b + math.ceil(math.log2(n))
        packed = sum(n * (2**b - 1) << (w * i) for i in range(slots))
        assert 2**s * packed + 2 ** (s - 1) < q
        print(f'    preset!("rlwe-sum/b{b}/n{n}", false, RING_DEGREE, {b}, {n}, {slots}, {q}, {s}, {l}),')
