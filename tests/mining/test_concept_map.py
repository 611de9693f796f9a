"""What became of concepts in a rerun: kept, split, merged, gone or new, by shared neurons."""

from dataclasses import replace

import pandas as pd
import pytest
from made_up import make_up

from rosetta_core.errors import RosettaError
from rosetta_core.mining.matching.concept_map import STATUSES, map_concepts
from rosetta_core.mining.run_tables import RunTables

BASE = make_up(["g", "x"], concepts=2, layers=["a", "b"], channels=4).tables
SHARES = ["n_shared", "share_old", "share_new", "status"]


def run(*concepts: list[int], **changes: object) -> RunTables:
    """Tables of a run whose concepts have these pivot units, the first one with the highest corr.

    Args:
        concepts: pivot units of each concept, the representative one first.
        changes: other fields of the tables.
    """
    rows = [
        (unit, "x", unit, 0.9 - 0.1 * number - 0.01 * place, number)
        for number, units in enumerate(concepts)
        for place, unit in enumerate(units)
    ]
    columns = ["pivot_unit", "model", "unit", "corr", "concept"]
    return replace(BASE, rosetta=pd.DataFrame(rows, columns=columns), **changes)


CASES = {
    "the same": (
        [[0, 1], [5]],
        [[0, 1], [5]],
        [("a/0", "a/0", 2, 1.0, 1.0, "kept"), ("b/1", "b/1", 1, 1.0, 1.0, "kept")],
    ),
    "another order": (
        [[0, 1], [5]],
        [[5], [0, 1]],
        [("a/0", "a/0", 2, 1.0, 1.0, "kept"), ("b/1", "b/1", 1, 1.0, 1.0, "kept")],
    ),
    "another representative": (
        [[0, 1]],
        [[1, 0, 2]],
        [("a/0", "a/1", 2, 1.0, 2 / 3, "kept")],
    ),
    "a split": (
        [[0, 1, 2]],
        [[1], [2]],
        [("a/0", "a/1", 1, 1 / 3, 1.0, "split"), ("a/0", "a/2", 1, 1 / 3, 1.0, "split")],
    ),
    "a merger": (
        [[0], [1]],
        [[0, 1]],
        [("a/0", "a/0", 1, 1.0, 0.5, "merged"), ("a/1", "a/0", 1, 1.0, 0.5, "merged")],
    ),
    "both": (
        [[0, 1], [2]],
        [[1, 2], [0]],
        [
            ("a/0", "a/1", 1, 0.5, 0.5, "split"),
            ("a/0", "a/0", 1, 0.5, 1.0, "split"),
            ("a/2", "a/1", 1, 1.0, 0.5, "merged"),
        ],
    ),
    "others": (
        [[0], [1]],
        [[1], [7]],
        [
            ("a/0", None, 0, 0.0, None, "gone"),
            ("a/1", "a/1", 1, 1.0, 1.0, "kept"),
            (None, "b/3", 0, None, 0.0, "new"),
        ],
    ),
    "none before": ([], [[3]], [(None, "a/3", 0, None, 0.0, "new")]),
    "none after": ([[3]], [], [("a/3", None, 0, 0.0, None, "gone")]),
    "none": ([], [], []),
}


@pytest.mark.parametrize("case", CASES)
def test_concepts_are_mapped_by_shared_neurons(case: str) -> None:
    old, new, expected = CASES[case]
    table = map_concepts(run(*old), run(*new))
    found = [
        tuple(None if pd.isna(value) else value for value in row)
        for row in table[["old_id", "new_id", *SHARES]].itertuples(index=False, name=None)
    ]
    assert found == [
        tuple(pytest.approx(value) if isinstance(value, float) else value for value in row)
        for row in expected
    ]
    assert set(table["status"]) <= set(STATUSES)
    for side, concepts in (("old", old), ("new", new)):
        numbers = table[f"{side}_concept"].dropna()
        assert set(numbers) == set(range(len(concepts)))  # each is somewhere


def test_units_are_compared_by_layer_and_channel() -> None:
    """Another run mined layer b only, in which unit 1 is b/1."""
    units = BASE.units["g"]
    only_b = units[units["layer"] == "b"].assign(unit=range(4)).reset_index(drop=True)
    other = run([1], units={**BASE.units, "g": only_b})
    assert map_concepts(run([5]), other)["status"].tolist() == ["kept"]
    assert map_concepts(run([1]), other)["status"].tolist() == ["gone", "new"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"models": [replace(BASE.models[0], name="h"), BASE.models[1]]}, "different names (g and"),
        ({"models": [replace(BASE.models[0], source="o.pt"), BASE.models[1]]}, "other weights"),
        ({"models": [replace(BASE.models[0], network="other"), BASE.models[1]]}, "networks"),
        ({"units": {"g": BASE.units["g"].assign(layer="c"), "x": BASE.units["x"]}}, "share no"),
        ({"units": {"g": BASE.units["g"].assign(layer="a"), "x": BASE.units["x"]}}, "4 and 8"),
    ],
)
def test_runs_of_other_pivots_are_refused(changes: dict, message: str) -> None:
    changes = {"units": BASE.units, **changes}
    if "models" in changes and changes["models"][0].name == "h":
        changes["units"] = {"h": BASE.units["g"], "x": BASE.units["x"]}
    with pytest.raises(RosettaError) as raised:
        map_concepts(run([0]), run([0], **changes))
    text = str(raised.value)
    assert message.replace("other weights", "different networks") in text and "\n" not in text
