"""Contact sheets and loss curves of steering jobs."""

import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from rosetta_core.drawing.canvas import (
    FONT,
    GAP,
    GREY,
    RESOLUTION,
    TILE,
    Canvas,
    NotebookFigure,
    fitted,
    mosaic,
    save,
    width_of,
)
from rosetta_core.drawing.heatmap import picture
from rosetta_core.errors import RosettaError

__all__ = ["curve", "sheet", "write_curve", "write_sheet"]

STEP = TILE + GAP
EDGE = 12  # around everything
SIZE = 6.0  # of all text, in points
LINE = 20  # from one baseline to the next
ROW_NAME = 200  # largest width of the names of rows
MAX_LINES = 3  # of a name
MIN_CAPTION = 3 * STEP  # smallest width of a caption
BREAKS = re.compile(r"(?<=[./_])(?=\w)")  # where names of layers may break

WIDTH, HEIGHT = 6.5, 2.3  # of curves, in inches
LEFT, BETWEEN, RIGHT = 0.5, 0.72, 0.45  # margins of their panels, in inches
BEST, OTHERS, GRID = "#a33b12", "#9aa0a8", "#ececea"
TOTAL = "total"
ROUND = [1, 2, 5, 10]  # multiples of powers of ten between ticks


def write_sheet(
    path: Path,
    tiles: Sequence[Sequence[NDArray[np.uint8] | None]],
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    caption: str | None = None,
) -> Path:
    """Write a contact sheet as PNG, replacing an existing one; return the path.

    Arguments are those of `sheet`.
    """
    return save(sheet(tiles, rows=rows, columns=columns, caption=caption), path)


def sheet(
    tiles: Sequence[Sequence[NDArray[np.uint8] | None]],
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    caption: str | None = None,
) -> Figure:
    """Draw pictures in a grid, with names of rows and columns.

    Args:
        tiles: rows of pictures (h, w, 3), scaled to squares; None leaves a gap.
        rows: name of every row; it may be empty.
        columns: name of every column; it may be empty.
        caption: text below the grid.

    Raises:
        RosettaError: there are no tiles, or their number differs from rows × columns.
    """
    if not rows or not columns or [len(row) for row in tiles] != [len(columns)] * len(rows):
        raise RosettaError(
            f"contact sheet: the tiles do not fit {len(rows)} rows and {len(columns)} columns; "
            "give a tile or None for each cell, and at least one"
        )
    heads = [_wrapped(name, width=TILE) for name in columns]
    sides = [_wrapped(name, width=ROW_NAME) for name in rows]
    # text is set to whole pixels, up to 4% wider
    left = EDGE + round(1.04 * max(_width(line) for lines in sides for line in lines))
    left += 2 * GAP if left > EDGE else 0
    top = EDGE + LINE * max(len([line for line in lines if line]) for lines in heads)
    width = left + len(columns) * STEP - GAP + EDGE
    below: list[str] = []
    if caption:
        inside = max(width, min(MIN_CAPTION, round(_width(caption)) + 2 * EDGE)) - 2 * EDGE
        below = _wrapped(caption, width=inside, lines=None)
        width = inside + 2 * EDGE
    foot = top + len(rows) * STEP - GAP
    canvas = Canvas(width, foot + EDGE + len(below) * LINE + (GAP if below else 0))
    blank = np.full((TILE, TILE, 3), 255, np.uint8)
    drawn = [[blank if tile is None else picture(tile, TILE) for tile in row] for row in tiles]
    canvas.place(mosaic(drawn), left, top)
    for column, lines in enumerate(heads):
        middle = left + column * STEP + TILE / 2
        for line, text in enumerate(reversed(lines)):
            canvas.write(text, middle, top - 8 - line * LINE, size=SIZE)
    for row, lines in enumerate(sides):
        first = top + row * STEP + TILE / 2 - (len(lines) - 1) * LINE / 2 + 6
        for line, text in enumerate(lines):
            canvas.write(text, left - 2 * GAP, first + line * LINE, size=SIZE, align="right")
    for line, text in enumerate(below, start=1):
        canvas.write(text, EDGE, foot + line * LINE + 2, size=SIZE, align="left", grey=True)
    return canvas.figure


def _width(text: str) -> float:
    return width_of(text, size=SIZE)


def _wrapped(text: str, *, width: float, lines: int | None = MAX_LINES) -> list[str]:
    """Wrap text to lines of a width, at least one; the last one takes the rest."""
    wrapped = [""]
    for word in text.split():
        parts = [word] if _width(word) <= width else BREAKS.split(word)
        for place, part in enumerate(parts):
            between = " " if wrapped[-1] and place == 0 else ""
            full = lines is not None and len(wrapped) == lines
            if wrapped[-1] and not full and _width(wrapped[-1] + between + part) > width:
                wrapped.append(part)
            else:
                wrapped[-1] += between + part
    return fitted(wrapped, width=width, size=SIZE, smallest=SIZE)[1]


