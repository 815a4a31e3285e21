#!/bin/sh
# Runs a program of ours as on a processor with AVX2 and without AVX-512: ./avx2.sh PROGRAM ARGUMENTS...
#
# The gemm crate chooses the kernel of its products once, by what the processor can do, and keeps the
# choice in a variable. Before the program begins, gdb sets that variable to the kernel for AVX2. Our own
# kernels use no more than AVX2 anywhere. Only lines of JSON are passed on. Needs gdb and nm.
set -eu
symbol() { nm "$program" | awk -v pattern="$1" '$3 ~ pattern { print $3; exit }'; }
program=$1
chosen=$(symbol 'gemm_f32.*f32.*GEMM_PTR')
kernel=$(symbol 'gemm_f32.*f32.*fma.*gemm_basic')
if [ -z "$chosen" ] || [ -z "$kernel" ]; then
    echo "$program has no symbols of the gemm crate's kernels; build it without stripping them" >&2
    exit 1
fi
# `main` is the name of two functions, C's and Rust's: `delete` removes the breakpoint that is left.
gdb -q -batch -nx -ex 'set startup-with-shell off' -ex 'set print thread-events off' -ex 'tbreak main' -ex run \
    -ex 'set language c' -ex "set *(void **)&$chosen = (void *)&$kernel" -ex 'delete' -ex continue --args "$@" |
    grep '^{'
