"""The table of a model's units: layer, channel, map size, mean, standard deviation, alive."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from rosetta_core.mining.correlation.moments import Moments, alive_units
from rosetta_core.zoo.layers import Layer

__all__ = ["unit_table"]


def unit_table(
    layers: Sequence[Layer], moments: Sequence[Moments], *, min_relative_std: float
) -> pd.DataFrame:
    """Return a table with one row per unit.

    Args:
        layers: layers of the model in order; units are numbered through them.
        moments: moments per layer, over all images and positions of the layer's own grid.
        min_relative_std: units with a std below this fraction of |mean| are dead.

    Returns:
        Columns unit, layer, channel, height, width, mean, std, alive.
    """
    frames = [
        pd.DataFrame(
            {
                "layer": layer.name,
                "channel": np.arange(layer.channels, dtype=np.int32),
                "height": np.int32(layer.height),
                "width": np.int32(layer.width),
                "mean": layer_moments.mean,
                "std": layer_moments.std,
                "alive": alive_units(layer_moments, min_relative_std=min_relative_std),
            }
        )
        for layer, layer_moments in zip(layers, moments, strict=True)
    ]
    table = pd.concat(frames, ignore_index=True)
    table.insert(0, "unit", np.arange(len(table), dtype=np.int32))
    return table
