"""Nearest neighbours collected from blocks of correlations, and their Zarr stores.

They replace correlation matrices that are too large to keep, and those of subsets of the images. A
store holds the arrays `pivot/neighbour` and `pivot/corr` (units, k), `encoder/…` unless the model
is the pivot, and the same arrays of each subset under `subsets/{number}/`.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import zarr

from rosetta_core.errors import RosettaError
from rosetta_core.io.stores.store import Store, create_array, new_store, open_group, read_array
from rosetta_core.mining.correlation.channel_blocks import AliveMask, CorrelationBlock
from rosetta_core.mining.matching.topk import TopK, mask_self, merge_topk, topk

__all__ = [
    "TopKCollector",
    "join_subsets",
    "join_topk",
    "read_topk",
    "write_subsets",
    "write_topk",
]

PIVOT, ENCODER = "pivot", "encoder"  # sides


class TopKCollector:
    """Collects the nearest neighbours of units from blocks of correlations, without keeping them.

    Args:
        rows: units of the pivot that the rows of the blocks are.
        alive: returns which units of a model are alive; called when a block is added. Dead units
            are never neighbours.
        pivot_index: number of the model that is the pivot, if any; only its rows are searched, and
            no unit is its own neighbour.
        k: number of neighbours of each unit.
    """

    def __init__(self, *, rows: range, alive: AliveMask, pivot_index: int | None, k: int) -> None:
        self._rows, self._alive = rows, alive
        self._pivot_index, self._k = pivot_index, k
        self._pivots: dict[tuple[int | None, int], TopK] = {}  # by subset and model
        self._encoders: dict[tuple[int | None, int], list[TopK]] = {}

    def add(self, block: CorrelationBlock) -> None:
        """Merge the neighbours within a block into those of its model and subset."""
        corr, first = block.mask_dead(self._alive, self._rows), block.columns.start
        key = (block.subset, block.model)
        if block.model == self._pivot_index:
            corr = mask_self(corr, row=self._rows.start, column=first)
        else:
            of_encoder = topk(corr.T, self._k).offset(self._rows.start)
            self._encoders.setdefault(key, []).append(of_encoder)
        of_pivot, known = topk(corr, self._k).offset(first), self._pivots.get(key)
        self._pivots[key] = of_pivot if known is None else merge_topk(known, of_pivot, self._k)

    def result(self, model: int, subset: int | None = None) -> tuple[TopK, TopK | None]:
        """Return the neighbours of the pivot's and the model's units, after the last block."""
        encoder = self._encoders.get((subset, model))
        return self._pivots[subset, model], _concatenate(encoder) if encoder else None


def write_topk(
    stores: Sequence[Path],
    blocks: Iterable[CorrelationBlock],
    collector: TopKCollector,
    *,
    subsets: int,
) -> None:
    """Collect the neighbours from all blocks and write a store per model.

    Args:
        stores: path of each model's store.
        blocks: correlations over all images and over each subset.
        collector: collector of the neighbours.
        subsets: number of subsets of the images.
    """
    for block in blocks:
        collector.add(block)
    for model, store in enumerate(stores):
        with new_store(store) as group:
            _write(group, *collector.result(model))
            write_subsets(group, collector, model=model, subsets=subsets)


def write_subsets(group: zarr.Group, collector: TopKCollector, *, model: int, subsets: int) -> None:
    """Write the neighbours of a model over each subset of the images.

    Args:
        group: open store.
        collector: collector that every block was added to.
        model: number of the model.
        subsets: number of subsets.
    """
    for subset in range(subsets):
        _write(group, *collector.result(model, subset), prefix=_prefix(subset))


def join_topk(blocks: Sequence[Path], store: Path, *, subsets: int) -> None:
    """Write one store from the stores of consecutive blocks of rows.

    Args:
        blocks: stores of the blocks, in order of their rows.
        store: path of the joined store.
        subsets: number of subsets of the images.

    Raises:
        RosettaError: a store is damaged.
    """
    groups = [open_group(block) for block in blocks]
    with new_store(store) as group:
        _join(groups, group, prefix="")
        join_subsets(groups, group, subsets=subsets)


def join_subsets(groups: Sequence[Store], into: zarr.Group, *, subsets: int) -> None:
    """Join the neighbours over each subset of the images.

    Args:
        groups: open stores of the blocks, in order of their rows.
        into: open joined store.
        subsets: number of subsets.
    """
    for subset in range(subsets):
        _join(groups, into, prefix=_prefix(subset))


def read_topk(store: Path, k: int, *, subset: int | None = None) -> tuple[TopK, TopK | None]:
    """Read the k nearest neighbours of the pivot's and the model's units.

    Args:
        store: path of the store.
        k: number of neighbours per unit.
        subset: number of a subset of the images; None for all images.

    Returns:
        The neighbours of the pivot's units, and of the model's; None if the model is the pivot.

    Raises:
        RosettaError: the store is damaged, or holds fewer than k neighbours per unit.
    """
    group, prefix = open_group(store), _prefix(subset)
    pivot = _read(group, prefix + PIVOT)
    if k > pivot.corr.shape[1]:
        raise RosettaError(
            f"{store}: holds {pivot.corr.shape[1]} neighbours per unit, fewer than K = {k}; run "
            "the correlations again"
        )
    encoder = _read(group, prefix + ENCODER).truncate(k) if prefix + ENCODER in group else None
    return pivot.truncate(k), encoder


def _prefix(subset: int | None) -> str:
    return "" if subset is None else f"subsets/{subset}/"


def _concatenate(parts: Sequence[TopK]) -> TopK:
    return TopK(
        np.concatenate([part.neighbour for part in parts]),
        np.concatenate([part.corr for part in parts]),
    )


def _join(groups: Sequence[Store], into: zarr.Group, *, prefix: str) -> None:
    pivot = _concatenate([_read(group, prefix + PIVOT) for group in groups])
    encoder = None
    if prefix + ENCODER in groups[0]:
        encoder, *others = (_read(group, prefix + ENCODER) for group in groups)
        for other in others:
            encoder = merge_topk(encoder, other, encoder.corr.shape[1])
    _write(into, pivot, encoder, prefix=prefix)


def _write(group: zarr.Group, pivot: TopK, encoder: TopK | None, *, prefix: str = "") -> None:
    for side, neighbours in ((PIVOT, pivot), (ENCODER, encoder)):
        if neighbours is None:
            continue
        for name, values in (("neighbour", neighbours.neighbour), ("corr", neighbours.corr)):
            array = create_array(
                group,
                f"{prefix}{side}/{name}",
                shape=values.shape,
                shard=values.shape,
                dtype=values.dtype.name,
            )
            array[...] = values


def _read(group: Store, side: str) -> TopK:
    return TopK(read_array(group, f"{side}/neighbour"), read_array(group, f"{side}/corr"))
