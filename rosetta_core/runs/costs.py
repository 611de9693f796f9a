"""What jobs took, as Snakemake measured them.

cost_table    one row a job
"""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from rosetta_core.errors import RosettaError

__all__ = ["cost_table"]

COLUMNS = {  # Snakemake's, and what they are: its MB are of 2²⁰ bytes
    "s": "seconds",
    "cpu_time": "cpu_seconds",
    "max_rss": "max_rss_mib",
    "io_in": "read_mib",
    "io_out": "written_mib",
}


def cost_table(files: Iterable[Path]) -> pd.DataFrame:
    """Return stage, job and what it took; what ended before it was measured is left empty.

    Args:
        files: the jobs' benchmarks, {stage}/{job}.tsv.

    Raises:
        RosettaError: one of them isn't there or is no benchmark.
    """
    rows = []
    for file in files:
        try:
            measured = pd.read_csv(file, sep="\t", na_values="-").iloc[0][list(COLUMNS)]
        except (OSError, ValueError, LookupError) as error:
            raise RosettaError(f"{file}: no benchmark; `snakemake` writes it") from error
        rows.append({"stage": file.parent.name, "job": file.stem, **measured.rename(COLUMNS)})
    return pd.DataFrame(rows)
