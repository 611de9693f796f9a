"""Some columns of a matrix of correlations.

Block     what passes from the correlations to their store
Alive     tells which units of a model are alive
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Alive", "Block"]

Alive = Callable[[int | None], NDArray[np.bool_]]  # by a model's number, None for the pivot


@dataclass(frozen=True)
class Block:
    """Correlations of the pivot's units with some units of a model.

    Attributes:
        model: its number among the models.
        columns: which of its units.
        corr: the correlations (units of the pivot, columns); NaN where a unit is constant.
        subset: over which subset of the images; None for all of them.
    """

    model: int
    columns: slice
    corr: NDArray[np.float32]
    subset: int | None = None

    def living(self, alive: Alive, rows: range) -> NDArray[np.float32]:
        """The correlations with NaN where a unit is dead; `rows` are the units of the pivot."""
        both = alive(None)[rows.start : rows.stop, None] & alive(self.model)[self.columns]
        return np.where(both, self.corr, np.float32("nan"))
