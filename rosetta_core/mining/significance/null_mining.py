"""Mining under a null model: null best buddies and null correlations of an encoder."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rosetta_core.mining.correlation.channel_blocks import CorrelationBlock
from rosetta_core.mining.matching.best_buddies import best_buddies, neighbour_table
from rosetta_core.mining.matching.topk import TopK
from rosetta_core.mining.matching.topk_store import TopKCollector
from rosetta_core.mining.significance.null_models import NullModel, NullSources
from rosetta_core.mining.sources.base import ActivationSource
from rosetta_core.mining.sources.subset import UnitSubset

__all__ = ["Miner", "NullMatches", "mine_null_model"]


@dataclass(frozen=True)
class Miner:
    """How activations are correlated and matched.

    Attributes:
        correlate: yields the correlations of a pivot and an encoder in blocks of columns, in order.
        alive: returns which units of a source are alive, once its maps were read.
        k: number of mutual nearest neighbours.
    """

    correlate: Callable[[ActivationSource, ActivationSource], Iterator[CorrelationBlock]]
    alive: Callable[[ActivationSource], NDArray[np.bool_]]
    k: int

    def topk(
        self, pivot: ActivationSource, encoder: ActivationSource, k: int
    ) -> tuple[TopK, TopK | None]:
        """Return the k nearest neighbours of the units of both models."""

        def alive(model: int | None) -> NDArray[np.bool_]:
            return self.alive(pivot if model is None else encoder)

        rows = range(sum(layer.channels for layer in pivot.layers))
        collector = TopKCollector(rows=rows, alive=alive, pivot_index=None, k=k)
        for block in self.correlate(pivot, encoder):
            collector.add(block)
        return collector.result(0)

    def best_buddies(self, pivot: ActivationSource, encoder: ActivationSource) -> pd.DataFrame:
        """Return the best buddies of both models."""
        return best_buddies(neighbour_table(*self.topk(pivot, encoder, self.k)))

    def correlations(
        self, pivot: ActivationSource, encoder: ActivationSource, pairs: pd.DataFrame
    ) -> NDArray[np.float32]:
        """Return the correlations (n,) of pairs of units; no other units are correlated."""
        if not len(pairs):
            return np.zeros(0, np.float32)
        own, other = UnitSubset(pivot, pairs["pivot_unit"]), UnitSubset(encoder, pairs["unit"])
        row = np.searchsorted(own.units, pairs["pivot_unit"].to_numpy())
        column = np.searchsorted(other.units, pairs["unit"].to_numpy())
        corr = np.empty(len(pairs), np.float32)
        for block in self.correlate(own, other):
            inside = (column >= block.columns.start) & (column < block.columns.stop)
            corr[inside] = block.corr[row[inside], column[inside] - block.columns.start]
        return corr


@dataclass(frozen=True)
class NullMatches:
    """Matches of an encoder under a null model.

    Attributes:
        matches: null best buddies, mined with the first draw, with their correlation under the
            second draw (`null_corr`).
        observed: pivot_unit, unit, corr of the run's best buddies, with their correlation under
            the second draw (`null_corr`), in their order.
    """

    matches: pd.DataFrame
    observed: pd.DataFrame


def mine_null_model(
    model: NullModel, sources: NullSources, *, pairs: pd.DataFrame, miner: Miner
) -> NullMatches:
    """Mine an encoder under a null model.

    Where the units of a draw do not correspond to the run's, the null correlation of a pair is
    that of its pivot unit with the nearest unit of the draw.

    Args:
        model: null model.
        sources: activations of the pivot and the encoder.
        pairs: the run's best buddies of the pivot and the encoder.
        miner: how the run is mined.
    """
    first, second = model.draws(sources)
    matches = miner.best_buddies(*first)
    tables: Sequence[pd.DataFrame] = (matches, pairs)
    if model.runs_encoder:
        nearest, _ = miner.topk(*second, 1)
        null_corr = [nearest.corr[table["pivot_unit"].to_numpy(), 0] for table in tables]
    else:
        corr = miner.correlations(*second, pd.concat(tables))
        null_corr = np.split(corr, [len(matches)])
    observed = pairs[["pivot_unit", "unit", "corr"]]
    return NullMatches(
        matches.assign(null_corr=null_corr[0]), observed.assign(null_corr=null_corr[1])
    )
