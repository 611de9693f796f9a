"""Edits of activation maps (paper, section 4.2): linear maps along each axis.

zoom          doubled bilinearly, the centre kept
shift         by a share of the side, zeros coming in
copy_paste    the left half shifted left, the right half shifted right
Function      a user's own

Each map is moved by its own stride: a share of its side, in fractions of a position where that is
no whole number.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rosetta_core.mining.correlation.resize import bilinear_matrix

__all__ = ["Function", "copy_paste", "shift", "zoom"]

# called once per layer with its activation maps (units, h, w), the layer's name and the units'
# channels; returns maps of the same shape
Function = Callable[[NDArray[np.float32], str, NDArray[np.int64]], NDArray[np.float32]]


def zoom(maps: Tensor) -> Tensor:
    """Maps (…, h, w) at twice their size, of which the centre is kept."""
    rows, columns = (_zoomed(side, maps) for side in maps.shape[-2:])
    return rows @ maps @ columns.T


def shift(maps: Tensor, *, down: float = 0.0, right: float = 0.0) -> Tensor:
    """Maps (…, h, w), each row and column moved by a share of the side; zeros come in."""
    rows, columns = maps.shape[-2:]
    return _shifted(rows, down * rows, maps) @ maps @ _shifted(columns, right * columns, maps).T


def copy_paste(maps: Tensor, *, right: float) -> Tensor:
    """Maps (…, h, w): left half from one shifted left, right half from one shifted right."""
    half = maps.shape[-1] // 2
    left, other = shift(maps, right=-right), shift(maps, right=right)
    return torch.cat([left[..., :half], other[..., half:]], dim=-1)


def _zoomed(side: int, like: Tensor) -> Tensor:
    first = side // 2
    return bilinear_matrix(side, 2 * side)[first : first + side].to(like)


def _shifted(side: int, by: float, like: Tensor) -> Tensor:
    """S (side, side): position i of the result lies at i - by of the source."""
    source = torch.arange(side, dtype=torch.float64)[:, None] - by
    off = (source - torch.arange(side, dtype=torch.float64)).abs()  # (side, side)
    return (1 - off).clamp(min=0).to(like)
