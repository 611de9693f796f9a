"""Neighbours and best buddies against their definitions, ties and dead units included."""

from pathlib import Path

import numpy as np
import oracle
import pytest
from conftest import tiny
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rosetta_core.config import parse_config
from rosetta_core.errors import RosettaError
from rosetta_core.mining.correlation.channel_blocks import CorrelationBlock
from rosetta_core.mining.matching.best_buddies import best_buddies, neighbour_table
from rosetta_core.mining.matching.topk import mask_self, merge_topk, topk
from rosetta_core.mining.matching.topk_store import TopKCollector, join_topk, read_topk, write_topk

# few values, so that ties are common, and NaN for dead units
values = st.sampled_from([-0.5, 0.0, 0.25, 0.5, np.nan])
matrices = arrays(
    np.float32, st.tuples(st.integers(1, 7), st.integers(1, 7)), elements=values.map(np.float32)
)


def both(corr, k: int):
    """The neighbours of rows and columns."""
    return neighbour_table(topk(corr, k), topk(corr.T, k))


@given(corr=matrices, k=st.integers(1, 8))
def test_nearest(corr, k: int) -> None:
    table = neighbour_table(topk(corr, k), None)
    for row, expected in enumerate(oracle.nearest(corr, k)):
        mine = table[table["unit"] == row]
        assert mine["neighbour"].tolist() == expected
        assert mine["rank"].tolist() == list(range(1, len(expected) + 1))
        assert mine["corr"].tolist() == [corr[row, column] for column in expected]


@given(corr=matrices, k=st.integers(1, 8), cut=st.integers(1, 6))
def test_the_best_of_blocks_are_those_of_the_whole(corr, k: int, cut: int) -> None:
    blocks = [corr[:, :cut], corr[:, cut:]] if cut < corr.shape[1] else [corr]
    found = topk(blocks[0], k)
    for block in blocks[1:]:
        found = merge_topk(found, topk(block, k).offset(cut), k)
    expected = topk(corr, k)
    np.testing.assert_array_equal(found.neighbour, expected.neighbour)
    np.testing.assert_array_equal(found.corr, expected.corr)


@given(corr=matrices, k=st.integers(1, 8))
def test_best_buddies_are_mutual(corr, k: int) -> None:
    table = best_buddies(both(corr, k))
    pairs = list(zip(table["pivot_unit"], table["unit"], strict=True))
    assert set(pairs) == oracle.best_buddies(corr, k)
    assert len(set(pairs)) == len(pairs)
    for row in table.itertuples():
        assert oracle.nearest(corr, k)[row.pivot_unit][row.pivot_rank - 1] == row.unit
        assert oracle.nearest(corr.T, k)[row.unit][row.unit_rank - 1] == row.pivot_unit
        assert row.corr == corr[row.pivot_unit, row.unit]


@given(matrix=matrices, k=st.integers(1, 5))
def test_within_one_model(matrix, k: int) -> None:
    size = min(matrix.shape)
    corr = np.maximum(matrix, matrix.T) if size == max(matrix.shape) else matrix[:size, :size]
    corr = np.fmax(corr, corr.T)
    np.fill_diagonal(corr, 1)
    table = neighbour_table(topk(mask_self(corr), k), None)
    assert (table["unit"] != table["neighbour"]).all()
    assert set(table["side"]) <= {"pivot"}
    buddies = best_buddies(table)
    pairs = set(zip(buddies["pivot_unit"], buddies["unit"], strict=True))
    assert pairs == oracle.best_buddies(corr, k, same=True)
    assert pairs == {(b, a) for a, b in pairs}


def test_order_is_by_unit_then_rank() -> None:
    corr = np.random.default_rng(0).random((50, 40), np.float32)
    table = both(corr, 5)
    for side in ("pivot", "encoder"):
        part = table[table["side"] == side]
        keys = list(zip(part["unit"], part["rank"], strict=True))
        assert keys == sorted(keys)
    assert table.columns.tolist() == ["side", "unit", "rank", "neighbour", "corr"]
    assert best_buddies(table).columns.tolist() == [
        "pivot_unit", "unit", "corr", "pivot_rank", "unit_rank",
    ]  # fmt: skip