def write_curve(
    path: Path, terms: Mapping[str, NDArray[np.floating]], *, best: int, about: str
) -> Path:
    """Write the loss and its terms against the step as PNG, replacing an existing one.

    Arguments are those of `curve`. Returns the path.
    """
    with _styled():
        return save(curve(terms, best=best, about=about), path)


def curve(terms: Mapping[str, NDArray[np.floating]], *, best: int, about: str) -> Figure:
    """Draw the loss and its terms against the step.

    Each has its own scale. The total comes first and has the largest panel. The best start is in
    colour and ends in a dot with its last value; all other starts are thin and pale.

    Args:
        terms: by name the values (steps, starts), the first one before any step; `total` is one.
        best: number of the best start.
        about: one line about the job.

    Raises:
        RosettaError: the total is missing.
    """
    if TOTAL not in terms:
        raise RosettaError(
            f"loss curve: {TOTAL!r} is missing from the terms ({', '.join(terms)}); add it"
        )
    others = [name for name in terms if name != TOTAL]
    down = min(2, max(1, len(others)))
    across = -(-len(others) // down)
    wide = (WIDTH - LEFT - RIGHT - across * BETWEEN) / (
        2 + across
    )  # of the panel of a term; the total has twice the width
    with _styled():
        figure = NotebookFigure(figsize=(WIDTH, HEIGHT), dpi=RESOLUTION, facecolor="white")
        grid = figure.add_gridspec(
            down,
            1 + across,
            width_ratios=[2, *[1] * across],
            left=LEFT / WIDTH,
            right=1 - RIGHT / WIDTH,
            bottom=0.155,
            top=0.815,
            wspace=BETWEEN / (wide * (2 + across) / (1 + across)),  # in means of the widths
            hspace=0.62,
        )
        _draw(figure.add_subplot(grid[:, 0]), terms[TOTAL], TOTAL, best=best, lowest=True)
        for place, name in enumerate(others):
            column, row = divmod(place, down)
            lowest = row == down - 1 or place == len(others) - 1
            axes = figure.add_subplot(grid[row, 1 + column])
            _draw(axes, terms[name], name, best=best, lowest=lowest)
        count = terms[TOTAL].shape[1]
        note = f"the best of {count} starts in colour" if count > 1 else ""
        room = (WIDTH - 0.5) * RESOLUTION - _width(note)
        title = fitted([about], width=room, size=SIZE, smallest=SIZE)[1][0]
        figure.text(0.022, 0.935, title, ha="left", color=GREY, parse_math=False)
        figure.text(0.978, 0.935, note, ha="right", color=GREY)
        return figure


def _styled() -> AbstractContextManager[None]:
    """Return a context in which figures have the style of curves, whatever the user's style is."""
    return matplotlib.style.context(["default", _style()], after_reset=True)


def _style() -> dict[str, Any]:
    return {
        "font.family": FONT,
        "font.size": SIZE,
        "axes.edgecolor": OTHERS,
        "axes.linewidth": 0.6,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.grid.axis": "y",
        "axes.axisbelow": True,
        "grid.color": GRID,
        "grid.linewidth": 0.6,
        "xtick.color": OTHERS,
        "ytick.color": OTHERS,
        "xtick.labelcolor": GREY,
        "ytick.labelcolor": GREY,
        "xtick.major.size": 2,
        "ytick.major.size": 0,
        "xtick.major.width": 0.6,
    }


def _draw(axes: Axes, values: NDArray[np.floating], name: str, *, best: int, lowest: bool) -> None:
    main = name == TOTAL
    steps = np.arange(len(values))
    pale = np.delete(values, best, axis=1)
    if pale.shape[1]:
        axes.plot(steps, pale, color=OTHERS, alpha=0.55, linewidth=0.6)
    axes.plot(steps, values[:, best], color=BEST, linewidth=1.7 if main else 1.1)
    last = values[-1, best]
    axes.plot(
        steps[-1:], [last], color=BEST, marker="o", markersize=3 if main else 2, clip_on=False
    )
    axes.annotate(
        f"{last:.3g}".replace("-", "−"),
        (steps[-1], last),
        xytext=(4, 0),
        textcoords="offset points",
        va="center",
        color=BEST,
        fontweight="bold" if main else "normal",
        annotation_clip=False,
    )
    axes.set_title(
        name,
        loc="left",
        fontsize=7.5 if main else SIZE,
        fontweight="bold" if main else "normal",
        pad=5,
        parse_math=False,
    )
    axes.set_xlim(0, max(1, len(values) - 1))
    axes.xaxis.set_major_locator(MaxNLocator(4 if main else 2, steps=ROUND, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(5 if main else 3, steps=ROUND))
    if lowest:
        axes.set_xlabel("steps", color=GREY, labelpad=2)
    else:
        axes.tick_params(labelbottom=False)
