"""Each unit's best partners on disk, where the correlations themselves aren't kept.

gather_nearest   find them in blocks of columns, as they come
write_nearest    the same, and write a store per model
join_nearest     one store from those of blocks of rows
read_nearest     the best partners of both models' units
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import zarr

from rosetta_core.errors import RosettaError
from rosetta_core.mining.block import Alive, Block
from rosetta_core.mining.neighbours import Nearest, merged, nearest, without_self
from rosetta_core.mining.stores import create_array, new_store, open_group, read_array

__all__ = ["gather_nearest", "join_nearest", "read_nearest", "write_nearest"]

PIVOT, ENCODER = "pivot", "encoder"  # sides


def gather_nearest(
    blocks: Iterable[Block],
    *,
    models: int,
    rows: range,
    alive: Alive,
    itself: int | None,
    kept: int,
) -> list[tuple[Nearest, Nearest | None]]:
    """Return by model the best partners of the pivot's units, and of the model's.

    Args:
        blocks: the correlations as they come; none is held on to.
        models: how many there are.
        rows: which units of the pivot the rows are.
        alive: asked when a block has come; dead units are nobody's partners.
        itself: the number of the model that is the pivot, if any; it has no partners of its own.
        kept: how many partners of each unit.
    """
    pivots: dict[int, Nearest] = {}
    encoders: list[list[Nearest]] = [[] for _ in range(models)]
    for block in blocks:
        corr, first = block.living(alive, rows), block.columns.start
        if block.model == itself:
            corr = without_self(corr, row=rows.start, column=first)
        else:
            encoders[block.model].append(nearest(corr.T, kept).moved(rows.start))
        found = nearest(corr, kept).moved(first)
        known = pivots.get(block.model)
        pivots[block.model] = found if known is None else merged(known, found, kept)
    return [(pivots[i], _stacked(encoders[i]) if encoders[i] else None) for i in range(models)]


def write_nearest(
    stores: Sequence[Path],
    blocks: Iterable[Block],
    *,
    rows: range,
    alive: Alive,
    itself: int | None,
    kept: int,
) -> None:
    """Write arrays `pivot/neighbour`, `pivot/corr` (rows, kept) and the same of `encoder`.

    Args:
        stores: by model where to.
        blocks: as `gather_nearest` takes them, as the others.
        rows: which units of the pivot the rows are.
        alive: tells the units that are alive.
        itself: the number of the model that is the pivot, if any; it has no side `encoder`.
        kept: how many partners of each unit.
    """
    found = gather_nearest(
        blocks, models=len(stores), rows=rows, alive=alive, itself=itself, kept=kept
    )
    for store, (pivot, encoder) in zip(stores, found, strict=True):
        _write(store, {PIVOT: pivot, **({ENCODER: encoder} if encoder else {})})


def join_nearest(blocks: Sequence[Path], store: Path) -> None:
    """Write one store from those of consecutive blocks of rows; RosettaError if one is damaged."""
    groups = [open_group(block) for block in blocks]
    sides = {PIVOT: _stacked([_read(group, PIVOT) for group in groups])}
    if ENCODER in groups[0]:
        found, *others = (_read(group, ENCODER) for group in groups)
        for other in others:
            found = merged(found, other, found.corr.shape[1])
        sides[ENCODER] = found
    _write(store, sides)


def read_nearest(store: Path, k: int) -> tuple[Nearest, Nearest | None]:
    """Return the k best partners of the pivot's units and of the model's.

    The second is None for the pivot with itself. RosettaError if the store keeps fewer than k.
    """
    group = open_group(store)
    pivot = _read(group, PIVOT)
    if k > pivot.corr.shape[1]:
        raise RosettaError(
            f"{store}: keeps {pivot.corr.shape[1]} partners of a unit, fewer than K = {k}; run the "
            "correlations again"
        )
    return pivot.first(k), _read(group, ENCODER).first(k) if ENCODER in group else None


def _stacked(parts: Sequence[Nearest]) -> Nearest:
    return Nearest(
        np.concatenate([part.neighbour for part in parts]),
        np.concatenate([part.corr for part in parts]),
    )


def _write(store: Path, sides: dict[str, Nearest]) -> None:
    with new_store(store) as group:
        for side, found in sides.items():
            for name, values in (("neighbour", found.neighbour), ("corr", found.corr)):
                array = create_array(
                    group,
                    f"{side}/{name}",
                    shape=values.shape,
                    shard=values.shape,
                    dtype=values.dtype.name,
                )
                array[...] = values


def _read(group: zarr.Group, side: str) -> Nearest:
    return Nearest(read_array(group, f"{side}/neighbour"), read_array(group, f"{side}/corr"))
