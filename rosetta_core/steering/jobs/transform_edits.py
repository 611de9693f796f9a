"""Edits that transform the maps of all Rosetta neurons (paper, section 4.2).

Zoom, shift and copy_paste are linear maps along each axis, in shares of a map's own side, so that
maps of all sizes move alike. A new kind is a class here with an entry in `TRANSFORM_EDITS`; its
name and parameters are declared in the configuration.
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rosetta_core.errors import RosettaError, describe_exception
from rosetta_core.mining.correlation.resize import bilinear_matrix
from rosetta_core.steering.generator import SteeredGenerator
from rosetta_core.steering.jobs.map_edit import MapEdit
from rosetta_core.steering.metrics.edits import shift_metrics, zoom_metrics
from rosetta_core.steering.optimise.prepared_targets import MapTarget

__all__ = [
    "TRANSFORM_EDITS",
    "CopyPaste",
    "Custom",
    "EditFunction",
    "Shift",
    "TransformEdit",
    "Zoom",
    "copy_paste",
    "shift",
    "zoom",
]

# maps (u, h, w) of one layer, name of the layer, channels (u,) -> maps (u, h, w)
EditFunction = Callable[[NDArray[np.float32], str, NDArray[np.int64]], NDArray[np.float32]]


class TransformEdit(MapEdit):
    """An edit that transforms the maps of all Rosetta neurons."""

    @abstractmethod
    def transform(self, maps: Tensor, layer: str, channels: NDArray[np.int64]) -> Tensor:
        """Return edited maps (1, u, h, w) of some channels of a layer."""

    def targets(self, generator: SteeredGenerator, maps: Mapping[str, Tensor]) -> list[MapTarget]:
        """Return the edited maps of all Rosetta neurons, all with weight 1."""
        targets = []
        for layer, channels in generator.channels_by_layer(generator.neurons).items():
            raw = maps[layer].cpu().double()[:, torch.from_numpy(channels)]  # (1, u, h, w)
            edited = self.transform(raw, layer, channels)
            mean, std = (
                torch.from_numpy(m[channels])[:, None, None] for m in generator.moments[layer]
            )
            weights = torch.ones(1, len(channels))
            targets.append(MapTarget(layer, channels, (edited - mean) / std, weights))
        return targets


@dataclass(frozen=True)
class Zoom(TransformEdit):
    """Maps are enlarged twice about their centre."""

    caption: ClassVar[str] = "zoomed in twice"

    def transform(self, maps: Tensor, layer: str, channels: NDArray[np.int64]) -> Tensor:
        """Return the enlarged maps."""
        return zoom(maps)

    def image_metrics(
        self, before: NDArray[np.uint8], after: NDArray[np.uint8]
    ) -> dict[str, float]:
        """Return the magnification of the image."""
        return zoom_metrics(before, after, scale=2.0)


@dataclass(frozen=True)
class Shift(TransformEdit):
    """Maps are shifted by a share of their side; zeros enter.

    Attributes:
        dx: shift to the right.
        dy: shift downwards.
    """

    dx: float = 0.25
    dy: float = 0.0

    @property
    def caption(self) -> str:
        """The directions and distances of the shift."""
        directions = (("right", "left", self.dx), ("down", "up", self.dy))
        moves = [
            f"{positive if share > 0 else negative} by {abs(share):.0%} of the side"
            for positive, negative, share in directions
            if share
        ]
        return f"shifted {' and '.join(moves) or 'by 0% of the side'}"

    def transform(self, maps: Tensor, layer: str, channels: NDArray[np.int64]) -> Tensor:
        """Return the shifted maps."""
        return shift(maps, dx=self.dx, dy=self.dy)

    def image_metrics(
        self, before: NDArray[np.uint8], after: NDArray[np.uint8]
    ) -> dict[str, float]:
        """Return the displacement of the image."""
        return shift_metrics(before, after, dx=self.dx, dy=self.dy)


@dataclass(frozen=True)
class CopyPaste(TransformEdit):
    """The left half of maps is shifted left and the right half right, from random latents.

    Attributes:
        dx: shift of the right half, as a share of the side.
    """

    from_source: ClassVar[bool] = False

    dx: float = 0.25

    @property
    def caption(self) -> str:
        """The distance of the shifts."""
        return f"halves pasted {self.dx:.0%} of the side apart"

    def transform(self, maps: Tensor, layer: str, channels: NDArray[np.int64]) -> Tensor:
        """Return the pasted maps."""
        return copy_paste(maps, dx=self.dx)


@dataclass(frozen=True)
class Custom(TransformEdit):
    """Maps are changed by a function, which is called once per layer.

    Attributes:
        function: the function.
        name: its name, for the caption.
    """

    function: EditFunction
    name: str = "a function"

    @property
    def caption(self) -> str:
        """The name of the function."""
        return f"changed by {self.name}"

    def transform(self, maps: Tensor, layer: str, channels: NDArray[np.int64]) -> Tensor:
        """Return the function's maps; RosettaError if it raises or returns something else."""
        raw = maps[0].float().numpy()
        try:
            returned = np.asarray(self.function(raw.copy(), layer, channels), dtype=np.float64)
        except (Exception, SystemExit) as error:
            raise RosettaError(
                f"custom function, at layer {layer!r}: {describe_exception(error)}"
            ) from error
        if returned.shape != raw.shape or not np.isfinite(returned).all():
            same = returned.shape == raw.shape
            state = "maps that are not finite" if same else f"shape {returned.shape}"
            raise RosettaError(
                f"custom function, at layer {layer!r}: returned {state}; return finite maps of "
                f"shape {raw.shape}"
            )
        return torch.from_numpy(returned)[None]


TRANSFORM_EDITS: dict[str, type[TransformEdit]] = {
    "zoom": Zoom,
    "shift": Shift,
    "copy_paste": CopyPaste,
    "custom": Custom,
}


def zoom(maps: Tensor) -> Tensor:
    """Enlarge maps (…, h, w) twice, bilinearly, and keep their centre (…, h, w)."""
    rows, columns = (_zoom_matrix(side, maps) for side in maps.shape[-2:])
    return rows @ maps @ columns.T


def shift(maps: Tensor, *, dx: float = 0.0, dy: float = 0.0) -> Tensor:
    """Shift maps (…, h, w) by shares of their sides, bilinearly; zeros enter.

    Args:
        maps: the maps.
        dx: shift to the right, as a share of the width.
        dy: shift downwards, as a share of the height.
    """
    height, width = maps.shape[-2:]
    rows = _shift_matrix(height, dy * height, maps)
    return rows @ maps @ _shift_matrix(width, dx * width, maps).T


def copy_paste(maps: Tensor, *, dx: float) -> Tensor:
    """Join the left half of maps shifted left and the right half of maps shifted right."""
    half = maps.shape[-1] // 2
    left, right = shift(maps, dx=-dx), shift(maps, dx=dx)
    return torch.cat([left[..., :half], right[..., half:]], dim=-1)


def _zoom_matrix(side: int, like: Tensor) -> Tensor:
    """Return Z (side, side): the central rows of the bilinear resizing to twice the side."""
    first = side // 2
    return bilinear_matrix(side, 2 * side)[first : first + side].to(like)


def _shift_matrix(side: int, by: float, like: Tensor) -> Tensor:
    """Return S (side, side): position i of the result is position i - by of the source."""
    source = torch.arange(side, dtype=torch.float64)[:, None] - by
    distance = (source - torch.arange(side, dtype=torch.float64)).abs()  # (side, side)
    return (1 - distance).clamp(min=0).to(like)
