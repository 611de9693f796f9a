"""Correlations on disk.

write_correlations    write blocks of columns into a store as they come
read_correlations     the whole matrix
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import Crc32cCodec, ZstdCodec

from rosetta_core.files import whole
from rosetta_core.mining.stores import open_group, read_array

__all__ = ["read_correlations", "write_correlations"]

CHUNK = 1024  # rows and columns


def write_correlations(
    store: Path,
    blocks: Iterable[tuple[slice, NDArray[np.float32]]],
    *,
    rows: NDArray[np.bool_],
    columns: NDArray[np.bool_],
) -> None:
    """Write the array `corr` (rows, columns) float32.

    Args:
        store: where to.
        blocks: (columns, correlations of all rows with them).
        rows: which units of the pivot are alive; the others' correlations become NaN.
        columns: the same for the model's units.
    """
    shape = (len(rows), len(columns))
    with whole(store) as temporary:
        corr = zarr.open_group(temporary, mode="w").create_array(
            "corr",
            shape=shape,
            dtype="float32",
            chunks=(min(CHUNK, shape[0]), min(CHUNK, shape[1])),
            fill_value=float("nan"),
            compressors=[ZstdCodec(level=1), Crc32cCodec()],
            config={"write_empty_chunks": True},
        )
        for place, values in blocks:
            corr[:, place] = np.where(rows[:, None] & columns[place], values, np.float32("nan"))


def read_correlations(store: Path) -> NDArray[np.float32]:
    """Read the array `corr` (units of the pivot, units of the model)."""
    return read_array(open_group(store), "corr")
