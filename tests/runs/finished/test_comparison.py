"""Comparison of two runs: differences of inputs and results, and rounding."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rosetta_core.runs.finished.comparison import BOUND, RunContents, compare

K = 2


def neighbours(corr: np.ndarray) -> pd.DataFrame:
    """The table of nearest neighbours of both sides, from its definition."""
    rows = []
    for side, matrix in (("pivot", corr), ("encoder", corr.T)):
        for unit, row in enumerate(matrix):
            for rank, other in enumerate(np.argsort(-row, kind="stable")[:K]):
                rows.append((side, unit, rank, other, row[other]))
    return pd.DataFrame(rows, columns=["side", "unit", "rank", "neighbour", "corr"])


def buddies(table: pd.DataFrame) -> pd.DataFrame:
    mine = table[table["side"] == "pivot"].rename(columns={"unit": "p", "neighbour": "u"})
    theirs = table[table["side"] == "encoder"].rename(columns={"unit": "u", "neighbour": "p"})
    both = mine.merge(theirs, on=["p", "u"], suffixes=("", "_other"))
    found = both[["p", "u", "corr", "rank", "rank_other"]]
    return found.set_axis(["pivot_unit", "unit", "corr", "pivot_rank", "unit_rank"], axis=1)


def contents(corr: np.ndarray, **changes: object) -> RunContents:
    """The contents of a run of these correlations with one encoder."""
    table = neighbours(corr)
    units = pd.DataFrame(
        {"unit": [0, 1], "layer": "a", "channel": [0, 1], "mean": 0.5, "std": 2.0, "alive": True}
    )
    pairs = buddies(table)
    rosetta = pairs[["pivot_unit", "unit", "corr"]].assign(model="e")
    rosetta["concept"] = rosetta["pivot_unit"] % 2
    run = RunContents(
        config={"run": "a", "device": "cpu", "neighbours": {"k": K}},
        provenance={"code": {"units": "1"}, "weights": {"e": {"sha256": "x", "file": "a"}}},
        units={"e": units},
        neighbours={"e": table},
        buddies={"e": pairs},
        rosetta=rosetta,
    )
    return replace(run, **changes)


@pytest.fixture
def corr() -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (6, 7))


def test_a_run_is_identical_to_itself(corr: np.ndarray) -> None:
    comparison = compare(contents(corr), contents(corr))
    assert (comparison.inputs, comparison.results, comparison.verdict) == ([], [], "identical")


def test_correlations_within_the_bound_are_rounding(corr: np.ndarray) -> None:
    noise = np.random.default_rng(1).uniform(-BOUND / 2, BOUND / 2, corr.shape)
    comparison = compare(contents(corr), contents(corr + noise))
    assert comparison.results
    assert not comparison.different
    assert comparison.verdict == "the same within rounding (1e-05)"
    assert all(str(difference).endswith(" (rounding)") for difference in comparison.results)


def test_a_swap_with_a_pair_of_nearly_the_same_correlation_is_rounding() -> None:
    corr = np.eye(4)
    corr[0] = [
        0.9,
        0.5,
        0.5 - BOUND / 4,
        0.0,
    ]  # the second neighbour of unit 0 by a quarter of the bound
    other = corr.copy()
    other[0] = [0.9, 0.5 - BOUND / 4, 0.5, 0.0]
    corr[1:, 1] = other[1:, 1] = corr[1:, 2] = other[1:, 2] = 0.1
    one, two = contents(corr), contents(other)
    assert set(zip(one.buddies["e"]["pivot_unit"], one.buddies["e"]["unit"], strict=True)) != set(
        zip(two.buddies["e"]["pivot_unit"], two.buddies["e"]["unit"], strict=True)
    )
    assert not compare(one, two).different


def test_a_different_pair_is_a_difference(corr: np.ndarray) -> None:
    other = corr.copy()
    other[0] = -1
    comparison = compare(contents(corr), contents(other))
    assert comparison.different
    assert comparison.verdict == "different"
    assert any(
        "by more than rounding" in difference.description for difference in comparison.results
    )


def test_a_correlation_beyond_the_bound_is_a_difference(corr: np.ndarray) -> None:
    assert compare(contents(corr), contents(corr * (1 - 1e-3))).different


@pytest.mark.parametrize(
    ("config", "matters"),
    [
        ({"run": "b", "device": "cuda", "neighbours": {"k": K}}, False),
        ({"run": "a", "device": "cpu", "neighbours": {"k": 3}}, True),
    ],
)
def test_settings_that_differ_are_named(corr: np.ndarray, config: dict, matters: bool) -> None:
    (difference,) = compare(contents(corr), contents(corr, config=config)).inputs
    assert difference.where == "configuration"
    assert difference.matters is matters
    assert str(difference).endswith(" (changes rounding at most)") is not matters


def test_code_and_weights_are_compared_and_paths_of_weights_are_not(corr: np.ndarray) -> None:
    other = {"code": {"units": "2"}, "weights": {"e": {"sha256": "y", "file": "b"}}}
    inputs = compare(contents(corr), contents(corr, provenance=other)).inputs
    assert [str(difference) for difference in inputs] == [
        "provenance: code.units: 1 and 2",
        "provenance: weights.e.sha256: x and y",
    ]


def test_a_model_of_one_run_only(corr: np.ndarray) -> None:
    one = contents(corr)
    other = replace(one, units={}, buddies={}, neighbours={})
    descriptions = [d.description for d in compare(one, other).results]
    assert descriptions == ["not in the second run"] * 2
    assert [d.description for d in compare(other, one).results] == ["not in the first run"]


def test_units_alive_in_one_run_only(corr: np.ndarray) -> None:
    units = contents(corr).units["e"].copy()
    units.loc[0, "alive"] = False
    comparison = compare(contents(corr), contents(corr, units={"e": units}))
    assert comparison.different
    assert "1 are alive in one run only" in comparison.results[0].description


def test_concepts_are_compared_whatever_their_numbers(corr: np.ndarray) -> None:
    one = contents(corr)
    other = one.rosetta.assign(concept=1 - one.rosetta["concept"])
    descriptions = [d.description for d in compare(one, contents(corr, rosetta=other)).results]
    assert descriptions[-1] == "2 and 2; adjusted Rand index 1.000 over units in both"


def test_provenance_survives_json(corr: np.ndarray, tmp_path: Path) -> None:
    provenance = json.loads(json.dumps(contents(corr).provenance))
    provenance["artifacts"] = {"config.yaml": "0" * 64}  # which name folders
    assert compare(contents(corr), contents(corr, provenance=provenance)).inputs == []
