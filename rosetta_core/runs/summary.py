"""What a run came to, for the end of it: stages, jobs, time, memory, bytes.

summary       the lines that are printed when Snakemake has done all jobs
Job           what Snakemake measured of a job
read_job      of its benchmark
bytes_below   how much lies in a folder
"""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rosetta_core.runtime.progress import duration

__all__ = ["Job", "bytes_below", "read_job", "summary"]


@dataclass(frozen=True)
class Job:
    """What Snakemake measured of a job.

    Attributes:
        stage: that it is of.
        seconds: how long it took.
        memory: MiB that it held at most; 0 if it ended before that was looked at.
        written: when that was written down, in seconds since 1970.
    """

    stage: str
    seconds: float
    memory: float
    written: float


def read_job(benchmark: Path) -> Job | None:
    """Read what was measured of a job; None if it has not run."""
    try:
        with benchmark.open(encoding="utf-8") as file:
            row = next(csv.DictReader(file, delimiter="\t"))
        memory = 0.0 if row["max_rss"] == "-" else float(row["max_rss"])
        seconds, written = float(row["s"]), benchmark.stat().st_mtime
    except (OSError, ValueError, LookupError, StopIteration):
        return None
    return Job(benchmark.parent.name, seconds, memory, written)


def bytes_below(folder: Path) -> int:
    """Return how many bytes the files in a folder and below it have."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def summary(
    name: str, jobs: Sequence[Job], *, began: float, ended: float, folders: Mapping[str, int]
) -> list[str]:
    """Return the lines: what ran and what was there already, by stage, and what lies where.

    Args:
        name: of the run.
        jobs: all that were measured, in order of their stages.
        began: when Snakemake began, in seconds since 1970; what was measured later ran now.
        ended: when it ended.
        folders: how many bytes lie in which folder of the run.
    """
    ran = [job for job in jobs if job.written >= began]
    said = f"run {name}: {len(ran)} of {len(jobs)} jobs ran in {duration(ended - began)}"
    lines = [
        said,
        f"  {'stage':<16} {'ran':>5} {'kept':>5} {'time of its jobs':>18} {'memory':>10}",
    ]
    for stage in dict.fromkeys(job.stage for job in jobs):
        here = [job for job in jobs if job.stage == stage]
        now = [job for job in here if job in ran]
        took = duration(sum(job.seconds for job in now)) if now else "-"
        most = f"{max(job.memory for job in here):,.0f} MiB"
        lines.append(f"  {stage:<16} {len(now):>5} {len(here) - len(now):>5} {took:>18} {most:>10}")
    sizes = [f"{folder} {size / 2**20:,.1f} MiB" for folder, size in folders.items() if size]
    return [*lines, f"  on disk: {', '.join(sizes)}"]
