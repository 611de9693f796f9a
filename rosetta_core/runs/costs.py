"""Measured cost of jobs: the cost table of a run and the summary printed at its end.

Snakemake writes one benchmark file per job, {stage}/{job}.tsv; its megabytes are MiB.
"""

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from rosetta_core.errors import RosettaError
from rosetta_core.io.regular_files import read_regular
from rosetta_core.runtime.progress import duration

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["JobCost", "cost_table", "read_benchmark", "summary_lines"]

MAX_BYTES = 2**20  # of a benchmark file
COLUMNS = {  # columns of a benchmark file, and of the cost table
    "s": "seconds",
    "cpu_time": "cpu_seconds",
    "max_rss": "max_rss_mib",
    "io_in": "read_mib",
    "io_out": "written_mib",
}


@dataclass(frozen=True)
class JobCost:
    """Measured cost of one job.

    Attributes:
        stage: name of the job's stage.
        seconds: wall-clock time of the job.
        memory: peak memory in MiB; 0 if the job ended before Snakemake measured it.
        finished: time at which the benchmark was written, in seconds since 1970.
    """

    stage: str
    seconds: float
    memory: float
    finished: float


def cost_table(benchmarks: Iterable[Path]) -> "pd.DataFrame":
    """Return stage, job and measured cost, one row per job; NaN where Snakemake measured nothing.

    Raises:
        RosettaError: a benchmark file is missing or unreadable.
    """
    import pandas as pd

    rows = []
    for path in benchmarks:
        try:
            content = BytesIO(read_regular(path, max_bytes=MAX_BYTES))
            measured = pd.read_csv(content, sep="\t", na_values="-").iloc[0][list(COLUMNS)]
        except (OSError, ValueError, LookupError) as error:
            raise RosettaError(
                f"{path}: not a readable benchmark; delete the job's output and run again"
            ) from error
        rows.append({"stage": path.parent.name, "job": path.stem, **measured.rename(COLUMNS)})
    return pd.DataFrame(rows)


def read_benchmark(path: Path) -> JobCost | None:
    """Read the measured cost of a job; None if the job has not run."""
    try:
        lines = read_regular(path, max_bytes=MAX_BYTES).decode().splitlines()
        row = next(csv.DictReader(lines, delimiter="\t"))
        memory = 0.0 if row["max_rss"] == "-" else float(row["max_rss"])
        seconds, finished = float(row["s"]), path.stat().st_mtime
    except (OSError, TypeError, ValueError, LookupError, StopIteration, csv.Error):
        return None
    if not (math.isfinite(memory) and math.isfinite(seconds)):
        return None
    return JobCost(path.parent.name, seconds, memory, finished)


def summary_lines(
    run: str,
    costs: Sequence[JobCost],
    *,
    started: float,
    ended: float,
    folder_bytes: Mapping[str, int],
) -> list[str]:
    """Return the summary of a run: jobs run and up to date per stage, time, memory, disk use.

    Args:
        run: name of the run.
        costs: measured jobs, in the order of their stages.
        started: time at which Snakemake started, in seconds since 1970; jobs that finished later
            ran in this invocation.
        ended: time at which Snakemake ended.
        folder_bytes: size of each folder of the run.
    """
    ran = [job for job in costs if job.finished >= started]
    lines = [
        f"run {run}: {len(ran)} of {len(costs)} jobs ran in {duration(ended - started)}",
        f"  {'stage':<16} {'ran':>5} {'up to date':>11} {'time':>13} {'peak memory':>12}",
    ]
    for stage in dict.fromkeys(job.stage for job in costs):
        jobs = [job for job in costs if job.stage == stage]
        now = [job for job in jobs if job in ran]
        time = duration(sum(job.seconds for job in now)) if now else "-"
        peak = f"{max(job.memory for job in jobs):,.0f} MiB"
        lines.append(
            f"  {stage:<16} {len(now):>5} {len(jobs) - len(now):>11} {time:>13} {peak:>12}"
        )
    sizes = [f"{name} {size / 2**20:,.1f} MiB" for name, size in folder_bytes.items() if size]
    return [*lines, f"  on disk: {', '.join(sizes)}"]
