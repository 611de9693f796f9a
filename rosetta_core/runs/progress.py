"""Progress of a workflow run: one line below Snakemake's output, redrawn every second.

Snakemake's log events report which jobs start and end; running jobs write their progress into
their log files (`rosetta_core.runtime.progress`), whose last lines are read.
"""

import atexit
import logging
import re
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from rosetta_core.runtime.progress import duration

__all__ = ["RunProgress", "show_progress"]

LOGGED_PROGRESS = re.compile(r": (\d+ of \d+ .+ left)$")  # as runtime.progress.Progress logs it
LOG_TAIL = 4096  # bytes at the end of a log file that are searched
OVERHEAD = 3.0  # seconds until a job starts to work
MAX_WIDTH = 250
_at_exit = ExitStack()
atexit.register(_at_exit.close)


def show_progress(run: str, expected: Mapping[str, float], stream: TextIO = sys.stderr) -> None:
    """Show the progress of a run until this process ends, if `stream` is a terminal.

    Args:
        run: name of the run.
        expected: estimated seconds of a job of each stage; only their ratios matter.
        stream: stream to write to.
    """
    if stream.isatty():
        snakemake = logging.getLogger("snakemake.logging")
        progress = RunProgress(run, expected, stream)
        snakemake.addHandler(progress)
        _at_exit.callback(progress.close)
        # Snakemake's own messages are written above the line
        _at_exit.enter_context(logging_redirect_tqdm([snakemake]))


@dataclass
class _Job:
    """Announced job of Snakemake: name, estimated seconds, log file and start time."""

    name: str
    expected: float
    log: Path | None
    started: float = 0.0


class RunProgress(logging.Handler):
    """Logging handler that follows Snakemake's events and draws the progress line.

    Args:
        run: name of the run.
        expected: estimated seconds of a job of each stage; only their ratios matter.
        stream: terminal to write to.
    """

    def __init__(self, run: str, expected: Mapping[str, float], stream: TextIO) -> None:
        super().__init__()
        self._run, self._expected, self._stream = run, expected, stream
        self._jobs: dict[int, _Job] = {}
        self._total = self._done = 0
        self._total_seconds = self._done_seconds = 0.0  # estimates of all jobs, of those done
        self._started: float | None = None
        self._bar: tqdm | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Update the counts from one event of Snakemake."""
        event: Any = record
        match getattr(record, "event", None):
            case "run_info":
                counts = {
                    rule: n for rule, n in event.stats.items() if rule not in ("all", "total")
                }
                self._total = sum(counts.values())
                self._total_seconds = sum(
                    n * self._expected_seconds(rule) for rule, n in counts.items()
                )
            case "job_info":
                name = " ".join([event.rule_name, *map(str, (event.wildcards or {}).values())])
                log = Path(event.log[0]) if event.log else None
                job = _Job(name, self._expected_seconds(event.rule_name), log)
                if self._bar is not None:
                    job.started = time.monotonic()
                self._jobs[event.jobid] = job
            case "job_started":  # precedes the first job_info, and is missing in a dry run
                self._start()
            case "job_finished":
                finished = self._jobs.pop(event.job_id, None)
                if finished is not None:
                    self._done += 1
                    self._done_seconds += finished.expected
            case "job_error":
                self._jobs.pop(event.jobid, None)

    def line(self, now: float) -> str:
        """Return the progress line: jobs done, time elapsed and remaining, and running jobs.

        Args:
            now: current time, in seconds of `time.monotonic`.
        """
        total = f"{self._run}: {self._done} of {self._total} jobs"
        if self._started is not None:
            elapsed = now - self._started
            total += f", {duration(elapsed)}"
            if self._done_seconds:
                remaining = max(0.0, self._total_seconds - self._done_seconds)
                total += f", about {duration(elapsed * remaining / self._done_seconds)} left"
        return " · ".join([total, *(_job_progress(job, now) for job in self._jobs.values())])

    def close(self) -> None:
        """Remove the line from the terminal."""
        bar, self._bar = self._bar, None
        if bar is not None:
            bar.close()
        super().close()

    def _expected_seconds(self, rule: str) -> float:
        """Return the estimated seconds of a job of a rule, which is named after its stage."""
        stages = [
            stage for stage in self._expected if rule == stage or rule.startswith(f"{stage}_")
        ]
        return OVERHEAD + (self._expected[max(stages, key=len)] if stages else 0.0)

    def _start(self) -> None:
        if self._bar is None:
            self._started = time.monotonic()
            self._bar = tqdm(bar_format="{desc}", file=self._stream, leave=False)
            threading.Thread(target=self._redraw, daemon=True).start()

    def _redraw(self) -> None:
        while (bar := self._bar) is not None:
            self.acquire()  # the lock that logging takes around `emit`
            try:
                bar.set_description_str(self.line(time.monotonic())[: bar.ncols or MAX_WIDTH])
            finally:
                self.release()
            time.sleep(1)


def _job_progress(job: _Job, now: float) -> str:
    """Return a job's name with its logged progress or, without any, its running time."""
    running_time = duration(now - job.started)
    try:
        with (job.log or Path()).open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - LOG_TAIL))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return f"{job.name} ({running_time})"
    logged = [match[1] for line in lines if (match := LOGGED_PROGRESS.search(line))]
    return f"{job.name} ({logged[-1] if logged else running_time})"
