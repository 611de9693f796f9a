"""Stores of full correlation matrices, written block by block.

Dead units have NaN. Nearest neighbours over subsets of the images are stored next to the matrix.
"""

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import Crc32cCodec

from rosetta_core.io.stores.store import ZSTD, new_store, open_group, read_array
from rosetta_core.mining.correlation.channel_blocks import AliveMask, CorrelationBlock
from rosetta_core.mining.matching.topk_store import TopKCollector, join_subsets, write_subsets

__all__ = ["join_correlations", "read_correlations", "write_correlations"]

CHUNK = 1024  # rows and columns


def write_correlations(
    stores: Sequence[Path],
    blocks: Iterable[CorrelationBlock],
    *,
    columns: Sequence[int],
    rows: range,
    alive: AliveMask,
    collector: TopKCollector,
    subsets: int,
) -> None:
    """Write the array `corr` (rows, columns) float32 of the pivot with each model.

    Args:
        stores: path of each model's store.
        blocks: correlations over all images and over each subset.
        columns: number of units of each model.
        rows: units of the pivot.
        alive: returns which units of a model are alive; called when a block arrives.
        collector: collector of the nearest neighbours over subsets.
        subsets: number of subsets.
    """
    with ExitStack() as stack:
        groups = [stack.enter_context(new_store(store)) for store in stores]
        matrices = [
            _create(group, (len(rows), count)) for group, count in zip(groups, columns, strict=True)
        ]
        for block in blocks:
            if block.subset is None:
                matrices[block.model][:, block.columns] = block.mask_dead(alive, rows)
            else:
                collector.add(block)
        for model, group in enumerate(groups):
            write_subsets(group, collector, model=model, subsets=subsets)


def join_correlations(blocks: Sequence[Path], store: Path, *, subsets: int) -> None:
    """Join the stores of consecutive blocks of rows.

    Args:
        blocks: paths of the stores, in the order of their rows.
        store: path of the joined store.
        subsets: number of subsets of the images.

    Raises:
        RosettaError: a store is missing or damaged.
    """
    parts = [read_correlations(block) for block in blocks]
    with new_store(store) as group:
        corr = _create(group, (sum(map(len, parts)), parts[0].shape[1]))
        corr[...] = np.concatenate(parts)
        join_subsets([open_group(block) for block in blocks], group, subsets=subsets)


def read_correlations(store: Path) -> NDArray[np.float32]:
    """Read the correlations (units of the pivot, units of the model) of a store.

    Raises:
        RosettaError: the store is missing or damaged.
    """
    return read_array(open_group(store), "corr")


def _create(group: zarr.Group, shape: tuple[int, int]) -> zarr.Array:
    return group.create_array(
        "corr",
        shape=shape,
        dtype="float32",
        chunks=(min(CHUNK, shape[0]), min(CHUNK, shape[1])),
        fill_value=float("nan"),
        compressors=[ZSTD, Crc32cCodec()],
        config={"write_empty_chunks": True},
    )
