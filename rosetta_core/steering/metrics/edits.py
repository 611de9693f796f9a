"""How well an edit was reached, measured.

moved      from the images alone: displacement of a shift, scale of a zoom
changed    from the units: how far the chosen ones went, and the others with them
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from rosetta_core.config import steering as config
from rosetta_core.steering.generator import Pivot
from rosetta_core.steering.jobs.edit_targets import Change
from rosetta_core.steering.metrics.registration import displacement, magnification
from rosetta_core.steering.optimise.activity import activity

__all__ = ["changed", "moved"]


def moved(
    job: config.Edit, before: NDArray[np.uint8], after: NDArray[np.uint8]
) -> dict[str, float]:
    """Return what registration of two images (h, w, 3) finds, and what was asked for."""
    if job.kind == "shift":
        found = displacement(before, after)
        height, width = before.shape[:2]
        return {
            "moved right (pixels)": found.right,
            "moved down (pixels)": found.down,
            "asked for, right (pixels)": job.dx * width,
            "asked for, down (pixels)": job.dy * height,
            "agreement of the moved images": found.agreement,
        }
    if job.kind == "zoom":
        scaled = magnification(before, after)
        return {
            "magnified by": scaled.scale,
            "asked for": 2.0,
            "agreement of the magnified images": scaled.agreement,
        }
    return {}


def changed(
    pivot: Pivot, change: Change, before: Mapping[str, Tensor], after: Mapping[str, Tensor]
) -> dict[str, float]:
    """Return how much the activity of the chosen units and of the other Rosetta neurons changed.

    The chosen units' change is that of the sum of their activity, as a share. The others' is the
    sum of every unit's own change, up or down, as a share of their sum, so that ups and downs don't
    cancel; it is left out where there are no others.

    Args:
        pivot: the generator.
        change: the chosen units.
        before: maps by layer (1, c, h, w).
        after: the same.
    """

    def of(units: NDArray[np.int64]) -> list[NDArray[np.float64]]:
        return [activity(pivot, m, units=units, lowest=change.lowest) for m in (before, after)]

    others = pivot.others(change.units)
    chosen = of(change.units)
    found = {"change of the chosen units (share)": float(chosen[1].sum() / chosen[0].sum() - 1)}
    if len(others):
        held = of(others)
        share = np.abs(held[1] - held[0]).sum() / held[0].sum()
        found["change of the others (share)"] = float(share)
    return {
        **found,
        "activity of the chosen units before (std)": float(chosen[0].mean()),
        "activity of the chosen units after (std)": float(chosen[1].mean()),
    }
