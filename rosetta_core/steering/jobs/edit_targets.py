"""The maps that an edit asks for.

Change            which units `remove` and `add` change, and where
edited_matches    the generator's own maps, edited, as targets of its units
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rosetta_core.config import steering as config
from rosetta_core.errors import RosettaError, describe_exception
from rosetta_core.mining.correlation.resize import bilinear_matrix
from rosetta_core.steering.generator import Pivot
from rosetta_core.steering.jobs.edits import Function, copy_paste, shift, zoom
from rosetta_core.steering.optimise.objective import MapTarget
from rosetta_core.zoo.layers import Grid

__all__ = ["Change", "edited_matches"]


@dataclass(frozen=True)
class Change:
    """Which units `remove` and `add` change, and where.

    Attributes:
        units: numbers of the generator's units.
        what: they are, in words.
        lowest: by layer the least activation that each unit takes (c,).
        mask: (h, w) from 0 to 1, on any grid; everywhere unless given.
    """

    units: NDArray[np.int64]
    what: str
    lowest: Mapping[str, NDArray[np.float32]]
    mask: NDArray[np.float32] | None = None


def edited_matches(
    pivot: Pivot,
    job: config.Edit,
    maps: Mapping[str, Tensor],
    *,
    change: Change | None,
    function: Function | None,
) -> list[MapTarget]:
    """Return the maps (1, u, h, w) that the Rosetta neurons are to have, and how much each counts.

    Args:
        pivot: the generator.
        job: what to do.
        maps: of the image to edit, by layer (1, c, h, w).
        change: for remove and add.
        function: for custom.
    """
    if change is not None:
        return _changed_matches(pivot, job, maps, change)
    found = []
    for layer, channels in pivot.by_layer(pivot.neurons).items():
        raw = maps[layer].cpu().double()[:, torch.from_numpy(channels)]  # (1, u, h, w)
        if job.kind == "zoom":
            edited = zoom(raw)
        elif job.kind == "shift":
            edited = shift(raw, down=job.dy, right=job.dx)
        elif job.kind == "copy_paste":
            edited = copy_paste(raw, right=job.dx)
        else:
            assert function is not None
            edited = _by_function(function, raw, layer, channels)
        mean, std = (torch.from_numpy(m[channels])[:, None, None] for m in pivot.moments[layer])
        found.append(
            MapTarget(layer, channels, (edited - mean) / std, torch.ones(1, len(channels)))
        )
    return found


def _changed_matches(
    pivot: Pivot, job: config.Edit, maps: Mapping[str, Tensor], change: Change
) -> list[MapTarget]:
    """The chosen units lowered or raised, all other Rosetta neurons as they are.

    Weights are such that a squared distance begins at 1 for the chosen units together, however
    active they are, and counts `map_penalty` for all others together.
    """
    off, chosen = torch.zeros(()), []
    for layer, channels in pivot.by_layer(change.units).items():
        mean, std = (torch.from_numpy(m[channels])[:, None, None] for m in pivot.moments[layer])
        own = pivot.standardised(maps, layer, channels)  # (1, u, h, w)
        lowest = (torch.from_numpy(change.lowest[layer][channels])[:, None, None] - mean) / std
        goal = own + job.amount if job.kind == "add" else lowest.expand_as(own)
        edited = own + _on_grid(change.mask, pivot.grids[layer]) * (goal - own)
        off = off + (edited - own).square().mean(dim=(2, 3)).sum()
        chosen.append(MapTarget(layer, channels, edited, torch.ones(1, len(channels))))
    if not off > 0:
        raise RosettaError(
            f"{job.name}: {change.what} has nothing to change there; name other units or a larger "
            "mask"
        )
    others = pivot.others(change.units)
    return [
        *(replace(match, weights=match.weights / off) for match in chosen),
        *(
            replace(match, weights=match.weights * job.map_penalty / len(others))
            for match in pivot.match(maps, others)
        ),
    ]


def _by_function(
    function: Function, raw: Tensor, layer: str, channels: NDArray[np.int64]
) -> Tensor:
    """What a user's function makes of maps (1, u, h, w); RosettaError if these are no maps."""
    given = raw[0].float().numpy()
    try:
        returned = np.asarray(function(given.copy(), layer, channels), dtype=np.float64)
    except (Exception, SystemExit) as error:
        raise RosettaError(
            f"custom function, at layer {layer!r}: {describe_exception(error)}"
        ) from error
    if returned.shape != given.shape or not np.isfinite(returned).all():
        state = "numbers that are none" if returned.shape == given.shape else f"{returned.shape}"
        raise RosettaError(
            f"custom function, at layer {layer!r}: returned {state}; it has to return maps of "
            f"shape {given.shape}"
        )
    return torch.from_numpy(returned)[None]


def _on_grid(mask: NDArray[np.float32] | None, grid: Grid) -> Tensor:
    """A mask (h, w) averaged down, or enlarged, to a grid; ones if there is none."""
    if mask is None:
        return torch.ones(grid, dtype=torch.float64)
    full = torch.from_numpy(mask).double()
    sides = [_resizing(a, b) for a, b in zip(full.shape, grid, strict=True)]
    return sides[0] @ full @ sides[1].T


def _resizing(source: int, target: int) -> Tensor:
    """Resizing along an axis: bilinear to more positions, its adjoint as an average to fewer."""
    if target >= source:
        return bilinear_matrix(source, target)
    averaging = bilinear_matrix(target, source).T  # (target, source)
    return averaging / averaging.sum(dim=1, keepdim=True)
