"""The two draws of a null: what the first gives, and what the second leaves of pairs.

Mining          how maps are mined
Chance          of one encoder: best buddies that the first draw gives, and what is left
of_shuffled     of a null that shuffles the pivot's maps
of_untrained    of an encoder with two sets of random weights

See `chance` for what they are good for.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rosetta_core.mining.correlation.block import Block
from rosetta_core.mining.matching.best_buddies import best_buddies, neighbour_table
from rosetta_core.mining.matching.topk import TopK
from rosetta_core.mining.matching.topk_store import TopKCollector
from rosetta_core.mining.sources.base import ActivationSource
from rosetta_core.mining.sources.subset import UnitSubset

__all__ = ["Chance", "Mining", "of_shuffled", "of_untrained"]


@dataclass(frozen=True)
class Mining:
    """How maps are mined.

    Attributes:
        correlate: yields the correlations of a pivot with an encoder, blocks of columns in order.
        living: tells which units of a model are alive, once all its maps were loaded.
        k: of how many partners each is to be.
    """

    correlate: Callable[[ActivationSource, ActivationSource], Iterator[Block]]
    living: Callable[[ActivationSource], NDArray[np.bool_]]
    k: int

    def nearest(
        self, pivot: ActivationSource, encoder: ActivationSource, k: int
    ) -> tuple[TopK, TopK | None]:
        """The k best partners of the living units of both."""

        def alive(model: int | None) -> NDArray[np.bool_]:
            return self.living(pivot if model is None else encoder)

        rows = range(sum(layer.channels for layer in pivot.layers))
        collector = TopKCollector(rows=rows, alive=alive, pivot_index=None, k=k)
        for block in self.correlate(pivot, encoder):
            collector.add(block)
        return collector.result(0)

    def best_buddies(self, pivot: ActivationSource, encoder: ActivationSource) -> pd.DataFrame:
        """The best buddies of both."""
        return best_buddies(neighbour_table(*self.nearest(pivot, encoder, self.k)))

    def correlations(
        self, pivot: ActivationSource, encoder: ActivationSource, tables: Sequence[pd.DataFrame]
    ) -> list[NDArray[np.float32]]:
        """The correlations of the pairs of some tables; only their units are correlated."""
        pairs = pd.concat(tables)
        if not len(pairs):
            return [np.zeros(0, np.float32) for _ in tables]
        own, others = UnitSubset(pivot, pairs["pivot_unit"]), UnitSubset(encoder, pairs["unit"])
        row = np.searchsorted(own.units, pairs["pivot_unit"].to_numpy())
        column = np.searchsorted(others.units, pairs["unit"].to_numpy())
        corr = np.empty(len(pairs), np.float32)
        for block in self.correlate(own, others):
            inside = (column >= block.columns.start) & (column < block.columns.stop)
            corr[inside] = block.corr[row[inside], column[inside] - block.columns.start]
        return np.split(corr, np.cumsum([len(table) for table in tables])[:-1])


@dataclass(frozen=True)
class Chance:
    """What a null gives in place of an encoder's best buddies.

    Attributes:
        given: best buddies under the first draw, with `left`: their correlation under the second.
        left: of the run's best buddies the same, in their order.
    """

    given: pd.DataFrame
    left: NDArray[np.float32]


def of_shuffled(
    pivots: tuple[ActivationSource, ActivationSource],
    encoder: ActivationSource,
    *,
    pairs: pd.DataFrame,
    mining: Mining,
) -> Chance:
    """Mine an encoder with a draw of the pivot's maps, and correlate the same pairs with another.

    Args:
        pivots: the pivot's maps, shuffled twice. They are fewer than an encoder's, whose stored
            chunks are read whole where its own order stays.
        encoder: its maps.
        pairs: the run's best buddies.
        mining: as of the run.
    """
    first, second = pivots
    given = mining.best_buddies(first, encoder)
    of_given, left = mining.correlations(second, encoder, [given, pairs])
    return Chance(given.assign(null_corr=of_given), left)


def of_untrained(
    pivot: ActivationSource,
    encoders: tuple[ActivationSource, ActivationSource],
    *,
    pairs: pd.DataFrame,
    mining: Mining,
) -> Chance:
    """Mine an encoder with random weights; its nearest unit with others stands for the buddy.

    Args:
        pivot: its maps.
        encoders: the encoder's maps with two sets of random weights.
        pairs: the run's best buddies.
        mining: as of the run.
    """
    first, second = encoders
    given = mining.best_buddies(pivot, first)
    best, _ = mining.nearest(pivot, second, 1)
    of_given, left = (best.corr[table["pivot_unit"].to_numpy(), 0] for table in (given, pairs))
    return Chance(given.assign(null_corr=of_given), left)
