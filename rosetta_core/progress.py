"""Progress of long loops: a bar in a terminal, plain lines in a log file.

Progress     counts what is done; `advance` draws the bar, leaving it logs the rate
log          the program's logger
"""

import logging
import time
from types import TracebackType

from tqdm import tqdm

__all__ = ["Progress", "log"]

log = logging.getLogger("rosetta")


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
        self.started = time.perf_counter()
        self._bar = tqdm(total=self.total, desc=self.what, unit=f" {self.unit}", disable=None)
        return self

    def advance(self, count: int = 1) -> None:
        """Count `count` more as done."""
        self.done += count
        self._bar.update(count)

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