@pytest.mark.parametrize("k", [1, 3])
def test_k_counts_on_both_sides(k: int) -> None:
    """One unit that everybody likes best has only k buddies."""
    corr = np.full((6, 6), 0.1, np.float32)
    corr[:, 0] = np.linspace(0.9, 0.5, 6)
    table = best_buddies(both(corr, k))
    assert table[table["unit"] == 0]["pivot_unit"].tolist() == list(range(k))


def test_a_store_holds_k_neighbours_and_no_more(tmp_path: Path) -> None:
    """Where no matrix is kept, K may be up to what was collected, here 40."""
    corr = np.random.default_rng(0).uniform(-1, 1, (50, 45)).astype(np.float32)
    alive = [np.ones(50, bool), np.ones(45, bool)]
    collector = TopKCollector(
        rows=range(50), alive=lambda model: alive[model is not None], pivot_index=None, k=40
    )
    blocks = [
        CorrelationBlock(0, slice(0, 20), corr[:, :20]),
        CorrelationBlock(0, slice(20, 45), corr[:, 20:]),
    ]
    write_topk([tmp_path / "e.zarr"], blocks, collector, subsets=0)
    pivot, encoder = read_topk(tmp_path / "e.zarr", 40)
    for found, matrix in ((pivot, corr), (encoder, corr.T)):
        np.testing.assert_array_equal(found.neighbour, topk(matrix, 40).neighbour)
        np.testing.assert_array_equal(found.corr, topk(matrix, 40).corr)
    with pytest.raises(RosettaError, match="holds 40 neighbours per unit, fewer than K = 41"):
        read_topk(tmp_path / "e.zarr", 41)


@pytest.mark.parametrize("same", [False, True])
def test_joined_blocks_of_rows_are_the_whole(tmp_path: Path, same: bool) -> None:
    """Over all images and over two subsets, with ties and dead units."""
    rng = np.random.default_rng(4)
    corr = rng.choice([-0.5, 0.0, 0.25, 0.5], (3, 9, 9 if same else 7)).astype(np.float32)
    alive = [np.arange(9) != 2, np.arange(9) != 2 if same else np.arange(7) != 5]

    def write(store: Path, rows: range) -> Path:
        collector = TopKCollector(
            rows=rows,
            alive=lambda model: alive[model is not None],
            pivot_index=0 if same else None,
            k=3,
        )
        blocks = [
            CorrelationBlock(0, columns, matrix[rows.start : rows.stop, columns].copy(), subset)
            for columns in (slice(0, 4), slice(4, corr.shape[2]))
            for subset, matrix in zip((None, 0, 1), corr, strict=True)
        ]
        write_topk([store], blocks, collector, subsets=2)
        return store

    parts = [write(tmp_path / f"{rows.start}.zarr", rows) for rows in (range(4), range(4, 9))]
    join_topk(parts, tmp_path / "joined.zarr", subsets=2)
    whole = write(tmp_path / "whole.zarr", range(9))
    for subset in (None, 0, 1):
        found, expected = (
            read_topk(store, 3, subset=subset) for store in (tmp_path / "joined.zarr", whole)
        )
        assert (found[1] is None) == (expected[1] is None) == same
        for one, other in zip(found, expected, strict=True):
            if one is not None and other is not None:
                np.testing.assert_array_equal(one.neighbour, other.neighbour)
                np.testing.assert_array_equal(one.corr, other.corr)


@pytest.mark.parametrize(("k", "collected"), [(5, 32), (40, 40)])
def test_without_the_matrix_at_least_k_neighbours_are_collected(k: int, collected: int) -> None:
    config = parse_config(tiny(neighbours={"k": k}, correlation={"keep_matrix": False}))
    assert config.partners == collected
