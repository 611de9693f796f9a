"""Correlations and nearest neighbours of any two models on the same images, computed on request.

The engine is that of the workflow, so that the pivot and an encoder have the numbers of the run's
tables. Results are kept in memory, for both orders of the two models.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from rosetta_core.mining.correlation.channel_blocks import AliveMask, CorrelationBlock
from rosetta_core.mining.correlation.pearson import correlate_blocks
from rosetta_core.mining.matching.topk import TopK, mask_self, topk
from rosetta_core.mining.matching.topk_store import TopKCollector
from rosetta_core.mining.sources.base import ActivationSource

__all__ = ["ModelPairs", "Neighbours"]

LEAST = 32  # neighbours that are kept of each unit, so that another K needs no other pass

Neighbours = tuple[TopK, TopK | None]  # of the first and of the second model; None: the same model


class ModelPairs:
    """Correlations and nearest neighbours of pairs of models.

    Args:
        source: returns the activation maps of a model.
        alive: returns which units of a model are alive (units,).
        memory_budget: bytes of working memory.
        device: returns the device of the computation.
    """

    def __init__(
        self,
        *,
        source: Callable[[str], ActivationSource],
        alive: Callable[[str], NDArray[np.bool_]],
        memory_budget: int,
        device: Callable[[], torch.device],
    ) -> None:
        self._source, self._alive = source, alive
        self._memory_budget, self._device = memory_budget, device
        self._corr: dict[tuple[str, str], NDArray[np.float32]] = {}
        self._neighbours: dict[tuple[str, str], Neighbours] = {}

    def add(self, first: str, second: str, corr: NDArray[np.float32]) -> None:
        """Keep correlations that were read from a store."""
        self._corr[first, second] = corr

    def correlations(self, first: str, second: str) -> NDArray[np.float32]:
        """Return correlations (units of the first, units of the second); NaN for dead units."""
        if (second, first) in self._corr:
            return self._corr[second, first].T
        if (first, second) not in self._corr:
            alive = self._masks(first, second)
            rows = range(len(alive(None)))
            corr = np.empty((len(rows), len(alive(0))), np.float32)
            for block in self._blocks(first, second):
                corr[:, block.columns] = block.mask_dead(alive, rows)
            self._corr[first, second] = corr
        return self._corr[first, second]

    def neighbours(self, first: str, second: str, k: int) -> Neighbours:
        """Return the k nearest neighbours between two models, or within one."""
        if any(pair in self._corr for pair in ((first, second), (second, first))):
            corr = self.correlations(first, second)
            if first == second:
                return topk(mask_self(corr), k), None
            return topk(corr, k), topk(corr.T, k)
        if (second, first) in self._neighbours and first != second:
            of_second, of_first = self.neighbours(second, first, k)
            assert of_first is not None
            return of_first, of_second
        known = self._neighbours.get((first, second))
        if known is None or known[0].corr.shape[1] < k:
            known = self._collect(first, second, max(LEAST, k))
            self._neighbours[first, second] = known
        return known[0].truncate(k), known[1] and known[1].truncate(k)

    def _collect(self, first: str, second: str, k: int) -> Neighbours:
        """Compute nearest neighbours without keeping the correlations."""
        alive = self._masks(first, second)
        same = 0 if first == second else None
        rows = range(len(alive(None)))
        collector = TopKCollector(rows=rows, alive=alive, pivot_index=same, k=k)
        for block in self._blocks(first, second):
            collector.add(block)
        return collector.result(0)

    def _masks(self, first: str, second: str) -> AliveMask:
        """Return which units of the first model (None) or the second are alive."""
        masks = {None: self._alive(first), 0: self._alive(second)}
        return lambda model: masks[model]

    def _blocks(self, first: str, second: str) -> Iterator[CorrelationBlock]:
        rows = self._source(first)
        columns = rows if first == second else self._source(second)
        return correlate_blocks(
            rows,
            [columns],
            memory_budget=self._memory_budget,
            device=self._device(),
            threads=torch.get_num_threads(),
        )
