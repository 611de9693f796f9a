"""White canvas for tiles and text, in pixels from the top left corner.

Many tiles are drawn as one picture and there are no axes, because matplotlib takes milliseconds per
artist. Saved files are written atomically and are identical at any time.
"""

import base64
import io
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

__all__ = [
    "GAP",
    "RESOLUTION",
    "TILE",
    "Canvas",
    "NotebookFigure",
    "fitted",
    "mosaic",
    "save",
    "width_of",
]

TILE = 128
GAP = 4
RESOLUTION = 200
POINT = RESOLUTION / 72
FONT = "DejaVu Sans"  # ships with matplotlib, so figures look alike everywhere
GREY = "#666666"
RED = "#b3001b"
ELLIPSIS = "…"
QUALITY = 90  # of JPEG

# override a user's matplotlibrc
SETTINGS: dict[Any, Any] = {
    "pdf.fonttype": 42,  # searchable and editable text; journals refuse type 3
    "pdf.use14corefonts": False,
    "savefig.bbox": None,
    "savefig.transparent": False,
    "text.usetex": False,
}


class NotebookFigure(Figure):
    """Figure that a notebook shows as it is saved, whether pyplot is imported or not.

    Without pyplot a notebook shows the text of a figure, and with it nothing of one without axes.
    """

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        """Return the picture for IPython."""
        with io.BytesIO() as file, matplotlib.rc_context(SETTINGS):
            FigureCanvasAgg(self).print_png(file)
            return {"image/png": base64.b64encode(file.getvalue()).decode()}


class Canvas:
    """White canvas of a fixed size.

    Attributes:
        figure: the figure that everything is drawn into.
    """

    def __init__(self, width: int, height: int) -> None:
        """Create an empty canvas of a size in pixels."""
        size = (width / RESOLUTION, height / RESOLUTION)
        self.figure = NotebookFigure(figsize=size, dpi=RESOLUTION, facecolor="white")
        share = Affine2D().scale(1 / width, -1 / height).translate(0, 1)
        self._pixels = share + self.figure.transFigure

    def place(self, pixels: NDArray[np.uint8], x: int, y: int) -> None:
        """Draw a picture (h, w, 3) with its top left corner at (x, y)."""
        height, width = pixels.shape[:2]
        box = TransformedBbox(Bbox.from_bounds(x, y, width, height), self._pixels)
        image = BboxImage(box, interpolation="none")  # pixels stay unchanged, also in a PDF
        image.set_data(pixels)
        self.figure.add_artist(image)

    def write(
        self,
        text: str,
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
        """Draw one line of text.

        Args:
            text: literal text: `$` and `_` have no special meaning.
            x: position of its left end, centre or right end, depending on `align`.
            y: position of its baseline; of its centre if `upwards`.
            size: size in points.
            align: "left", "center" or "right".
            bold: whether the text is bold.
            grey: draw in grey instead of black.
            red: draw in red instead of grey or black.
            upwards: rotate by 90° around its centre at (x, y).
        """
        self.figure.text(
            x,
            y,
            text,
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
    """Return rows of square tiles (s, s, 3) as one picture with white gaps."""
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
    """Return one size at which all lines fit into a width, and the lines.

    At the smallest size, an ellipsis replaces the middle of lines that are still too wide.

    Args:
        lines: lines of text; runs of white space become one space.
        width: width in pixels.
        size: largest size in points.
        smallest: smallest size in points.

    Returns:
        The size in points, and the shortened lines.
    """
    lines = [" ".join(line.split()) for line in lines]
    widest = max((width_of(line, size=1) for line in lines), default=0)
    if widest * size > width:
        size = max(smallest, width / widest)
    return size, [_shortened(line, width=width, size=size) for line in lines]


def _shortened(line: str, *, width: float, size: float) -> str:
    if width_of(line, size=size) <= width + 1e-6:
        return line
    for length in range(len(line) - 1, 0, -1):
        head, tail = (length + 1) // 2, length // 2
        short = line[:head] + ELLIPSIS + line[len(line) - tail :]
        if width_of(short, size=size) <= width:
            return short
    return ELLIPSIS


def width_of(text: str, *, size: float, bold: bool = False) -> float:
    """Return the width of a line of text in pixels."""
    return _width(text, bold) * size * POINT


@lru_cache(maxsize=4096)
def _width(text: str, bold: bool) -> float:
    """Width of a line of text at a size of one point, in points."""
    width, _, _ = text_to_path.get_text_width_height_descent(text, _font(bold, 100), ismath=False)
    return width / 100


@lru_cache(maxsize=256)
def _font(bold: bool, size: float) -> FontProperties:
    return FontProperties(family=FONT, weight="bold" if bold else "normal", size=size)


def save(figure: Figure, path: Path, *, small: bool = False) -> Path:
    """Write a figure atomically as PDF, PNG or JPEG; return the path.

    Args:
        figure: the figure.
        path: path of the file; its suffix, .pdf, .png, .jpg or .jpeg, gives the format.
        small: write a PNG of half the resolution and 256 colours, with a tenth of the bytes.
    """
    with matplotlib.rc_context(SETTINGS), atomic_path(path) as temporary:
        suffix = path.suffix.lower()
        if suffix == ".pdf":
            metadata = {"CreationDate": None}  # equal figures are equal files
            figure.savefig(temporary, format="pdf", dpi=RESOLUTION, metadata=metadata)
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
            if suffix in (".jpg", ".jpeg"):
                drawn.save(temporary, format="jpeg", quality=QUALITY, dpi=(resolution, resolution))
            else:  # four times faster than matplotlib's PNG writer
                drawn.save(temporary, format="png", dpi=(resolution, resolution))
    return path
