"""Stable ids of concepts, layer/channel of their representative Rosetta neurons.

Numbers of concepts are ranks by mean correlation, so they change with K, the images and the
encoders. An id changes only when the representative neuron does.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from rosetta_core.errors import RosettaError, did_you_mean
from rosetta_core.mining.matching.concepts import representative_neurons

__all__ = ["concept_ids", "find_concept"]


def concept_ids(rosetta: pd.DataFrame, units: pd.DataFrame) -> list[str]:
    """Return the ids of all concepts, in the order of their numbers.

    Args:
        rosetta: table of Rosetta neurons.
        units: table of the pivot's units.

    Raises:
        RosettaError: a number between two concepts has no Rosetta neurons.
    """
    neurons = representative_neurons(rosetta)
    if not np.array_equal(neurons.index, np.arange(len(neurons))):
        missing = min(set(range(len(neurons))) - set(neurons.index))
        raise RosettaError(
            f"rosetta: concept {missing} has no Rosetta neurons; compute the tables again"
        )
    rows = units.iloc[neurons.to_numpy()]
    return [
        f"{layer}/{channel}" for layer, channel in zip(rows["layer"], rows["channel"], strict=True)
    ]


def find_concept(
    concept: int | str, *, run: str, pivot: str, rosetta: pd.DataFrame, units: pd.DataFrame
) -> int:
    """Return the number of a concept.

    Args:
        concept: number, or id layer/channel, also with the pivot's name before it.
        run: name of the run, for errors.
        pivot: name of the pivot.
        rosetta: table of Rosetta neurons.
        units: table of the pivot's units.

    Raises:
        RosettaError: there is no such concept; the message names similar ids.
    """
    ids = concept_ids(rosetta, units)
    if isinstance(concept, str):
        if concept in ids:
            return ids.index(concept)
        short = concept.removeprefix(f"{pivot}/")
        if short in ids:
            return ids.index(short)
        raise RosettaError(_unknown_id(concept, short, ids, run=run, rosetta=rosetta, units=units))
    if isinstance(concept, bool) or not isinstance(concept, int | np.integer):
        raise RosettaError(
            f"concept: {concept!r} is not the number or the id of a concept; use for example 0"
        )
    if not 0 <= concept < len(ids):
        cure = f"use 0 to {len(ids) - 1}" if ids else "the run has no concepts"
        raise RosettaError(f"run {run!r}: there is no concept {concept}; {cure}")
    return int(concept)


def _unknown_id(
    concept: str,
    short: str,
    ids: Sequence[str],
    *,
    run: str,
    rosetta: pd.DataFrame,
    units: pd.DataFrame,
) -> str:
    """Return the error for an id that no concept has."""
    where = f"run {run!r}: there is no concept {concept[:200]!r}"
    if not ids:
        return f"{where}; the run has no concepts"
    layer, _, channel = short.rpartition("/")
    same = units[(units["layer"] == layer) & (units["channel"].astype(str) == channel)]["unit"]
    found = rosetta.loc[rosetta["pivot_unit"].isin(same), "concept"]
    if len(found):
        number = int(found.iloc[0])
        return f"{where}; this unit is a neuron of concept {number} ({ids[number]!r})"
    return f"{where}{did_you_mean(short, ids)}; use a concept_id, or 0 to {len(ids) - 1}"
