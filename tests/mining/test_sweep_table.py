"""Counts of a sweep, by hand."""

import numpy as np
import pandas as pd
import pytest

from rosetta_core.mining.significance.split_half import MatchSet
from rosetta_core.mining.significance.sweep import sweep_table


def matches(**pairs: list[tuple[int, int]]) -> MatchSet:
    tables = {
        model: pd.DataFrame(rows, columns=["pivot_unit", "unit"], dtype=np.int32).assign(
            corr=np.float32(0.5)
        )
        for model, rows in {**pairs, "pivot": []}.items()
    }
    return MatchSet(tables, tables.pop("pivot"))


RUN = matches(x=[(0, 0), (1, 1)], y=[(0, 0)])
HALVES = [RUN, matches(x=[(0, 0)], y=[(0, 0)])]


def test_matches_are_counted_for_every_combination() -> None:
    """Of the match (1, 1) with x one half knows nothing; y has one match in all subsets."""
    asked = []

    def mine(subset: int, k: int) -> MatchSet:
        asked.append((subset, k))
        return [RUN, *HALVES][subset % 3]

    table = sweep_table(mine, images=[8, 16], k=[1, 5], encoders=["x", "y"])
    assert asked == [(s, k) for first in (0, 3) for k in (1, 5) for s in range(first, first + 3)]
    assert table[["images", "k", "encoders"]].to_numpy().tolist() == [
        [images, k, encoders] for images in (8, 16) for k in (1, 5) for encoders in (1, 2)
    ]
    expected = {
        "best_buddies": [2, 3],  # of all encoders together
        "neurons": [2, 1],  # matched in all of them
        "concepts": [2, 1],
        "best_buddies_agreement": [2 / 3, (2 / 3 + 1) / 2],
        "neurons_agreement": [2 / 3, 1],
        "concepts_agreement": [1, 1],
    }
    assert list(table.columns) == ["images", "k", "encoders", *expected]
    for column, values in expected.items():
        assert table[column].tolist() == pytest.approx(values * 4), column
