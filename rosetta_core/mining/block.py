"""Some columns of a matrix of correlations.

Block     what passes from the correlations to their store
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Block"]


@dataclass(frozen=True)
class Block:
    """Correlations of the pivot's units with some units of a model.

    Attributes:
        model: its number among the models.
        columns: which of its units.
        corr: the correlations (units of the pivot, columns); NaN where a unit is constant.
    """

    model: int
    columns: slice
    corr: NDArray[np.float32]
