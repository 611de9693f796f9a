"""The table of a model's units.

unit_table     one row per unit: where it is and how much it varies
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from rosetta_core.mining.correlation.moments import Moments, alive
from rosetta_core.zoo.layers import Layer

__all__ = ["unit_table"]


def unit_table(
    layers: Sequence[Layer], moments: Sequence[Moments], *, near_constant: float
) -> pd.DataFrame:
    """Return one row per unit: unit, layer, channel, height, width, mean, std, alive.

    Units are numbered through the layers in the order in which they run. Mean and std are over all
    images and positions of the unit's own grid, before the maps were rounded.
    """
    frames = []
    for layer, found in zip(layers, moments, strict=True):
        frames.append(
            pd.DataFrame(
                {
                    "layer": layer.name,
                    "channel": np.arange(layer.channels, dtype=np.int32),
                    "height": np.int32(layer.height),
                    "width": np.int32(layer.width),
                    "mean": found.mean,
                    "std": found.std,
                    "alive": alive(found, near_constant=near_constant),
                }
            )
        )
    table = pd.concat(frames, ignore_index=True)
    table.insert(0, "unit", np.arange(len(table), dtype=np.int32))
    return table
