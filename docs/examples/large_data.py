"""Writes a file of chats of a given size, to measure `fedshield-cli data check` with. The same arguments give the same file.

    python large_data.py OUT.jsonl 2000        # megabytes of text

OUT.jsonl.gz is packed with gzip, and OUT.parquet (with `pip install pyarrow`) with zstd, without the lines that are no
JSON. Conversations have one to three questions and 10 to 400 words a turn, drawn by Zipf's law from the words of this
repository's documents; one example in a thousand stands there twice, and one in ten thousand is no JSON.
"""

import contextlib
import gzip
import json
import random
import re
import sys
from pathlib import Path

out, megabytes = sys.argv[1], int(sys.argv[2])
draw = random.Random(1)
documents = sorted(Path(__file__).parent.parent.glob("*.md"))
words = sorted({word for file in documents for word in re.findall(r"[A-Za-z]+[,.]?", file.read_text())})
draw.shuffle(words)
weights = [1 / (rank + 10) for rank in range(len(words))]
# Drawing once and cutting pieces out is a hundred times as fast as drawing each word.
stream = draw.choices(words, weights, k=2_000_000)


def text():
    begin, length = draw.randrange(len(stream) - 400), draw.randint(10, 400)
    return " ".join(stream[begin : begin + length])


@contextlib.contextmanager
def rows_of(path):
    """A function that adds a line to a Parquet file, 5,000 to a group."""
    import pyarrow
    import pyarrow.parquet

    turn = pyarrow.struct([("role", pyarrow.string()), ("content", pyarrow.string())])
    schema = pyarrow.schema([("id", pyarrow.int64()), ("messages", pyarrow.list_(turn))])
    rows = []
    with pyarrow.parquet.ParquetWriter(path, schema, compression="zstd") as file:

        def flush():
            file.write_table(pyarrow.Table.from_pylist(rows, schema=schema))
            rows.clear()

        def put(text):
            if text.endswith("}\n"):
                rows.append(json.loads(text))
            if len(rows) == 5000:
                flush()

        yield put
        flush()


@contextlib.contextmanager
def lines_of(path):
    """A function that adds a line to a file of text."""
    with (gzip.open(path, "wt", 6) if path.endswith(".gz") else open(path, "w")) as file:
        yield file.write


written, line = 0, ""
with (rows_of if out.endswith(".parquet") else lines_of)(out) as put:
    while written < megabytes * 1_000_000:
        kind = draw.random()
        if not line or kind > 0.001:
            turns = [
                {"role": role, "content": text()}
                for _ in range(draw.randint(1, 3))
                for role in ("user", "assistant")
            ]
            line = json.dumps({"id": written, "messages": turns})
        whole = (line if kind < 0.9999 else line[:-1]) + "\n"
        put(whole)
        written += len(whole)
