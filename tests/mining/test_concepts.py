"""Rosetta neurons have a buddy in every encoder; concepts are their connected components."""

import numpy as np
import oracle
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from rosetta_core.mining.matching.concepts import (
    cluster,
    concept_table,
    representative_units,
    rosetta_neurons,
    rosetta_table,
)


def buddies(*rows: tuple[int, int, float]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["pivot_unit", "unit", "corr"])
    return table.astype({"pivot_unit": np.int32, "unit": np.int32, "corr": np.float32})


ENCODERS = {
    "x": buddies((1, 10, 0.9), (1, 11, 0.8), (2, 12, 0.7), (3, 13, 0.4), (7, 14, 0.3)),
    "y": buddies((1, 20, 0.7), (2, 21, 0.5), (3, 22, 0.6), (5, 23, 0.9), (7, 24, 0.5)),
}
WITHIN_PIVOT = buddies((1, 5, 0.9), (5, 1, 0.9), (5, 3, 0.9), (3, 5, 0.9), (2, 7, 0.2), (7, 2, 0.2))


def test_a_rosetta_neuron_has_a_buddy_in_every_encoder() -> None:
    assert rosetta_neurons(ENCODERS).tolist() == [1, 2, 3, 7]


def test_concepts_are_linked_by_rosetta_neurons_only() -> None:
    """Units 1 and 3 are linked through 5 alone, which is not a Rosetta neuron."""
    assert cluster(rosetta_neurons(ENCODERS), WITHIN_PIVOT).tolist() == [0, 1, 2, 1]


def test_tables() -> None:
    table = rosetta_table(ENCODERS, WITHIN_PIVOT)
    assert table.columns.tolist() == ["pivot_unit", "model", "unit", "corr", "concept"]
    assert list(table.drop(columns="corr").itertuples(index=False, name=None)) == [
        (1, "x", 10, 0), (1, "x", 11, 0), (1, "y", 20, 0), (2, "x", 12, 1), (2, "y", 21, 1),
        (3, "x", 13, 2), (3, "y", 22, 2), (7, "x", 14, 1), (7, "y", 24, 1),
    ]  # fmt: skip
    concepts = concept_table(table)
    assert concepts.columns.tolist() == ["concept", "size", "pivot_units", "mean_corr", "min_corr"]
    assert concepts["concept"].tolist() == [0, 1, 2]
    assert concepts["size"].tolist() == [1, 2, 1]
    assert [list(units) for units in concepts["pivot_units"]] == [[1], [2, 7], [3]]
    np.testing.assert_allclose(concepts["mean_corr"], [0.8, 0.5, 0.5])
    np.testing.assert_allclose(concepts["min_corr"], [0.7, 0.3, 0.4])


def test_nothing_in_common_gives_empty_tables(tmp_path) -> None:
    table = rosetta_table({"x": buddies((1, 2, 0.5)), "y": buddies((3, 4, 0.5))}, WITHIN_PIVOT)
    concepts = concept_table(table)
    assert len(table) == len(concepts) == 0
    concepts.to_parquet(tmp_path / "concepts.parquet")
    assert pd.read_parquet(tmp_path / "concepts.parquet").columns.tolist() == [
        "concept", "size", "pivot_units", "mean_corr", "min_corr",
    ]  # fmt: skip


@given(
    edges=st.sets(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=15),
    nodes=st.sets(st.integers(0, 12), min_size=1),
)
def test_components(edges, nodes) -> None:
    edges = {(a, b) for a, b in edges if a != b}
    both = sorted(edges | {(b, a) for a, b in edges})
    neurons = np.array(sorted(nodes), dtype=np.int32)
    labels = cluster(neurons, buddies(*[(a, b, 0.5) for a, b in both]))
    found = [set(neurons[labels == label].tolist()) for label in range(labels.max() + 1)]
    expected = oracle.components(sorted(nodes), edges)
    assert sorted(map(sorted, found)) == sorted(map(sorted, expected))
    assert [min(group) for group in found] == sorted(min(group) for group in found)


def test_ties_of_many_concepts_keep_the_order_of_their_first_neurons() -> None:
    """60 concepts of three mean correlations: more than an unstable sort leaves in order."""
    tied = np.array([0.9, 0.25, 0.5], np.float32)
    rows = [(unit, unit, float(tied[unit % 3])) for unit in range(60)]
    table = rosetta_table({"x": buddies(*rows), "y": buddies(*rows)}, buddies())
    concept = table.drop_duplicates("pivot_unit").set_index("pivot_unit")["concept"]
    expected = sorted(range(60), key=lambda unit: -tied[unit % 3])
    assert concept.sort_values().index.tolist() == expected


def test_encoders_keep_their_order() -> None:
    table = rosetta_table({"y": ENCODERS["y"], "x": ENCODERS["x"]}, WITHIN_PIVOT)
    models = table.groupby("pivot_unit")["model"].agg(
        lambda column: column.drop_duplicates().tolist()
    )
    assert models.tolist() == [["y", "x"]] * 4
    concept = table[table["pivot_unit"] == 1]
    assert list(representative_units(concept, pivot="g")) == ["g", "y", "x"]
