"""Tables on disk.

read_table     RosettaError if it isn't there
write_table    whole or not at all
write_units    the table of a model's units
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rosetta_core.config import Config
from rosetta_core.errors import RosettaError
from rosetta_core.files import whole
from rosetta_core.paths import RunPaths

if TYPE_CHECKING:
    import pandas as pd

    from rosetta_core.mining.moments import Moments
    from rosetta_core.zoo.layer import Layer


__all__ = ["read_table", "write_table", "write_units"]


def read_table(path: Path) -> "pd.DataFrame":
    """Read a table of a run; RosettaError if there is no readable one."""
    import pandas as pd

    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise RosettaError(f"{path}: no readable table; run the stage that writes it") from error


def write_table(table: "pd.DataFrame", path: Path) -> Path:
    """Write a table, whole or not at all; return its path."""
    with whole(path) as temporary:
        table.to_parquet(temporary, index=False)
    return path


def write_units(
    config: Config, model: str, layers: Sequence["Layer"], moments: Sequence["Moments"]
) -> Path:
    """Write the table of a model's units, from its layers and their moments; return its path."""
    from rosetta_core.mining.units import unit_table

    table = unit_table(layers, moments, near_constant=config.activations.near_constant)
    return write_table(table, RunPaths(config).units(model))
