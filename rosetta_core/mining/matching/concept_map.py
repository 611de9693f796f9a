"""Concepts of two runs of one pivot, mapped onto each other by the Rosetta neurons that they share.

Numbers of concepts change with K, the images and the encoders, and a concept may grow, split or
disappear. Units are compared by layer and channel, so that other layers may be mined too.
"""

import numpy as np
import pandas as pd

from rosetta_core.errors import RosettaError
from rosetta_core.mining.run_tables import ModelFacts, RunTables

__all__ = ["STATUSES", "map_concepts"]

STATUSES = ("kept", "split", "merged", "gone", "new")
COLUMNS = [
    *("old_id", "new_id", "n_shared", "share_old", "share_new", "status"),
    *("old_concept", "new_concept"),
]


def map_concepts(old: RunTables, new: RunTables) -> pd.DataFrame:
    """Return which concepts of two runs share Rosetta neurons, and what became of each.

    Args:
        old: tables of the first run.
        new: tables of the second run, of the same pivot.

    Returns:
        One row per pair of concepts that share a Rosetta neuron, and per concept without such a
        pair, by the numbers of old and new concepts: old_id and new_id (missing for the concept of
        a single run), n_shared (Rosetta neurons in both), share_old and share_new (share of the
        neurons of each concept that the pair shares), status, old_concept and new_concept
        (numbers). The status is kept (one to one), split (the old concept's neurons are in several
        new ones), merged (of several old ones, none of the row's old concept elsewhere), gone or
        new.

    Raises:
        RosettaError: the runs have different pivots.
    """
    _check_pivots(old, new)
    names = ["layer", "channel"]
    neurons = [
        tables.rosetta[["pivot_unit", "concept"]]
        .drop_duplicates()
        .merge(tables.units[tables.pivot], left_on="pivot_unit", right_on="unit")[
            [*names, "concept"]
        ]
        for tables in (old, new)
    ]
    both = neurons[0].merge(neurons[1], on=names, suffixes=("_old", "_new"))
    keys = ["concept_old", "concept_new"]
    pairs = both.groupby(keys).size().rename("n_shared").reset_index()
    sizes = [part.groupby("concept").size() for part in neurons]
    pairs["share_old"] = pairs["n_shared"] / pairs["concept_old"].map(sizes[0])
    pairs["share_new"] = pairs["n_shared"] / pairs["concept_new"].map(sizes[1])
    targets = pairs.groupby("concept_old")["concept_new"].transform("size")
    origins = pairs.groupby("concept_new")["concept_old"].transform("size")
    pairs["status"] = np.select([targets > 1, origins > 1], ["split", "merged"], "kept")
    gone, added = [
        _singles(len(tables.concept_ids), pairs[key], key, status)
        for tables, key, status in ((old, keys[0], "gone"), (new, keys[1], "new"))
    ]
    columns = [*keys, "n_shared", "share_old", "share_new", "status"]
    rows = pd.DataFrame(
        [
            dict(zip(columns, row, strict=True))
            for row in [*pairs[columns].itertuples(index=False, name=None), *gone, *added]
        ],
        columns=columns,
    ).sort_values(keys, na_position="last", ignore_index=True)
    for key, tables in zip(keys, (old, new), strict=True):
        side = key.removeprefix("concept_")
        rows[f"{side}_concept"] = rows[key].astype("Int64")
        ids = dict(enumerate(tables.concept_ids))
        rows[f"{side}_id"] = pd.array([ids.get(number) for number in rows[key]], dtype="string")
    return rows.astype({"n_shared": np.int64, "share_old": float, "share_new": float})[COLUMNS]


def _singles(count: int, paired: pd.Series, key: str, status: str) -> list[tuple[object, ...]]:
    """Return the rows of concepts that share no neuron with a concept of the other run."""
    numbers = sorted(set(range(count)) - set(paired))
    if key == "concept_old":
        return [(number, None, 0, 0.0, np.nan, status) for number in numbers]
    return [(None, number, 0, np.nan, 0.0, status) for number in numbers]


def _check_pivots(old: RunTables, new: RunTables) -> None:
    """Refuse runs whose pivots are different networks, or have layers of other sizes."""
    first, second = old.models[0], new.models[0]
    for what, one, other in (
        ("names", old.pivot, new.pivot),
        ("networks", _network(first), _network(second)),
    ):
        if one != other:
            raise RosettaError(
                f"runs {old.run!r} and {new.run!r}: the pivots have different {what} ({one} and "
                f"{other}); map concepts of one pivot, or match runs with rosetta translate"
            )
    channels = [tables.units[tables.pivot].groupby("layer").size() for tables in (old, new)]
    shared = channels[0].index.intersection(channels[1].index)
    if not len(shared):
        raise RosettaError(
            f"runs {old.run!r} and {new.run!r}: share no layer of {old.pivot}; mine the same layers"
        )
    for layer in shared:
        if channels[0][layer] != channels[1][layer]:
            raise RosettaError(
                f"runs {old.run!r} and {new.run!r}: layer {layer} of {old.pivot} has "
                f"{channels[0][layer]} and {channels[1][layer]} units; map concepts of one pivot"
            )


def _network(facts: ModelFacts) -> str:
    return f"{facts.network} of {facts.source}"
