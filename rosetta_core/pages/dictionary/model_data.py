"""What the page of the models shows: where in the networks the matches are.

model_data    layers, depth against depth, scores, overlap, selectivity
"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from rosetta_core.mining.examples.selectivity import MEASURES
from rosetta_core.pages.packed import significant, thousandths
from rosetta_core.runs.run_tables import RunTables

__all__ = ["model_data"]

SCORE_BINS = 40  # of correlations from 0 to 1


def model_data(findings: RunTables) -> dict[str, Any]:
    """Return the content of `data/models.js`.

    `layers`: by model and layer the units, the dead, those with a best buddy in the pivot (of the
    pivot: in any encoder), those in the dictionary, and medians of those and of the rest, in
    1/1,000: sparsity and selectivity; null of none. `depth`: by encoder a matrix (layers of the
    pivot, layers of the encoder) of best buddies, and one of those in the dictionary. `scores`: by
    encoder how the correlations of best buddies are spread, and of those in the dictionary.
    `overlap`: sets of encoders as bits, and how many units of the pivot have buddies in just those.
    `chance`: under each null how many best buddies (by encoder), Rosetta neurons and concepts there
    are, how many chance gives, and which share is false, in 1/10,000. `replication`: of the same
    how many there are, how many a half of the images gives, which share is found again in a half,
    and how far the halves agree, in 1/10,000. `superiority`: by number of
    the model and measure how many Rosetta units and others there are, how often one exceeds another
    of its layer, the p-value, and how often where layers are ignored; null where none can.
    """
    return {
        "layers": [_layers(findings, model) for model in findings.names],
        "depth": [_depth(findings, model) for model in findings.encoders],
        "scores": [_scores(findings, model) for model in findings.encoders],
        "overlap": _overlap(findings),
        "chance": _chance(findings),
        "replication": _replication(findings),
        "superiority": _superiority(findings),
    }


def _chance(findings: RunTables) -> list[list[Any]]:
    if findings.significance is None or findings.significance.null_counts is None:
        return []
    counts = findings.significance.null_counts
    columns = (counts[name].tolist() for name in ("null", "level", "model", "n_observed", "n_null"))
    return [list(row) for row in zip(*columns, thousandths(counts["fdr"] * 10), strict=True)]


def _replication(findings: RunTables) -> list[list[Any]]:
    if findings.significance is None or findings.significance.split_half is None:
        return []
    counts = findings.significance.split_half
    columns = [counts[name].tolist() for name in ("level", "model", "n_observed", "n_half")]
    columns += [thousandths(counts[name] * 10) for name in ("recovery_rate", "agreement")]
    return [list(row) for row in zip(*columns, strict=True)]


def _in_dictionary(findings: RunTables, model: str) -> pd.DataFrame:
    return findings.rosetta[findings.rosetta["model"] == model]


def _layers(findings: RunTables, model: str) -> list[list[int | None]]:
    rows = findings.layers[findings.layers["model"] == model]
    dead = rows["units"] - rows["alive"]
    counts = [rows["units"], dead, rows["matched"], rows["rosetta"]]
    medians = [rows[name] for measure in MEASURES for name in (measure, f"{measure}_other")]
    columns = [*(its.tolist() for its in counts), *map(_thousandths, medians)]
    return [list(row) for row in zip(*columns, strict=True)]


def _superiority(findings: RunTables) -> list[list[Any]]:
    table = findings.vargha_delaney
    numbers = [
        [None if np.isnan(value) else value for value in significant(values)]
        for values in table[["vargha_delaney_a", "p_value", "vargha_delaney_a_pooled"]].to_numpy()
    ]
    return [
        [findings.names.index(row.model), row.measure, row.rosetta, row.other, *values]
        for row, values in zip(table.itertuples(), numbers, strict=True)
    ]


def _thousandths(values: ArrayLike) -> list[int | None]:
    """1000 × each value, rounded; None where there is none."""
    known = ~np.isnan(np.asarray(values, np.float64))
    return [x if one else None for x, one in zip(thousandths(values), known, strict=True)]


def _depth(findings: RunTables, model: str) -> dict[str, list[list[int]]]:
    own, other = (_layer_numbers(findings, name) for name in (findings.pivot, model))
    tables = {
        "buddies": findings.best_buddies[model],
        "inside": _in_dictionary(findings, model),
    }
    found = {}
    for name, table in tables.items():
        matrix = np.zeros((own.max() + 1, other.max() + 1), int)
        np.add.at(matrix, (own[table["pivot_unit"]], other[table["unit"]]), 1)
        found[name] = matrix.tolist()
    return found


def _layer_numbers(findings: RunTables, model: str) -> NDArray[np.intp]:
    """The number of every unit's layer."""
    return pd.factorize(findings.units[model]["layer"])[0]


def _scores(findings: RunTables, model: str) -> dict[str, list[int]]:
    def spread(table: pd.DataFrame) -> list[int]:
        return np.histogram(table["corr"], bins=SCORE_BINS, range=(0, 1))[0].tolist()

    return {
        "buddies": spread(findings.best_buddies[model]),
        "inside": spread(_in_dictionary(findings, model)),
    }


def _overlap(findings: RunTables) -> list[list[int]]:
    bits = np.zeros(len(findings.units[findings.pivot]), int)
    for place, model in enumerate(findings.encoders):
        bits[findings.best_buddies[model]["pivot_unit"].unique()] |= 1 << place
    sets, counts = np.unique(bits[bits > 0], return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return np.column_stack([sets, counts])[order].tolist()
