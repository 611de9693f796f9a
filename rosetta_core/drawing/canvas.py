"""A white sheet to lay out tiles and words on, in pixels from its top left corner.

TILE, GAP, RESOLUTION    a tile's side, the space between tiles, pixels an inch
Canvas     holds a matplotlib figure, draws mosaics and words, saves
mosaic     tiles side by side, as one picture
fitted     words of one size, all within a width
width_of   of words, in pixels
save       a figure as PDF or PNG, whole or not at all, the same bytes every time

One picture for many tiles, and no axes: matplotlib takes milliseconds for every artist.
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.image import BboxImage
from matplotlib.textpath import text_to_path
from matplotlib.transforms import Affine2D, Bbox, TransformedBbox
from numpy.typing import NDArray
from PIL import Image

from rosetta_core.io.atomic import atomic_path

__all__ = ["GAP", "RESOLUTION", "TILE", "Canvas", "fitted", "mosaic", "save", "width_of"]

TILE = 128
GAP = 4
RESOLUTION = 200
POINT = RESOLUTION / 72
FONT = "DejaVu Sans"  # comes with matplotlib, so that figures look alike everywhere
GREY = "#666666"
RED = "#b3001b"
ELLIPSIS = "…"

# what a user's own matplotlibrc might say otherwise
SETTINGS: dict[Any, Any] = {
    "pdf.fonttype": 42,  # text that can be searched and edited; journals refuse type 3
    "pdf.use14corefonts": False,
    "savefig.bbox": None,
    "savefig.transparent": False,
    "text.usetex": False,
}


class Canvas:
    """A white sheet of a given size.

    Attributes:
        figure: with all that was drawn.
    """

    def __init__(self, width: int, height: int) -> None:
        """An empty sheet of that many pixels."""
        size = (width / RESOLUTION, height / RESOLUTION)
        self.figure = Figure(figsize=size, dpi=RESOLUTION, facecolor="white")
        share = Affine2D().scale(1 / width, -1 / height).translate(0, 1)
        self._pixels = share + self.figure.transFigure

    def place(self, pixels: NDArray[np.uint8], x: int, y: int) -> None:
        """Put a picture (h, w, 3) with its top left corner at a place."""
        height, width = pixels.shape[:2]
        box = TransformedBbox(Bbox.from_bounds(x, y, width, height), self._pixels)
        image = BboxImage(box, interpolation="none")  # a PDF too keeps the pixels as they are
        image.set_data(pixels)
        self.figure.add_artist(image)

    def write(
        self,
        words: str,
        x: float,
        y: float,
        *,
        size: float,
        align: str = "center",
        bold: bool = False,
        grey: bool = False,
        red: bool = False,
        upwards: bool = False,
    ) -> None:
        """Write a line of words.

        Args:
            words: taken literally: `$` and `_` mean nothing.
            x: of their left end, middle or right end, as `align` says.
            y: of their baseline; of their middle, if upwards.
            size: in points.
            align: left, center or right.
            bold: whether they are.
            grey: in place of black.
            red: in place of both.
            upwards: turned by 90°, their middle at x and y.
        """
        self.figure.text(
            x,
            y,
            words,
            transform=self._pixels,
            fontproperties=_font(bold, size),
            color=RED if red else GREY if grey else "black",
            ha=align,
            va="center" if upwards else "baseline",
            rotation=90 if upwards else 0,
            parse_math=False,
            usetex=False,
        )


def mosaic(rows: Sequence[Sequence[NDArray[np.uint8]]]) -> NDArray[np.uint8]:
    """Return rows of square tiles (s, s, 3) as one picture, white between and beside them."""
    columns = max(len(row) for row in rows)
    height, width = (count * (TILE + GAP) - GAP for count in (len(rows), columns))
    pixels = np.full((height, width, 3), 255, np.uint8)
    for r, row in enumerate(rows):
        for c, tile in enumerate(row):
            y, x = r * (TILE + GAP), c * (TILE + GAP)
            pixels[y : y + TILE, x : x + TILE] = tile
    return pixels


def fitted(
    lines: Sequence[str], *, width: float, size: float, smallest: float
) -> tuple[float, list[str]]:
    """Return one size in points at which all lines fit, and the lines.

    At the smallest size, lines that are still too wide lose their middle to an ellipsis.

    Args:
        lines: any characters; runs of white space become one space.
        width: in pixels.
        size: the largest size wanted.
        smallest: still readable.
    """
    lines = [" ".join(line.split()) for line in lines]
    widest = max((width_of(line, size=1) for line in lines), default=0)
    if widest * size > width:
        size = max(smallest, width / widest)
    return size, [_shortened(line, width=width, size=size) for line in lines]


def _shortened(line: str, *, width: float, size: float) -> str:
    if width_of(line, size=size) <= width + 1e-6:
        return line
    for kept in range(len(line) - 1, 0, -1):
        head, tail = (kept + 1) // 2, kept // 2
        short = line[:head] + ELLIPSIS + line[len(line) - tail :]
        if width_of(short, size=size) <= width:
            return short
    return ELLIPSIS


def width_of(words: str, *, size: float, bold: bool = False) -> float:
    """The width of words in pixels."""
    return _width(words, bold) * size * POINT


@lru_cache(maxsize=4096)
def _width(words: str, bold: bool) -> float:
    """At one point, in points."""
    width, _, _ = text_to_path.get_text_width_height_descent(words, _font(bold, 100), ismath=False)
    return width / 100


@lru_cache(maxsize=256)
def _font(bold: bool, size: float) -> FontProperties:
    return FontProperties(family=FONT, weight="bold" if bold else "normal", size=size)


def save(figure: Figure, path: Path, *, small: bool = False) -> Path:
    """Write a figure as its suffix says, .pdf or .png; return the path.

    A small PNG has half the resolution and 256 colours, and a tenth of the bytes.
    """
    with matplotlib.rc_context(SETTINGS), atomic_path(path) as temporary:
        if path.suffix == ".pdf":
            undated = {"CreationDate": None}  # the same figure is the same file
            figure.savefig(temporary, format="pdf", dpi=RESOLUTION, metadata=undated)
        else:
            canvas = FigureCanvasAgg(figure)
            canvas.draw()
            drawn = Image.fromarray(np.asarray(canvas.buffer_rgba())[:, :, :3])
            resolution = RESOLUTION
            if small:
                drawn = drawn.reduce(2).quantize(
                    256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE
                )
                resolution = RESOLUTION // 2
            # matplotlib's own way writes a PNG four times as slowly
            drawn.save(temporary, format="png", dpi=(resolution, resolution))
    return path
