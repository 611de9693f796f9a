"""Progress of long loops, the program's logger, and text that stands out in a terminal.

A terminal and a notebook show a progress bar; a log file receives a line every half minute and one
at the end.
"""

import logging
import os
import sys
import time
from types import TracebackType
from typing import TextIO

from tqdm import tqdm

from rosetta_core.errors import MAX_LINE, one_line

__all__ = ["NOTHING_LEARNED", "EscapeFilter", "Progress", "duration", "log", "red"]

NOTHING_LEARNED = "random weights: nothing here was learned"  # shown wherever weights are random
MINUTE = 60
LOG_INTERVAL = 30.0  # seconds between lines in a log file

log = logging.getLogger("rosetta")


class EscapeFilter(logging.Filter):
    """Filter that makes every record one line without control characters.

    Names of files, reasons of servers and messages of libraries reach the log; escape codes in them
    would reach the terminal. A record with the attribute `in_red` is red in a terminal.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Replace the message of the record."""
        if not getattr(record, "escaped", False):
            text = one_line(record.getMessage(), longest=MAX_LINE)
            record.msg = red(text, sys.stderr) if getattr(record, "in_red", False) else text
            record.args, record.escaped = (), True
        return True


log.addFilter(EscapeFilter())


def duration(seconds: float) -> str:
    """Return a duration as text: "12 s", "3 min 05 s" or "2 h 10 min"."""
    whole = round(seconds)
    if whole < MINUTE:
        return f"{whole} s"
    minutes, seconds = divmod(whole, MINUTE)
    hours, minutes = divmod(minutes, MINUTE)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {seconds:02d} s"


def red(text: str, stream: TextIO) -> str:
    """Return text in red if `stream` is a terminal that shows colours (NO_COLOR is unset)."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return text if plain or not stream.isatty() else f"\x1b[1;31m{text}\x1b[0m"


class Progress:
    """A context that reports the progress of a loop over `total` items.

    Args:
        title: start of each line, for example "mobilenet_v2 shard 00000".
        total: number of items.
        unit: name of the items, in the plural.

    Attributes:
        done: number of items done.
    """

    def __init__(self, title: str, *, total: int, unit: str = "images") -> None:
        self.title, self.total, self.unit = one_line(title), total, unit
        self.done = 0

    def __enter__(self) -> "Progress":
        self._started = self._logged = time.perf_counter()
        notebook = _is_notebook(sys.stderr)
        self._bar = tqdm(
            total=self.total,
            desc=self.title,
            unit=f" {self.unit}",
            mininterval=0.5 if notebook else 0.1,  # every change is a message to the browser
            disable=False if notebook else None,  # None: unless it is a terminal
        )
        return self

    def advance(self, count: int = 1) -> None:
        """Add `count` items to those done; move the bar, or log a line if one is due."""
        self.done += count
        self._bar.update(count)
        now = time.perf_counter()
        if self._bar.disable and now > self._logged + LOG_INTERVAL and 0 < self.done < self.total:
            self._logged = now
            rate = self.done / (now - self._started)
            log.info(
                "%s: %d of %d %s (%.1f a second), %s left",
                *(self.title, self.done, self.total, self.unit, rate),
                duration((self.total - self.done) / rate),
            )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.close()
        seconds = time.perf_counter() - self._started
        rate = self.done / max(seconds, 1e-9)
        log.info(
            "%s: %d of %d %s in %.1f s (%.1f a second)",
            *(self.title, self.done, self.total, self.unit, seconds, rate),
        )


def _is_notebook(stream: TextIO) -> bool:
    """Return whether a stream is the output of a notebook's cell."""
    return type(stream).__module__ == "ipykernel.iostream"
