"""Writes the Parquet files of tests/data_forms.rs, as people's libraries write them.

    python make.py

pyarrow 26.0.1 and datasets 5.2.0 made the files that are committed.
"""

from datetime import date
from decimal import Decimal
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq

here = Path(__file__).parent
instructions = {
    "id": [1, 2, 3],
    "instruction": ["what is sky", "what is snow", "what is ice"],
    "input": ["", None, "cold"],
    "output": ["blue", "white", "water"],
}
table = pa.table(instructions)
for codec in ["snappy", "zstd", "gzip", "none"]:
    pq.write_table(table, here / f"{codec}.parquet", compression=codec, row_group_size=2)
pq.write_table(table, here / "brotli.parquet", compression="brotli")

# What `datasets` makes of chats: lists of structs, in which missing keys are null.
turns = [
    [{"role": "user", "content": "what is sky"}, {"role": "assistant", "content": "blue"}],
    [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "what is snow"},
        {"role": "assistant", "content": "white"},
    ],
]
datasets.Dataset.from_dict({"messages": turns, "prompt": ["what is sky", "what is snow"]}).to_parquet(
    here / "messages.parquet"
)
# Bytes that nobody called text, as Spark writes them, and bytes that are none.
binary = pa.table({"prompt": [b"sky is", b"snow is"], "completion": [b"blue", b"\xff\xfe"]})
pq.write_table(binary, here / "binary.parquet")

pq.write_table(table, here / "lz4.parquet", compression="lz4")
# Other types of columns: large text, a dictionary, nothing but nulls, numbers that are missing or infinite, decimals, dates,
# structs whose keys are in no order.
types = pa.table(
    {
        "output": pa.array(["blue", "white"], pa.large_string()),
        "instruction": pa.array(["what is sky", "what is snow"]).dictionary_encode(),
        "input": pa.nulls(2),
        "weight": pa.array([1.0, float("nan")]),
        "infinite": pa.array([float("inf"), 0.5]),
        "decimal": pa.array([Decimal("1.50"), None], pa.decimal128(9, 2)),
        "day": pa.array([date(2024, 7, 26), None]),
        "nested": pa.array([{"z": 1, "a": [{"y": [], "b": None}]}, None]),
    }
)
pq.write_table(types, here / "types.parquet")
same = pa.Table.from_arrays([pa.array(["q"]), pa.array(["a"]), pa.array(["b"])], ["instruction", "output", "output"])
pq.write_table(same, here / "twice.parquet")
