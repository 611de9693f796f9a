"""Correlations on disk: all of them, or each unit's best partners.

write_correlations    write blocks of columns into a store per model, as they come
join_correlations     one store from those of blocks of rows
read_correlations     the whole matrix
read_nearest          each unit's best partners
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import Crc32cCodec, ZstdCodec

from rosetta_core.errors import RosettaError
from rosetta_core.files import whole
from rosetta_core.mining.block import Block
from rosetta_core.mining.neighbours import Nearest, merged, nearest, without_self
from rosetta_core.mining.stores import open_group, read_array

__all__ = ["join_correlations", "read_correlations", "read_nearest", "write_correlations"]

CHUNK = 1024  # rows and columns
PIVOT = "pivot"
ENCODER = "encoder"

Alive = Callable[[int | None], NDArray[np.bool_]]


def write_correlations(
    stores: Sequence[Path],
    blocks: Iterable[Block],
    *,
    shapes: Sequence[tuple[int, int]],
    alive: Alive,
    rows: range,
    itself: int | None,
    kept: int | None,
) -> None:
    """Write the correlations of the pivot with several models.

    Args:
        stores: by model where to: array `corr` (rows, columns) float32 or, with `kept`, arrays
            `pivot/neighbour`, `pivot/corr` (rows, kept), `encoder/neighbour`, `encoder/corr`
            (columns, kept). Dead units' correlations are NaN.
        blocks: the correlations as they come.
        shapes: by model the shape of `corr`.
        alive: tells which units of a model are alive, or of the pivot for None; asked when a block
            has come.
        rows: which units of the pivot the rows are.
        itself: the number of the model that is the pivot, if any.
        kept: how many partners of each unit to keep in place of the matrix.
    """
    with ExitStack() as stack:
        groups = []
        for store in stores:
            groups.append(zarr.open_group(stack.enter_context(whole(store)), mode="w"))
        if kept is None:
            matrices = [
                _create(group, "corr", shape, "float32", rows=CHUNK)
                for group, shape in zip(groups, shapes, strict=True)
            ]
        best: dict[tuple[int, str], list[Nearest]] = {}
        for block in blocks:
            living = alive(None)[rows.start : rows.stop, None] & alive(block.model)[block.columns]
            corr = np.where(living, block.corr, np.float32("nan"))
            if kept is None:
                matrices[block.model][:, block.columns] = corr
                continue
            first = block.columns.start
            if block.model == itself:
                corr = without_self(corr, row=rows.start, column=first)
            else:
                back = nearest(corr.T, kept).moved(rows.start)
                best.setdefault((block.model, ENCODER), []).append(back)
            found = nearest(corr, kept).moved(first)
            before = best.get((block.model, PIVOT))
            best[block.model, PIVOT] = [merged(before[0], found, kept) if before else found]
        for (model, side), parts in best.items():
            _write_nearest(groups[model], side, _stacked(parts))


def join_correlations(blocks: Sequence[Path], store: Path) -> None:
    """Write one store from those of consecutive blocks of rows.

    Raises:
        RosettaError: a block is missing or damaged.
    """
    groups = [open_group(block) for block in blocks]
    with whole(store) as temporary:
        group = zarr.open_group(temporary, mode="w")
        if "corr" in groups[0]:
            parts = [read_array(block, "corr") for block in groups]
            shape = (sum(map(len, parts)), parts[0].shape[1])
            corr = _create(group, "corr", shape, "float32", rows=CHUNK)
            corr[...] = np.concatenate(parts)
            return
        _write_nearest(group, PIVOT, _stacked([_read_nearest(block, PIVOT) for block in groups]))
        if ENCODER in groups[0]:
            found = _read_nearest(groups[0], ENCODER)
            for block in groups[1:]:
                found = merged(found, _read_nearest(block, ENCODER), found.corr.shape[1])
            _write_nearest(group, ENCODER, found)


def read_correlations(store: Path) -> NDArray[np.float32]:
    """Read the array `corr` (units of the pivot, units of the model)."""
    return read_array(open_group(store), "corr")


def read_nearest(store: Path, k: int, *, itself: bool) -> tuple[Nearest, Nearest | None]:
    """Return the k best partners of the pivot's units and of the model's.

    The second is None for the pivot with itself. RosettaError if the store keeps fewer than k.
    """
    group = open_group(store)
    if "corr" in group:
        corr = read_array(group, "corr")
        if itself:
            return nearest(without_self(corr), k), None
        return nearest(corr, k), nearest(corr.T, k)
    pivot = _read_nearest(group, PIVOT)
    if k > pivot.corr.shape[1]:
        raise RosettaError(
            f"{store}: keeps {pivot.corr.shape[1]} partners of a unit, fewer than K = {k}; run the "
            "correlations again"
        )
    return pivot.first(k), None if itself else _read_nearest(group, ENCODER).first(k)


def _stacked(parts: Sequence[Nearest]) -> Nearest:
    return Nearest(
        np.concatenate([part.neighbour for part in parts]),
        np.concatenate([part.corr for part in parts]),
    )


def _create(
    group: zarr.Group, name: str, shape: tuple[int, int], dtype: str, *, rows: int
) -> zarr.Array:
    return group.create_array(
        name,
        shape=shape,
        dtype=dtype,
        chunks=(min(rows, shape[0]), min(CHUNK, shape[1])),
        fill_value=float("nan") if dtype == "float32" else -1,
        compressors=[ZstdCodec(level=1), Crc32cCodec()],
        config={"write_empty_chunks": True},
    )


def _write_nearest(group: zarr.Group, side: str, found: Nearest) -> None:
    for name, values in (("neighbour", found.neighbour), ("corr", found.corr)):
        array = _create(group, f"{side}/{name}", values.shape, values.dtype.name, rows=len(values))
        array[...] = values


def _read_nearest(group: zarr.Group, side: str) -> Nearest:
    return Nearest(read_array(group, f"{side}/neighbour"), read_array(group, f"{side}/corr"))
