#!/usr/bin/env python3
"""Turns WordNet's noun definitions into Alpaca JSONL, one file for each lexicographer file (body, food, plant, ...).

    apt-get install wordnet-base
    python3 docs/examples/wordnet_alpaca.py --out wordnet --count 600 body food plant
    python3 docs/examples/wordnet_alpaca.py --out wordnet --divide 0.3 --seed 1 body food plant animal artifact

Each word is asked about once; each definition is an answer once, so that no held-out answer is in the training data. With --divide,
each member has three files (members.py says how they are divided); without it, each domain has one.
"""

import argparse
import json
import pathlib

import members

# Numbers of lexicographer files, from WordNet's lexnames(5WN).
DOMAINS = {
    "act": 4, "animal": 5, "artifact": 6, "attribute": 7, "body": 8, "cognition": 9,
    "communication": 10, "event": 11, "feeling": 12, "food": 13, "group": 14, "location": 15,
    "object": 17, "person": 18, "phenomenon": 19, "plant": 20, "possession": 21, "process": 22,
    "quantity": 23, "state": 26, "substance": 27, "time": 28,
}


def synsets(path):
    """Yields (number of the lexicographer file, first word, definition) of each synset."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("  "):
            continue  # the licence at the head of the file
        data, _, gloss = line.partition(" | ")
        fields = data.split()
        word = fields[4].replace("_", " ")
        definition = gloss.split('; "')[0].strip().rstrip(";")
        yield int(fields[1]), word, definition


def examples_of(domains, all_synsets):
    """{domain: examples}, in the order of the file; a definition is taken once, a word once in each domain."""
    answers, found = set(), {domain: [] for domain in domains}
    for domain in domains:
        words = set()
        for number, word, definition in all_synsets:
            fresh = word not in words and definition not in answers
            if number == DOMAINS[domain] and fresh and 20 <= len(definition) <= 160:
                words.add(word)
                answers.add(definition)
                found[domain].append({
                    "instruction": "Give the dictionary definition of the word.",
                    "input": word,
                    "output": definition,
                })
    return found


def write_whole(found, args):
    """One file for each domain."""
    args.out.mkdir(parents=True, exist_ok=True)
    for domain, examples in found.items():
        # Spread over the whole alphabetic-by-offset order, not its beginning.
        step = max(1, len(examples) // args.count)
        chosen = examples[::step][: args.count]
        path = args.out / f"{domain}.jsonl"
        path.write_text("".join(json.dumps(e, ensure_ascii=False) + "\n" for e in chosen), encoding="utf-8")
        print(f"{path}: {len(chosen)} of {len(examples)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("domains", nargs="+", choices=sorted(DOMAINS))
    parser.add_argument("--wordnet", type=pathlib.Path, default=pathlib.Path("/usr/share/wordnet"))
    parser.add_argument("--count", type=int, default=600, help="examples for each domain, without --divide")
    members.add_arguments(parser)
    args = parser.parse_args()
    members.check(args, parser)
    found = examples_of(args.domains, list(synsets(args.wordnet / "data.noun")))
    if args.divide is None:
        return write_whole(found, args)
    # A word of several domains is asked about in the first of them.
    records = {}
    for domain, examples in found.items():
        for example in examples:
            records.setdefault(example["input"], {"domain": domain, "key": example["input"], "example": example})
    members.write(list(records.values()), args)


if __name__ == "__main__":
    main()
