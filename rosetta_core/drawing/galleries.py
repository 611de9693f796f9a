"""Galleries: pictures in rows, with a line or two of text below each."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from rosetta_core.drawing.canvas import GAP, TILE, Canvas, fitted

__all__ = ["Gallery", "gallery_figure"]

Gallery = tuple[str, Sequence[tuple[NDArray[np.uint8], Sequence[str]]]]

EDGE = 8
HEAD = 30  # height of a title
LINE = 16
STEP = TILE + GAP


def gallery_figure(galleries: Sequence[Gallery], *, across: int = 8) -> Figure:
    """Draw galleries below each other.

    Args:
        galleries: title of each, and its square pictures (s, s, 3) of TILE pixels with the lines of
            text below them.
        across: pictures in a row.
    """
    lines = max((len(texts) for _, tiles in galleries for _, texts in tiles), default=0)
    step = STEP + lines * LINE + GAP
    rows = [max(1, -(-len(tiles) // across)) for _, tiles in galleries]
    columns = max(2, min(across, max((len(tiles) for _, tiles in galleries), default=0)))
    width, height = columns * STEP - GAP, sum(rows) * step + len(rows) * HEAD
    canvas = Canvas(2 * EDGE + width, 2 * EDGE + height)
    y = EDGE
    for (title, tiles), down in zip(galleries, rows, strict=True):
        size, (shown,) = fitted([title], width=width, size=8, smallest=6)
        canvas.write(shown, EDGE, y + HEAD - 10, size=size, align="left", bold=True)
        y += HEAD
        for number, (tile, texts) in enumerate(tiles):
            left, top = EDGE + number % across * STEP, y + number // across * step
            canvas.place(tile, left, top)
            size, fitting = fitted(texts, width=TILE, size=5, smallest=4.5)
            for line, text in enumerate(fitting, start=1):
                middle, base = left + TILE / 2, top + TILE + line * LINE
                canvas.write(text, middle, base, size=size, grey=line > 1)
        if not tiles:
            canvas.write("no image", EDGE, y + LINE, size=6, align="left", grey=True)
        y += down * step
    return canvas.figure
