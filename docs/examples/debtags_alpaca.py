#!/usr/bin/env python3
"""Turns Debian's list of packages into Alpaca JSONL: a package's one-line description in, its debtags out.

    curl -O https://deb.debian.org/debian/dists/bookworm/main/binary-amd64/Packages.xz
    python3 docs/examples/debtags_alpaca.py Packages.xz --out debtags --divide domain --seed 1

Debian's developers wrote the descriptions and the tags, so this is real data with natural domains: the sections of the archive. One
package is taken for each source that has at least three tags, so no source is in two parts; at most a twentieth of the records have one
set of tags. The list changes with each point release: its suite and digest are checked, and --any-list takes another one.
"""

import argparse
import collections
import hashlib
import lzma
import pathlib

import members

SUITE = "bookworm main amd64"
SHA256 = "9e0b5aabb2465b3d2e7a7fe27f9913846277833f7a2826e7767acccff5b588c5"
# Sections of the archive by domain; other sections are left out.
DOMAINS = {
    "admin": {"admin", "utils", "shells", "kernel"},
    "games": {"games"},
    "media": {"sound", "video", "graphics"},
    "net": {"net", "web", "mail", "comm", "httpd", "news"},
    "science": {"science", "math", "electronics", "hamradio", "education"},
}
FEWEST_TAGS, MOST_TAGS = 3, 12
MOST_OF_ONE_SET = 0.05


def stanzas(text):
    """Yields the fields of each package; continuation lines are joined by a space."""
    for block in text.split("\n\n"):
        fields, name = {}, None
        for line in block.splitlines():
            if line.startswith((" ", "\t")) and name:
                fields[name] += " " + line.strip()
            elif ":" in line:
                name, _, value = line.partition(":")
                fields[name] = value.strip()
        if "Package" in fields:
            yield fields


def tags_of(fields):
    """Debtags in alphabetical order. A facet with several values is written `facet::{a,b}` by some lists."""
    tags = set()
    for word in fields.get("Tag", "").replace(" ", "").replace("},", "}\n").split("\n"):
        if "{" in word:
            before, _, rest = word.partition("{")
            *plain, facet = before.split(",")
            tags.update(plain)
            tags.update(facet + value for value in rest.rstrip("}").split(","))
        else:
            tags.update(word.split(","))
    # Such a tag says that somebody should tag the package.
    return sorted(tag for tag in tags if tag and not tag.endswith("::TODO"))


def records(text):
    """One record for each source: the package with the source's name, else the one with most tags."""
    domain_of = {section: domain for domain, sections in DOMAINS.items() for section in sections}
    best = {}
    for fields in stanzas(text):
        tags = tags_of(fields)
        domain = domain_of.get(fields.get("Section", "").rpartition("/")[2])
        description = fields.get("Description", "").split("\n")[0].strip()
        if domain is None or not FEWEST_TAGS <= len(tags) <= MOST_TAGS or not description:
            continue
        package = fields["Package"]
        source = fields.get("Source", package).split(" ")[0]
        rank = (package != source, -len(tags), package)
        if source not in best or rank < best[source][0]:
            example = {"instruction": "Give the debtags of the package.", "input": description, "output": ", ".join(tags)}
            best[source] = (rank, {"domain": domain, "key": source, "example": example})
    # One description may stand at two sources; its first keeps it.
    seen, found = set(), []
    for source in sorted(best):
        record = best[source][1]
        if record["example"]["input"] not in seen:
            seen.add(record["example"]["input"])
            found.append(record)
    return found


def thinned(found, seed):
    """Without what exceeds a twentieth of all records with one set of tags."""
    found = members.shuffled(found, seed)
    while True:
        most = int(MOST_OF_ONE_SET * len(found))
        counts, kept = collections.Counter(), []
        for record in found:
            counts[record["example"]["output"]] += 1
            if counts[record["example"]["output"]] <= most:
                kept.append(record)
        if len(kept) == len(found):
            return kept
        found = kept


def read(path, any_list):
    data = path.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    if digest != SHA256 and not any_list:
        raise SystemExit(f"{path}: SHA-256 {digest} is not that of {SUITE}, {SHA256}: with --any-list the numbers of docs/results are not met")
    return lzma.decompress(data).decode("utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("list", type=pathlib.Path, help="Packages.xz")
    parser.add_argument("--any-list", action="store_true", help="take another list than the one whose digest is in this script")
    members.add_arguments(parser)
    args = parser.parse_args()
    args.divide = args.divide or "domain"
    members.check(args, parser)
    found = records(read(args.list, args.any_list))
    kept = thinned(found, args.seed)
    print(f"{len(found)} sources with {FEWEST_TAGS} to {MOST_TAGS} tags in {len(DOMAINS)} domains, {len(kept)} with no set of tags too frequent")
    members.write(kept, args)


if __name__ == "__main__":
    main()
