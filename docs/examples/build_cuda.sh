#!/usr/bin/env bash
# Builds programs with CUDA where GitHub cannot be reached, but a Debian mirror can.
#
#   sudo docs/examples/build_cuda.sh WORK OUT [PROGRAM...]
#
# PROGRAM: fedshield-cli, fedshieldd (the two without any named), measure (the benchmark of a training step) or parity (the comparison
# with transformers, which reads core/train/tests/parity below /repository).
#
# The CUDA backend's build downloads a prebuilt LLVM from GitHub, unless it finds one in its folder. Debian's unstable
# suite has the same release. So: a minimal Debian unstable in WORK, its LLVM where the backend looks, the build in
# there, and in OUT the programs with the loader and libraries that they were linked against, which may be newer
# than the machine's. OUT is absolute and must have the same path where the programs will run.
#
# Needs root, debootstrap, 10 GB in WORK, and this machine's own Rust toolchain. MIRROR and PROFILE can be set.
set -euo pipefail

if [ $# -lt 2 ] || [ "${2#/}" = "$2" ]; then
    echo "usage: $0 WORK OUT [PROGRAM...]      (OUT absolute)" >&2
    exit 2
fi
# The mounts below are made in a namespace of this script's own. They end with it, however it ends: nobody who deletes WORK
# later deletes the toolchain or /dev through a mount that was left behind.
if [ -z "${IN_OWN_MOUNTS:-}" ]; then
    IN_OWN_MOUNTS=1 exec unshare --mount --propagation private "$0" "$@"
fi
for program in debootstrap cargo rustc unshare; do
    command -v "$program" >/dev/null || { echo "$program is not installed" >&2; exit 1; }
done
repository=$(cd "$(dirname "$0")/../.." && pwd)
root=$1/debian out=$2
shift 2
[ $# -gt 0 ] || set -- fedshield-cli fedshieldd
for program in "$@"; do
    case $program in
        fedshield-cli | fedshieldd | measure | parity) ;;
        *) echo "there is no program $program: fedshield-cli, fedshieldd, measure or parity" >&2; exit 2 ;;
    esac
done
mirror=${MIRROR:-http://deb.debian.org/debian}
profile=${PROFILE:-release}
toolchain=$(rustc --print sysroot)
cargo_home=${CARGO_HOME:-$HOME/.cargo}

if [ ! -e "$root/usr/bin/apt-get" ]; then
    mkdir -p "$root"
    debootstrap --variant=minbase unstable "$root" "$mirror"
fi
chroot "$root" /usr/bin/env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
    gcc g++ libc6-dev patchelf llvm-23-dev libpolly-23-dev libzstd-dev zlib1g-dev libxml2-dev libz3-dev

# Where the backend's build looks, and the mark that says that nothing is to be downloaded.
bundler=$(cd "$repository" && cargo metadata --format-version 1 --locked |
    grep -o '"name":"tracel-llvm-bundler","version":"[^"]*"' | head -1 | sed 's/.*"version":"//; s/"//')
llvm=/usr/lib/llvm-23
mkdir -p "$root/home/.local/share/tracel"
ln -sfn "$llvm" "$root/home/.local/share/tracel/tracel-llvm-$bundler"
# Written once: the build starts anew when it changes.
[ -e "$root$llvm/.tracel-llvm-installed" ] || touch "$root$llvm/.tracel-llvm-installed"
# llvm-config names this library by its path, and the build makes a name of its stem.
ln -sfn /usr/lib/x86_64-linux-gnu/libz3.so "$root$llvm/lib/liblibz3.so"

(cd "$repository" && cargo fetch --locked)
bind() {
    mkdir -p "$root$2"
    mount --bind "$1" "$root$2"
}
bind "$repository" /repository
bind "$toolchain" /rust
bind "$cargo_home" /cargo
bind /proc /proc
bind /dev /dev
in_debian() {
    chroot "$root" /usr/bin/env -i HOME=/home PATH=/rust/bin:/usr/bin:/bin CARGO_HOME=/cargo CARGO_TARGET_DIR=/target "$@"
}
build() {
    in_debian cargo "$@" --locked --offline --manifest-path /repository/Cargo.toml --profile "$profile"
}

mkdir -p "$out/bin" "$out/lib"
folder=$profile
[ "$profile" = dev ] && folder=debug
for program in "$@"; do
    case $program in
        measure)
            build build -p fedshield-train-tools --features cuda --example measure
            built=/target/$folder/examples/measure
            ;;
        parity)
            built=$(build test -p fedshield-train --features cuda --test parity --no-run --message-format json |
                grep -o '"executable":"[^"]*/parity-[^"]*"' | cut -d '"' -f 4)
            ;;
        *)
            build build -p "$program" --features "$program/cuda"
            built=/target/$folder/$program
            ;;
    esac
    chroot "$root" ldd "$built" | grep -o '/[^ ]*\.so[^ ]*' | while read -r library; do
        cp -L "$root$library" "$out/lib/"
    done
    cp "$root$built" "$root/tmp/$program"
    chroot "$root" strip "/tmp/$program"
    chroot "$root" patchelf --set-interpreter "$out/lib/ld-linux-x86-64.so.2" --set-rpath "$out/lib" "/tmp/$program"
    mv "$root/tmp/$program" "$out/bin/"
done
echo "$out/bin: $(cd "$out/bin" && echo *), to be carried together with $out/lib"
