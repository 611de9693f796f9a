"""Two runs are told apart where they differ, and rounding is told from difference."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rosetta_core.runs.comparison import BOUND, RunContents, compare

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


def found(corr: np.ndarray, **changes: object) -> RunContents:
    """What a run of these correlations with one encoder finds."""
    table = neighbours(corr)
    units = pd.DataFrame(
        {"unit": [0, 1], "layer": "a", "channel": [0, 1], "mean": 0.5, "std": 2.0, "alive": True}
    )
    pairs = buddies(table)
    rosetta = pairs[["pivot_unit", "unit", "corr"]].assign(model="e")
    rosetta["concept"] = rosetta["pivot_unit"] % 2
    made = RunContents(
        config={"run": "a", "device": "cpu", "neighbours": {"k": K}},
        provenance={"code": {"units": "1"}, "weights": {"e": {"sha256": "x", "file": "a"}}},
        units={"e": units},
        neighbours={"e": table},
        buddies={"e": pairs},
        rosetta=rosetta,
    )
    return replace(made, **changes)


@pytest.fixture
def corr() -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (6, 7))


def test_a_run_is_identical_to_itself(corr: np.ndarray) -> None:
    made = compare(found(corr), found(corr))
    assert (made.made, made.found, made.verdict) == ([], [], "identical")


def test_correlations_within_the_bound_are_rounding(corr: np.ndarray) -> None:
    noise = np.random.default_rng(1).uniform(-BOUND / 2, BOUND / 2, corr.shape)
    made = compare(found(corr), found(corr + noise))
    assert made.found
    assert not made.different
    assert made.verdict == "the same within rounding (1e-05)"
    assert all(str(difference).endswith(" (rounding)") for difference in made.found)


def test_a_pair_that_changes_places_with_one_as_good_is_rounding() -> None:
    corr = np.eye(4)
    corr[0] = [0.9, 0.5, 0.5 - BOUND / 4, 0.0]  # the second neighbour of unit 0 by a hair
    other = corr.copy()
    other[0] = [0.9, 0.5 - BOUND / 4, 0.5, 0.0]
    corr[1:, 1] = other[1:, 1] = corr[1:, 2] = other[1:, 2] = 0.1
    one, two = found(corr), found(other)
    assert set(zip(one.buddies["e"]["pivot_unit"], one.buddies["e"]["unit"], strict=True)) != set(
        zip(two.buddies["e"]["pivot_unit"], two.buddies["e"]["unit"], strict=True)
    )
    assert not compare(one, two).different


def test_another_pair_is_a_difference(corr: np.ndarray) -> None:
    other = corr.copy()
    other[0] = -1
    made = compare(found(corr), found(other))
    assert made.different
    assert made.verdict == "different"
    assert any("by more than rounding" in difference.said for difference in made.found)


def test_a_correlation_beyond_the_bound_is_a_difference(corr: np.ndarray) -> None:
    assert compare(found(corr), found(corr * (1 - 1e-3))).different


@pytest.mark.parametrize(
    ("config", "matters"),
    [
        ({"run": "b", "device": "cuda", "neighbours": {"k": K}}, False),
        ({"run": "a", "device": "cpu", "neighbours": {"k": 3}}, True),
    ],
)
def test_settings_that_differ_are_named(corr: np.ndarray, config: dict, matters: bool) -> None:
    (difference,) = compare(found(corr), found(corr, config=config)).made
    assert difference.where == "configuration"
    assert difference.matters is matters
    assert str(difference).endswith(" (changes rounding at most)") is not matters


def test_other_code_and_weights_are_named_and_where_weights_lie_is_not(corr: np.ndarray) -> None:
    other = {"code": {"units": "2"}, "weights": {"e": {"sha256": "y", "file": "b"}}}
    made = compare(found(corr), found(corr, provenance=other)).made
    assert [str(difference) for difference in made] == [
        "made by: code.units: 1 and 2",
        "made by: weights.e.sha256: x and y",
    ]


def test_a_model_of_one_run_only(corr: np.ndarray) -> None:
    one = found(corr)
    other = replace(one, units={}, buddies={}, neighbours={})
    said = [d.said for d in compare(one, other).found]
    assert said == ["not in the second run"] * 2
    assert [d.said for d in compare(other, one).found] == ["not in the first run"]


def test_units_that_live_in_one_run_only(corr: np.ndarray) -> None:
    units = found(corr).units["e"].copy()
    units.loc[0, "alive"] = False
    made = compare(found(corr), found(corr, units={"e": units}))
    assert made.different
    assert "1 are alive in one run only" in made.found[0].said


def test_concepts_are_compared_whatever_their_numbers(corr: np.ndarray) -> None:
    one = found(corr)
    other = one.rosetta.assign(concept=1 - one.rosetta["concept"])
    said = [d.said for d in compare(one, found(corr, rosetta=other)).found]
    assert said[-1] == "2 and 2; adjusted Rand index 1.000 over units in both"


def test_provenance_survives_json(corr: np.ndarray, tmp_path: Path) -> None:
    made = json.loads(json.dumps(found(corr).provenance))
    assert compare(found(corr), found(corr, provenance=made)).made == []
