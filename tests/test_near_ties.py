"""The comparison of two runs lets near-ties change places, and nothing else."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from near_ties import NEAR, unlike

from rosetta_core.mining.matching.best_buddies import neighbour_table
from rosetta_core.mining.matching.topk import topk

K = 3


def table(corr: np.ndarray) -> pd.DataFrame:
    corr = corr.astype(np.float32)
    return neighbour_table(topk(corr, K), topk(corr.T, K))


def tied(gap: float, places: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Correlations of which two of unit 0, at some ranks, have a gap; and with both exchanged."""
    corr = np.random.default_rng(0).uniform(-0.9, 0, (6, 9))
    corr[0] = np.linspace(0.9, 0.1, 9)
    corr[0, places[1]] = corr[0, places[0]] - gap
    other = corr.copy()
    other[0, list(places)] = corr[0, list(places[::-1])]
    return corr, other


@pytest.mark.parametrize("places", [(0, 1), (2, 3)])  # both among the K nearest, or one of them
@pytest.mark.parametrize(("gap", "same"), [(0.5 * NEAR, True), (3 * NEAR, False), (1e-4, False)])
def test_only_near_ties_may_change_places(places, gap: float, same: bool) -> None:
    one, other = map(table, tied(gap, places))
    assert not one["neighbour"].equals(other["neighbour"])
    assert (unlike(one, other) == []) is same
    assert (unlike(other, one) == []) is same


@given(st.integers(0, 5), st.integers(0, 8), st.sampled_from([-1, 1]))
def test_a_correlation_that_differs_is_found(row: int, column: int, sign: int) -> None:
    corr = np.random.default_rng(1).uniform(-0.5, 0.5, (6, 9))
    other = corr.copy()
    other[row, column] += sign * 3 * NEAR
    one = table(corr)
    kept = ((one["side"] == "pivot") & (one["unit"] == row) & (one["neighbour"] == column)) | (
        (one["side"] == "encoder") & (one["unit"] == column) & (one["neighbour"] == row)
    )
    assert bool(unlike(one, table(other))) is bool(kept.any())
    other[row, column] = 0.9  # now it is among the nearest
    assert unlike(one, table(other))


def test_a_neighbour_that_lacks_is_found() -> None:
    one = table(np.random.default_rng(2).uniform(-1, 1, (6, 9)))
    assert unlike(one, one) == []
    assert unlike(one, one.drop(index=4))
    assert unlike(one.drop(index=4), one)


@pytest.mark.parametrize("other", [4, 5])
def test_another_neighbour_of_the_same_correlation_is_a_near_tie_of_the_last_only(other) -> None:
    """What stands nowhere in one table can only have been beaten by the last neighbour there."""
    one = table(np.random.default_rng(3).uniform(-1, 1, (6, 9)))
    changed = one.copy()
    changed.loc[other, "neighbour"] = next(
        i for i in range(9) if i not in set(one["neighbour"][3:6])
    )
    assert (unlike(one, changed) == []) is (other == 5)
