"""Divides records over the members of a federation, in three files each: train, validation and test.

Used by debtags_alpaca.py and wordnet_alpaca.py. A record is {"domain", "key", "example"}: the domain is what members differ in, the
key is what must not occur in two parts (a source package, a word). The same arguments give the same files.

--divide domain makes one member of each domain. --divide C makes --members members, with shares of each domain from a symmetric Dirichlet
distribution of concentration C: 0.3 gives most of a domain to few members, 1.0 spreads it.
"""

import hashlib
import json
import pathlib
import random


def add_arguments(parser):
    """The arguments that both scripts have."""
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--divide", metavar="domain|C", help="three files for each member: by domain, or by a Dirichlet distribution")
    parser.add_argument("--members", type=int, default=5, help="members where --divide is a number")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--train", type=int, nargs=2, default=(60, 200), metavar=("FEWEST", "MOST"),
                        help="each member's number of training examples is drawn from this range")
    parser.add_argument("--validation", type=int, default=40)
    parser.add_argument("--test", type=int, default=200)


def check(args, parser):
    """Refuses what cannot be meant."""
    fewest, most = args.train
    if not 1 <= fewest <= most:
        parser.error(f"--train {fewest} {most}: the first is at least 1 and at most the second")
    if args.validation < 2 or args.test < 2:
        parser.error("--validation and --test are at least 2")
    if args.divide not in (None, "domain"):
        try:
            concentration = float(args.divide)
        except ValueError:
            parser.error(f"--divide {args.divide}: `domain`, or a number")
        if not 0 < concentration < float("inf"):
            parser.error(f"--divide {args.divide}: a concentration is above 0")
        if args.members < 2:
            parser.error("--members is at least 2")


def shuffled(records, seed):
    """Records in an order that depends on the seed and their keys alone, not on the order of the list."""
    def place(record):
        return hashlib.sha256(f"{seed} {record['key']}".encode()).digest()
    return sorted(records, key=place)


def mixtures(domains, args, rng):
    """(name, {domain: share}) of each member."""
    if args.divide == "domain":
        return [(domain, {domain: 1.0}) for domain in domains]
    weights = [dict() for _ in range(args.members)]
    for domain in domains:
        draws = [rng.gammavariate(float(args.divide), 1.0) for _ in range(args.members)]
        for member, draw in zip(weights, draws):
            member[domain] = draw / sum(draws)
    return [(f"member{number + 1}", shares) for number, shares in enumerate(weights)]


def draw(pools, shares, count, rng):
    """`count` records: a domain by the shares among those that are not used up, then its next record."""
    drawn = []
    while len(drawn) < count:
        left = [domain for domain in shares if pools[domain] and shares[domain] > 0]
        if not left:
            break
        domain = rng.choices(left, [shares[domain] for domain in left])[0]
        drawn.append(pools[domain].pop())
    return drawn


def write(records, args):
    """Writes NAME.PART.jsonl for each member, and prints how many there are."""
    keys = [record["key"] for record in records]
    assert len(set(keys)) == len(keys), "a key occurs twice"
    rng = random.Random(args.seed)
    domains = sorted({record["domain"] for record in records})
    pools = {domain: shuffled([r for r in records if r["domain"] == domain], args.seed) for domain in domains}
    args.out.mkdir(parents=True, exist_ok=True)
    members = [(name, shares, rng.randint(*args.train)) for name, shares in mixtures(domains, args, rng)]
    parts = {name: {} for name, _, _ in members}
    # Tests first: where a domain is scarce, it is missed in training, where fewer examples are the point.
    for part in ("test", "validation", "train"):
        for name, shares, train in members:
            wanted = {"train": train, "validation": args.validation, "test": args.test}[part]
            parts[name][part] = draw(pools, shares, wanted, rng)
    for name, _, train in members:
        sizes = {part: len(drawn) for part, drawn in parts[name].items()}
        if sizes["train"] < min(train, args.train[0]) or sizes["validation"] < 2 or sizes["test"] < 2:
            raise SystemExit(f"{name}: only {sizes} are left: ask for fewer, or for other domains")
        for part, drawn in parts[name].items():
            lines = [json.dumps(record["example"], ensure_ascii=False) + "\n" for record in drawn]
            (args.out / f"{name}.{part}.jsonl").write_text("".join(lines), encoding="utf-8")
        inside = {}
        for record in parts[name]["train"]:
            inside[record["domain"]] = inside.get(record["domain"], 0) + 1
        print(f"{name}: {sizes['train']} train, {sizes['validation']} validation, {sizes['test']} test; trains on {inside}")
