"""Tables on disk.

read_table     RosettaError if it isn't there
write_table    whole or not at all
"""

from pathlib import Path
from typing import TYPE_CHECKING

from rosetta_core.errors import RosettaError
from rosetta_core.files import whole

if TYPE_CHECKING:
    import pandas as pd


__all__ = ["read_table", "write_table"]


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
