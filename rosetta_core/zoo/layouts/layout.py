"""Layouts: which axes of a layer's output hold images, channels and positions on the image.

A layout is complete: it converts outputs of any number of images to maps (n, c, h, w) without
guessing. Layouts follow from the shapes of outputs (`layouts.tracing`) and from what the user and
the libraries state about a layer (`layouts.rules`). `layouts.geometry` compares them with what the
network does on perturbed images.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

import torch
from torch import Tensor

from rosetta_core.zoo.layers import Grid, LayoutKind

__all__ = [
    "Layout",
    "dilated_order",
    "fit_grid",
    "has_aspect",
    "window_order",
]

ASPECT_TOLERANCE = 1.5  # largest ratio between the aspect ratios of a grid and of the image


@dataclass(frozen=True)
class Layout:
    """Positions and channels of a layer's output.

    Attributes:
        kind: `nchw` (n, c, h, w); `nhwc` (n, h, w, c); `tokens` (n, t, c) or (n, t, heads, d);
            `tokens_first` (t, n, c); `tokens_last` (n, c, t); `heads` (n, heads, t, d), whose
            channels are those of all heads; `windows` and `dilated_windows` (n, windows, …, c), or
            with the windows in the batch; `none` (n, c), without positions.
        grid: height and width of the maps.
        prefix_tokens: number of tokens before the grid; they are dropped.
        folded: number of rows of the first axis per image: windows in the batch.
        order: index of each position in the output, by row and column of the grid; None: by row
            and column already.
    """

    kind: LayoutKind
    grid: Grid
    prefix_tokens: int = 0
    folded: int = 1
    order: tuple[int, ...] | None = None

    def to_maps(self, output: Tensor) -> Tensor:
        """Convert an output to maps (n, c, h, w)."""
        match self.kind:
            case "nchw":
                return output
            case "nhwc":
                return output.permute(0, 3, 1, 2)
            case "none":
                return output[:, :, None, None]
            case "tokens":
                tokens = output.flatten(2)
            case "tokens_first":
                tokens = output.transpose(0, 1)
            case "tokens_last":
                tokens = output.transpose(1, 2)
            case "heads":
                tokens = output.transpose(1, 2).flatten(2)  # (n, t, heads * d)
            case "windows" | "dilated_windows":
                if self.folded > 1:
                    output = output.unflatten(0, (-1, self.folded))
                tokens = output.flatten(1, -2)  # (n, windows * positions, c)
            case _:
                assert_never(self.kind)
        tokens = tokens[:, self.prefix_tokens :]
        if self.order is not None:
            tokens = tokens[:, torch.tensor(self.order, device=tokens.device)]
        return tokens.transpose(1, 2).unflatten(2, self.grid)  # (n, c, h, w)


def fit_grid(positions: int, image: Grid) -> Grid | None:
    """Return the grid of a number of positions with the aspect ratio of an image, if there is one.

    Args:
        positions: number of positions.
        image: height and width of the image.
    """
    aspect = image[0] / image[1]
    height = round(math.sqrt(positions * aspect))
    if not height or positions % height:
        return None
    width = positions // height
    return (height, width) if has_aspect((height, width), image, tolerance=1.1) else None


def has_aspect(grid: Grid, image: Grid, *, tolerance: float = ASPECT_TOLERANCE) -> bool:
    """Return whether the sides of a grid are in the proportion of those of an image."""
    ratio = grid[0] * image[1] / (grid[1] * image[0])
    return 1 / tolerance <= ratio <= tolerance


def window_order(grid: Grid, window: Grid, *, shift: Grid = (0, 0)) -> tuple[int, ...]:
    """Return the order of positions in windows: windows by row and column, positions within them.

    Args:
        grid: height and width of the maps.
        window: height and width of a window.
        shift: rows and columns by which the maps were rolled to the top left before, as in Swin.
    """
    (height, width), (rows, columns) = grid, window
    places = torch.arange(height * width).view(height, width)
    rolled = places.roll((-shift[0], -shift[1]), dims=(0, 1))
    parts = rolled.view(height // rows, rows, width // columns, columns)
    return _inverse(parts.permute(0, 2, 1, 3).flatten())


def dilated_order(grid: Grid, strides: Sequence[Grid]) -> tuple[int, ...]:
    """Return the order of positions that were split by strides, offsets before positions.

    A stride (s, s) splits a grid into s² grids, each of every s-th row and column; the next stride
    splits these. MaxViT's grid attention and MobileViT have one stride, Hiera several.

    Args:
        grid: height and width of the maps.
        strides: strides, in the order in which they are applied.
    """
    parts = torch.arange(grid[0] * grid[1]).view(1, *grid)
    for rows, columns in strides:
        count, height, width = parts.shape
        split = parts.view(count, height // rows, rows, width // columns, columns)
        parts = split.permute(0, 2, 4, 1, 3).flatten(0, 2)
    return _inverse(parts.flatten())


def _inverse(places: Tensor) -> tuple[int, ...]:
    """Return the index in the output of each place, from the place of each index."""
    return tuple(places.argsort().tolist())
