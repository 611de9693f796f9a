"""Each unit's best partners on disk: where the correlations aren't kept, and of subsets of images.

Gathering        find them in blocks of columns, as they come
write_nearest    the same, and write a store per model
write_subsets    those of subsets, beside what else a store holds
join_nearest     one store from those of blocks of rows
join_subsets     those of subsets in it
read_nearest     the best partners of both models' units
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import zarr

from rosetta_core.errors import RosettaError
from rosetta_core.io.zarr_store import create_array, new_store, open_group, read_array
from rosetta_core.mining.correlation.block import Alive, Block
from rosetta_core.mining.matching.topk import TopK, merge_topk, nearest, without_self

__all__ = [
    "TopKCollector",
    "join_subsets",
    "join_topk",
    "read_topk",
    "write_subsets",
    "write_topk",
]

PIVOT, ENCODER = "pivot", "encoder"  # sides
SUBSETS = "subsets"


class TopKCollector:
    """The best partners of the pivot's units and of models', over all images and over subsets.

    Args:
        models: how many there are.
        rows: which units of the pivot the rows are.
        alive: asked when a block has come; dead units are nobody's partners.
        itself: the number of the model that is the pivot, if any; it has no partners of its own.
        kept: how many partners of each unit.
    """

    def __init__(
        self, *, models: int, rows: range, alive: Alive, itself: int | None, kept: int
    ) -> None:
        self._models, self._rows, self._alive = models, rows, alive
        self._itself, self._kept = itself, kept
        self._pivots: dict[tuple[int | None, int], TopK] = {}  # by subset and model
        self._encoders: dict[tuple[int | None, int], list[TopK]] = {}

    def add(self, block: Block) -> None:
        """Take in a block; nothing of it is held on to."""
        corr, first = block.living(self._alive, self._rows), block.columns.start
        key = (block.subset, block.model)
        if block.model == self._itself:
            corr = without_self(corr, row=self._rows.start, column=first)
        else:
            found = nearest(corr.T, self._kept).moved(self._rows.start)
            self._encoders.setdefault(key, []).append(found)
        found = nearest(corr, self._kept).moved(first)
        known = self._pivots.get(key)
        self._pivots[key] = found if known is None else merge_topk(known, found, self._kept)

    def found(self, model: int, subset: int | None = None) -> tuple[TopK, TopK | None]:
        """Return the partners of the pivot's units and of a model's, once all blocks have come."""
        encoder = self._encoders.get((subset, model))
        return self._pivots[subset, model], _stacked(encoder) if encoder else None


def write_topk(
    stores: Sequence[Path],
    blocks: Iterable[Block],
    gathering: TopKCollector,
    *,
    subsets: int,
) -> None:
    """Write arrays `pivot/neighbour`, `pivot/corr` (rows, kept) and the same of `encoder`.

    Args:
        stores: by model where to.
        blocks: the correlations as they come.
        gathering: of as many models.
        subsets: how many there are; see `write_subsets`.
    """
    for block in blocks:
        gathering.add(block)
    for model, store in enumerate(stores):
        with new_store(store) as group:
            _write(group, *gathering.found(model))
            write_subsets(group, gathering, model=model, subsets=subsets)


def write_subsets(group: zarr.Group, gathering: TopKCollector, *, model: int, subsets: int) -> None:
    """Write the same arrays below `subsets/{number}` for every subset."""
    for subset in range(subsets):
        _write(group, *gathering.found(model, subset), under=_under(subset))


def join_topk(blocks: Sequence[Path], store: Path, *, subsets: int) -> None:
    """Write one store from those of consecutive blocks of rows; RosettaError if one is damaged."""
    groups = [open_group(block) for block in blocks]
    with new_store(store) as group:
        _join(groups, group, under="")
        join_subsets(groups, group, subsets=subsets)


def join_subsets(groups: Sequence[zarr.Group], into: zarr.Group, *, subsets: int) -> None:
    """Write what blocks of rows hold of subsets."""
    for subset in range(subsets):
        _join(groups, into, under=_under(subset))


def read_topk(store: Path, k: int, *, subset: int | None = None) -> tuple[TopK, TopK | None]:
    """Return the k best partners of the pivot's units and of the model's.

    The second is None for the pivot with itself. RosettaError if the store keeps fewer than k.
    """
    group, under = open_group(store), _under(subset)
    pivot = _read(group, under + PIVOT)
    if k > pivot.corr.shape[1]:
        raise RosettaError(
            f"{store}: keeps {pivot.corr.shape[1]} partners of a unit, fewer than K = {k}; run the "
            "correlations again"
        )
    encoder = _read(group, under + ENCODER).first(k) if under + ENCODER in group else None
    return pivot.first(k), encoder


def _under(subset: int | None) -> str:
    return "" if subset is None else f"{SUBSETS}/{subset}/"


def _stacked(parts: Sequence[TopK]) -> TopK:
    return TopK(
        np.concatenate([part.neighbour for part in parts]),
        np.concatenate([part.corr for part in parts]),
    )


def _join(groups: Sequence[zarr.Group], into: zarr.Group, *, under: str) -> None:
    pivot = _stacked([_read(group, under + PIVOT) for group in groups])
    encoder = None
    if under + ENCODER in groups[0]:
        encoder, *others = (_read(group, under + ENCODER) for group in groups)
        for other in others:
            encoder = merge_topk(encoder, other, encoder.corr.shape[1])
    _write(into, pivot, encoder, under=under)


def _write(group: zarr.Group, pivot: TopK, encoder: TopK | None, *, under: str = "") -> None:
    for side, found in ((PIVOT, pivot), (ENCODER, encoder)):
        if found is None:
            continue
        for name, values in (("neighbour", found.neighbour), ("corr", found.corr)):
            array = create_array(
                group,
                f"{under}{side}/{name}",
                shape=values.shape,
                shard=values.shape,
                dtype=values.dtype.name,
            )
            array[...] = values


def _read(group: zarr.Group, side: str) -> TopK:
    return TopK(read_array(group, f"{side}/neighbour"), read_array(group, f"{side}/corr"))
