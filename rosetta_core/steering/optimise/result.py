"""Result of a steering job: images, latents, metrics and maps, before they are written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rosetta_core.steering.optimise.gradient_descent import OptimisationResult

__all__ = ["JobResult", "MapPanel", "MetricValue", "best_restarts"]


@dataclass(frozen=True)
class MetricValue:
    """One value of one metric.

    Attributes:
        metric: name of the metric, with its unit in brackets if it has one.
        value: the value.
        item: the image, start or method that it describes.
        restart: number of the restart.
        best: whether this restart is the item's result.
    """

    metric: str
    value: float
    item: str = ""
    restart: int = 0
    best: bool = True


@dataclass(frozen=True)
class MapPanel:
    """A standardised map (h, w) and the image (height, width, 3) that it is drawn on."""

    image: NDArray[np.uint8]
    map: NDArray[np.float32]


@dataclass(frozen=True)
class JobResult:
    """Result of a job.

    Attributes:
        about: the job in one line.
        before: initial images (n, h, w, 3), one per item.
        after: resulting images (n, h, w, 3).
        latents: final latents of all items and restarts (n · restarts, …), in the space searched.
        best: rows of the results in `latents` (n,).
        metrics: all metrics.
        summary: the most important metrics, as (label, text).
        optimisation: losses and images of all steps.
        target: target images (n, h, w, 3), if the job has any.
        panels: one row of maps per unit, by label.
        columns: heading of each column of `panels`.
    """

    about: str
    before: NDArray[np.uint8]
    after: NDArray[np.uint8]
    latents: NDArray[np.float32]
    best: Sequence[int]
    metrics: Sequence[MetricValue]
    summary: Sequence[tuple[str, str]]
    optimisation: OptimisationResult
    target: NDArray[np.uint8] | None = None
    panels: Mapping[str, Sequence[MapPanel]] = field(default_factory=dict)
    columns: Sequence[str] = ()

    @property
    def losses(self) -> dict[str, NDArray[np.float32]]:
        """The total loss and its terms at the start and after each step (steps + 1, rows)."""
        terms = self.optimisation.terms.items()
        return {"total": self.optimisation.total, **{str(term): values for term, values in terms}}

    @property
    def image_kinds(self) -> dict[str, NDArray[np.uint8]]:
        """Images (n, h, w, 3) by kind, in the order of figures."""
        if self.target is None:
            return {"before": self.before, "after": self.after}
        return {"target": self.target, "start": self.before, "result": self.after}

    @property
    def table(self) -> pd.DataFrame:
        """The metrics as a table: item, restart, best, metric, value."""
        return pd.DataFrame(
            {
                "item": [m.item for m in self.metrics],
                "restart": np.array([m.restart for m in self.metrics], np.int32),
                "best": [m.best for m in self.metrics],
                "metric": [m.metric for m in self.metrics],
                "value": np.array([m.value for m in self.metrics], np.float64),
            }
        )


def best_restarts(total: NDArray[np.float32], *, restarts: int) -> list[int]:
    """Return, for each item, the row of the restart with the lowest final loss.

    Args:
        total: loss of each step (steps + 1, items · restarts); restarts of an item are adjacent.
        restarts: number of restarts per item.
    """
    final = total[-1].reshape(-1, restarts)  # (items, restarts)
    return (np.arange(len(final)) * restarts + final.argmin(axis=1)).tolist()
