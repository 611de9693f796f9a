"""Metrics of edits: displacement and magnification of images, and change of unit activity."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from rosetta_core.steering.generator import SteeredGenerator
from rosetta_core.steering.metrics.registration import displacement, magnification
from rosetta_core.steering.optimise.activity import unit_activity

__all__ = ["activity_metrics", "shift_metrics", "zoom_metrics"]


def shift_metrics(
    before: NDArray[np.uint8], after: NDArray[np.uint8], *, dx: float, dy: float
) -> dict[str, float]:
    """Return the displacement of an image, found by registration, and its target.

    Args:
        before: image (h, w, 3).
        after: edited image (h, w, 3).
        dx: target shift to the right, as a share of the width.
        dy: target shift downwards, as a share of the height.
    """
    measured = displacement(before, after)
    height, width = before.shape[:2]
    return {
        "displacement to the right (pixels)": measured.dx,
        "displacement downwards (pixels)": measured.dy,
        "target displacement to the right (pixels)": dx * width,
        "target displacement downwards (pixels)": dy * height,
        "agreement after registration": measured.agreement,
    }


def zoom_metrics(
    before: NDArray[np.uint8], after: NDArray[np.uint8], *, scale: float
) -> dict[str, float]:
    """Return the magnification of an image, found by registration, and its target.

    Args:
        before: image (h, w, 3).
        after: edited image (h, w, 3).
        scale: target magnification.
    """
    measured = magnification(before, after)
    return {
        "magnification": measured.scale,
        "target magnification": scale,
        "agreement after registration": measured.agreement,
    }


def activity_metrics(
    generator: SteeredGenerator,
    units: NDArray[np.int64],
    before: Mapping[str, Tensor],
    after: Mapping[str, Tensor],
    *,
    minimum: Mapping[str, NDArray[np.float32]],
) -> dict[str, float]:
    """Return the change of the activity of selected units and of all other Rosetta neurons.

    For the selected units it is the change of their summed activity, relative to this sum. For the
    others it is the sum of the absolute changes, relative to their summed activity, so that
    increases and decreases do not cancel; it is omitted if there are no others.

    Args:
        generator: the generator.
        units: numbers of the selected units (u,).
        before: raw maps (1, c, h, w) by layer.
        after: raw maps of the edited image.
        minimum: minimum activation of every unit (c,) by layer.
    """

    def activities(units: NDArray[np.int64]) -> list[NDArray[np.float64]]:
        return [
            unit_activity(generator, maps, units=units, minimum=minimum) for maps in (before, after)
        ]

    others = generator.other_neurons(units)
    first, last = activities(units)
    metrics = {"relative change of the selected units": float(last.sum() / first.sum() - 1)}
    if len(others):
        other_first, other_last = activities(others)
        share = np.abs(other_last - other_first).sum() / other_first.sum()
        metrics["relative change of the other Rosetta neurons"] = float(share)
    return {
        **metrics,
        "activity of the selected units before (std)": float(first.mean()),
        "activity of the selected units after (std)": float(last.mean()),
    }
