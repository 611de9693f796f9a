"""What a steering job comes to, before it is written down.

Outcome      images before and after, latents, measures, maps, and the way there
Measure      one number about one item
Panel        a map over an image, with what it is
best_starts  of several starts of each item the one with the least loss
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rosetta_core.steering.optimise.descent import OptimisationResult

__all__ = ["Measure", "Outcome", "Panel", "best_starts"]


@dataclass(frozen=True)
class Measure:
    """One number about one item.

    Attributes:
        metric: its name, with its unit in brackets if it has one.
        value: the number.
        item: what it is about: an image, a start, a method.
        start: the number of the start.
        best: whether this start is the item's result.
    """

    metric: str
    value: float
    item: str = ""
    start: int = 0
    best: bool = True


@dataclass(frozen=True)
class Panel:
    """A standardised map (h, w), and the image (h, w, 3) that it lies over."""

    image: NDArray[np.uint8]
    map: NDArray[np.float32]


@dataclass(frozen=True)
class Outcome:
    """What a job comes to.

    Attributes:
        about: the job in one line.
        before: images (n, h, w, 3), one per item.
        after: what they became (n, h, w, 3).
        target: what they were to become (n, h, w, 3), if there was an image of it.
        latents: of every row (n · starts, …), in the space searched.
        best: rows of the results (n,).
        measures: all numbers.
        summary: the few that matter, in words.
        panels: by unit a row of maps, one per column.
        columns: what the maps are.
        descended: the way there.
    """

    about: str
    before: NDArray[np.uint8]
    after: NDArray[np.uint8]
    latents: NDArray[np.float32]
    best: Sequence[int]
    measures: Sequence[Measure]
    summary: Sequence[tuple[str, str]]
    descended: OptimisationResult
    target: NDArray[np.uint8] | None = None
    panels: Mapping[str, Sequence[Panel]] = field(default_factory=dict)
    columns: Sequence[str] = ()

    @property
    def metrics(self) -> pd.DataFrame:
        """The measures as a table: item, start, best, metric, value."""
        return pd.DataFrame(
            {
                "item": [m.item for m in self.measures],
                "start": np.array([m.start for m in self.measures], np.int32),
                "best": [m.best for m in self.measures],
                "metric": [m.metric for m in self.measures],
                "value": np.array([m.value for m in self.measures], np.float64),
            }
        )


def best_starts(total: NDArray[np.float32], *, starts: int) -> list[int]:
    """Return for each item the row of its best start: the least loss after the last step.

    Args:
        total: the loss (steps + 1, items · starts), starts of an item side by side.
        starts: per item.
    """
    last = total[-1].reshape(-1, starts)  # (items, starts)
    return (np.arange(len(last)) * starts + last.argmin(axis=1)).tolist()
