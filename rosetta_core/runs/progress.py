"""How a whole run gets on, in a terminal: below what Snakemake says, one line that moves.

watch          show it while this process runs jobs
RunProgress    the line: jobs done, time gone and left, what is at work and how far that is

Snakemake tells Python's logging what starts and ends; a handler listens. Jobs write how far they
are into their logs (rosetta_core.runtime.progress), whose last lines are read here.
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

__all__ = ["RunProgress", "watch"]

HOW_FAR = re.compile(r": (\d+ of \d+ .+ left)$")  # as Progress writes it
TAIL = 4096  # bytes of a log that are read
OVERHEAD = 3.0  # seconds that a job takes to start
WIDEST = 250
_kept = ExitStack()  # until the process ends
atexit.register(_kept.close)


def watch(name: str, expected: Mapping[str, float], stream: TextIO = sys.stderr) -> None:
    """Show how the run gets on while this process lives, if a person reads the stream.

    Args:
        name: of the run.
        expected: seconds that a job of each stage may take, of which only ratios count.
        stream: the terminal; nothing is shown in a file or pipe.
    """
    if stream.isatty():
        snakemake = logging.getLogger("snakemake.logging")
        line = RunProgress(name, expected, stream)
        snakemake.addHandler(line)
        _kept.callback(line.close)
        # what Snakemake says goes above the line
        _kept.enter_context(logging_redirect_tqdm([snakemake]))


@dataclass
class _Job:
    """A job that Snakemake has announced."""

    name: str
    expected: float
    log: Path | None
    started: float = 0.0


class RunProgress(logging.Handler):
    """Draws the line, and once a second draws it anew."""

    def __init__(self, name: str, expected: Mapping[str, float], stream: TextIO) -> None:
        super().__init__()
        self.name, self._expected, self._stream = name, expected, stream
        self._jobs: dict[int, _Job] = {}
        self._total = self._done = 0
        self._ahead = self._finished = 0.0  # expected seconds of all jobs, and of those done
        self._begun: float | None = None
        self._bar: tqdm | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Take in what Snakemake says."""
        said: Any = record
        match getattr(record, "event", None):
            case "run_info":
                rules = {rule: n for rule, n in said.stats.items() if rule not in ("all", "total")}
                self._total = sum(rules.values())
                self._ahead = sum(n * self._of_rule(rule) for rule, n in rules.items())
            case "job_info":
                name = " ".join([said.rule_name, *map(str, (said.wildcards or {}).values())])
                log = Path(said.log[0]) if said.log else None
                self._jobs[said.jobid] = _Job(name, self._of_rule(said.rule_name), log)
                if self._bar is not None:
                    self._jobs[said.jobid].started = time.monotonic()
            case "job_started":  # in a dry run there is none; what starts is said next
                self._begin()
            case "job_finished":
                job = self._jobs.pop(said.job_id, None)
                if job is not None:
                    self._done += 1
                    self._finished += job.expected
            case "job_error":
                self._jobs.pop(said.jobid, None)

    def line(self, now: float) -> str:
        """What is said at a time (monotonic): jobs, time gone and left, what is at work."""
        parts = [f"{self.name}: {self._done} of {self._total} jobs"]
        if self._begun is not None:
            gone = now - self._begun
            parts[0] += f", {duration(gone)}"
            if self._finished:
                left = gone * max(0.0, self._ahead - self._finished) / self._finished
                parts[0] += f", about {duration(left)} left"
        return " · ".join([*parts, *(_how_far(job, now) for job in self._jobs.values())])

    def close(self) -> None:
        """Take the line away."""
        bar, self._bar = self._bar, None
        if bar is not None:
            bar.close()
        super().close()

    def _of_rule(self, rule: str) -> float:
        """The seconds that a job of a rule may take; rules are named after stages."""
        stages = [
            stage for stage in self._expected if rule == stage or rule.startswith(f"{stage}_")
        ]
        return OVERHEAD + (self._expected[max(stages, key=len)] if stages else 0.0)

    def _begin(self) -> None:
        if self._bar is None:
            self._begun = time.monotonic()
            self._bar = tqdm(bar_format="{desc}", file=self._stream, leave=False)
            threading.Thread(target=self._redraw, daemon=True).start()

    def _redraw(self) -> None:
        while (bar := self._bar) is not None:
            self.acquire()  # as logging does around emit
            try:
                bar.set_description_str(self.line(time.monotonic())[: bar.ncols or WIDEST])
            finally:
                self.release()
            time.sleep(1)


def _how_far(job: _Job, now: float) -> str:
    """A job's name, and how far it is by its log or, if that doesn't say, for how long it runs."""
    gone = duration(now - job.started)
    try:
        with (job.log or Path()).open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - TAIL))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return f"{job.name} ({gone})"
    said = [found[1] for line in lines if (found := HOW_FAR.search(line))]
    return f"{job.name} ({said[-1] if said else gone})"
