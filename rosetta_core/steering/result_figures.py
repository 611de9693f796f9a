"""Figures of the results of steering jobs: contact sheets of images and of maps."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from rosetta_core.drawing.canvas import TILE
from rosetta_core.drawing.contact_sheets import sheet
from rosetta_core.drawing.heatmap import contrast, overlay
from rosetta_core.steering.optimise.result import JobResult, MapPanel

__all__ = ["MOST_ROWS", "image_sheet", "map_sheet"]

MOST_ROWS = 8  # rows or columns of a contact sheet


def image_sheet(kinds: Mapping[str, NDArray[np.uint8]]) -> Figure:
    """Draw images of several kinds: one row for a single item, else one column per item.

    Args:
        kinds: images (n, h, w, 3) by kind, for example before and after.
    """
    names = list(kinds)
    shown = min(MOST_ROWS, *(len(images) for images in kinds.values()))
    if shown == 1:
        return sheet([[images[0] for images in kinds.values()]], rows=[""], columns=names)
    tiles = [list(images[:shown]) for images in kinds.values()]
    return sheet(tiles, rows=names, columns=[""] * shown)


def map_sheet(result: JobResult) -> Figure:
    """Draw the maps of a result over their images, one row per unit."""
    labels = list(result.panels)[:MOST_ROWS]
    tiles = [_overlays(result.panels[label]) for label in labels]
    return sheet(tiles, rows=labels, columns=list(result.columns))


def _overlays(panels: Sequence[MapPanel]) -> list[NDArray[np.uint8]]:
    """Return the maps of a unit over their images, on a common colour scale."""
    full = contrast(np.concatenate([panel.map.ravel() for panel in panels]))
    return [overlay(panel.image, panel.map, full=full, size=TILE) for panel in panels]
