"""A concept as a picture: models down, example images across (the paper's figure 3).

tiles       the pictures of a concept as one grid without words
sheet       the same with the names of models and units, for papers
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from rosetta_core.pages.heatmap import contrast, overlay, picture

__all__ = ["sheet", "tiles"]

GAP = 2
FONT = str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf")


def tiles(
    images: Sequence[NDArray[np.uint8]], maps: Mapping[str, NDArray[np.float32]], *, size: int
) -> Image.Image:
    """Lay out images and heat maps: a row of images, then a row per model, without margins.

    Args:
        images: the examples, each (h, w, 3).
        maps: by model the standardised maps of its unit (n, h', w').
        size: side of a tile in pixels.
    """
    rows = [[picture(image, size) for image in images]]
    for activations in maps.values():
        full = contrast(activations)
        rows.append(
            [
                overlay(image, activation, full=full, size=size)
                for image, activation in zip(images, activations, strict=True)
            ]
        )
    step = size + GAP
    canvas = Image.new("RGB", (len(images) * step - GAP, len(rows) * step - GAP), "white")
    for y, row in enumerate(rows):
        for x, tile in enumerate(row):
            canvas.paste(Image.fromarray(tile), (x * step, y * step))
    return canvas


def sheet(
    grid: Image.Image, *, title: str, labels: Sequence[Sequence[str]], size: int
) -> Image.Image:
    """Add a title above a grid of tiles and labels to the left of its rows.

    Args:
        grid: what `tiles` returned.
        title: one line.
        labels: per row one or two short lines.
        size: side of a tile in pixels.
    """
    bold, plain = (ImageFont.truetype(FONT, size=points) for points in (14, 11))
    margin = 12 + int(max(plain.getlength(line) for label in labels for line in label) * 1.12)
    head = 30
    canvas = Image.new("RGB", (margin + grid.width + 8, head + grid.height + 8), "white")
    canvas.paste(grid, (margin, head))
    draw = ImageDraw.Draw(canvas)
    draw.text((margin, 6), title, fill="black", font=bold)
    for row, label in enumerate(labels):
        top = head + row * (size + GAP) + size // 2 - 8 * len(label)
        for line, text in enumerate(label):
            colour, font = ("black", plain) if line == 0 else ("#666", plain)
            draw.text((margin - 8, top + 16 * line), text, fill=colour, font=font, anchor="ra")
    return canvas
