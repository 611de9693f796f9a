"""Correlations on disk, every one of them.

write_correlations    write blocks of columns into a store per model, as they come
join_correlations     one store from those of blocks of rows
read_correlations     the whole matrix
"""

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import Crc32cCodec, ZstdCodec

from rosetta_core.io.zarr_store import new_store, open_group, read_array
from rosetta_core.mining.correlation.block import Alive, Block
from rosetta_core.mining.matching.topk_store import TopKCollector, join_subsets, write_subsets

__all__ = ["join_correlations", "read_correlations", "write_correlations"]

CHUNK = 1024  # rows and columns


def write_correlations(
    stores: Sequence[Path],
    blocks: Iterable[Block],
    *,
    columns: Sequence[int],
    rows: range,
    alive: Alive,
    collector: TopKCollector,
    subsets: int,
) -> None:
    """Write the array `corr` (rows, columns) float32 of the pivot with several models.

    Of subsets of the images the best partners are written, as `write_subsets` does.

    Args:
        stores: by model where to.
        blocks: the correlations as they come.
        columns: by model how many units it has.
        rows: which units of the pivot the rows are.
        alive: asked when a block has come; dead units' correlations become NaN.
        collector: of the subsets.
        subsets: how many there are.
    """
    with ExitStack() as stack:
        groups = [stack.enter_context(new_store(store)) for store in stores]
        matrices = [
            _create(group, (len(rows), count)) for group, count in zip(groups, columns, strict=True)
        ]
        for block in blocks:
            if block.subset is None:
                matrices[block.model][:, block.columns] = block.living(alive, rows)
            else:
                collector.add(block)
        for model, group in enumerate(groups):
            write_subsets(group, collector, model=model, subsets=subsets)


def join_correlations(blocks: Sequence[Path], store: Path, *, subsets: int) -> None:
    """Write one store from those of consecutive blocks of rows; RosettaError if one is damaged."""
    parts = [read_correlations(block) for block in blocks]
    with new_store(store) as group:
        corr = _create(group, (sum(map(len, parts)), parts[0].shape[1]))
        corr[...] = np.concatenate(parts)
        join_subsets([open_group(block) for block in blocks], group, subsets=subsets)


def read_correlations(store: Path) -> NDArray[np.float32]:
    """Read the array `corr` (units of the pivot, units of the model)."""
    return read_array(open_group(store), "corr")


def _create(group: zarr.Group, shape: tuple[int, int]) -> zarr.Array:
    return group.create_array(
        "corr",
        shape=shape,
        dtype="float32",
        chunks=(min(CHUNK, shape[0]), min(CHUNK, shape[1])),
        fill_value=float("nan"),
        compressors=[ZstdCodec(level=1), Crc32cCodec()],
        config={"write_empty_chunks": True},
    )
