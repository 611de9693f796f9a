"""Progress of long loops: a bar in a terminal, plain lines in a log file.

Progress     counts what is done; `advance` draws the bar or, now and then, logs a line
duration     seconds as people say them
log          the program's logger
"""

import logging
import time
from types import TracebackType

from tqdm import tqdm

__all__ = ["Progress", "duration", "log"]

MINUTE = 60
EVERY = 30.0  # seconds between lines in a log file

log = logging.getLogger("rosetta")


def duration(seconds: float) -> str:
    """Return seconds as people say them: "12 s", "3 min 05 s", "2 h 10 min"."""
    whole = round(seconds)
    if whole < MINUTE:
        return f"{whole} s"
    minutes, left = divmod(whole, MINUTE)
    hours, minutes = divmod(minutes, MINUTE)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {left:02d} s"


class Progress:
    """A context in which `total` things get done.

    Args:
        what: the line's beginning, "mobilenet_v2 shard 00000".
        total: how many there are.
        unit: what is counted, in the plural.
    """

    def __init__(self, what: str, *, total: int, unit: str = "images") -> None:
        self.what, self.total, self.unit = what, total, unit
        self.done = 0

    def __enter__(self) -> "Progress":
        self.started = self._logged = time.perf_counter()
        self._bar = tqdm(total=self.total, desc=self.what, unit=f" {self.unit}", disable=None)
        return self

    def advance(self, count: int = 1) -> None:
        """Count `count` more as done."""
        self.done += count
        self._bar.update(count)
        now = time.perf_counter()
        if self._bar.disable and now > self._logged + EVERY and 0 < self.done < self.total:
            self._logged = now
            rate = self.done / (now - self.started)
            log.info(
                "%s: %d of %d %s (%.1f a second), %s left",
                *(self.what, self.done, self.total, self.unit, rate),
                duration((self.total - self.done) / rate),
            )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.close()
        seconds = time.perf_counter() - self.started
        rate = self.done / max(seconds, 1e-9)
        log.info(
            "%s: %d of %d %s in %.1f s (%.1f a second)",
            *(self.what, self.done, self.total, self.unit, seconds, rate),
        )
