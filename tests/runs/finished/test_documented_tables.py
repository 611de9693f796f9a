"""The reference of tables and stores names every column of every table, and no other."""

import re
from pathlib import Path

import pyarrow.parquet as pq
from checkout import ROOT, Checkout

from rosetta_core.mining.named_tables import COLUMNS

REFERENCE = (ROOT / "docs/reference/tables-and-stores.md").read_text()
TABLES = {  # of the reference, by the first cell of their heads
    head: re.findall(r"`(\w+)`", " ".join(row.split("|")[1] for row in rows.splitlines()))
    for head, rows in re.findall(
        r"^\| `([^`]+\.parquet)` \|.*\n\|[-|]+\n((?:\|.*\n)+)", REFERENCE, re.MULTILINE
    )
}
SAME_AS_BEST_BUDDIES = "significance/null_matches/{null}/{pivot}--{model}.parquet"


def test_exported_columns() -> None:
    section = REFERENCE.partition("## Exported tables")[2]
    rows = dict(re.findall(r"^\| `(\w+)` \| `([\w ]+)` \|$", section, re.MULTILINE))
    assert {name: columns.split() for name, columns in rows.items()} == COLUMNS


def test_columns_of_a_run(finished: Checkout) -> None:
    folder = finished.run / "tables"
    files = sorted(folder.rglob("*.parquet"))
    assert len({documented(file.relative_to(folder)) for file in files}) >= 12
    for file in files:
        name = documented(file.relative_to(folder))
        columns = list(TABLES[name])
        if name == SAME_AS_BEST_BUDDIES:
            columns += TABLES["best_buddies/{pivot}--{model}.parquet"]
        assert set(pq.read_schema(file).names) == set(columns), name


def documented(file: Path) -> str:
    """The name under which the reference lists a table."""
    name = re.sub(r"\w+--\w+\.parquet$", "{pivot}--{model}.parquet", file.as_posix())
    name = re.sub(r"^units/\w+\.parquet$", "units/{model}.parquet", name)
    return re.sub(r"(null_matches|null_corr)/\w+/", r"\1/{null}/", name)
