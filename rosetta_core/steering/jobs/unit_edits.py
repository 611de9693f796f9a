"""Edits that lower or raise selected units and keep all other Rosetta neurons.

A new kind is a class here with an entry in `UNIT_EDITS`; its name and parameters are declared in
the configuration.
"""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rosetta_core.errors import RosettaError
from rosetta_core.mining.correlation.resize import bilinear_matrix
from rosetta_core.steering.generator import SteeredGenerator
from rosetta_core.steering.jobs.map_edit import MapEdit
from rosetta_core.steering.metrics.edits import activity_metrics
from rosetta_core.steering.optimise.activity import ActivityPenalty
from rosetta_core.steering.optimise.loss import Loss
from rosetta_core.steering.optimise.prepared_targets import MapTarget, Similarity
from rosetta_core.zoo.layers import Grid

__all__ = ["UNIT_EDITS", "Add", "Remove", "UnitEdit"]


@dataclass(frozen=True)
class UnitEdit(MapEdit):
    """Selected units are lowered or raised, while all other Rosetta neurons are kept.

    Attributes:
        selected: numbers of the selected units (u,), ascending.
        label: the units in a few words.
        minimum: minimum activation of every unit (c,) by layer, as from `minimum_activations`.
        map_penalty: weight that keeps the maps of all other Rosetta neurons.
        activity_penalty: weight that keeps their mean activity.
        mask: where units change, (h, w) from 0 to 1 on any grid; everywhere if None.
    """

    similarity: ClassVar[Similarity] = "distance"
    verb: ClassVar[str]

    selected: NDArray[np.int64]
    label: str
    minimum: Mapping[str, NDArray[np.float32]]
    map_penalty: float = 1.0
    activity_penalty: float = 4.0
    mask: NDArray[np.float32] | None = None

    @abstractmethod
    def goal(self, own: Tensor, minimum: Tensor) -> Tensor:
        """Return the target maps inside the mask.

        Args:
            own: standardised maps (1, u, h, w).
            minimum: standardised minimum activation (u, 1, 1).
        """

    @property
    def caption(self) -> str:
        """The units, and whether there is a mask."""
        return f"{self.verb} {self.label}{'' if self.mask is None else ' inside a mask'}"

    @property
    def units(self) -> NDArray[np.int64]:
        """Numbers of the selected units (u,)."""
        return self.selected

    def targets(self, generator: SteeredGenerator, maps: Mapping[str, Tensor]) -> list[MapTarget]:
        """Return the goals of the selected units, and the maps of all other Rosetta neurons.

        Weights make the squared distance of all selected units together 1 at the start, whatever
        their activity, and the weight of all others together `map_penalty`.
        """
        initial, goals = torch.zeros(()), []
        for layer, channels in generator.channels_by_layer(self.units).items():
            mean, std = (
                torch.from_numpy(m[channels])[:, None, None] for m in generator.moments[layer]
            )
            own = generator.standardise(maps, layer, channels)  # (1, u, h, w)
            minimum = (torch.from_numpy(self.minimum[layer][channels])[:, None, None] - mean) / std
            goal = self.goal(own, minimum)
            edited = own + _resize_mask(self.mask, generator.grids[layer]) * (goal - own)
            initial = initial + (edited - own).square().mean(dim=(2, 3)).sum()
            goals.append(MapTarget(layer, channels, edited, torch.ones(1, len(channels))))
        if not initial > 0:
            raise RosettaError(
                f"{self.label}: nothing to change inside the mask; name other units or enlarge the "
                "mask"
            )
        others = generator.other_neurons(self.units)
        return [
            *(replace(target, weights=target.weights / initial) for target in goals),
            *(
                replace(target, weights=target.weights * self.map_penalty / len(others))
                for target in generator.targets_from_maps(maps, others)
            ),
        ]

    def adjust_loss(
        self,
        loss: Loss,
        generator: SteeredGenerator,
        maps: Mapping[str, Tensor],
        targets: list[MapTarget],
    ) -> Loss:
        """Return the loss with the sum instead of the mean over pairs, and the activity penalty."""
        total_weight = float(sum(target.weights.sum() for target in targets))
        loss = replace(loss, weights={**loss.weights, "similarity": total_weight})
        others = generator.other_neurons(self.units)
        if not len(others):
            return loss
        return replace(
            loss,
            activity_penalty=ActivityPenalty(generator, maps, units=others),
            weights={**loss.weights, "activity": self.activity_penalty},
        )

    def map_metrics(
        self,
        generator: SteeredGenerator,
        before: Mapping[str, Tensor],
        after: Mapping[str, Tensor],
    ) -> dict[str, float]:
        """Return the change of the activity of the selected units and of the others."""
        return activity_metrics(generator, self.units, before, after, minimum=self.minimum)


@dataclass(frozen=True)
class Remove(UnitEdit):
    """Selected units are lowered to their minimum activation."""

    verb: ClassVar[str] = "removed"

    def goal(self, own: Tensor, minimum: Tensor) -> Tensor:
        """Return maps that are minimal everywhere."""
        return minimum.expand_as(own)


@dataclass(frozen=True)
class Add(UnitEdit):
    """Selected units are raised.

    Attributes:
        amount: increase in standard deviations.
    """

    verb: ClassVar[str] = "added"

    amount: float = 2.0

    def goal(self, own: Tensor, minimum: Tensor) -> Tensor:
        """Return maps that are higher everywhere."""
        return own + self.amount


UNIT_EDITS: dict[str, type[UnitEdit]] = {"remove": Remove, "add": Add}


def _resize_mask(mask: NDArray[np.float32] | None, grid: Grid) -> Tensor:
    """Resize a mask (h, w) to a grid; ones if there is no mask."""
    if mask is None:
        return torch.ones(grid, dtype=torch.float64)
    full = torch.from_numpy(mask).double()
    rows, columns = (_resize_matrix(a, b) for a, b in zip(full.shape, grid, strict=True))
    return rows @ full @ columns.T


def _resize_matrix(source: int, target: int) -> Tensor:
    """Return R (target, source): bilinear to more positions, its adjoint as a mean to fewer."""
    if target >= source:
        return bilinear_matrix(source, target)
    averaging = bilinear_matrix(target, source).T  # (target, source)
    return averaging / averaging.sum(dim=1, keepdim=True)
